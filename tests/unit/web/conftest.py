"""The pages as browsers meet them: the real application over a database of its own, and the people all tests know."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from tests.unit.web.addresses import PEOPLE

from mailu.auth.passwords import hash_password
from mailu.auth.tokens import hash_token
from mailu.directory import changes
from mailu.directory.api_tokens import create_api_token
from mailu.directory.changes import SYSTEM
from mailu.identity.authoritative import Dns
from mailu.identity.dns_answers import DnsUnknown, Found
from mailu.servers.admin import Admin
from mailu.settings import load_settings

PASSWORD = "correct-horse"
HASH = hash_password(PASSWORD)
HOST = "mail.example.test"
MARK = re.compile(r'name="form_mark" value="([0-9a-f]+)"')
RULE = {
    "name": "Lists",
    "conditions": [{"field": "list-id", "test": "contains", "value": "announce"}],
    "folder": "Lists",
}


@pytest.fixture(autouse=True)
def no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers: no page of these tests asks the world."""

    def look(_dns: Dns, name: str, kind: str) -> Found:
        raise DnsUnknown(f"{name} {kind}: nobody answers")

    monkeypatch.setattr(Dns, "look", look)


@dataclass
class Browser:
    """A browser that follows no redirect by itself, and fills in forms of ours."""

    client: TestClient
    admin: Admin
    pages: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **options: object) -> httpx.Response:
        return self.client.get(path, **options)  # type: ignore[arg-type,return-value]

    def mark(self) -> str:
        """The mark that forms carry in this browser now."""
        for path in ("/admin/client", "/sso/login", "/sso/pw_change"):
            if found := MARK.search(self.get(path).text):
                return found[1]
        raise AssertionError("no page has a form on it")

    def post(self, path: str, data: Mapping[str, object] | None = None, **options: object) -> httpx.Response:
        """Send a form of ours."""
        fields = {"form_mark": self.mark(), **(data or {})}
        return self.client.post(path, data=fields, **options)  # type: ignore[arg-type,return-value]

    def sign_on(self, email: str, password: str = PASSWORD, path: str = "/sso/login") -> httpx.Response:
        return self.post(path, {"email": email, "pw": password, "submitAdmin": "1"})

    def settle(self) -> None:
        """Wait until the snapshot shows what was written."""
        version = self.admin.control.store.data_version()
        deadline = time.monotonic() + 30
        while self.admin.control.snapshot().version < version:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def make_admin(root: Path, **environ: str) -> Admin:
    """The process's parts over an empty root, with the people in it."""
    (root / "data").mkdir()
    (root / "dkim").mkdir()
    usual = {
        "ROOT": str(root),
        "SECRET_KEY": "0123456789ABCDEF",
        "DOMAIN": "example.test",
        "HOSTNAMES": HOST,
        "RATELIMIT_STORAGE_URL": "memory://",
        "MEMORY_SESSIONS": "true",
        "FETCHMAIL_ENABLED": "true",
        "DATABASE_POLL": "0.05",
        "DOMAIN_REGISTRATION": "true",
    }
    admin = Admin(load_settings(None, {**usual, **environ}))
    admin.control.store.upgrade()
    populate(admin)
    return admin


def populate(admin: Admin) -> None:
    """Two domains, the people, one of everything."""
    with admin.control.store.session() as session:
        for domain in ("example.test", "other.test"):
            main = domain == "example.test"
            changes.create_domain(session, domain, actor=SYSTEM, anonmail_enabled=main, signup_enabled=main)
        for email in PEOPLE.values():
            changes.create_user(session, email, password_hash=HASH, mail_rules=[RULE], actor=SYSTEM)
        changes.update_user(session, PEOPLE["admin"], global_admin=True, actor=SYSTEM)
        changes.add_manager(session, "example.test", PEOPLE["manager"], actor=SYSTEM)
        changes.add_manager(session, "other.test", PEOPLE["other_manager"], actor=SYSTEM)
        changes.create_alias(session, "team@example.test", destination=[PEOPLE["user"]], actor=SYSTEM)
        changes.create_alias(
            session, "shop.word@example.test", destination=[PEOPLE["user"]], owner=PEOPLE["user"], actor=SYSTEM
        )
        changes.create_alternative(session, "alternative.test", "example.test", actor=SYSTEM)
        changes.create_relay(session, "relayed.test", smtp="mx.relayed.test", actor=SYSTEM)
        changes.create_token(session, PEOPLE["user"], password_hash=hash_token("0" * 32), comment="phone", actor=SYSTEM)
        changes.create_fetch(
            session, PEOPLE["user"], protocol="imap", host="imap.example.net", port=993, tls=True,
            username="me", password="secret-of-another-server", actor=SYSTEM,
        )  # fmt: skip
        create_api_token(session, comment="program", actor=SYSTEM)
        changes.grant_access(session, "example.test", PEOPLE["user"], actor=SYSTEM)


@pytest.fixture
def environ() -> dict[str, str]:
    """Settings that a test wants beside the usual ones; override it."""
    return {}


@pytest.fixture
def admin(tmp_path: Path, environ: dict[str, str]) -> Admin:
    return make_admin(tmp_path, **environ)


@pytest.fixture
def open_browser(admin: Admin) -> Iterator[Callable[[], Browser]]:
    """Opens browsers, each with cookies of its own."""
    with TestClient(admin.app, base_url=f"https://{HOST}", raise_server_exceptions=False) as first:
        deadline = time.monotonic() + 30
        while first.get("/ready").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.01)

        def make() -> Browser:
            client = TestClient(
                admin.app,
                base_url=f"https://{HOST}",
                raise_server_exceptions=False,
                follow_redirects=False,
                client=("192.0.2.7", 40000),
            )
            return Browser(client, admin)

        yield make


@pytest.fixture
def browser(open_browser: Callable[[], Browser]) -> Browser:
    """A browser in which nobody is signed in."""
    return open_browser()


@pytest.fixture
def signed_in(open_browser: Callable[[], Browser]) -> Callable[[str], Browser]:
    """Opens a browser in which one of the people is signed in."""

    def make(who: str) -> Browser:
        found = open_browser()
        assert found.sign_on(PEOPLE.get(who, who)).status_code == 303
        return found

    return make
