"""What lines of Postfix's log count as; the lines are Postfix's own, with other names in them."""

from __future__ import annotations

import pytest

from mailu.daemons.postfix.tally import MESSAGES_KNOWN, PostfixTally

HEAD = "Nov 29 13:58:01 mail"


def queued(queue_id: str, sender: str) -> str:
    return f"{HEAD} postfix/qmgr[31]: {queue_id}: from=<{sender}>, size=617, nrcpt=1 (queue active)"


def out(queue_id: str, program: str = "smtp", status: str = "sent (250 2.0.0 Ok)") -> str:
    return (
        f"{HEAD} postfix/{program}[57]: {queue_id}: to=<x@example.net>, relay=mx.example.net[192.0.2.9]:25, delay=0.4, "
        f"delays=0.1/0/0.1/0.2, dsn=2.0.0, status={status}"
    )


def rejected(reply: str, program: str = "smtpd", stage: str = "RCPT") -> str:
    return (
        f"{HEAD} postfix/{program}[9]: NOQUEUE: reject: {stage} from pest.example.org[2001:db8::5]:40112: {reply}; "
        "from=<pest@example.org> to=<Ann@Example.com> proto=ESMTP helo=<pest.example.org>"
    )


def test_what_a_mailbox_took_was_received() -> None:
    line = (
        f"{HEAD} postfix/lmtp[44]: 4B2: to=<Ann@example.com>, orig_to=<team@example.net>, relay=mail[/run/imap/lmtp], "
        "delay=0.09, delays=0.03/0.01/0.02/0.03, dsn=2.0.0, status=sent (250 2.0.0 <ann@example.com> abc Saved)"
    )
    assert PostfixTally().read(line) == ("received", "example.com")
    assert PostfixTally().read(line.replace("status=sent (250", "status=deferred (451")) is None


@pytest.mark.parametrize("program", ["smtp", "relay/smtp", "smarthost/smtp", "turtle/smtp"])
def test_what_another_server_took_was_sent_by_the_senders_domain(program: str) -> None:
    tally = PostfixTally()
    assert tally.read(queued("4A1", "ann@Example.com")) is None
    assert tally.read(out("4A1", program, "deferred (connection refused)")) is None
    assert tally.read(out("4A1", program)) == ("sent", "example.com")
    assert tally.read(out("4A1", program)) == ("sent", "example.com")
    assert tally.read(f"{HEAD} postfix/qmgr[31]: 4A1: removed") is None
    assert tally.read(out("4A1", program)) == ("sent", "")


@pytest.mark.parametrize(
    "sender", ["", "SRS0=abcd=XY=example.org=x@example.com", "srs1=abcd=example.org==x@example.com"]
)
def test_bounces_and_forwarded_mail_are_nobodys_here(sender: str) -> None:
    tally = PostfixTally()
    tally.read(queued("4A1", sender))
    assert tally.read(out("4A1")) == ("sent", "")


@pytest.mark.parametrize("program", ["error", "discard", "bounce", "local"])
def test_what_no_server_took_is_not_counted(program: str) -> None:
    assert PostfixTally().read(out("4A1", program)) is None


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        (rejected("550 5.1.1 <Ann@Example.com>: Recipient address rejected: unknown"), True),
        (rejected("554 5.7.1 <x@example.net>: Relay access denied", stage="RCPT"), True),
        (rejected("553 5.7.1 not yours", program="submission/smtpd"), True),
        (rejected("451 4.3.0 <Ann@Example.com>: Recipient address rejected: try later"), False),
        (rejected("550 5.1.1 x").replace("reject:", "reject_warning:"), False),
        (rejected("550 5.1.1 x").replace("reject:", "warn:"), False),
        (rejected("5.7.1 Spam message rejected", program="cleanup", stage="END-OF-MESSAGE")
         .replace("NOQUEUE: reject", "4C3: milter-reject"), True),
        (rejected("4.7.1 Try again later", program="cleanup", stage="END-OF-MESSAGE")
         .replace("NOQUEUE: reject", "4C3: milter-reject"), False),
    ],
)  # fmt: skip
def test_what_was_refused_for_good_counts_and_what_may_come_again_does_not(line: str, counted: bool) -> None:
    assert PostfixTally().read(line) == (("refused", "example.com") if counted else None)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "]: ",
        "postfix/smtpd",
        f"{HEAD} postfix/smtpd[9]: connect from unknown[192.0.2.1]:4000",
        f"{HEAD} postfix/smtpd[9]: warning: to=<x@example.com>, status=sent (as a stranger writes it)",
        f"{HEAD} postfix/smtpd[9]: NOQUEUE: reject:",
        f"{HEAD} other/lmtp[9]: 4A1: to=<x@example.com>, status=sent (250)",
        "warning: postfix/smtp[57]: 4A1: to=<x@example.net>, status=sent",
    ],
)
def test_other_lines_count_nothing(line: str) -> None:
    assert PostfixTally().read(line) is None


def test_a_recipient_without_a_domain_or_an_end_counts_for_nobody() -> None:
    assert PostfixTally().read(f"{HEAD} postfix/lmtp[9]: 4A1: to=<x>, status=sent (250)") == ("received", "")
    assert PostfixTally().read(f"{HEAD} postfix/smtpd[9]: NOQUEUE: reject: CONNECT from a[b]:1: 521 no") == (
        "refused",
        "",
    )


def test_an_endless_queue_takes_bounded_memory() -> None:
    tally = PostfixTally()
    for number in range(MESSAGES_KNOWN + 10):
        tally.read(queued(f"Q{number}", "ann@example.com"))
    assert tally.read(out("Q9")) == ("sent", "")
    assert tally.read(out(f"Q{MESSAGES_KNOWN + 9}")) == ("sent", "example.com")
