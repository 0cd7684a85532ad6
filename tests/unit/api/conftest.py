"""The API as clients meet it: the real application over a database of its own, and the people that all tests know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.bench.processes import wait_until

from mailu.auth.tokens import hash_token
from mailu.directory import changes
from mailu.directory.api_tokens import create_api_token
from mailu.directory.changes import SYSTEM
from mailu.servers.admin import Admin
from mailu.settings import load_settings

TOKEN = "the-token-of-the-operator"


@pytest.fixture
def database() -> dict[str, str]:
    """The settings that name the database: none for SQLite's usual place."""
    return {}


@pytest.fixture
def admin(tmp_path: Path, database: dict[str, str]) -> Iterator[Admin]:
    (tmp_path / "data").mkdir()
    (tmp_path / "dkim").mkdir()
    environ = {
        **database,
        "ROOT": str(tmp_path),
        "SECRET_KEY": "0123456789ABCDEF",
        "DOMAIN": "example.test",
        "HOSTNAMES": "mail.example.test",
        "API": "true",
        "API_TOKEN": TOKEN,
        "RATELIMIT_STORAGE_URL": "memory://",
        "MEMORY_SESSIONS": "true",
    }
    admin = Admin(load_settings(None, environ))
    store = admin.control.store
    store.upgrade()
    with store.session() as session:
        for domain in ("example.test", "other.test"):
            changes.create_domain(session, domain, actor=SYSTEM)
        for email in ("admin@example.test", "manager@example.test", "user@example.test", "user@other.test"):
            changes.create_user(session, email, password_hash="$argon2id$none", actor=SYSTEM)
        changes.update_user(session, "admin@example.test", global_admin=True, actor=SYSTEM)
        changes.add_manager(session, "example.test", "manager@example.test", actor=SYSTEM)
        changes.create_alias(session, "team@example.test", destination=["user@example.test"], actor=SYSTEM)
        changes.create_alternative(session, "example-alt.test", "example.test", actor=SYSTEM)
        changes.create_relay(session, "relayed.test", smtp="mx.relayed.test", actor=SYSTEM)
        changes.create_token(
            session, "user@example.test", password_hash=hash_token("0" * 32), comment="phone", actor=SYSTEM
        )
    yield admin
    # It may be reading yet; the next test empties the same database on PostgreSQL and MariaDB.
    admin.keeper._thread.shutdown()
    store.close()


@pytest.fixture
def connect(admin: Admin) -> Iterator[Callable[..., TestClient]]:
    """Makes a client with a token, or without one."""
    with TestClient(admin.app, base_url="http://testserver/api/v1", raise_server_exceptions=False):
        # Answers about domains need the snapshot, and are 503 until it is read; nginx sends nobody here before that.
        wait_until(lambda: admin.keeper.ready, seconds=60, what="the directory to be read")

        def make(token: str | None, address: str = "192.0.2.7") -> TestClient:
            client = TestClient(
                admin.app,
                base_url="http://testserver/api/v1",
                raise_server_exceptions=False,
                client=(address, 40000),
            )
            if token is not None:
                client.headers["Authorization"] = f"Bearer {token}"
            return client

        yield make


@pytest.fixture
def client(connect: Callable[..., TestClient]) -> TestClient:
    """The operator's client, which may do everything."""
    return connect(TOKEN)


@pytest.fixture
def scoped_token(admin: Admin) -> Callable[..., str]:
    """Makes a token with fewer rights."""

    def make(*domains: str, read_only: bool = False, expired: bool = False) -> str:
        expires_at = datetime.now(UTC) + timedelta(hours=-1 if expired else 1)
        with admin.control.store.session() as session:
            _, secret = create_api_token(
                session, comment="test", domains=domains, read_only=read_only, expires_at=expires_at, actor=SYSTEM
            )
        return secret

    return make
