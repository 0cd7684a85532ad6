"""The old ``config-update`` document: created, brought up to date, and with the flag, deleted."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from sqlalchemy import select

from mailu.directory import changes, old_yaml
from mailu.directory.changes import Actor, Conflict, Invalid, NotFound
from mailu.directory.models import Alias, Audit, Domain, Manager, Retired, User
from mailu.directory.store import Store

ACTOR = Actor("root", "cli")

DOCUMENT = """
domains:
  - name: example.org
    max_users: 5
    max_aliases: 6
    max_quota_bytes: 7000000000
users:
  - localpart: Ann
    domain: example.org
    password_hash: $2b$05$MfU0FeerFZMNDLMNvNAzoO9CXXtJkDWe8XFVqHgORmpvX2Hxsw4xS
    displayed_name: Ann Müller
    quota_bytes: 2000000000
    global_admin: true
    forward_enabled: true
    forward_destination: x@example.net
    email: ann@example.org
  - localpart: bob
    domain: implied.example
    password_hash: $1$F2OStvi1$Q8hBIHkdJpJkJn/TrMIZ9/
aliases:
  - localpart: team
    domain: example.org
    destination: ann@example.org,x@example.net
  - localpart: sales%
    domain: example.org
    destination:
      - ann@example.org
    wildcard: true
managers:
  - domain: example.org
    user: ann
"""


def run(store: Store, document: Any, **options: bool) -> list[str]:
    if isinstance(document, str):
        document = yaml.safe_load(document)
    with store.session() as session:
        return old_yaml.apply(session, document, actor=ACTOR, **options)


def emails(store: Store, table: type[User] | type[Alias]) -> list[str]:
    with store.read() as session:
        return list(session.scalars(select(table.email).order_by(table.email)))


def test_everything_named_is_created(store: Store) -> None:
    assert run(store, DOCUMENT) == [
        "Added domain example.org.",
        "Added user ann@example.org.",
        "Added domain implied.example.",
        "Added user bob@implied.example.",
        "Added alias team@example.org.",
        "Added alias sales%@example.org.",
        "Added manager ann@example.org of example.org.",
    ]
    with store.read() as session:
        domain = session.get_one(Domain, "example.org")
        assert (domain.max_users, domain.max_aliases, domain.max_quota_bytes) == (5, 6, 7_000_000_000)
        ann = session.get_one(User, "ann@example.org")
        assert (ann.displayed_name, ann.quota_bytes, ann.global_admin) == ("Ann Müller", 2_000_000_000, True)
        assert (ann.forward_enabled, ann.forward_destination) == (True, ("x@example.net",))
        assert ann.password.startswith("$2b$")
        assert session.get_one(Alias, "team@example.org").destination == ("ann@example.org", "x@example.net")
        assert session.get_one(Alias, "sales%@example.org").wildcard
        assert session.get_one(Manager, ("example.org", "ann@example.org"))


def test_the_same_document_again_changes_nothing(store: Store) -> None:
    run(store, DOCUMENT)
    version = store.data_version()
    assert run(store, DOCUMENT) == []
    assert store.data_version() == version


def test_verbose_also_names_what_was_right_already(store: Store) -> None:
    run(store, DOCUMENT)
    lines = run(store, DOCUMENT, verbose=True)
    assert "Left user ann@example.org as it is." in lines
    assert len(lines) == 6


def test_a_user_can_be_changed_without_sending_the_hash_again(store: Store) -> None:
    run(store, DOCUMENT)
    lines = run(store, {"users": [{"localpart": "ann", "domain": "example.org", "displayed_name": "Anna"}]})
    assert lines == ["Updated user ann@example.org."]
    with store.read() as session:
        ann = session.get_one(User, "ann@example.org")
        assert ann.displayed_name == "Anna"
        assert ann.password.startswith("$2b$")
        assert ann.global_admin


def test_a_new_hash_is_set_and_the_duty_to_change_it_stays(store: Store) -> None:
    run(store, DOCUMENT)
    with store.session() as session:
        changes.update_user(session, "bob@implied.example", actor=ACTOR, change_pw_next_login=True)
    entry = {"localpart": "bob", "domain": "implied.example", "password_hash": "$5$new"}
    assert run(store, {"users": [entry]}) == ["Updated user bob@implied.example."]
    with store.read() as session:
        bob = session.get_one(User, "bob@implied.example")
        assert (bob.password, bob.change_pw_next_login) == ("$5$new", True)


def test_domains_and_aliases_are_brought_up_to_date(store: Store) -> None:
    run(store, DOCUMENT)
    lines = run(
        store,
        {
            "domains": [{"name": "Example.org", "max_users": 9}],
            "aliases": [{"localpart": "team", "domain": "example.org", "destination": "y@example.net"}],
        },
    )
    assert lines == ["Updated domain example.org.", "Updated alias team@example.org."]
    with store.read() as session:
        assert session.get_one(Domain, "example.org").max_users == 9
        assert session.get_one(Domain, "example.org").max_aliases == 6
        assert session.get_one(Alias, "team@example.org").destination == ("y@example.net",)


def test_nothing_is_deleted_unless_asked(store: Store) -> None:
    run(store, DOCUMENT)
    run(store, {"domains": [{"name": "example.org"}]})
    assert len(emails(store, User)) == 2
    assert len(emails(store, Alias)) == 2


def test_what_is_not_named_is_deleted_when_asked(store: Store) -> None:
    run(store, DOCUMENT)
    lines = run(
        store,
        {
            "domains": [{"name": "example.org"}],
            "users": [{"localpart": "ann", "domain": "example.org"}],
            "aliases": [{"localpart": "team", "domain": "example.org", "destination": "ann@example.org"}],
        },
        delete_objects=True,
    )
    assert lines[-3:] == [
        "Deleted user bob@implied.example.",
        "Deleted alias sales%@example.org.",
        "Deleted domain implied.example.",
    ]
    assert emails(store, User) == ["ann@example.org"]
    assert emails(store, Alias) == ["team@example.org"]
    with store.read() as session:
        assert session.scalars(select(Retired.email)).all() == ["bob@implied.example"]


def test_a_domain_named_only_by_its_users_is_not_deleted(store: Store) -> None:
    entry = {"localpart": "bob", "domain": "implied.example", "password_hash": "$5$x"}
    run(store, {"users": [entry]}, delete_objects=True)
    assert emails(store, User) == ["bob@implied.example"]


def test_owned_aliases_that_go_with_their_owner_are_not_deleted_twice(store: Store) -> None:
    run(store, DOCUMENT)
    with store.session() as session:
        changes.create_alias(
            session, "shop@example.org", destination="x@example.net", owner="ann@example.org", actor=ACTOR
        )
    assert "Deleted domain example.org." in run(store, {}, delete_objects=True)


def test_limits_do_not_hold_it_up(store: Store) -> None:
    users = [{"localpart": f"u{n}", "domain": "example.org", "password_hash": "$5$x", "quota_bytes": 99} for n in "12"]
    run(store, {"domains": [{"name": "example.org", "max_users": 1, "max_quota_bytes": 10}], "users": users})
    assert len(emails(store, User)) == 2


def test_unknown_keys_are_named_and_ignored(store: Store) -> None:
    lines = run(store, {"domains": [{"name": "example.org", "colour": "red"}]})
    assert lines == ["domains[0]: colour is not known and was ignored.", "Added domain example.org."]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "document"),
        ("text", "document"),
        ({"users": {}}, None),
        ({"users": "ann"}, "users"),
        ({"users": ["ann"]}, "users[0]"),
        ({"domains": [{"name": "ok.example"}, {"name": "not ok"}]}, "domains[1].name"),
        ({"domains": [{}]}, "domains[0].name"),
        ({"domains": [{"name": 5}]}, "domains[0].name"),
        ({"users": [{"localpart": "ann", "domain": "example.org"}]}, "users[0].password_hash"),
        ({"users": [{"localpart": "a b", "domain": "example.org"}]}, "users[0].localpart"),
        ({"aliases": [{"localpart": "t", "domain": "example.org"}]}, "aliases[0].destination"),
        ({"aliases": [{"localpart": "t", "domain": "x.org", "destination": 5}]}, "aliases[0].destination"),
        ({"managers": [{"user": "ann"}]}, "managers[0].domain"),
    ],
)
def test_what_is_refused_says_where_it_stands(store: Store, document: Any, field: str | None) -> None:
    if field is None:
        assert run(store, document) == []
        return
    with store.session() as session, pytest.raises(Invalid) as caught:
        old_yaml.apply(session, document, actor=ACTOR)
    assert caught.value.field == field


def test_a_manager_has_to_exist_and_an_address_is_given_once(store: Store) -> None:
    run(store, DOCUMENT)
    with store.session() as session:
        with pytest.raises(NotFound):
            old_yaml.apply(session, {"managers": [{"domain": "example.org", "user": "nobody"}]}, actor=ACTOR)
        alias = {"localpart": "ann", "domain": "example.org", "destination": "x@example.net"}
        with pytest.raises(Conflict):
            old_yaml.apply(session, {"aliases": [alias]}, actor=ACTOR)


def test_an_empty_file_does_nothing(store: Store) -> None:
    assert run(store, None) == []


def test_no_hash_is_shown_or_written_down(store: Store) -> None:
    lines = run(store, DOCUMENT, verbose=True)
    with store.read() as session:
        details = [str(row.detail) for row in session.scalars(select(Audit))]
    assert not any("$2b$" in text or "$1$" in text for text in [*lines, *details])
