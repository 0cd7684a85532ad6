"""The automatic reply, and how Sieve's mail reaches Postfix."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parseaddr

import pytest
from tests.unit.daemons.dovecot.house import House, eventually, message

from mailu.directory.changes import Invalid, values

pytestmark = pytest.mark.daemons


def replies_to(home: House, address: str, content: bytes | None = None) -> list[tuple[list[str], EmailMessage]]:
    """What Postfix is handed when *content* is delivered to *address*: the SMTP commands, and the message."""
    before = len(home.around.outgoing.messages)
    assert home.deliver(address, content).startswith("250 ")
    sent = home.around.outgoing.messages[before:]
    return [(commands, message_from_bytes(data, policy=policy.default)) for commands, data in sent]


def test_a_reply_says_what_its_person_wrote(home: House) -> None:
    body = 'I am away, 100 %u.\n.dot\n${env.vnd.dovecot.config.spam_level}\n"quoted" \\ ü\n'
    address = home.person(reply_enabled=True, reply_subject="Gone 50% %{user}", reply_body=body)
    [(commands, reply)] = replies_to(home, address)
    assert reply.get_content().split() == body.split()
    assert reply.get_content().splitlines()[1] == ".dot"
    assert reply["Subject"] == "Gone 50% %{user}"
    assert reply["Auto-Submitted"].startswith("auto-replied")
    assert commands[1:3] == [f"MAIL FROM:<{address}> BODY=8BITMIME", "RCPT TO:<stranger@remote.example>"]


def test_an_empty_subject_becomes_auto_and_the_senders(home: House) -> None:
    for empty in (None, "", "  "):
        address = home.person(reply_enabled=True, reply_subject=empty, reply_body=None)
        [(_, reply)] = replies_to(home, address, message(Subject="lunch?"))
        assert reply["Subject"] == "Auto: lunch?"
        assert reply.get_content().strip() == ""


@pytest.mark.parametrize(
    "name", ["Ann", 'A "x" \\ <y@z.example>, %u', "Ünï ", "日本" * 40, "a\r\nBcc: all@example.org", "<evil@x.example>"]
)
def test_whatever_the_name_is_the_sender_is_the_account(home: House, name: str) -> None:
    address = home.person(reply_enabled=True, reply_body="x", displayed_name=name)
    [(_, reply)] = replies_to(home, address)
    assert [each.addr_spec for each in reply["From"].addresses] == [address]
    written = BytesParser(policy=policy.compat32).parsebytes(reply.as_bytes())["From"]
    assert str(make_header(decode_header(parseaddr(written)[0]))) == " ".join(name.split())
    assert reply["Bcc"] is None


def test_a_person_is_answered_once(home: House) -> None:
    address = home.person(reply_enabled=True, reply_body="x")
    assert (len(replies_to(home, address)), len(replies_to(home, address))) == (1, 0)


@pytest.mark.parametrize("headers", [{"From": "noreply@remote.example"}, {"Reply_To": "x-no-reply+1@remote.example"}])
def test_machines_that_read_nothing_are_not_answered(home: House, headers: dict[str, str]) -> None:
    address = home.person(reply_enabled=True, reply_body="x")
    assert replies_to(home, address, message(**headers)) == []


def test_mailing_lists_are_not_answered(home: House) -> None:
    address = home.person(reply_enabled=True, reply_body="x")
    assert replies_to(home, address, message(List_Id="<list.remote.example>")) == []


def test_mail_for_an_alias_is_answered_too(home: House) -> None:
    address = home.person(reply_enabled=True, reply_body="x")
    assert len(replies_to(home, address, message(To="sales@example.org"))) == 1


@pytest.mark.parametrize(
    ("first_day", "last_day", "answered"), [(-1, 1, True), (0, 0, True), (1, 2, False), (-3, -1, False)]
)
def test_the_days_of_the_reply_are_both_included(home: House, first_day: int, last_day: int, answered: bool) -> None:
    days = [(date.today() + timedelta(days=day)).isoformat() for day in (first_day, last_day)]  # noqa: DTZ011
    address = home.person(reply_enabled=True, reply_body="x", reply_startdate=days[0], reply_enddate=days[1])
    assert bool(replies_to(home, address)) is answered


def test_spam_is_not_answered(home: House) -> None:
    address = home.person(reply_enabled=True, reply_body="x")
    assert replies_to(home, address, message(X_Spam_Level="*" * 14)) == []


@pytest.mark.parametrize("piece", ["x", "word ", "é%\n", "\t%\n", "日本語", "🦊\n"])
def test_the_longest_text_that_can_be_stored_is_sent_whole(home: House, piece: str) -> None:
    text = longest_reply(piece)
    # Everything else in Dovecot's answer is as long as it can be, too.
    rest = {"reply_subject": "🦊" * 255, "displayed_name": "🦊" * 160}
    address = home.person("p" * 60, reply_enabled=True, reply_body=text, **rest)
    [(_, reply)] = replies_to(home, address)
    assert reply.get_content().replace("\r\n", "\n").rstrip() == text.rstrip()


def longest_reply(piece: str) -> str:
    """As often *piece* as the directory lets somebody store."""
    for count in itertools.count(100):
        try:
            values.reply_text("reply_body", piece * (count + 1))
        except Invalid:
            return piece * count
    raise AssertionError


@pytest.mark.parametrize("piece", ["word ", "é%\n", "\t%\n", "日本語"])
def test_a_text_that_is_too_long_for_dovecot_is_cut_and_mail_still_comes(home: House, piece: str) -> None:
    text = piece * 10_000
    address = home.person(reply_enabled=True, reply_body=text, reply_subject="é" * 200, displayed_name="日" * 100)
    [(_, reply)] = replies_to(home, address)
    said = reply.get_content().replace("\r\n", "\n").rstrip("\n")
    assert said.endswith("…")
    assert text.startswith(said[:-1].rstrip())
    assert len(said.encode()) > 2_000


def test_mail_is_delivered_when_the_reply_is_refused(home: House) -> None:
    address = home.person(reply_enabled=True, reply_body="x")
    home.around.outgoing.refuse = b"550 5.1.1 no"
    try:
        assert replies_to(home, address) == []
    finally:
        home.around.outgoing.refuse = b""
    assert len(home.messages(address)) == 1
    assert "Postfix says 550 5.1.1 no" in home.daemon.said()


def test_a_redirect_goes_through_postfix_with_the_senders_address(home: House) -> None:
    address = home.person()
    home.deliver(address)
    folder = home.home_of(address)
    (folder / "sieve").mkdir(exist_ok=True)
    script = folder / "sieve" / "r.sieve"
    script.write_text('redirect "else@remote.example";\n', encoding="ascii")
    (folder / ".dovecot.sieve").symlink_to("sieve/r.sieve")
    [(commands, sent)] = replies_to(home, address, message(Subject="on its way"))
    assert commands[1].startswith("MAIL FROM:<stranger@remote.example>")
    assert commands[2] == "RCPT TO:<else@remote.example>"
    assert sent["Subject"] == "on its way"
    assert eventually(lambda: True)
