"""The master protocol, as Dovecot 2.3 and 2.4 write it."""

from __future__ import annotations

import pytest

from mailu.wire import BadRequest, dovecot_master
from mailu.wire.dovecot_master import MasterDecoder, OtherQuestion, UserList, UserLookup, Version

# What Dovecot 2.3.19 and 2.4.1 were seen to send.
DOVECOT_2_3 = b"VERSION\t1\t0\nUSER\t1\tann@example.com\tservice=lmtp\n"
DOVECOT_2_4 = b"VERSION\t1\t2\nUSER\t1\tann@example.com\tprotocol=lmtp\tsession=xyz\tdebug\n"


@pytest.mark.parametrize(("stream", "dialect"), [(DOVECOT_2_3, "2.3"), (DOVECOT_2_4, "2.4")])
def test_a_lookup_says_what_for_and_in_which_words(stream: bytes, dialect: str) -> None:
    assert list(MasterDecoder().feed(stream)) == [Version(1), UserLookup(1, "ann@example.com", "lmtp", dialect)]  # type: ignore[arg-type]


def test_all_may_be_asked_for_and_what_is_not_asked_here_has_a_number() -> None:
    assert list(MasterDecoder().feed(b"LIST\t7\tservice=doveadm\nPASS\t8\tann\tservice=x\n")) == [
        UserList(7),
        OtherQuestion(8),
    ]


@pytest.mark.parametrize(
    "line",
    [b"", b"USER", b"USER\t\tann", b"USER\t1", b"USER\tx\tann", b"VERSION\t2\t0", b"LIST", b"USER\t12345678901\ta"],
)
def test_what_makes_no_sense_is_refused(line: bytes) -> None:
    with pytest.raises(BadRequest):
        list(MasterDecoder().feed(line + b"\n"))


def test_a_localpart_may_hold_what_is_no_text() -> None:
    (lookup,) = MasterDecoder().feed(b"USER\t1\t\xff\x01tx\tservice=lmtp\n")
    assert isinstance(lookup, UserLookup)
    assert lookup.user == "\\xff\tx"


def test_nothing_in_a_field_ends_it_or_its_line() -> None:
    line = dovecot_master.encode_user(3, "a\tb", {"home": "/x\n/y", "sieve_env_reply": "one\r\n\ttwo \0\x01"})
    assert line.count(b"\n") == 1
    assert line.count(b"\t") == 4
    assert line.startswith(b"USER\t3\ta\x01tb\thome=/x\x01n/y\t")


def test_a_failure_is_one_line_with_its_reason() -> None:
    assert dovecot_master.encode_failure(4, "not\nnow") == b"FAIL\t4\treason=not\x01nnow\n"
