"""Domains, alternatives and relays: their rules, and that domain names are one name space."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from mailu.directory import changes
from mailu.directory.changes import Actor, Conflict, Invalid, NotFound
from mailu.directory.models import Alias, Alternative, Audit, Domain, DomainAccess, Manager, Relay, Retired, Token, User
from mailu.directory.store import Store

ADMIN = Actor("admin@example.org", "web 192.0.2.1")


def make(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN)


def test_a_domain_is_stored_in_canonical_form_with_its_defaults(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, "Bücher.Example.", actor=ADMIN)
    with store.read() as session:
        domain = session.scalars(select(Domain)).one()
        assert domain.name == "xn--bcher-kva.example"
        assert (domain.max_users, domain.max_aliases, domain.max_quota_bytes) == (-1, -1, 0)
        assert (domain.signup_enabled, domain.anonmail_enabled, domain.comment) == (False, False, "")
        assert domain.created_at is not None
        assert domain.updated_at is None


@pytest.mark.parametrize("name", ["", "a b.example", "a..b", "-x.example", "x" * 64 + ".example"])
def test_what_is_no_domain_name_is_refused(store: Store, name: str) -> None:
    with store.session() as session, pytest.raises(Invalid) as caught:
        changes.create_domain(session, name, actor=ADMIN)
    assert caught.value.field == "name"


def test_a_smart_host_has_a_canonical_form_and_its_log_in_comes_and_goes_whole(store: Store) -> None:
    make(store)
    with store.session() as session:
        changes.update_domain(
            session, "example.org", actor=ADMIN, relayhost="[SMTP.example.net]:587", relayuser="us",
            relaypassword="secret",
        )  # fmt: skip
        changes.update_domain(session, "example.org", actor=ADMIN, relayuser="them")
    with store.read() as session:
        domain = session.get_one(Domain, "example.org")
        assert (domain.relayhost, domain.relayuser, domain.relaypassword) == ("smtp.example.net:587", "them", "secret")
        trail = [row.detail for row in session.scalars(select(Audit))]
        assert trail[-2]["relaypassword"] == "changed"
        assert "secret" not in str(trail)
    with store.session() as session:
        changes.update_domain(session, "example.org", actor=ADMIN, relayuser="")
        assert session.get_one(Domain, "example.org").relaypassword is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"relayhost": ":587"}, "relayhost"),
        ({"relayhost": "lmtp:smtp.example.net"}, "relayhost"),
        ({"relayhost": "smtp.example.net:x"}, "relayhost"),
        ({"relayhost": "smtp.example.net", "relayuser": "us"}, "relaypassword"),
        ({"relayhost": "smtp.example.net", "relaypassword": "secret"}, "relayuser"),
        ({"relayuser": "us", "relaypassword": "secret"}, "relayhost"),
        ({"relayhost": "smtp.example.net", "relayuser": "u:s", "relaypassword": "secret"}, "relayuser"),
        ({"relayhost": "smtp.example.net", "relayuser": "us", "relaypassword": "sec\nret"}, "relaypassword"),
    ],
)
def test_a_smart_host_that_could_not_be_used_is_refused(store: Store, fields: Any, field: str) -> None:
    make(store)
    with store.session() as session, pytest.raises(Invalid) as caught:
        changes.update_domain(session, "example.org", actor=ADMIN, **fields)
    assert caught.value.field == field


@pytest.mark.parametrize("kind", ["domain", "alternative", "relay"])
@pytest.mark.parametrize("taken_by", ["domain", "alternative", "relay"])
def test_domains_alternatives_and_relays_share_one_name_space(store: Store, kind: str, taken_by: str) -> None:
    make(store)

    def create(what: str, name: str) -> None:
        with store.session() as session:
            if what == "domain":
                changes.create_domain(session, name, actor=ADMIN)
            elif what == "alternative":
                changes.create_alternative(session, name, "example.org", actor=ADMIN)
            else:
                changes.create_relay(session, name, actor=ADMIN)

    create(taken_by, "taken.example")
    with pytest.raises(Conflict) as caught:
        create(kind, "TAKEN.example")
    assert (caught.value.name, caught.value.kind) == ("taken.example", taken_by)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_users", -2),
        ("max_users", 2**40),
        ("max_aliases", "5"),
        ("max_users", True),
        ("max_quota_bytes", -1),
        ("signup_enabled", 1),
        ("comment", "x" * 256),
        ("comment", "two\nlines"),
        ("colour", "red"),
    ],
)
def test_a_bad_value_is_refused_and_named(store: Store, field: str, value: object) -> None:
    make(store)
    with store.session() as session, pytest.raises(Invalid) as caught:
        changes.update_domain(session, "example.org", actor=ADMIN, **{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field


def test_a_refused_change_sets_none_of_its_values(store: Store) -> None:
    make(store)
    with store.session() as session, pytest.raises(Invalid):
        changes.update_domain(session, "example.org", actor=ADMIN, max_users=5, max_aliases=-7)
    with store.read() as session:
        assert session.get_one(Domain, "example.org").max_users == -1


def test_a_domain_that_does_not_exist_cannot_be_changed_or_deleted(store: Store) -> None:
    with store.session() as session:
        with pytest.raises(NotFound):
            changes.update_domain(session, "nowhere.example", actor=ADMIN, max_users=1)
        with pytest.raises(NotFound):
            changes.delete_domain(session, "nowhere.example", actor=ADMIN)
        with pytest.raises(NotFound):
            changes.create_alternative(session, "alt.example", "nowhere.example", actor=ADMIN)


def test_deleting_a_domain_takes_all_that_is_in_it_and_retires_its_users(store: Store) -> None:
    make(store)
    with store.session() as session:
        changes.create_domain(session, "other.example", actor=ADMIN)
        changes.create_user(session, "ann@example.org", password_hash="h", actor=ADMIN)
        changes.create_user(session, "bob@other.example", password_hash="h", actor=ADMIN)
        changes.create_alias(session, "team@example.org", destination="ann@example.org", actor=ADMIN)
        changes.create_alias(
            session, "shop@other.example", destination="ann@example.org", owner="ann@example.org", actor=ADMIN
        )
        changes.create_alternative(session, "alt.example", "example.org", actor=ADMIN)
        changes.create_token(session, "ann@example.org", password_hash="h", actor=ADMIN)
        changes.add_manager(session, "example.org", "bob@other.example", actor=ADMIN)
        changes.grant_access(session, "example.org", "bob@other.example", actor=ADMIN)
    with store.session() as session:
        changes.delete_domain(session, "example.org", actor=ADMIN)
    with store.read() as session:
        assert [domain.name for domain in session.scalars(select(Domain))] == ["other.example"]
        assert [user.email for user in session.scalars(select(User))] == ["bob@other.example"]
        for table in (Alias, Alternative, Token, Manager, DomainAccess):
            assert session.scalars(select(table)).all() == []
        assert [row.email for row in session.scalars(select(Retired))] == ["ann@example.org"]


def test_a_domain_can_be_made_again_in_the_same_transaction(store: Store) -> None:
    make(store)
    with store.session() as session:
        changes.delete_domain(session, "example.org", actor=ADMIN)
        changes.create_domain(session, "example.org", actor=ADMIN)


def test_an_alternative_is_deleted_by_its_name(store: Store) -> None:
    make(store)
    with store.session() as session:
        changes.create_alternative(session, "alt.example", "example.org", actor=ADMIN)
    with store.session() as session:
        changes.delete_alternative(session, "ALT.example", actor=ADMIN)
        with pytest.raises(NotFound):
            changes.delete_alternative(session, "alt.example", actor=ADMIN)


def test_a_relay_target_is_stored_in_canonical_form(store: Store) -> None:
    with store.session() as session:
        changes.create_relay(session, "relayed.example", actor=ADMIN, smtp="MX:Backend.Example.net:25")
    with store.read() as session:
        assert session.get_one(Relay, "relayed.example").smtp == "mx:backend.example.net:25"


def test_a_relay_without_a_target_is_stored_as_empty_and_not_as_null(store: Store) -> None:
    with store.session() as session:
        changes.create_relay(session, "relayed.example", actor=ADMIN)
        changes.create_relay(session, "other.example", actor=ADMIN, smtp=None)
    with store.read() as session:
        assert [relay.smtp for relay in session.scalars(select(Relay))] == ["", ""]


def test_recipients_of_a_relayed_domain_are_kept_as_localparts(store: Store) -> None:
    listed = ["Bob", "ann@Relayed.example", "ann"]
    with store.session() as session:
        changes.create_relay(session, "relayed.example", actor=ADMIN)
        assert session.get_one(Relay, "relayed.example").recipients == "ask"
        changes.update_relay(session, "relayed.example", actor=ADMIN, recipients="listed", listed_recipients=listed)
    with store.read() as session:
        relay = session.get_one(Relay, "relayed.example")
        assert (relay.recipients, relay.listed_recipients) == ("listed", ("ann", "bob"))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"recipients": "some"}, "recipients"),
        ({"listed_recipients": ["ann@example.org"]}, "listed_recipients"),
        ({"listed_recipients": ["a b"]}, "listed_recipients"),
        ({"listed_recipients": ["@relayed.example"]}, "listed_recipients"),
        ({"listed_recipients": [f"{number:060}" for number in range(1000)]}, "listed_recipients"),
    ],
)
def test_recipients_that_cannot_be_are_refused(store: Store, fields: Any, field: str) -> None:
    with store.session() as session, pytest.raises(Invalid) as caught:
        changes.create_relay(session, "relayed.example", actor=ADMIN, **fields)
    assert caught.value.field == field


def test_a_bad_relay_target_is_refused_before_mail_waits_for_it(store: Store) -> None:
    with store.session() as session:
        with pytest.raises(Invalid) as caught:
            changes.create_relay(session, "relayed.example", actor=ADMIN, smtp="mx:[192.0.2.1]")
        assert caught.value.field == "smtp"
        changes.create_relay(session, "relayed.example", actor=ADMIN)
        with pytest.raises(Invalid):
            changes.update_relay(session, "relayed.example", actor=ADMIN, smtp="lmtp:")
        changes.update_relay(session, "relayed.example", actor=ADMIN, smtp=":26", comment="x")
        changes.delete_relay(session, "relayed.example", actor=ADMIN)
        with pytest.raises(NotFound):
            changes.update_relay(session, "relayed.example", actor=ADMIN, smtp="")
