"""What nobody gets by asking."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from mailu.directory.changes import (
    SYSTEM,
    Conflict,
    Invalid,
    LimitReached,
    NotFound,
    create_alias,
    create_alternative,
    create_domain,
    create_relay,
    create_user,
    delete_user,
    register_domain,
    settle_in,
    sign_up,
)
from mailu.directory.models import Manager, User
from mailu.directory.store import Store

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"


@pytest.fixture
def session(store: Store) -> Iterator[Session]:
    with store.session() as opened:
        create_domain(opened, "open.test", signup_enabled=True, max_users=5, actor=SYSTEM)
        create_domain(opened, "closed.test", actor=SYSTEM)
        create_user(opened, "taken@open.test", password_hash=HASH, actor=SYSTEM)
        yield opened


def ask(session: Session, localpart: str, domain: str = "open.test") -> User:
    return sign_up(
        session, localpart, domain, password_hash=HASH, actor=SYSTEM, delimiters="+-", reserved=["Chief"],
        quota_bytes=7, spam_threshold=50,
    )  # fmt: skip


def test_who_asks_gets_a_mailbox(session: Session) -> None:
    user = ask(session, " New.Comer_1 ")
    assert (user.email, user.quota_bytes, user.change_pw_next_login) == ("new.comer_1@open.test", 7, True)
    assert not user.global_admin


@pytest.mark.parametrize("domain", ["closed.test", "absent.test"])
def test_where_it_is_not_allowed_nobody_gets_one(session: Session, domain: str) -> None:
    with pytest.raises(NotFound):
        ask(session, "new", domain)


@pytest.mark.parametrize(
    "name",
    ["postmaster", "ABUSE", "admin", "root", "chief", "taken+x", "a-b", "-a", "a..b", ".a", "a.", "", "a b", "ä", "%",
     "a%", "a@b", "x" * 65, "a/b", '"a"'],
)  # fmt: skip
def test_names_that_could_deceive_are_not_given_away(session: Session, name: str) -> None:
    with pytest.raises(Invalid):
        ask(session, name)


def test_addresses_that_lead_somewhere_are_taken(session: Session) -> None:
    create_alias(session, "members@open.test", destination=["taken@open.test"], actor=SYSTEM)
    create_alias(session, "team.%@open.test", destination=["taken@open.test"], wildcard=True, actor=SYSTEM)
    create_user(session, "gone@open.test", password_hash=HASH, actor=SYSTEM)
    delete_user(session, "gone@open.test", actor=SYSTEM)
    for name in ("taken", "members", "team.blue", "gone"):
        with pytest.raises(Conflict):
            ask(session, name)


def test_a_full_domain_takes_nobody(session: Session) -> None:
    for number in range(4):
        ask(session, f"new{number}")
    with pytest.raises(LimitReached):
        ask(session, "onemore")


def register(session: Session, name: str, *managed: str) -> str:
    return register_domain(session, name, actor=SYSTEM, ceiling_bytes=10**9, managed=managed).name


def test_a_registered_domain_is_small_and_managed(session: Session) -> None:
    domain = register_domain(session, "Mine.Test", actor=SYSTEM, ceiling_bytes=10**9)
    assert (domain.name, domain.max_users, domain.max_aliases, domain.max_quota_bytes) == ("mine.test", 10, 10, 10**9)
    user = settle_in(session, domain, "admin", password_hash=HASH, actor=SYSTEM)
    assert session.get(Manager, ("mine.test", user.email)) is not None
    assert not user.global_admin


def test_names_that_are_here_or_below_are_not_registered(session: Session) -> None:
    create_alternative(session, "other.test", "open.test", actor=SYSTEM)
    create_relay(session, "relayed.test", smtp="mx.example.org", actor=SYSTEM)
    for name in ("open.test", "other.test", "relayed.test"):
        with pytest.raises(Conflict):
            register(session, name)
        with pytest.raises(Invalid, match="below"):
            register(session, f"a.b.{name}")
    assert register(session, "a.open.test", "open.test") == "a.open.test"


def test_who_manages_is_no_more_than_that(session: Session) -> None:
    domain = register_domain(session, "mine.test", actor=SYSTEM, ceiling_bytes=0)
    with pytest.raises(Invalid):
        settle_in(session, domain, "a b", password_hash=HASH, actor=SYSTEM)
