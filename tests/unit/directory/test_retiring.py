"""Deleting a mailbox: a re-created address never gets the old mail, and a mistake can be undone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from mailu.directory import changes
from mailu.directory.changes import SYSTEM, Actor, Conflict, LimitReached, NotFound
from mailu.directory.models import Alias, Fetch, Manager, Retired, Token, User, today
from mailu.directory.store import Store

ADMIN = Actor("admin@example.org", "cli")
ANN = "ann@example.org"


@pytest.fixture
def ann(store: Store) -> Store:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN)
        changes.create_user(session, ANN, password_hash="$hash$", actor=ADMIN, displayed_name="Ann")
    return store


def delete(store: Store, **options: int) -> None:
    with store.session() as session:
        changes.delete_user(session, ANN, actor=ADMIN, **options)


def create(store: Store, email: str = ANN) -> str:
    with store.session() as session:
        return changes.create_user(session, email, password_hash="$h$", actor=ADMIN).home


def test_an_address_that_is_made_again_gets_a_mailbox_of_its_own(ann: Store) -> None:
    delete(ann)
    assert create(ann) == "ann@example.org~2"


def test_each_time_it_is_another_one(ann: Store) -> None:
    homes = []
    for _ in range(3):
        delete(ann)
        homes.append(create(ann))
    assert homes == ["ann@example.org~2", "ann@example.org~3", "ann@example.org~4"]


def test_the_folder_is_free_again_only_when_the_janitor_has_removed_it(ann: Store) -> None:
    delete(ann)
    with ann.session() as session:
        (due,) = changes.due_for_purge(session, today() + timedelta(days=400))
        changes.forget_retired(session, due.id)
    assert create(ann) == ANN


@pytest.mark.parametrize(
    ("email", "home"),
    [
        ("bob/with/slash@example.org", "bob/with/slash@example.org"),
        ("/etc@example.org", "%2Fetc@example.org"),
        ("a//b@example.org", "a%2F%2Fb@example.org"),
        ("a/./b@example.org", "a%2F.%2Fb@example.org"),
        ("a/@example.org", "a/@example.org"),
    ],
)
def test_no_localpart_leads_out_of_the_mail_folder_or_into_another_mailbox(ann: Store, email: str, home: str) -> None:
    assert create(ann, email) == home


def test_homes_with_letters_that_patterns_use_are_not_confused(ann: Store) -> None:
    create(ann, "a_b@example.org")
    create(ann, "a%b@example.org")
    assert create(ann, "axb@example.org") == "axb@example.org"


def test_two_addresses_that_would_share_a_folder_do_not(ann: Store) -> None:
    first = create(ann, "/x@example.org")
    second = create(ann, "%2fx@example.org")
    assert first.lower() != second.lower() or first != second


def test_it_is_due_after_the_days_it_is_kept(ann: Store) -> None:
    delete(ann, retention_days=10)
    with ann.read() as session:
        assert changes.due_for_purge(session, today() + timedelta(days=9)) == []
        assert [row.home for row in changes.due_for_purge(session, today() + timedelta(days=10))] == [ANN]


def test_it_can_be_due_at_once(ann: Store) -> None:
    delete(ann, retention_days=0)
    with ann.read() as session:
        assert len(changes.due_for_purge(session, today())) == 1


def test_it_can_be_made_due_later(ann: Store) -> None:
    delete(ann)
    with ann.session() as session:
        assert changes.purge_now(session, ANN, actor=ADMIN) == 1
        assert len(changes.due_for_purge(session, today())) == 1
        assert changes.purge_now(session, "nobody@example.org", actor=ADMIN) == 0


def test_forgetting_what_is_not_there_is_an_error(ann: Store) -> None:
    with ann.session() as session, pytest.raises(NotFound):
        changes.forget_retired(session, 4711, actor=SYSTEM)


def test_deleting_takes_tokens_fetches_rights_and_owned_aliases_along(ann: Store) -> None:
    belongings(ann)
    delete(ann)
    with ann.read() as session:
        for table in (User, Token, Fetch, Manager):
            assert session.scalars(select(table)).all() == []
        assert [alias.email for alias in session.scalars(select(Alias))] == ["team@example.org"]


def belongings(store: Store) -> None:
    with store.session() as session:
        changes.create_token(session, ANN, password_hash="$t$", actor=ADMIN, comment="phone", ip="192.0.2.0/24")
        changes.create_fetch(
            session,
            ANN,
            actor=ADMIN,
            protocol="imap",
            host="imap.example.net",
            port=993,
            username="u",
            password="p",
            folders=["INBOX", "Sent Items"],
        )
        changes.add_manager(session, "example.org", ANN, actor=ADMIN)
        changes.create_alias(session, "shop@example.org", destination=ANN, owner=ANN, actor=ADMIN, hostname="shop")
        changes.create_alias(session, "team@example.org", destination=[ANN, "x@example.net"], actor=ADMIN)
        changes.record_login(session, ANN, at=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC))


def test_restoring_brings_mail_settings_password_and_belongings_back(ann: Store) -> None:
    belongings(ann)
    with ann.read() as session:
        token_id = session.scalars(select(Token.id)).one()
    delete(ann)
    with ann.session() as session:
        changes.restore_user(session, ANN, actor=ADMIN)
    with ann.read() as session:
        user = session.get_one(User, ANN)
        assert (user.home, user.password, user.displayed_name) == (ANN, "$hash$", "Ann")
        assert user.last_login == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
        token = session.get_one(Token, token_id)
        assert (token.password, token.comment, token.ip) == ("$t$", "phone", ("192.0.2.0/24",))
        assert session.scalars(select(Fetch)).one().folders == ("INBOX", "Sent Items")
        assert session.scalars(select(Manager)).one().user_email == ANN
        assert session.get_one(Alias, "shop@example.org").owner_email == ANN
        assert session.scalars(select(Retired)).all() == []


def test_a_restored_user_can_be_deleted_and_restored_again(ann: Store) -> None:
    for _ in range(2):
        delete(ann)
        with ann.session() as session:
            assert changes.restore_user(session, ANN, actor=ADMIN).home == ANN


def test_the_mailbox_deleted_last_comes_back_unless_another_is_named(ann: Store) -> None:
    delete(ann)
    create(ann)
    delete(ann)
    with ann.session() as session:
        kept = changes.retired_mailboxes(session, ANN)
        assert [row.home for row in kept] == ["ann@example.org~2", ANN]
        changes.restore_user(session, ANN, actor=ADMIN, retired_id=kept[1].id)
    with ann.read() as session:
        assert session.get_one(User, ANN).home == ANN


def test_an_address_in_use_again_is_not_overwritten(ann: Store) -> None:
    delete(ann)
    create(ann)
    with ann.session() as session, pytest.raises(Conflict):
        changes.restore_user(session, ANN, actor=ADMIN)


def test_without_anything_kept_there_is_nothing_to_restore(ann: Store) -> None:
    with ann.session() as session, pytest.raises(NotFound):
        changes.restore_user(session, "bob@example.org", actor=ADMIN)


def test_restoring_respects_the_limits_of_the_domain(ann: Store) -> None:
    delete(ann)
    with ann.session() as session:
        changes.update_domain(session, "example.org", actor=ADMIN, max_users=0)
        with pytest.raises(LimitReached):
            changes.restore_user(session, ANN, actor=ADMIN)


def test_the_domain_has_to_be_there_again(ann: Store) -> None:
    with ann.session() as session:
        changes.delete_domain(session, "example.org", actor=ADMIN)
        with pytest.raises(NotFound):
            changes.restore_user(session, ANN, actor=ADMIN)
        changes.create_domain(session, "example.org", actor=ADMIN)
        assert changes.restore_user(session, ANN, actor=ADMIN).home == ANN


def test_rights_and_aliases_that_are_gone_meanwhile_stay_away(ann: Store) -> None:
    with ann.session() as session:
        changes.create_domain(session, "other.example", actor=ADMIN)
        changes.add_manager(session, "other.example", ANN, actor=ADMIN)
        changes.grant_access(session, "other.example", ANN, actor=ADMIN)
        changes.create_alias(session, "shop@example.org", destination=ANN, owner=ANN, actor=ADMIN)
    delete(ann)
    with ann.session() as session:
        changes.delete_domain(session, "other.example", actor=ADMIN)
        changes.create_user(session, "shop@example.org", password_hash="h", actor=ADMIN)
        changes.restore_user(session, ANN, actor=ADMIN)
        assert session.scalars(select(Manager)).all() == []
        assert session.scalars(select(Alias)).all() == []
