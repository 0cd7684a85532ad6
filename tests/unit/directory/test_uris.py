"""Database addresses as operators write them, also those that were made for other drivers."""

from __future__ import annotations

import pytest

from mailu.directory.uris import BadDatabaseUri, parse_database_uri


@pytest.mark.parametrize(
    ("uri", "used"),
    [
        ("sqlite:////data/main.db", "sqlite+pysqlite:////data/main.db"),
        ("sqlite+pysqlite:////data/main.db", "sqlite+pysqlite:////data/main.db"),
        ("postgresql://u:p@h/mailu", "postgresql+psycopg://u:p@h/mailu"),
        ("postgres://u:p@h:5433/mailu", "postgresql+psycopg://u:p@h:5433/mailu"),
        ("postgresql+psycopg2://u:p@h/mailu?sslmode=require", "postgresql+psycopg://u:p@h/mailu?sslmode=require"),
        ("postgresql+psycopg://u@/mailu?host=/run/pg", "postgresql+psycopg://u@/mailu?host=%2Frun%2Fpg"),
        ("mysql://u:p@h/mailu", "mysql+pymysql://u:p@h/mailu?charset=utf8mb4"),
        ("mysql+mysqlconnector://u:p@h/mailu?auth_plugin=x", "mysql+pymysql://u:p@h/mailu?charset=utf8mb4"),
        ("mysql+mysqlconnector://u:p@h/m?charset=latin1", "mysql+pymysql://u:p@h/m?charset=utf8mb4"),
        ("mariadb://u:p%40ss@h/mailu", "mysql+pymysql://u:p%40ss@h/mailu?charset=utf8mb4"),
    ],
)
def test_an_address_gets_the_driver_that_is_used(uri: str, used: str) -> None:
    assert parse_database_uri(uri).render_as_string(hide_password=False) == used


@pytest.mark.parametrize(
    "uri", ["", "main.db", "oracle://u:secret@h/x", "sqlite://", "sqlite:///:memory:", "postgresql", "mysql:/x"]
)
def test_what_cannot_be_used_is_refused_without_repeating_the_password(uri: str) -> None:
    with pytest.raises(BadDatabaseUri) as caught:
        parse_database_uri(uri)
    assert "secret" not in str(caught.value)
