"""What operators asked for: fetched accounts, grants, DNS, keys, the queue, limits, the trail, deleted mailboxes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mailu import operations
from mailu.directory import changes
from mailu.directory.models import Fetch
from mailu.identity.authoritative import Dns
from mailu.identity.dns_answers import DnsUnknown, Found
from mailu.servers.admin import Admin

Connect = Callable[..., TestClient]
ACCOUNT = {
    "email": "user@example.test",
    "protocol": "imap",
    "host": "imap.old.test",
    "port": 993,
    "tls": True,
    "username": "me",
    "password": "p w: secret",
    "folders": ["Sent Items", "INBOX"],
}


def test_fetched_accounts_come_and_go_and_keep_their_password(client: TestClient, admin: Admin) -> None:
    made = client.post("/fetch", json=ACCOUNT)
    assert made.status_code == 200
    number = made.json()["id"]
    assert "p w: secret" not in made.text + client.get("/fetch").text + client.get(f"/fetch/{number}").text
    assert made.json()["folders"] == ["INBOX", "Sent Items"]
    assert client.patch(f"/fetch/{number}", json={"keep": True}).status_code == 200
    assert client.get(f"/fetch/{number}").json()["keep"] is True
    with admin.control.store.read() as session:
        assert session.get_one(Fetch, number).password == "p w: secret"
    assert [each["id"] for each in client.get("/fetch?user=user@example.test").json()] == [number]
    assert client.get("/fetch?user=user@other.test").json() == []
    assert client.delete(f"/fetch/{number}").status_code == 200
    assert client.get(f"/fetch/{number}").status_code == 404


@pytest.mark.parametrize("missing", ["protocol", "host", "port", "username", "password"])
def test_a_fetched_account_needs_all_that_it_takes(client: TestClient, missing: str) -> None:
    answer = client.post("/fetch", json={name: value for name, value in ACCOUNT.items() if name != missing})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [missing])


def test_grants(client: TestClient) -> None:
    body = {"user_email": "user@other.test", "comment": "shops"}
    assert client.get("/domain/example.test/access").json() == []
    assert client.post("/domain/example.test/access", json=body).status_code == 200
    assert client.post("/domain/example.test/access", json=body).status_code == 409
    assert client.get("/domain/example.test/access").json() == [body]
    assert client.delete("/domain/example.test/access/user@other.test").status_code == 200
    assert client.delete("/domain/example.test/access/user@other.test").status_code == 404


def test_dkim_keys_are_made_waiting_active_retired_and_deleted(client: TestClient, admin: Admin) -> None:
    assert client.get("/domain/example.test/dkim").json() == []
    assert client.post("/domain/example.test/dkim").status_code == 200
    (first,) = client.get("/domain/example.test/dkim").json()
    assert (first["selector"], first["algorithm"], first["state"]) == ("dkim", "rsa", "active")
    assert first["value"] in client.get("/domain/example.test").json()["dns_dkim"]
    made = client.post("/domain/example.test/dkim", json={"selector": "next", "algorithm": "ed25519"}).json()
    assert (made["state"], made["record"]) == ("pending", "next._domainkey.example.test")
    assert client.post("/domain/example.test/dkim", json={"selector": "next"}).status_code == 400
    assert client.post("/domain/example.test/dkim", json={"selector": "No Name"}).status_code == 400
    assert client.patch("/domain/example.test/dkim/next", json={"state": "active"}).status_code == 200
    assert client.patch("/domain/example.test/dkim/dkim", json={"state": "retired"}).status_code == 200
    assert client.patch("/domain/example.test/dkim/none", json={"state": "retired"}).status_code == 404
    assert client.patch("/domain/example.test/dkim/next", json={"state": "gone"}).status_code == 400
    assert client.delete("/domain/example.test/dkim/dkim").status_code == 200
    assert [key["selector"] for key in client.get("/domain/example.test/dkim").json()] == ["next"]
    assert "PRIVATE" not in client.get("/domain/example.test/dkim").text
    actions = [row["action"] for row in client.get("/audit?subject=example.test").json()]
    assert actions[:5] == ["dkim.delete", "dkim.update", "dkim.update", "dkim.create", "dkim.replace"]


def test_a_new_key_without_a_name_takes_the_place_of_the_old_one(client: TestClient) -> None:
    before, after = [
        (client.post("/domain/example.test/dkim"), client.get("/domain/example.test/dkim").json())[1] for _ in range(2)
    ]
    assert [key["selector"] for key in after] == ["dkim"]
    assert before != after


def test_the_keys_of_a_deleted_domain_are_not_those_of_the_next_one(client: TestClient, admin: Admin) -> None:
    client.post("/domain/other.test/dkim")
    assert client.delete("/domain/other.test").status_code == 200
    assert list(admin.control.places.dkim.iterdir()) == []


def test_dns_records_and_the_zone(client: TestClient) -> None:
    found = client.get("/domain/example.test/dns").json()
    assert {
        "record": "example.test",
        "type": "MX",
        "ttl": 600,
        "value": "10 mail.example.test.",
        "purpose": "mx",
    } in found
    assert any(each["record"] == "example-alt.test" for each in found)
    zone = client.get("/domain/example.test/zone")
    assert zone.headers["content-type"].startswith("text/plain")
    assert "example-alt.test. 600 IN MX 10 mail.example.test.\n" in zone.text


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What the agent is asked; it knows one message."""
    seen: list[tuple[str, Any]] = []

    def ask(_places: object, what: str, **values: Any) -> dict[str, Any]:
        seen.append((what, values.get("ids")))
        return {"messages": [{"id": "4ABCDEFGHI", "state": "deferred"}], "count": 1}

    monkeypatch.setattr(operations, "ask", ask)
    return seen


def test_the_queue_is_listed_tried_and_emptied(client: TestClient, asked: list[tuple[str, Any]]) -> None:
    assert [message["id"] for message in client.get("/queue").json()] == ["4ABCDEFGHI"]
    assert client.get("/queue/4ABCDEFGHI").json()["state"] == "deferred"
    assert client.post("/queue/4ABCDEFGHI/retry").status_code == 200
    assert client.post("/queue/retry").status_code == 200
    assert client.delete("/queue/4ABCDEFGHI").status_code == 200
    assert [each for each in asked if each[0] != "queue"] == [
        ("queue-retry", ["4ABCDEFGHI"]),
        ("queue-retry", []),
        ("queue-delete", ["4ABCDEFGHI"]),
    ]
    assert client.delete("/queue/3XXXXXXXXX").status_code == 404
    assert client.delete("/queue/ALL").status_code == 400


def test_a_queue_on_another_machine_is_said_to_be_there(client: TestClient) -> None:
    answer = client.get("/queue")
    assert (answer.status_code, answer.json()["message"][:32]) == (503, "the queue is not on this machine")


def test_limits_are_listed_and_cleared(client: TestClient, connect: Connect) -> None:
    guesser = connect(None, "203.0.113.50")
    for number in range(60):
        guesser.get("/domain", headers={"Authorization": f"Bearer guess {number}"})
    found = client.get("/limit").json()
    assert any(each["origin"] == "203.0.113.0" for each in found)
    assert client.delete("/limit?address=203.0.113.50").status_code == 200
    assert not any(each["origin"] == "203.0.113.0" for each in client.get("/limit").json())
    assert client.delete("/limit?address=nonsense").status_code == 400
    assert client.delete("/limit").status_code == 200


def test_the_trail_says_who_did_what_from_where(client: TestClient) -> None:
    client.patch("/user/user@example.test", json={"comment": "new", "raw_password": "not to be seen"})
    rows = client.get("/audit?subject=user@example.test&limit=2&sort=id&descending=true").json()
    assert [row["action"] for row in rows] == ["user.password", "user.update"]
    assert (rows[1]["actor"], rows[1]["origin"], rows[1]["detail"]) == (
        "API_TOKEN",
        "api 192.0.2.7",
        {"comment": ["", "new"]},
    )
    assert "not to be seen" not in client.get("/audit").text
    assert client.get("/audit?actor=nobody").json() == []


def test_deleted_mailboxes_are_listed_and_brought_back(
    client: TestClient, connect: Connect, scoped_token: Callable[..., str]
) -> None:
    client.patch("/user/user@example.test", json={"displayed_name": "Ann"})
    client.delete("/user/user@example.test")
    (gone,) = client.get("/retired").json()
    assert gone["email"] == "user@example.test"
    assert "argon2" not in client.get("/retired").text
    other = connect(scoped_token("other.test"))
    assert other.get("/retired").json() == []
    assert other.post(f"/retired/{gone['id']}/restore").status_code == 403
    assert client.post(f"/retired/{gone['id']}/restore").status_code == 200
    assert client.get("/user/user@example.test").json()["displayed_name"] == "Ann"
    assert client.post(f"/retired/{gone['id']}/restore").status_code == 404


def test_a_key_to_the_api_is_made_used_and_withdrawn(client: TestClient, connect: Connect) -> None:
    made = client.post("/apitoken", json={"comment": "x", "domains": ["example.test"], "read_only": True}).json()
    narrow = connect(made["token"])
    assert [domain["name"] for domain in narrow.get("/domain").json()] == ["example.test"]
    assert narrow.get("/apitoken").status_code == 403
    (listed,) = client.get("/apitoken").json()
    assert made["token"] not in str(listed)
    assert listed["last_used"] is not None
    assert client.delete(f"/apitoken/{made['id']}").status_code == 200
    assert narrow.get("/domain").status_code == 403
    assert client.post("/apitoken", json={"domains": ["nowhere.test"]}).status_code == 404
    assert client.post("/apitoken", json={"expires_at": "2030-01-01T00:00:00"}).status_code == 400


def test_somebody_is_signed_out_everywhere(client: TestClient, admin: Admin) -> None:
    import asyncio

    deadline = time.monotonic() + 10
    while not admin.keeper.ready and time.monotonic() < deadline:
        time.sleep(0.01)
    account = admin.keeper.snapshot.users["user@example.test"]
    asyncio.run(_sign_in(admin, account))
    (session,) = client.get("/session/user@example.test").json()
    assert session["client_ip"] == "198.51.100.3"
    assert client.delete("/session/user@example.test").json()["message"].startswith("1 sessions")
    assert client.get("/session/user@example.test").json() == []
    assert client.get("/session/nobody@example.test").status_code == 404


async def _sign_in(admin: Admin, account: Any) -> None:
    await admin.control.sessions.create(account, client_ip="198.51.100.3")


def test_lists_are_sorted_by_what_operators_ask_for(client: TestClient, admin: Admin) -> None:
    with admin.control.store.bookkeeping() as session:
        changes.record_quota(session, "user@other.test", quota_bytes_used=500)
        changes.record_quota(session, "user@example.test", quota_bytes_used=900)
    first = client.get("/user?sort=quota_bytes_used&descending=true&limit=2")
    assert [user["email"] for user in first.json()] == ["user@example.test", "user@other.test"]
    next_page = first.headers["link"].partition(">")[0].lstrip("<")
    assert len(client.get(f"http://testserver{next_page}").json()) == 2
    assert client.get("/user?sort=last_login&limit=1").status_code == 200
    assert client.get("/alias?sort=created_at").status_code == 200
    assert client.get("/user?sort=password").status_code == 400


def test_a_token_that_was_never_changed_has_no_last_edit_in_lists(client: TestClient) -> None:
    assert "Last edit" not in client.get("/token").json()[0]
    assert client.get("/token/1").json()["Last edit"] == "None"


def test_a_name_server_that_does_not_answer_says_nothing_about_the_records(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_self: Dns, name: str, _kind: str) -> Found:
        raise DnsUnknown(f"nobody answers for {name}")

    monkeypatch.setattr(Dns, "look", silent)
    found = client.get("/domain/example.test/dns/status").json()
    assert {one["verdict"] for one in found} == {"unknown"}
    assert ("example.test", "MX", ["10 mail.example.test."]) in [
        (one["name"], one["type"], one["expected"]) for one in found
    ]
