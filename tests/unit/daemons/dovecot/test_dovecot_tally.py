"""What lines of Dovecot's log count as."""

from __future__ import annotations

import pytest

from mailu.daemons.dovecot.tally import DovecotTally

LINE = (
    "Nov 29 13:58:01 lmtp(ann@Example.com)<57><abcd:R2>: Info: sieve: msgid=<1@example.org>, from=<x@example.org>, "
    "size=724: stored mail into mailbox 'Junk'"
)


def test_mail_that_was_filed_into_junk_counts_for_its_domain() -> None:
    assert DovecotTally().read(LINE) == ("junk", "example.com")
    assert DovecotTally().read(LINE.replace("stored", "fileinto action: stored")) == ("junk", "example.com")


@pytest.mark.parametrize(
    "line",
    [
        "",
        LINE.replace("'Junk'", "'INBOX'"),
        LINE.replace("'Junk'", "'Junk/2026'"),
        LINE.replace("lmtp(", "imap("),
        "Nov 29 13:58:01 imap(ann@example.com)<57><abcd>: Info: lmtp(x@y): sieve: msgid=<1>: "
        "stored mail into mailbox 'Junk'",
        LINE + " as a stranger writes it",
    ],
)
def test_other_lines_count_nothing(line: str) -> None:
    assert DovecotTally().read(line) is None
