"""What port 25 takes from other servers, and what it refuses while they are still there to be told."""

from __future__ import annotations

import pytest
from tests.unit.daemons.postfix.dialogue import Dialogue
from tests.unit.daemons.postfix.stage import Stage

pytestmark = pytest.mark.daemons

STRANGER = "stranger@remote.example"


def test_the_greeting_offers_what_the_daemon_can(stage: Stage) -> None:
    with Dialogue(stage.settings.bind_address4, 25) as client:
        assert client.greeting == "220 mail.example.com ESMTP"
        offered = {line[4:] for line in client.say("EHLO client.example").splitlines()[1:]}
    assert offered == {
        "PIPELINING",
        "SIZE 1000000",
        "STARTTLS",
        "ENHANCEDSTATUSCODES",
        "8BITMIME",
        "DSN",
        "SMTPUTF8",
        "CHUNKING",
    }


def test_mail_for_a_mailbox_arrives_with_its_sender(stage: Stage) -> None:
    with stage.connect() as client:
        assert (
            client.mail("Some.Body+Token=X@remote.example", "ann@example.com", body=b"Subject: m1\r\n\r\nx\r\n")[0]
            == "2"
        )
    assert stage.mailboxes.wait("Subject: m1").sender == "Some.Body+Token=X@remote.example"


@pytest.mark.parametrize(
    "recipient", ["ann+news@example.com", "ANN@EXAMPLE.COM", "sla/sh@example.com", '"ann"@example.com']
)
def test_forms_of_an_address_that_exist_are_taken(stage: Stage, recipient: str) -> None:
    with stage.connect() as client:
        assert client.mail(STRANGER, recipient).startswith("250")


@pytest.mark.parametrize(
    ("recipient", "code", "words"),
    [
        ("nobody@example.com", "550 5.1.1", "User unknown"),
        ("carl@example.com", "550 5.2.1", "switched off"),
        ("nobody", "504 5.5.2", "need fully-qualified address"),
        ("ann@mail.example.com", "554 5.7.1", "Relay access denied"),
    ],
)
def test_a_recipient_who_gets_nothing_is_refused_at_once(stage: Stage, recipient: str, code: str, words: str) -> None:
    with stage.connect() as client:
        assert client.say(f"MAIL FROM:<{STRANGER}>").startswith("250")
        reply = client.say(f"RCPT TO:<{recipient}>")
    assert reply.startswith(code)
    assert words in reply


def test_postmaster_without_a_domain_is_taken(stage: Stage) -> None:
    with stage.connect() as client:
        client.say(f"MAIL FROM:<{STRANGER}>")
        assert client.say("RCPT TO:<Postmaster>").startswith("250")


def test_one_refused_recipient_does_not_hinder_the_other(stage: Stage) -> None:
    with stage.connect() as client:
        client.say(f"MAIL FROM:<{STRANGER}>")
        assert client.say("RCPT TO:<nobody@example.com>").startswith("550")
        assert client.say("RCPT TO:<ann@example.com>").startswith("250")
        client.say("DATA")
        client.send(b"Subject: two\r\n\r\nx\r\n.\r\n")
        assert client.reply().startswith("250")


def test_a_mailbox_without_room_refuses_as_soon_as_the_size_is_known(stage: Stage) -> None:
    with stage.connect() as client:
        assert client.mail(STRANGER, "dora@example.com", options=" SIZE=2000").startswith("552 5.2.2")
    with stage.connect() as client:
        assert client.mail(STRANGER, "dora@example.com", body=b"x" * 1900 + b"\r\n").startswith("552 5.2.2")
    with stage.connect() as client:
        assert client.mail(STRANGER, "dora@example.com", options=" SIZE=100").startswith("250")


@pytest.mark.parametrize("sender", ["x@nowhere.invalid", "x@sub.remote.example"])
def test_a_sender_domain_that_is_not_there_is_refused(stage: Stage, sender: str) -> None:
    with stage.connect() as client:
        reply = client.mail(sender, "ann@example.com")
    # Without any resolver it is "try again", never taken and never refused for good.
    assert reply.startswith(("550 5.1.8", "450 4.1.8"))
    assert "Domain not found" in reply


@pytest.mark.parametrize("command", ["MAIL FROM:<x@y>", "MAIL FROM:<nobody>"])
def test_a_sender_without_a_full_domain_is_refused(stage: Stage, command: str) -> None:
    with stage.connect() as client:
        client.say(command)
        assert client.say("RCPT TO:<ann@example.com>").startswith("504")


def test_helo_is_required_and_addresses_cannot_be_fished(stage: Stage) -> None:
    with Dialogue(stage.settings.bind_address4, 25) as client:
        assert client.say(f"MAIL FROM:<{STRANGER}>").startswith("503")
        client.say("EHLO client.example")
        assert client.say("VRFY ann@example.com").startswith("502")
        assert client.say("EXPN sales@example.com")[0] == "5"
        assert client.say("ETRN example.com")[0] == "5"


def test_a_log_in_on_port_25_is_told_where_to_go(stage: Stage) -> None:
    with stage.connect() as client:
        reply = client.log_in("ann@example.com", "x")
        client.start_tls()
        assert client.log_in("ann@example.com", "x") == reply
    assert reply.startswith("503 5.5.1")
    assert reply.endswith("Port 25 takes no log-ins: use port 465 with SSL/TLS or 587 with STARTTLS")


def test_the_size_limit_holds_for_announced_and_for_real_sizes(stage: Stage) -> None:
    with stage.connect() as client:
        assert client.mail(STRANGER, "ann@example.com", options=" SIZE=1000001").startswith("552 5.3.4")
    with stage.connect() as client:
        client.say(f"MAIL FROM:<{STRANGER}>")
        client.say("RCPT TO:<ann@example.com>")
        client.say("DATA")
        client.send((b"x" * 98 + b"\r\n") * 10_100 + b".\r\n")
        assert client.reply().startswith("552 5.3.4")


def test_bdat_delivers_bytes_as_they_are(stage: Stage) -> None:
    body = b"Subject: bdat\r\n\r\n.\r\n..\r\nlast\r\n"
    with stage.connect() as client:
        client.say(f"MAIL FROM:<{STRANGER}> BODY=8BITMIME")
        client.say("RCPT TO:<ann@example.com>")
        client.send(b"BDAT %d\r\n%b" % (10, body[:10]))
        assert client.reply().startswith("250")
        client.send(b"BDAT %d LAST\r\n%b" % (len(body) - 10, body[10:]))
        assert client.reply().startswith("250")
    assert stage.mailboxes.wait("Subject: bdat").text.endswith(b"\r\n\r\n..\r\n...\r\nlast\r\n")


def test_an_internationalised_sender_reaches_a_mailbox_server_that_knows_none(stage: Stage) -> None:
    sender = "jürgen@bücher.example"
    with stage.connect() as client:
        text = "Subject: grüße\r\nFrom: jürgen@bücher.example\r\n\r\nx\r\n".encode()
        assert client.mail(sender, "ann@example.com", body=text, options=" SMTPUTF8 BODY=8BITMIME").startswith("250")
    arrived = stage.mailboxes.wait("grüße")
    assert "SMTPUTF8" not in arrived.mail
    assert arrived.sender == sender


def test_a_delivery_notice_is_sent_when_asked_for(stage: Stage) -> None:
    with stage.connect() as client:
        client.say(f"MAIL FROM:<{STRANGER}> RET=HDRS ENVID=letter-7")
        assert client.say("RCPT TO:<ann@example.com> NOTIFY=SUCCESS").startswith("250")
        client.say("DATA")
        client.send(b"Subject: notice please\r\n\r\nx\r\n.\r\n")
        assert client.reply().startswith("250")
    notice = stage.remote.wait("letter-7")
    assert notice.sender == ""
    assert notice.recipients[0].startswith(f"RCPT TO:<{STRANGER}>")
    assert b"Action: delivered" in notice.text


SMUGGLED = b"MAIL FROM:<admin@example.com>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\n\x00.\r\n", b"\r\n.\r\r\n"]
)
def test_only_a_dot_between_full_line_ends_ends_a_message(stage: Stage, end: bytes) -> None:
    word = f"outer{end.hex()}"
    with stage.connect() as client:
        client.say(f"MAIL FROM:<{STRANGER}>")
        client.say("RCPT TO:<ann@example.com>")
        client.say("DATA")
        client.send(
            b"Subject: " + word.encode() + b"\r\n\r\nx" + end + SMUGGLED.replace(b"smuggled", word.encode()) + b".\r\n"
        )
        reply = client.reply()
        client.say("QUIT")
    if reply.startswith("250"):
        stage.mailboxes.wait(f"Subject: {word}\r\n\r\nx")
    assert sum(word.encode() in delivery.text for delivery in stage.mailboxes.deliveries) <= 1


def test_commands_sent_before_the_greeting_or_out_of_turn_end_the_session(stage: Stage) -> None:
    with Dialogue(
        stage.settings.bind_address4,
        25,
        first=b"HELO x\r\nMAIL FROM:<x@remote.example>\r\nRCPT TO:<ann@example.com>\r\n",
    ) as client:
        words = [client.greeting, client.reply()]
    assert any(reply.startswith("554 5.5.0") for reply in words), words


def test_everything_goes_through_the_filter(stage: Stage) -> None:
    with stage.connect() as client:
        client.mail(STRANGER, "ann@example.com", body=b"Subject: seen by the filter\r\n\r\nx\r\n")
    assert any(b"seen by the filter" in packet for packet in stage.filtered)
    assert any(packet.startswith(f"M<{STRANGER}>".encode()) for packet in stage.filtered)
