"""Lists of senders over the API."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from mailu.directory.api_tokens import create_api_token
from mailu.directory.changes import SYSTEM
from mailu.servers.admin import Admin

USER, OTHER = "user@example.test", "user@other.test"


def put(client: TestClient, owner: str, sender: str = "spam.example", verdict: str = "deny") -> int:
    answer = client.post("/sender", json={"owner": owner, "sender": sender, "verdict": verdict})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["id"])


def test_a_sender_is_listed_changed_and_taken_off(client: TestClient) -> None:
    number = put(client, "USER@example.test", "@Spam.example")
    shown = client.get(f"/sender/{number}").json()
    assert {name: shown[name] for name in ("owner", "sender", "verdict", "created_by")} == {
        "owner": USER, "sender": "spam.example", "verdict": "deny", "created_by": "API_TOKEN",
    }  # fmt: skip
    assert client.patch(f"/sender/{number}", json={"verdict": "allow", "comment": "a friend"}).status_code == 200
    assert client.get(f"/sender/{number}").json()["comment"] == "a friend"
    assert client.delete(f"/sender/{number}").status_code == 200
    assert client.get(f"/sender/{number}").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"owner": USER, "sender": "spam.example", "verdict": "deny"}, 409),
        ({"owner": "nobody@example.test", "sender": "x.example"}, 404),
        ({"owner": "nowhere.test", "sender": "x.example"}, 404),
        ({"owner": "-", "sender": "x.example"}, 400),
        ({"owner": USER, "sender": "192.0.2.0/24"}, 400),
        ({"owner": USER, "sender": "x.example", "verdict": "maybe"}, 400),
        ({"owner": USER}, 400),
    ],
)
def test_what_cannot_be_listed_is_refused(client: TestClient, body: dict[str, str], status: int) -> None:
    put(client, USER)
    assert client.post("/sender", json=body).status_code == status


def test_lists_can_be_had_one_by_one_and_by_pages(client: TestClient) -> None:
    for owner in (USER, OTHER, "example.test", ""):
        put(client, owner)
    put(client, USER, "a.example")
    assert len(client.get("/sender").json()) == 5
    assert {row["owner"] for row in client.get("/sender", params={"owner": ""}).json()} == {""}
    page = client.get("/sender", params={"owner": USER, "limit": 1, "sort": "sender"})
    assert [row["sender"] for row in page.json()] == ["a.example"]
    assert 'rel="next"' in page.headers["link"]


def test_a_token_for_a_domain_reaches_its_lists_and_those_of_its_people(
    admin: Admin, client: TestClient, connect: Callable[..., TestClient]
) -> None:
    numbers = {owner: put(client, owner) for owner in (USER, OTHER, "example.test", "other.test", "")}
    numbers["admin@example.test"] = put(client, "admin@example.test")
    with admin.control.store.session() as session:
        _, secret = create_api_token(session, comment="narrow", domains=["example.test"], actor=SYSTEM)
    narrow = connect(secret)
    assert {row["owner"] for row in narrow.get("/sender").json()} == {USER, "example.test", "admin@example.test"}
    for owner, number in numbers.items():
        own = owner.endswith("example.test")
        assert narrow.get("/sender", params={"owner": owner}).status_code == (200 if own else 403)
        assert narrow.get(f"/sender/{number}").status_code == (200 if own else 403)
        may = own and not owner.startswith("admin")
        changed = narrow.patch(f"/sender/{number}", json={"comment": "x"}).status_code
        added = narrow.post("/sender", json={"owner": owner, "sender": "new.example"}).status_code
        assert (owner, changed, added) == (owner, 200 if may else 403, 200 if may else 403)
        assert narrow.delete(f"/sender/{number}").status_code == (200 if may else 403)
