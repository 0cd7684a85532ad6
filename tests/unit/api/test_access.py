"""Who may call what: nobody without a token, and with a narrow one not a step further."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from tests.unit.api.conftest import TOKEN

from mailu.directory import changes
from mailu.directory.changes import SYSTEM
from mailu.servers.admin import Admin

Connect = Callable[..., TestClient]


NAMES = {
    "email": "user@other.test",
    "domain": "other.test",
    "name": "relayed.test",
    "token_id": "1",
    "fetch_id": "1",
    "sender_id": "1",
    "retired_id": "1",
    "queue_id": "4ABCDEFGHI",
    "selector": "dkim",
}
"""Names of things that exist, for the parameters of paths."""
OWN = "own aliases"


def operations(client: TestClient, *, own: bool | None = None) -> list[tuple[str, str]]:
    """Every operation of the published description; *own*: only (or none of) those of people with an app token."""
    paths = client.get("/swagger.json").json()["paths"]
    return [
        (method.upper(), path.format(**NAMES))
        for path, methods in paths.items()
        for method, operation in methods.items()
        if own is None or own == (OWN in operation["tags"])
    ]


def test_without_a_token_every_operation_answers_401(connect: Connect) -> None:
    client = connect(None)
    found = operations(client, own=False)
    assert len(found) > 60
    for method, path in found:
        answer = client.request(method, path, json={})
        assert (method, path, answer.status_code) == (method, path, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for method, path in operations(client, own=True):
        assert (method, path, client.request(method, path, json={}).status_code) == (method, path, 401)


def test_with_a_wrong_token_every_operation_answers_403_or_429(connect: Connect) -> None:
    client = connect("wrong")
    found = operations(client, own=False)
    assert {client.request(method, path, json={}).status_code for method, path in found} <= {403, 429}


def test_the_bare_token_is_taken_too(connect: Connect) -> None:
    client = connect(None)
    assert client.get("/domain", headers={"Authorization": TOKEN}).status_code == 200


def test_who_guesses_is_limited_and_who_knows_is_not(connect: Connect) -> None:
    right, guesser = connect(TOKEN), connect(None, "203.0.113.9")
    assert right.get("/domain").status_code == 200
    statuses = [guesser.get("/domain", headers={"Authorization": f"Bearer guess{n}"}).status_code for n in range(200)]
    assert statuses[0] == 403
    assert 429 in statuses
    assert right.get("/domain").status_code == 200


def test_a_token_that_only_reads_changes_nothing(connect: Connect, scoped_token: Callable[..., str]) -> None:
    client = connect(scoped_token(read_only=True))
    before = client.get("/audit?limit=500").json()
    for method, path in operations(client, own=False):
        status = client.request(method, path, json={}).status_code
        expected = {200, 404, 503} if method == "GET" else {403}
        assert status in expected, (method, path, status)
    assert client.get("/audit?limit=500").json() == before


def test_the_token_of_the_operator_reaches_every_operation(client: TestClient) -> None:
    found = operations(client, own=False)
    ordered = sorted(found, key=lambda each: ("GET", "POST", "PATCH", "DELETE").index(each[0]))
    for method, path in ordered:
        status = client.request(method, path, json={}).status_code
        assert status in {200, 400, 404, 409, 503}, (method, path, status)


WHOLE_SERVER = ("/relay", "/tlsexception", "/queue", "/limit", "/audit", "/apitoken")


def test_a_token_for_one_domain_is_refused_whatever_is_of_another_or_of_the_server(
    connect: Connect, scoped_token: Callable[..., str]
) -> None:
    client = connect(scoped_token("example.test"))
    for method, path in operations(client, own=False):
        status = client.request(method, path, json=_body(path)).status_code
        if "other.test" in path or path.startswith(WHOLE_SERVER):
            assert status == 403, (method, path, status)
        else:
            assert status in {200, 400, 403, 404, 409}, (method, path, status)


def _body(path: str) -> dict[str, object]:
    """What the operation needs before it asks for rights in a domain."""
    if path in ("/relay", "/tlsexception"):
        return {"name": "new.test"}
    return {"user_email": "user@other.test", "state": "active"}


def test_a_token_for_one_domain_reaches_nothing_of_another(connect: Connect, scoped_token: Callable[..., str]) -> None:
    client = connect(scoped_token("example.test"))
    assert {user["email"].partition("@")[2] for user in client.get("/user").json()} == {"example.test"}
    assert [domain["name"] for domain in client.get("/domain").json()] == ["example.test"]
    assert [token["email"] for token in client.get("/token").json()] == ["user@example.test"]
    refused = [
        client.get("/user/user@other.test"),
        client.patch("/user/user@other.test", json={"comment": "mine"}),
        client.delete("/user/user@other.test"),
        client.post("/user", json={"email": "x@other.test", "raw_password": "long enough"}),
        client.get("/domain/other.test"),
        client.post("/domain", json={"name": "new.test"}),
        client.delete("/domain/example.test"),
        client.get("/relay"),
        client.post("/alias", json={"email": "x@other.test", "destination": ["a@b.test"]}),
        client.post("/alternative", json={"name": "new.test", "domain": "other.test"}),
        client.post("/tokenuser/user@other.test", json={}),
        client.post("/domain/example.test/manager", json={"user_email": "user@other.test"}),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)


def test_a_token_for_one_domain_neither_sees_nor_sets_its_smart_host(
    client: TestClient, connect: Connect, scoped_token: Callable[..., str]
) -> None:
    host = {"relayhost": "smtp.example.net:587", "relayuser": "us", "relaypassword": "at the smart host"}
    assert client.patch("/domain/example.test", json=host).status_code == 200
    seen = client.get("/domain/example.test")
    assert (seen.json()["relayhost"], seen.json()["relayuser"]) == ("smtp.example.net:587", "us")
    narrow = connect(scoped_token("example.test"))
    for answer in (seen, client.get("/domain"), client.get("/audit"), narrow.get("/domain/example.test")):
        assert "at the smart host" not in answer.text
    for answer in (narrow.get("/domain/example.test"), narrow.get("/domain")):
        assert answer.status_code == 200
        assert "relay" not in answer.text
    for name, value in host.items():
        assert narrow.patch("/domain/example.test", json={name: value}).status_code == 403
    assert narrow.patch("/domain/example.test", json={"comment": "ours"}).status_code == 200
    wrong = client.patch("/domain/example.test", json={"relayhost": None})
    assert wrong.status_code == 400
    assert "relayhost" in wrong.text


def test_a_token_for_one_domain_makes_nobody_a_global_admin(connect: Connect, scoped_token: Callable[..., str]) -> None:
    client = connect(scoped_token("example.test"))
    assert client.patch("/user/user@example.test", json={"global_admin": True}).status_code == 403
    assert client.patch("/user/user@example.test", json={"comment": "fine"}).status_code == 200


@pytest.mark.parametrize("expired", [True, False])
def test_a_token_works_until_it_expires(connect: Connect, scoped_token: Callable[..., str], expired: bool) -> None:
    client = connect(scoped_token(expired=expired))
    assert client.get("/domain").status_code == (403 if expired else 200)


@pytest.mark.parametrize("address", ["admin@example.test", "manager@example.test"])
def test_a_narrow_token_never_acts_for_somebody_who_may_do_more(
    admin: Admin, connect: Connect, scoped_token: Callable[..., str], address: str
) -> None:
    with admin.control.store.session() as session:
        changes.add_manager(session, "other.test", "manager@example.test", actor=SYSTEM)
        token = changes.create_token(session, address, password_hash="$pbkdf2-sha256$1$x", actor=SYSTEM)
        session.flush()
        number = token.id
    client = connect(scoped_token("example.test"))
    fetch = {"email": address, "protocol": "imap", "host": "h.test", "port": 1, "username": "u", "password": "p"}
    refused = [
        client.patch(f"/user/{address}", json={"raw_password": "mine now"}),
        client.delete(f"/user/{address}"),
        client.post(f"/tokenuser/{address}", json={}),
        client.patch(f"/token/{number}", json={"comment": "mine"}),
        client.delete(f"/token/{number}"),
        client.post("/fetch", json=fetch),
        client.delete(f"/session/{address}"),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert client.get(f"/user/{address}").status_code == 200
