"""Who may do what to whom."""

from __future__ import annotations

import pytest

from mailu.directory import changes
from mailu.directory.changes import Actor
from mailu.directory.roles import Person, anonymous_alias_domains, may_act_for, may_manage_domain, person
from mailu.directory.snapshot import load_snapshot
from mailu.directory.store import Store

CLI = Actor("root", "cli")

ADMIN = Person("admin@example.org", "example.org", global_admin=True)
MANAGER = Person("manager@example.org", "example.org", manages=frozenset({"example.org"}))
OTHER_MANAGER = Person("other@example.org", "example.org", manages=frozenset({"example.org", "other.example"}))
USER = Person("user@example.org", "example.org")
STRANGER = Person("stranger@other.example", "other.example")


@pytest.mark.parametrize(
    ("who", "whom", "allowed"),
    [
        (ADMIN, USER, True),
        (ADMIN, MANAGER, True),
        (MANAGER, USER, True),
        (MANAGER, MANAGER, True),
        (MANAGER, ADMIN, False),
        (MANAGER, OTHER_MANAGER, False),  # could take over a domain that is not the manager's
        (OTHER_MANAGER, MANAGER, True),
        (OTHER_MANAGER, STRANGER, True),
        (MANAGER, STRANGER, False),
        (USER, USER, True),
        (USER, STRANGER, False),
        (USER, MANAGER, False),
    ],
)
def test_nobody_acts_for_somebody_who_may_do_more(who: Person, whom: Person, allowed: bool) -> None:
    assert may_act_for(who, whom) is allowed


def test_domains_are_managed_by_their_managers_and_administrators() -> None:
    assert may_manage_domain(ADMIN, "any.example")
    assert may_manage_domain(MANAGER, "example.org")
    assert not may_manage_domain(MANAGER, "other.example")
    assert not may_manage_domain(USER, "example.org")


@pytest.mark.parametrize("from_snapshot", [True, False])
def test_rights_are_the_same_from_snapshot_and_database(store: Store, from_snapshot: bool) -> None:
    with store.session() as session:
        for name, switch in (("a.example", False), ("b.example", True), ("c.example", False), ("d.example", False)):
            changes.create_domain(session, name, actor=CLI, anonmail_enabled=switch)
        changes.create_user(session, "root@a.example", password_hash="h", actor=CLI, global_admin=True)
        changes.create_user(session, "ann@a.example", password_hash="h", actor=CLI)
        changes.create_user(session, "bob@b.example", password_hash="h", actor=CLI)
        changes.add_manager(session, "c.example", "ann@a.example", actor=CLI)
        changes.grant_access(session, "d.example", "ann@a.example", actor=CLI)
    with store.read() as session:
        source = load_snapshot(store) if from_snapshot else session
        root, ann, bob = (person(source, email) for email in ("root@a.example", "ann@a.example", "bob@b.example"))
        assert root is not None
        assert ann is not None
        assert bob is not None
        assert ann == Person("ann@a.example", "a.example", False, frozenset({"c.example"}), frozenset({"d.example"}))
        assert anonymous_alias_domains(source, root) == ["a.example", "b.example", "c.example", "d.example"]
        assert anonymous_alias_domains(source, ann) == ["c.example", "d.example"]
        assert anonymous_alias_domains(source, bob) == ["b.example"]
        assert person(source, "nobody@a.example") is None
