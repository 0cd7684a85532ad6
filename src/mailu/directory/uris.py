"""Database addresses as operators write them, turned into the drivers that this program uses."""

from __future__ import annotations

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}

_OTHER_DRIVERS_OPTIONS = frozenset({"auth_plugin", "charset", "collation", "use_pure", "buffered", "raise_on_warnings"})
"""What mysql-connector understands and PyMySQL does not, or what is not for the operator to choose."""


class BadDatabaseUri(ValueError):
    """The database address cannot be used; the text says why and never repeats its password."""


def parse_database_uri(uri: str) -> URL:
    """Return *uri* with the driver this program uses: sqlite3, psycopg 3 or PyMySQL.

    The driver named in *uri* is ignored, so addresses made for psycopg2 or mysql-connector go on working.
    Raises BadDatabaseUri for other databases and for an SQLite database in memory, which no second process could see.
    """
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        raise BadDatabaseUri("the database address is not of the form postgresql://user:password@host/name") from None
    kind = url.drivername.partition("+")[0]
    driver = _DRIVERS.get(kind)
    if driver is None:
        raise BadDatabaseUri(f"{kind!r} is not a database that can be used: sqlite, postgresql or mysql")
    url = url.set(drivername=driver)
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise BadDatabaseUri("an SQLite database needs a file, as in sqlite:////data/main.db")
    if driver == "mysql+pymysql":
        url = url.difference_update_query(_OTHER_DRIVERS_OPTIONS).update_query_dict({"charset": "utf8mb4"})
    return url
