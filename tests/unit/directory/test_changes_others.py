"""Aliases, tokens, fetched accounts, rights and bookkeeping."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from mailu.directory import changes
from mailu.directory.changes import Actor, Conflict, Invalid, LimitReached, NotFound
from mailu.directory.models import Alias, DomainAccess, Fetch, Token, User
from mailu.directory.store import Store

ADMIN = Actor("admin@example.org", "api")
ANN = "ann@example.org"


@pytest.fixture
def ann(store: Store) -> Store:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN)
        changes.create_user(session, ANN, password_hash="$hash$", actor=ADMIN)
    return store


# Aliases


def create_alias(store: Store, email: str = "team@example.org", **fields: Any) -> None:
    with store.session() as session:
        changes.create_alias(session, email, actor=ADMIN, **({"destination": ANN} | fields))


def get_alias(store: Store, email: str = "team@example.org") -> Alias:
    with store.read() as session:
        alias = session.get_one(Alias, email)
        session.expunge(alias)
        return alias


def test_an_alias_takes_destinations_here_and_elsewhere(ann: Store) -> None:
    create_alias(ann, destination="X@Example.NET, ann@example.org")
    assert get_alias(ann).destination == (ANN, "x@example.net")


@pytest.mark.parametrize("destination", ["", [], " , ", ["nobody"], None])
def test_an_alias_needs_a_destination(ann: Store, destination: object) -> None:
    with pytest.raises(Invalid) as caught:
        create_alias(ann, destination=destination)
    assert caught.value.field == "destination"


def test_an_alias_cannot_be_left_without_a_destination(ann: Store) -> None:
    create_alias(ann)
    with ann.session() as session, pytest.raises(Invalid):
        changes.update_alias(session, "team@example.org", actor=ADMIN, destination=[])


def test_an_alias_cannot_stand_for_itself(ann: Store) -> None:
    with pytest.raises(Invalid):
        create_alias(ann, destination="TEAM@example.org")
    create_alias(ann)
    with ann.session() as session:
        with pytest.raises(Invalid):
            changes.update_alias(session, "team@example.org", actor=ADMIN, destination="team@example.org")
        changes.update_alias(session, "team@example.org", actor=ADMIN, comment="x")
    assert get_alias(ann).destination == (ANN,)


def test_a_thousand_destinations_fit_on_every_database(ann: Store) -> None:
    many = [f"somebody-with-a-long-name-{n:04}@a-long-domain.example" for n in range(1000)]
    create_alias(ann, destination=many)
    assert len(get_alias(ann).destination) == 1000
    with ann.session() as session, pytest.raises(Invalid):
        changes.update_alias(session, "team@example.org", actor=ADMIN, destination=[*many, ANN])


def test_a_pattern_is_an_address_of_its_own(ann: Store) -> None:
    create_alias(ann, "%@example.org", wildcard=True)
    create_alias(ann, "sales_%@example.org", wildcard=True)
    assert get_alias(ann, "%@example.org").wildcard


def test_an_alias_and_a_user_do_not_share_an_address(ann: Store) -> None:
    with pytest.raises(Conflict) as caught:
        create_alias(ann, "Ann@example.org")
    assert caught.value.kind == "user"
    create_alias(ann)
    with pytest.raises(Conflict):
        create_alias(ann, "TEAM@example.org")


def test_a_domain_takes_no_more_aliases_than_it_may(ann: Store) -> None:
    with ann.session() as session:
        changes.update_domain(session, "example.org", actor=ADMIN, max_aliases=1)
    create_alias(ann, "shop.banana@example.org", owner=ANN)
    with pytest.raises(LimitReached) as caught:
        create_alias(ann)
    assert caught.value.limit == "max_aliases"
    create_alias(ann, "shop.apple@example.org", owner=ANN)  # anonymous ones count, but are not refused
    create_alias(ann, enforce_limits=False)


def test_an_owner_has_to_exist(ann: Store) -> None:
    with pytest.raises(NotFound):
        create_alias(ann, owner="nobody@example.org")


def test_an_alias_can_be_switched_off_and_deleted(ann: Store) -> None:
    create_alias(ann, hostname="shop.example")
    with ann.session() as session:
        changes.update_alias(session, "TEAM@example.org", actor=ADMIN, disabled=True, hostname=None)
    assert (get_alias(ann).disabled, get_alias(ann).hostname) == (True, None)
    with ann.session() as session:
        changes.delete_alias(session, "team@example.org", actor=ADMIN)
        with pytest.raises(NotFound):
            changes.delete_alias(session, "team@example.org", actor=ADMIN)
        with pytest.raises(NotFound):
            changes.update_alias(session, "team@example.org", actor=ADMIN, disabled=True)


# Tokens


def test_a_token_keeps_networks_in_canonical_form(ann: Store) -> None:
    with ann.session() as session:
        token = changes.create_token(
            session, ANN, password_hash="$t$", actor=ADMIN, comment="phone", ip="2001:DB8::/32, 192.0.2.7, 10.0.0.1/8"
        )
        assert token.ip == ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32")


@pytest.mark.parametrize("networks", ["everywhere", "192.0.2.0/33", ["192.0.2.0/24", "::/129"]])
def test_a_network_has_to_be_one(ann: Store, networks: object) -> None:
    with ann.session() as session, pytest.raises(Invalid) as caught:
        changes.create_token(session, ANN, password_hash="$t$", actor=ADMIN, ip=networks)  # type: ignore[arg-type]
    assert caught.value.field == "ip"


def test_a_token_is_changed_and_deleted_by_its_number(ann: Store) -> None:
    with ann.session() as session:
        number = changes.create_token(session, ANN, password_hash="$t$", actor=ADMIN, ip="192.0.2.1").id
    with ann.session() as session:
        changes.update_token(session, number, actor=ADMIN, comment="laptop", ip=[])
        assert changes.upgrade_token_hash(session, number, old_hash="$t$", new_hash="$u$")
        assert not changes.upgrade_token_hash(session, number, old_hash="$t$", new_hash="$v$")
    with ann.read() as session:
        token = session.get_one(Token, number)
        assert (token.comment, token.ip, token.password) == ("laptop", (), "$u$")
    with ann.session() as session:
        changes.delete_token(session, number, actor=ADMIN)
        with pytest.raises(NotFound):
            changes.delete_token(session, number, actor=ADMIN)


def test_the_number_of_a_deleted_token_is_not_given_again(ann: Store) -> None:
    """Logs name tokens by it."""
    numbers = []
    for _ in range(2):
        with ann.session() as session:
            numbers.append(changes.create_token(session, ANN, password_hash="$t$", actor=ADMIN).id)
        with ann.session() as session:
            changes.delete_token(session, numbers[-1], actor=ADMIN)
    assert numbers[0] != numbers[1]


# Fetched accounts

FETCH: dict[str, Any] = {
    "protocol": "imap",
    "host": "imap.example.net",
    "port": 993,
    "tls": True,
    "username": "ann.old",
    "password": "p w:#'\"\\ü",
}


def test_a_fetched_account_keeps_what_it_is_given(ann: Store) -> None:
    with ann.session() as session:
        changes.create_fetch(session, ANN, actor=ADMIN, **FETCH, folders="Sent Items, INBOX,,INBOX", keep=True)
    with ann.read() as session:
        fetch = session.scalars(select(Fetch)).one()
        assert fetch.password == FETCH["password"]
        assert fetch.folders == ("INBOX", "Sent Items")
        assert (fetch.keep, fetch.scan, fetch.invisible, fetch.last_check, fetch.error) == (
            True,
            False,
            False,
            None,
            None,
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("protocol", "smtp"),
        ("host", ""),
        ("host", "a b"),
        ("host", "h\nproto smtp"),
        ("port", -1),
        ("port", 65536),
        ("username", "x\npreconnect rm"),
        ("password", "x\rmda rm"),
        ("folders", ["IN\nBOX"]),
        ("folders", ["a,b"]),
        ("tls", "yes"),
    ],
)
def test_what_could_end_a_line_of_the_fetching_program_is_refused(ann: Store, field: str, value: object) -> None:
    with ann.session() as session, pytest.raises(Invalid) as caught:
        changes.create_fetch(session, ANN, actor=ADMIN, **(FETCH | {field: value}))
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["protocol", "host", "port", "username", "password"])
def test_what_is_needed_to_fetch_has_to_be_given(ann: Store, field: str) -> None:
    fields = {name: value for name, value in FETCH.items() if name != field}
    with ann.session() as session, pytest.raises(Invalid) as caught:
        changes.create_fetch(session, ANN, actor=ADMIN, **fields)
    assert caught.value.field == field


def test_how_fetching_went_is_noted(ann: Store) -> None:
    with ann.session() as session:
        number = changes.create_fetch(session, ANN, actor=ADMIN, **FETCH).id
    at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    with ann.bookkeeping() as session:
        assert changes.record_fetch(session, number, at=at, error="x" * 2000)
        assert not changes.record_fetch(session, number + 1, at=at, error=None)
    with ann.read() as session:
        fetch = session.get_one(Fetch, number)
        assert fetch.last_check == at
        assert fetch.error == "x" * 1023
        assert fetch.updated_at is None
    with ann.session() as session:
        changes.update_fetch(session, number, actor=ADMIN, host="pop.example.net", protocol="pop3")
        changes.delete_fetch(session, number, actor=ADMIN)
        with pytest.raises(NotFound):
            changes.update_fetch(session, number, actor=ADMIN, keep=True)


# Rights


def test_managers_are_added_once_and_removed_once(ann: Store) -> None:
    with ann.session() as session:
        changes.add_manager(session, "example.org", ANN, actor=ADMIN)
        with pytest.raises(Conflict):
            changes.add_manager(session, "example.org", ANN, actor=ADMIN)
        changes.remove_manager(session, "example.org", ANN, actor=ADMIN)
        with pytest.raises(NotFound):
            changes.remove_manager(session, "example.org", ANN, actor=ADMIN)
        with pytest.raises(NotFound):
            changes.add_manager(session, "example.org", "nobody@example.org", actor=ADMIN)


def test_grants_are_given_once_and_taken_once(ann: Store) -> None:
    with ann.session() as session:
        changes.grant_access(session, "example.org", ANN, actor=ADMIN, comment="for shops")
        with pytest.raises(Conflict):
            changes.grant_access(session, "example.org", ANN, actor=ADMIN)
        assert session.scalars(select(DomainAccess)).one().comment == "for shops"
        changes.revoke_access(session, "example.org", ANN, actor=ADMIN)
        with pytest.raises(NotFound):
            changes.revoke_access(session, "example.org", ANN, actor=ADMIN)


# Bookkeeping


def test_used_quota_is_noted_without_counting_as_a_change_of_the_user(ann: Store) -> None:
    with ann.bookkeeping() as session:
        assert changes.record_quota(session, ANN, quota_bytes_used=4711)
        assert not changes.record_quota(session, "nobody@example.org", quota_bytes_used=1)
    with ann.read() as session:
        user = session.get_one(User, ANN)
        assert (user.quota_bytes_used, user.updated_at) == (4711, None)


def test_facts_about_many_mailboxes_are_noted_at_once(ann: Store) -> None:
    with ann.session() as session:
        changes.create_user(session, "ben@example.org", password_hash="x", actor=ADMIN)
    late = datetime(2030, 1, 2, tzinfo=UTC)
    with ann.bookkeeping() as session:
        assert changes.record_quotas(session, {ANN: 1, "ben@example.org": -2, "nobody@example.org": 3}) == 2
        assert changes.record_logins(session, {ANN: late, "ben@example.org": late, "nobody@example.org": late}) == 2
        assert changes.record_quotas(session, {}) == 0
    with ann.read() as session:
        found = {user.email: (user.quota_bytes_used, user.last_login) for user in session.scalars(select(User))}
        assert (found[ANN], found["ben@example.org"]) == ((1, late), (0, late))


def test_the_last_login_only_moves_forward(ann: Store) -> None:
    early, late = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=UTC)
    with ann.bookkeeping() as session:
        assert changes.record_login(session, ANN, at=late)
        assert not changes.record_login(session, ANN, at=early)
    with ann.read() as session:
        assert session.get_one(User, ANN).last_login == late
