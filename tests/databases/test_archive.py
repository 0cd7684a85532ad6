"""Documents on PostgreSQL and MariaDB: the same comes back, and numbers go on behind those that were written."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from tests.unit.directory.archive.conftest import HASH, ME

from mailu.configuration import Configuration
from mailu.directory import changes
from mailu.directory.archive import ExportOptions, document_of, read_document
from mailu.directory.models import Token
from mailu.directory.store import Store
from mailu.settings import load_settings

pytestmark = [pytest.mark.databases]

DOCUMENT = {
    "domain": [{"name": "bücher.test", "alternatives": ["alt.test"]}, {"name": "b.test"}],
    "user": [
        {
            "email": "ann@b.test",
            "password": HASH,
            "displayed_name": "Ann \N{SNOWMAN} \N{GRINNING FACE}",
            "reply_body": "one\n\ntwo",
            "manager_of": ["bücher.test"],
            "domain_accesses": [{"domain": "b.test", "comment": "shops"}],
            "tokens": [{"password": HASH, "comment": "new"}, {"id": 1, "password": HASH, "ip": ["192.0.2.0/24"]}],
            "fetches": [
                {"id": 7, "protocol": "imap", "host": "h.test", "port": 993, "username": "u", "password": "p w"}
            ],
        },
        {"email": "bob@bücher.test", "password": HASH, "tokens": [{"id": 2, "password": HASH}]},
    ],
    "alias": [{"email": "x%@b.test", "destination": "ann@b.test", "wildcard": True, "owner_email": "ann@b.test"}],
    "relay": [{"name": "relayed.test", "smtp": "mx.relayed.test:25"}],
}


def test_a_document_comes_back_and_numbers_go_on(store: Store, tmp_path: Path) -> None:
    (tmp_path / "dkim").mkdir()
    environ = {"ROOT": str(tmp_path), "SECRET_KEY": "0" * 16, "DOMAIN": "b.test", "HOSTNAMES": "m.b.test"}
    configuration = Configuration(load_settings(None, environ), store)
    configuration.apply(document_of(DOCUMENT), actor=ME)
    text = "".join(configuration.export(ExportOptions(full=True, secrets=True)))
    assert configuration.plan(read_document(text)).is_empty
    with store.session() as session:
        numbers = set(session.scalars(select(Token.id)))
        assert {1, 2} < numbers
        made = changes.create_token(session, "bob@bücher.test", password_hash=HASH, actor=ME)
        session.flush()
        assert made.id not in numbers
    configuration.apply(read_document("domain: [{name: b.test}]\nuser: [{email: ann@b.test}]"), actor=ME)
    assert configuration.apply(read_document(text), actor=ME).counts()["user"]
    assert configuration.plan(read_document(text)).is_empty
