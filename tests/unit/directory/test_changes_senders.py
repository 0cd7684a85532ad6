"""What can stand on a list of senders, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from mailu.directory import changes
from mailu.directory.changes import Actor, Conflict, Invalid, LimitReached, NotFound, senders
from mailu.directory.models import Audit, ListedSender
from mailu.directory.sender_lists import SERVER
from mailu.directory.snapshot import load_snapshot
from mailu.directory.store import Store

ADMIN = Actor("admin@example.org", "api")
ANN, DOMAIN = "ann@example.org", "example.org"


@pytest.fixture
def people(store: Store) -> Store:
    with store.session() as session:
        changes.create_domain(session, DOMAIN, actor=ADMIN)
        changes.create_user(session, ANN, password_hash="$hash$", actor=ADMIN)
    return store


def put(store: Store, owner: str, sender: str, verdict: str = "deny", **fields: Any) -> int:
    with store.session() as session:
        return changes.list_sender(session, owner, sender, verdict, actor=ADMIN, **fields).id


def listed(store: Store) -> set[tuple[str, str, str]]:
    with store.read() as session:
        return {(row.owner, row.sender, row.verdict) for row in session.scalars(select(ListedSender))}


@pytest.mark.parametrize("owner", [ANN, DOMAIN, SERVER])
def test_a_sender_stands_once_on_each_list(people: Store, owner: str) -> None:
    put(people, owner, "Spam.Example")
    with pytest.raises(Conflict):
        put(people, owner, "spam.example", "allow")
    for other in {ANN, DOMAIN, SERVER} - {owner}:
        put(people, other, "spam.example", "allow")
    assert len(listed(people)) == 3


def test_it_is_written_down_who_did_what(people: Store) -> None:
    number = put(people, ANN, "x@spam.example", comment="again and again")
    with people.session() as session:
        changes.update_sender(session, number, actor=ADMIN, verdict="allow", comment="my mistake")
        row = session.get_one(ListedSender, number)
        assert (row.created_by, row.verdict, row.comment) == ("admin@example.org", "allow", "my mistake")
        changes.unlist_sender(session, number, actor=ADMIN)
    with people.read() as session:
        trail = session.execute(select(Audit.action, Audit.subject, Audit.detail).where(Audit.action.like("sender.%")))
        assert [tuple(row) for row in trail] == [
            ("sender.deny", ANN, {"sender": "x@spam.example", "comment": "again and again"}),
            (
                "sender.update",
                ANN,
                {
                    "sender": "x@spam.example",
                    "verdict": ["deny", "allow"],
                    "comment": ["again and again", "my mistake"],
                },
            ),
            ("sender.delete", ANN, {"sender": "x@spam.example", "verdict": "allow"}),
        ]
    assert listed(people) == set()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("X@Spam.Example", "x@spam.example"),
        ("@spam.example", "spam.example"),
        ("*@spam.example", "spam.example"),
        (" bücher.example ", "xn--bcher-kva.example"),
        ("top", "top"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("2001:DB8::/32", "2001:db8::/32"),
    ],
)
def test_senders_are_kept_in_one_form(people: Store, given: str, kept: str) -> None:
    put(people, SERVER, given)
    assert listed(people) == {(SERVER, kept, "deny")}


@pytest.mark.parametrize(
    ("owner", "given", "verdict"),
    [
        (ANN, "", "deny"),
        (ANN, "*.spam.example", "deny"),
        (ANN, ".spam.example", "deny"),
        (ANN, "x@y@spam.example", "deny"),
        (ANN, "two words", "deny"),
        (ANN, "192.0.2.7", "deny"),
        (DOMAIN, "192.0.2.0/24", "deny"),
        (SERVER, "192.0.2.0/33", "deny"),
        (SERVER, "0.0.0.0/0", "deny"),
        (SERVER, "2000::/3", "allow"),
        (ANN, "com", "allow"),
        (ANN, "spam.example", "block"),
        (ANN, "x" * 300 + ".example", "deny"),
        (ANN, 7, "deny"),
    ],
)
def test_what_is_no_sender_is_refused(people: Store, owner: str, given: Any, verdict: str) -> None:
    with pytest.raises(Invalid) as caught:
        put(people, owner, given, verdict)
    assert caught.value.field == ("verdict" if verdict == "block" else "sender")
    assert listed(people) == set()


def test_a_top_level_domain_that_is_denied_cannot_become_allowed(people: Store) -> None:
    number = put(people, ANN, "top")
    with people.session() as session, pytest.raises(Invalid):
        changes.update_sender(session, number, actor=ADMIN, verdict="allow")


@pytest.mark.parametrize("owner", ["bob@example.org", "example.net"])
def test_a_list_belongs_to_somebody_who_is_there(people: Store, owner: str) -> None:
    with pytest.raises(NotFound):
        put(people, owner, "spam.example")


def test_setting_a_sender_adds_or_changes_it(people: Store) -> None:
    with people.session() as session:
        first = changes.set_sender(session, ANN, "spam.example", "deny", actor=ADMIN, comment="why")
        second = changes.set_sender(session, "ANN@example.org", "@Spam.example", "allow", actor=ADMIN)
        assert first is second
        assert (second.verdict, second.comment) == ("allow", "why")


def test_a_list_has_an_end(people: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "MOST_SENDERS", {"user": 2, "domain": 5, "server": 5})
    put(people, ANN, "a.example")
    put(people, ANN, "b.example")
    with pytest.raises(LimitReached, match="senders"):
        put(people, ANN, "c.example")
    put(people, DOMAIN, "c.example")


def test_lists_go_with_their_owners_and_come_back_with_a_mailbox(people: Store) -> None:
    put(people, ANN, "spam.example", comment="mine")
    put(people, DOMAIN, "spam.example")
    put(people, SERVER, "spam.example")
    with people.session() as session:
        changes.delete_user(session, ANN, actor=ADMIN)
    assert {owner for owner, _, _ in listed(people)} == {DOMAIN, SERVER}
    with people.session() as session:
        changes.restore_user(session, ANN, actor=ADMIN)
    assert (ANN, "spam.example", "deny") in listed(people)
    with people.session() as session:
        changes.delete_domain(session, DOMAIN, actor=ADMIN)
    assert {owner for owner, _, _ in listed(people)} == {SERVER}


def test_the_snapshot_has_them(people: Store) -> None:
    put(people, ANN, "spam.example", comment="mine")
    put(people, SERVER, "192.0.2.0/24", "allow")
    found = load_snapshot(people).sender_lists
    assert found.every_name == {"spam.example"}
    assert found.by_owner[ANN].names["spam.example"].comment == "mine"
    assert [entry.sender for each in found.by_owner[SERVER].networks.values() for entry in each.values()] == [
        "192.0.2.0/24"
    ]
