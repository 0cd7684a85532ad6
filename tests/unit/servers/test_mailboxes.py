"""Where mail is stored, and what the system's Sieve script reads; with a real Dovecot in ``daemons/dovecot``."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from tests.directory_harness import mailboxes, snapshot

from mailu.servers.keeper import NotReady
from mailu.servers.mailboxes import REPLY_BYTES, MailboxConversation, mailbox_with_name, shortened, sieve_environment
from mailu.wire.dovecot_master import UserLookup

ANN = snapshot().users["ann@example.com"]
TODAY = date(2026, 3, 4)


def test_before_the_directory_was_read_mail_waits() -> None:
    def nothing() -> None:
        raise NotReady("the directory has not been read yet")

    reply = MailboxConversation(mailboxes(nothing)).received(b"USER\t1\tann@example.com\tservice=lmtp\n")  # type: ignore[arg-type]
    assert reply == b"FAIL\t1\treason=the directory has not been read yet\n"


def test_who_has_rules_has_a_script_of_them_with_each_delivery() -> None:
    with_rules = replace(snapshot(), users={ANN.email: ANN._replace(mail_rules="[]")})
    conversation = MailboxConversation(mailboxes(lambda: with_rules))
    asked = b"USER\t1\tann@example.com\tservice=%b\n"
    assert b"\tsieve_before2=dict:proxy:/srv/run/usage/dict:rules;" in conversation.received(asked % b"lmtp")
    assert b"sieve" not in conversation.received(asked % b"doveadm")


@pytest.mark.parametrize(
    ("quota_bytes", "used_bytes", "checked"),
    [(0, 10**12, False), (10**9, 0, False), (10**9, 799_999_999, False), (10**9, 800_000_000, True), (10**8, 0, True)],
)
def test_a_delivery_checks_the_limit_where_a_message_might_not_fit(
    quota_bytes: int, used_bytes: int, checked: bool
) -> None:
    entry = ANN._replace(quota_bytes=quota_bytes, quota_bytes_used=used_bytes)
    for protocol, dialect, limits in (
        ("lmtp", "2.3", {"quota_rule": f"*:bytes={quota_bytes if checked else 0}"}),
        ("lmtp", "2.4", {"quota_storage_size": f"{quota_bytes}B" if checked else "unlimited"}),
        ("doveadm", "2.3", {"quota_rule": f"*:bytes={quota_bytes}"}),
    ):
        fields = mailboxes().fields(entry, UserLookup(1, entry.email, protocol, dialect))  # type: ignore[arg-type]
        assert limits.items() <= fields.items()


@pytest.mark.parametrize(("tolerance", "stars"), [(0, 1), (50, 8), (80, 13), (99, 15), (100, None), (-5, 1)])
def test_more_points_than_are_tolerated_are_so_many_stars(tolerance: int, stars: int | None) -> None:
    level = sieve_environment(ANN._replace(spam_threshold=tolerance), TODAY).get("spam_level")
    assert level == (None if stars is None else r"\*" * stars + "*")


def test_who_files_no_spam_has_no_level() -> None:
    assert sieve_environment(ANN._replace(spam_enabled=False), TODAY) == {}


@pytest.mark.parametrize(
    ("first", "last", "answers"),
    [(TODAY, TODAY, True), (date(1900, 1, 1), date(2026, 3, 3), False), (date(2026, 3, 5), date(2999, 12, 31), False)],
)
def test_replies_are_sent_on_their_days(first: date, last: date, answers: bool) -> None:
    away = ANN._replace(reply_enabled=True, reply_startdate=first, reply_enddate=last, reply_body="x")
    assert ("reply" in sieve_environment(away, TODAY)) is answers


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("", "a@b.example"),
        ("\r\n \t", "a@b.example"),
        ("Ann", '"Ann" <a@b.example>'),
        ('x" <evil@c.example>, \\', '"x\\" <evil@c.example>, \\\\" <a@b.example>'),
        ("a\r\nBcc: all@b.example", '"a Bcc: all@b.example" <a@b.example>'),
        ("Ünï", "=?utf-8?b?w5xuw68=?= <a@b.example>"),
    ],
)
def test_whatever_was_typed_is_a_name(name: str, written: str) -> None:
    assert mailbox_with_name(name, "a@b.example") == written


def test_encoded_words_are_no_longer_than_they_may_be() -> None:
    *words, _address = mailbox_with_name("日本" * 40, "a@b.example").split()
    assert len(words) > 1
    assert max(map(len, words)) <= 75


@pytest.mark.parametrize(("text", "size"), [("x", 1), ("é", 2), ("%", 2), ("\n", 2), ("日", 3), ("🦊", 4)])
def test_a_text_is_cut_between_characters_where_it_would_be_too_long(text: str, size: int) -> None:
    fits = text * (REPLY_BYTES // size)
    assert shortened(fits) == fits
    assert shortened(fits + text) == fits + "…"


def test_line_ends_become_one_kind_and_controls_go() -> None:
    assert shortened("a\r\nb\rc\0\x0b\td\x7f") == "a\nb\nc\td"
