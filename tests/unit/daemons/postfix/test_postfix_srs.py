"""Forwarded mail: a stranger's envelope sender is rewritten where mail leaves this machine, and only there."""

from __future__ import annotations

import pytest
from tests.unit.daemons.postfix.stage import Stage, address

pytestmark = pytest.mark.daemons

STRANGER = "Bounces+Token=Ab@remote.example"


def send(stage: Stage, word: str, *recipients: str, sender: str = STRANGER) -> None:
    with stage.connect() as client:
        assert (
            client.mail(sender, *recipients, body=f"Subject: {word}\r\nTo: x@example.com\r\n\r\nx\r\n".encode())[0]
            == "2"
        )


def test_a_forward_leaves_with_our_sender_and_the_copy_that_stays_with_the_original(stage: Stage) -> None:
    send(stage, "srs both", "bob@example.com")
    left, stayed = stage.remote.wait("srs both"), stage.mailboxes.wait("srs both")
    assert left.sender.startswith("SRS0=")
    assert left.sender.endswith("=remote.example=Bounces+Token=Ab@example.com")
    assert left.recipients[0].startswith("RCPT TO:<bob@remote.example>")
    assert stayed.sender == STRANGER


@pytest.mark.parametrize("recipient", ["away@example.com", "slow@example.com", "anybody@relayed.example"])
def test_every_way_out_is_rewritten(stage: Stage, recipient: str) -> None:
    word = f"srs {recipient}"
    send(stage, word, recipient)
    assert stage.remote.wait(word).sender.startswith("SRS0=")


def test_our_own_senders_and_bounces_leave_as_they_are(stage: Stage) -> None:
    with stage.logged_in() as client:
        client.mail("ann@example.com", "away@example.com", body=b"Subject: srs own\r\n\r\nx\r\n")
    assert stage.remote.wait("srs own").sender == "ann@example.com"
    send(stage, "srs null", "away@example.com", sender="")
    assert stage.remote.wait("srs null").sender == ""


def test_a_bounce_to_a_rewritten_sender_reaches_the_original(stage: Stage) -> None:
    send(stage, "srs there", "away@example.com")
    rewritten = stage.remote.wait("srs there").sender
    for form in (rewritten, rewritten.lower()):
        word = f"srs back {form[:3]}"
        send(stage, word, form, sender="")
        back = stage.remote.wait(word)
        assert back.recipients[0].lower().startswith(f"rcpt to:<{STRANGER.lower()}>")
        assert back.sender == ""


def test_a_chain_of_forwarders_is_followed_backwards(stage: Stage) -> None:
    first = "SRS0=aaaa=AA=far.example=carl@remote.example"
    send(stage, "srs chain", "away@example.com", sender=first)
    rewritten = stage.remote.wait("srs chain").sender
    assert rewritten.startswith("SRS1=")
    send(stage, "srs unchained", rewritten, sender="")
    assert stage.remote.wait("srs unchained").recipients[0].startswith(f"RCPT TO:<{first}>")
    send(stage, "srs kept", "ann@example.com", sender=first)
    assert stage.mailboxes.wait("srs kept").sender == first


def test_a_forged_rewritten_address_is_nobody(stage: Stage) -> None:
    send(stage, "srs real", "away@example.com")
    rewritten = stage.remote.wait("srs real").sender
    forged = rewritten.replace("remote.example", "victim.example")
    with stage.connect() as client:
        assert client.mail("", forged).startswith("550 5.1.1")


def test_headers_keep_what_they_say(stage: Stage) -> None:
    with stage.connect() as client:
        text = f"From: {STRANGER}\r\nReply-To: <{STRANGER}>\r\nTo: bob@example.com\r\nSubject: srs head\r\n\r\nx\r\n"
        client.mail(STRANGER, "bob@example.com", body=text.encode())
    for arrived in (stage.remote.wait("srs head"), stage.mailboxes.wait("srs head")):
        assert arrived.text.endswith(text.encode())


def test_a_local_delivery_notice_goes_to_the_original_sender(stage: Stage) -> None:
    with stage.connect() as client:
        client.say(f"MAIL FROM:<{STRANGER}> ENVID=srs-notice")
        client.say("RCPT TO:<ann@example.com> NOTIFY=SUCCESS")
        client.say("DATA")
        client.send(b"Subject: n\r\n\r\nx\r\n.\r\n")
        client.reply()
    assert stage.remote.wait("srs-notice").recipients[0].startswith(f"RCPT TO:<{STRANGER}>")


def test_the_main_domain_takes_its_bounces_even_if_it_has_no_mailboxes() -> None:
    with Stage(bind_address4=address(9), domain="main.example") as elsewhere:
        send(elsewhere, "srs main", "away@example.com")
        rewritten = elsewhere.remote.wait("srs main").sender
        assert rewritten.endswith("@main.example")
        send(elsewhere, "srs home", rewritten, sender="")
        elsewhere.remote.wait("srs home")
        with elsewhere.connect() as client:
            assert client.mail("", rewritten.replace("remote", "victim"))[0] == "5"
            client.say("RSET")
            assert client.mail("", "somebody@main.example").startswith("554 5.7.1")
