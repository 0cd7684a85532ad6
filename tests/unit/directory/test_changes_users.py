"""Mailboxes: their rules, limits, quota ceilings and passwords."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from mailu.directory import changes
from mailu.directory.changes import Actor, Conflict, Invalid, LimitReached, NotFound
from mailu.directory.models import User
from mailu.directory.store import Store

ADMIN = Actor("admin@example.org", "web 192.0.2.1")
ANN = "ann@example.org"


@pytest.fixture
def domain(store: Store) -> Store:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN)
    return store


def create(store: Store, email: str = ANN, **fields: Any) -> None:
    with store.session() as session:
        changes.create_user(session, email, password_hash="$hash$", actor=ADMIN, **fields)


def update(store: Store, **fields: Any) -> None:
    with store.session() as session:
        changes.update_user(session, ANN, actor=ADMIN, **fields)


def get(store: Store, email: str = ANN) -> User:
    with store.read() as session:
        user = session.get_one(User, email)
        session.expunge(user)
        return user


def test_a_user_gets_the_usual_settings(domain: Store) -> None:
    create(domain)
    user = get(domain)
    assert (user.localpart, user.domain_name, user.home, user.password) == ("ann", "example.org", ANN, "$hash$")
    assert user.quota_bytes == 1_000_000_000
    assert user.quota_bytes_used == 0
    assert (user.enabled, user.enable_imap, user.enable_pop, user.forward_keep) == (True, True, True, True)
    assert (user.global_admin, user.allow_spoofing, user.forward_enabled, user.reply_enabled) == (False,) * 4
    assert (user.spam_enabled, user.spam_mark_as_read, user.spam_threshold) == (True, True, 80)
    assert (user.reply_startdate, user.reply_enddate) == (date(1900, 1, 1), date(2999, 12, 31))
    assert user.forward_destination == ()
    assert user.message_ratelimit is None


def test_the_address_is_stored_in_canonical_form(domain: Store) -> None:
    create(domain, "Ann@EXAMPLE.org")
    assert get(domain).email == ANN


@pytest.mark.parametrize(
    "email",
    ["ann", "@example.org", "a b@example.org", "a@b@example.org", "a..b@example.org", "x" * 65 + "@example.org"],
)
def test_what_is_no_address_is_refused(domain: Store, email: str) -> None:
    with pytest.raises(Invalid) as caught:
        create(domain, email)
    assert caught.value.field == "email"


def test_letters_that_patterns_and_folders_use_are_allowed(domain: Store) -> None:
    create(domain, "50%_off/now@example.org")


def test_a_domain_that_is_not_ours_has_no_users(domain: Store) -> None:
    with pytest.raises(NotFound):
        create(domain, "ann@nowhere.example")


def test_another_name_of_a_domain_has_no_users_of_its_own(domain: Store) -> None:
    with domain.session() as session:
        changes.create_alternative(session, "alt.example", "example.org", actor=ADMIN)
    with pytest.raises(Invalid, match="another name of"):
        create(domain, "ann@alt.example")


@pytest.mark.parametrize("email", [ANN, "ANN@Example.org"])
def test_an_address_is_given_once_among_users(domain: Store, email: str) -> None:
    create(domain)
    with pytest.raises(Conflict) as caught:
        create(domain, email)
    assert caught.value.kind == "user"


def test_an_address_is_given_once_among_users_and_aliases(domain: Store) -> None:
    create(domain)
    with domain.session() as session:
        changes.create_alias(session, "team@example.org", destination=ANN, actor=ADMIN)
    with pytest.raises(Conflict) as caught:
        create(domain, "Team@example.org")
    assert caught.value.kind == "alias"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quota_bytes", -1),
        ("quota_bytes", 2**63),
        ("quota_bytes", 1.5),
        ("spam_threshold", 101),
        ("spam_threshold", -1),
        ("displayed_name", "x" * 161),
        ("displayed_name", "Ann\r\nBcc: all"),
        ("comment", "x" * 256),
        ("reply_subject", "x\ny"),
        ("reply_body", "x" * 5_001),
        ("reply_body", "\n" * 2_501),
        ("reply_body", "é" * 2_501),
        ("reply_body", "nul\0"),
        ("reply_startdate", "tomorrow"),
        ("reply_startdate", 20300101),
        ("forward_destination", ["no address"]),
        ("forward_destination", [7]),
        ("forward_destination", [f"u{n}@example.net" for n in range(1001)]),
        ("message_ratelimit", "many"),
        ("message_ratelimit", "10/fortnight"),
        ("enabled", "yes"),
        ("password", "sneaked in"),
        ("home", "../../etc"),
    ],
)
def test_a_bad_value_is_refused_and_named(domain: Store, field: str, value: object) -> None:
    create(domain)
    with pytest.raises(Invalid) as caught:
        update(domain, **{field: value})
    assert caught.value.field == field


def test_destinations_come_as_text_or_list_and_are_stored_sorted_and_once(domain: Store) -> None:
    create(domain, forward_destination=" Z@example.net, a@example.net,,z@EXAMPLE.net ")
    assert get(domain).forward_destination == ("a@example.net", "z@example.net")
    update(domain, forward_destination=["b@bücher.example"])
    assert get(domain).forward_destination == ("b@xn--bcher-kva.example",)


def test_a_forward_needs_a_destination(domain: Store) -> None:
    with pytest.raises(Invalid) as caught:
        create(domain, forward_enabled=True)
    assert caught.value.field == "forward_destination"
    create(domain, forward_enabled=True, forward_destination="x@example.net")
    with pytest.raises(Invalid):
        update(domain, forward_destination=[])
    update(domain, forward_enabled=False, forward_destination=[])
    assert get(domain).forward_destination == ()


def test_what_is_refused_as_a_whole_is_not_half_done_in_the_session(domain: Store) -> None:
    create(domain)
    with domain.session() as session:
        with pytest.raises(Invalid):
            changes.update_user(session, ANN, actor=ADMIN, displayed_name="Ann", forward_enabled=True)
        changes.update_user(session, ANN, actor=ADMIN, comment="kept")
    user = get(domain)
    assert (user.displayed_name, user.forward_enabled, user.comment) == ("", False, "kept")


def test_the_last_day_of_a_reply_cannot_come_before_the_first(domain: Store) -> None:
    create(domain, reply_startdate=date(2030, 1, 2), reply_enddate=date(2030, 1, 2))
    with pytest.raises(Invalid) as caught:
        update(domain, reply_enddate=date(2030, 1, 1))
    assert caught.value.field == "reply_enddate"


def test_an_empty_reply_is_none_and_line_ends_are_made_the_same(domain: Store) -> None:
    create(domain, reply_subject="", reply_body="a\r\nb\rc")
    user = get(domain)
    assert user.reply_subject is None
    assert user.reply_body == "a\nb\nc"


@pytest.mark.parametrize("rate", ["200/day", "30/2 hours", "5 per minute", "1/second"])
def test_a_sending_limit_is_a_number_and_a_time(domain: Store, rate: str) -> None:
    create(domain, message_ratelimit=rate)
    assert get(domain).message_ratelimit == rate
    update(domain, message_ratelimit="")
    assert get(domain).message_ratelimit is None


# Limits of the domain


def limit(store: Store, **fields: int) -> None:
    with store.session() as session:
        changes.update_domain(session, "example.org", actor=ADMIN, **fields)  # type: ignore[arg-type]


def test_a_domain_takes_no_more_users_than_it_may(domain: Store) -> None:
    limit(domain, max_users=1)
    create(domain)
    with pytest.raises(LimitReached) as caught:
        create(domain, "bob@example.org")
    assert (caught.value.domain, caught.value.limit, caught.value.maximum) == ("example.org", "max_users", 1)


def test_a_limit_of_none_means_none(domain: Store) -> None:
    limit(domain, max_users=0)
    with pytest.raises(LimitReached):
        create(domain)


def test_an_import_is_not_held_up_by_limits(domain: Store) -> None:
    limit(domain, max_users=0, max_quota_bytes=10)
    create(domain, enforce_limits=False, quota_bytes=100)
    assert get(domain).quota_bytes == 100


def test_a_quota_stays_below_the_ceiling_and_no_limit_is_above_every_ceiling(domain: Store) -> None:
    limit(domain, max_quota_bytes=100)
    for quota in (101, 0):
        with pytest.raises(Invalid) as caught:
            create(domain, quota_bytes=quota)
        assert caught.value.field == "quota_bytes"
    create(domain, quota_bytes=100)


def test_without_a_quota_of_its_own_a_mailbox_gets_the_ceiling_if_that_is_lower(domain: Store) -> None:
    limit(domain, max_quota_bytes=100)
    create(domain)
    assert get(domain).quota_bytes == 100


def test_a_quota_that_was_there_before_the_ceiling_is_let_be(domain: Store) -> None:
    create(domain, quota_bytes=500)
    limit(domain, max_quota_bytes=100)
    update(domain, quota_bytes=500, displayed_name="Ann")
    assert get(domain).quota_bytes == 500
    with pytest.raises(Invalid):
        update(domain, quota_bytes=400)


# Passwords


@pytest.mark.parametrize("good", ["12345678", "pass word", "пароль-пароль", "x" * 200])
def test_a_good_password_passes(good: str) -> None:
    changes.check_password(good)


@pytest.mark.parametrize("bad", ["", "1234567", " 12345678", "12345678 ", "12345678\n", "        "])
def test_a_bad_password_is_refused(bad: str) -> None:
    with pytest.raises(Invalid) as caught:
        changes.check_password(bad)
    assert caught.value.field == "password"


def test_a_published_password_is_refused() -> None:
    changes.check_password("correct horse", breached=0)
    with pytest.raises(Invalid, match="17"):
        changes.check_password("correct horse", breached=17)


def test_setting_a_password_sets_or_clears_the_duty_to_change_it(domain: Store) -> None:
    create(domain, change_pw_next_login=True)
    with domain.session() as session:
        changes.set_password(session, ANN, password_hash="$new$", actor=ADMIN)
    assert (get(domain).password, get(domain).change_pw_next_login) == ("$new$", False)
    with domain.session() as session:
        changes.set_password(session, ANN, password_hash="$set$", actor=ADMIN, change_pw_next_login=True)
    assert get(domain).change_pw_next_login


@pytest.mark.parametrize("bad", ["", "x" * 256, "two\nlines"])
def test_an_impossible_hash_is_refused(domain: Store, bad: str) -> None:
    create(domain)
    with domain.session() as session, pytest.raises(Invalid):
        changes.set_password(session, ANN, password_hash=bad, actor=ADMIN)


def test_a_better_hash_takes_the_place_of_the_one_it_was_made_from(domain: Store) -> None:
    create(domain)
    with domain.session() as session:
        assert changes.upgrade_password_hash(session, ANN, old_hash="$hash$", new_hash="$better$")
    assert get(domain).password == "$better$"


def test_a_better_hash_comes_too_late_if_the_password_was_changed(domain: Store) -> None:
    create(domain)
    with domain.session() as session:
        changes.set_password(session, ANN, password_hash="$other$", actor=ADMIN)
        assert not changes.upgrade_password_hash(session, ANN, old_hash="$hash$", new_hash="$better$")
    assert get(domain).password == "$other$"


def test_somebody_who_does_not_exist_cannot_be_changed(domain: Store) -> None:
    with domain.session() as session:
        with pytest.raises(NotFound) as caught:
            changes.update_user(session, "nobody@example.org", actor=ADMIN, comment="x")
        assert (caught.value.kind, caught.value.name) == ("user", "nobody@example.org")
        with pytest.raises(NotFound):
            changes.set_password(session, "nobody@example.org", password_hash="h", actor=ADMIN)
        with pytest.raises(NotFound):
            changes.delete_user(session, "nobody@example.org", actor=ADMIN)
