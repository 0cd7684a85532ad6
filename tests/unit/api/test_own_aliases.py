"""Anonymous aliases, as password managers make them and as their owners look after them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from mailu.auth.tokens import hash_token
from mailu.directory import changes
from mailu.directory.anonymous.names import new_localpart, site_label, words
from mailu.directory.changes import SYSTEM
from mailu.directory.models import Alias
from mailu.directory.snapshot import NotReady, Snapshot
from mailu.servers.admin import Admin
from mailu.servers.keeper import SnapshotKeeper

Connect = Callable[..., TestClient]
SECRET = "0123456789abcdef" * 2
NEW = "http://testserver/api/alias/random/new"


@pytest.fixture
def owner(admin: Admin, connect: Connect) -> Callable[..., TestClient]:
    """A client that shows an app token of somebody."""

    def make(email: str = "user@example.test", *, ip: tuple[str, ...] = (), token: str = SECRET) -> TestClient:
        with admin.control.store.session() as session:
            changes.create_token(session, email, password_hash=hash_token(SECRET), ip=ip, actor=SYSTEM)
        _catch_up(admin)
        client = connect(None)
        client.headers["Authentication"] = f"{quote(email)}:{token}"
        return client

    return make


def _catch_up(admin: Admin) -> None:
    """Until the process has seen what the test wrote."""
    version = admin.control.store.data_version()
    deadline = time.monotonic() + 10
    while not admin.keeper.ready or admin.keeper.snapshot.version < version:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _allow(admin: Admin, domain: str = "example.test") -> None:
    with admin.control.store.session() as session:
        changes.update_domain(session, domain, anonmail_enabled=True, actor=SYSTEM)


def test_bitwarden_gets_an_alias_for_the_site(admin: Admin, owner: Callable[..., TestClient]) -> None:
    _allow(admin)
    answer = owner().post(f"{NEW}?hostname=www.groupon.com", json={})
    assert answer.status_code == 201
    body = answer.json()
    assert re.fullmatch(r"groupon\.[a-z]{5,10}@example\.test", body["email"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d 00:00:00", body["creation_date"])
    assert body["creation_timestamp"] % 86400 == 0
    same = ("enabled", "note", "nb_forward", "nb_block", "nb_reply")
    assert [body[name] for name in same] == [True, "Website: www.groupon.com", 0, 0, 0]
    with admin.control.store.read() as session:
        alias = session.get_one(Alias, body["email"])
        assert (alias.destination, alias.owner_email) == (("user@example.test",), "user@example.test")
        assert alias.hostname == "www.groupon.com"


def test_the_body_is_optional_and_its_note_is_kept(admin: Admin, owner: Callable[..., TestClient]) -> None:
    _allow(admin)
    client = owner()
    plain = client.post(NEW).json()
    assert re.fullmatch(r"[a-z0-9]{16}@example\.test", plain["email"])
    assert plain["note"] == ""
    assert client.post(NEW, json={"note": "shop", "destination": "x@y.test"}).json()["note"] == "shop"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 401),
        ("user@example.test", 401),
        (f"user@example.test:{'f' * 32}", 403),
        ("user@example.test:the password", 403),
        (f"nobody@example.test:{SECRET}", 403),
        (f":{SECRET}", 403),
        (f"user%40example.test:{SECRET}", 201),
        (f"USER@example.test:{SECRET[:31]}%66", 201),
    ],
)
def test_who_calls_is_said_by_the_header(
    admin: Admin, connect: Connect, owner: Callable[..., TestClient], header: str | None, status: int
) -> None:
    _allow(admin)
    owner()
    headers = {"Authentication": header} if header is not None else {}
    assert connect(None).post(f"{NEW}?hostname=a.test", headers=headers).status_code == status


def test_the_tokens_of_the_api_are_no_owners(client: TestClient) -> None:
    assert client.post(NEW).status_code == 401
    assert client.get("/alias/me").status_code == 401


def test_the_networks_of_a_token_hold_here_too(admin: Admin, owner: Callable[..., TestClient]) -> None:
    _allow(admin)
    assert owner(ip=("203.0.113.0/24",)).post(NEW).status_code == 403


def test_a_guesser_is_limited(connect: Connect, admin: Admin) -> None:
    client = connect(None, "203.0.113.99")
    _catch_up(admin)
    guesses = [client.post(NEW, headers={"Authentication": f"user@example.test:{n:032x}"}) for n in range(1, 30)]
    assert [guess.status_code for guess in guesses[:3]] == [403] * 3
    assert guesses[-1].status_code == 429
    assert int(guesses[-1].headers["retry-after"]) > 0


def test_domains_are_the_own_where_it_is_switched_on_those_granted_and_those_looked_after(
    admin: Admin, owner: Callable[..., TestClient]
) -> None:
    client = owner()
    assert client.get("/alias/domains/available").json() == []
    assert client.post(NEW).status_code == 403
    with admin.control.store.session() as session:
        changes.grant_access(session, "other.test", "user@example.test", actor=SYSTEM)
    assert client.get("/alias/domains/available").json() == ["other.test"]
    assert client.post(NEW).json()["email"].endswith("@other.test")
    _allow(admin)
    assert client.get("/alias/domains/available").json() == ["example.test", "other.test"]
    assert owner("admin@example.test").get("/alias/domains/available").json() == ["example.test", "other.test"]


def test_names_that_are_taken_are_passed_over(
    admin: Admin, owner: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    _allow(admin)
    names = iter(["user", "team", "covered", "free"] + ["user"] * 10)
    monkeypatch.setattr("mailu.directory.anonymous.new_localpart", lambda _site: next(names))
    with admin.control.store.session() as session:
        changes.create_alias(session, "cov%@example.test", destination="x@y.test", wildcard=True, actor=SYSTEM)
        changes.create_alias(session, "%@example.test", destination="x@y.test", wildcard=True, actor=SYSTEM)
        changes.update_alias(session, "team@example.test", disabled=True, actor=SYSTEM)
    client = owner()
    assert client.post(NEW).json()["email"] == "free@example.test"
    refused = client.post(NEW)
    assert refused.status_code == 409
    assert "10 tries" in refused.json()["message"]


def test_owners_look_after_their_own_aliases_and_no_others(admin: Admin, owner: Callable[..., TestClient]) -> None:
    _allow(admin)
    mine, theirs = owner(), owner("manager@example.test")
    email = mine.post(f"{NEW}?hostname=a.test").json()["email"]
    assert [alias["email"] for alias in mine.get("/alias/me").json()] == [email]
    assert theirs.get("/alias/me").json() == []
    assert theirs.patch(f"/alias/me/{email}", json={"disabled": True}).status_code == 404
    assert theirs.delete(f"/alias/me/{email}").status_code == 404
    assert mine.delete("/alias/me/team@example.test").status_code == 404
    assert mine.patch(f"/alias/me/{email}", json={"disabled": True, "destination": ["x@y.test"]}).status_code == 200
    (alias,) = mine.get("/alias/me").json()
    assert (alias["disabled"], alias["destination"]) == (True, ["user@example.test"])
    assert mine.delete(f"/alias/me/{email}").status_code == 200
    with admin.control.store.read() as session:
        assert session.scalars(select(Alias).where(Alias.owner_email.is_not(None))).all() == []


def test_a_disabled_account_makes_no_aliases(admin: Admin, owner: Callable[..., TestClient]) -> None:
    _allow(admin)
    client = owner()
    with admin.control.store.session() as session:
        changes.update_user(session, "user@example.test", enabled=False, actor=SYSTEM)
    _catch_up(admin)
    assert client.post(NEW).status_code == 403


def test_a_browser_that_is_signed_in_needs_no_token(admin: Admin, connect: Connect) -> None:
    _allow(admin)
    client = connect(None)
    _catch_up(admin)
    account = admin.keeper.snapshot.users["user@example.test"]

    async def sign_in() -> str:
        return (await admin.control.sessions.create(account)).id

    import asyncio

    client.cookies.set("mailu", asyncio.run(sign_in()))
    assert client.get("/alias/me").status_code == 200
    assert client.post(NEW).status_code == 201


@pytest.mark.parametrize("headers", [{"Cookie": "mailu=x"}, {"Authentication": f"user@example.test:{SECRET}"}])
def test_before_the_directory_was_read_everybody_is_told_to_come_back(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    def not_yet(_keeper: SnapshotKeeper) -> Snapshot:
        raise NotReady("the directory has not been read yet")

    monkeypatch.setattr(SnapshotKeeper, "snapshot", property(not_yet))
    answer = connect(None).post(NEW, headers=headers)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("site", "label"),
    [
        ("www.groupon.com", "groupon"),
        ("test-site.co.uk", "testsite"),
        ("https://user:pw@shop.Example.ORG:8443/path?q=1#f", "example"),
        ("example.com/path", "example"),
        ("a.b.c.example.com.au", "example"),
        ("co.uk", "co"),
        ("localhost", ""),
        ("127.0.0.1", ""),
        ("[2001:db8::1]:80", ""),
        ("", ""),
        ("///", ""),
        ("http://[", ""),
        ("x" * 200 + ".com", "x" * 40),
    ],
)
def test_the_name_of_a_site(site: str, label: str) -> None:
    assert site_label(site) == label
    localpart = new_localpart(site)
    assert localpart.startswith(f"{label}.") if label else re.fullmatch(r"[a-z0-9]{16}", localpart)


def test_there_are_enough_words_and_each_is_plain() -> None:
    assert len(words()) == len(set(words())) > 400
    assert all(re.fullmatch(r"[a-z]{5,10}", word) for word in words())
