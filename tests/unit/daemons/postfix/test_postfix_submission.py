"""What our users may do on 465 and 587."""

from __future__ import annotations

import pytest
from tests.unit.daemons.postfix.stage import PASSWORD, Stage, address

from mailu.settings import Rate

pytestmark = pytest.mark.daemons


def test_port_587_takes_nothing_before_tls(stage: Stage) -> None:
    with stage.connect(587) as client:
        assert "AUTH" not in client.say("EHLO client.example")
        assert client.log_in("ann@example.com", PASSWORD).startswith("530 5.7.0 Must issue a STARTTLS")
        assert client.say("MAIL FROM:<ann@example.com>").startswith("530")
        client.start_tls()
        assert "AUTH PLAIN LOGIN" in client.say("EHLO client.example")
        assert client.log_in("ann@example.com", PASSWORD).startswith("235")


@pytest.mark.parametrize("port", [465, 587])
@pytest.mark.parametrize("sender", ["ann@example.com", "sales@example.com", "ann+shop@example.com", "Ann@Example.Com"])
def test_a_user_sends_under_the_addresses_that_lead_to_them(stage: Stage, port: int, sender: str) -> None:
    word = f"own {port} {sender}"
    with stage.logged_in(port=port) as client:
        assert client.mail(sender, "far@remote.example", body=f"Subject: {word}\r\n\r\nx\r\n".encode()).startswith(
            "250"
        )
    assert stage.remote.wait(word).sender.lower() == sender.lower()


@pytest.mark.parametrize(
    "sender",
    ["bob@example.com", "nobody@example.com", "ann@nowhere.invalid", "x@remote.example", "away@example.com", ""],
)
def test_a_user_does_not_send_under_others_and_is_told_what_is_theirs(stage: Stage, sender: str) -> None:
    with stage.logged_in() as client:
        reply = client.mail(sender, "far@remote.example")
    assert reply.startswith("553 5.7.1")
    assert "you are logged in as ann@example.com" in reply
    assert "sales@example.com" in reply


def test_the_table_of_senders_holds_when_the_policy_is_silent() -> None:
    silent = "submission_recipient_restrictions = reject_non_fqdn_recipient, reject_sender_login_mismatch\n"
    with Stage(bind_address4=address(4), overrides={"postfix.cf": silent}) as careless:
        for sender in ("bob@example.com", "x@remote.example"):
            with careless.logged_in() as client:
                reply = client.mail(sender, "far@remote.example")
                assert reply.startswith("553 5.7.1"), (sender, reply)


def test_a_message_leaves_without_the_place_and_the_program_it_came_from(stage: Stage) -> None:
    headers = (
        "Received: from laptop.home ([192.168.1.77]) by router.home; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
        "X-Originating-IP: [192.168.1.77]\r\nUser-Agent: Mailer/1\r\nX-Mailer: Mailer\r\nX-Enigmail: yes\r\n"
        "X-Pgp-Agent: GPG\r\nMime-Version: 1.0 (Mac OS X Mail 16.0)\r\nSubject: clean\r\nX-Kept: yes\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n'
        "Received: kept inside\r\nUser-Agent: kept inside\r\nSubject: inner\r\n\r\nx\r\n--b--\r\n"
    )
    with stage.logged_in() as client:
        assert client.mail("ann@example.com", "far@remote.example", body=headers.encode()).startswith("250")
    outer, _, inner = stage.remote.wait("Subject: clean").text.decode().partition("\r\n\r\n")
    for word in ("192.168", "laptop", "client.example", "User-Agent", "X-Mailer", "X-Enigmail", "X-Pgp", "Mac OS"):
        assert word not in outer
    assert outer.startswith(
        "Received: from authenticated-user (localhost [127.0.0.1]) by mail.example.com (Postfix) with"
    )
    assert "MIME-Version: 1.0\r\n" in outer
    assert "X-Kept: yes" in outer
    assert "Received: kept inside" in inner
    assert "User-Agent: kept inside" in inner


def test_the_filter_sees_every_header_and_who_sent_it(stage: Stage) -> None:
    with stage.logged_in() as client:
        client.mail(
            "ann@example.com", "far@remote.example", body=b"From: ann@example.com\r\nSubject: signed\r\n\r\nx\r\n"
        )
    end = next(index for index, packet in enumerate(stage.filtered) if packet == b"LSubject\x00signed\x00")
    session = b"".join(stage.filtered[max(0, end - 12) : end])
    assert b"LFrom\x00ann@example.com" in session
    assert b"{auth_authen}\x00ann@example.com" in session


@pytest.mark.parametrize(("choice", "code"), [(True, "550 5.1.1"), (False, "250")])
def test_reject_unlisted_recipient_decides_about_unknown_recipients_of_ours(choice: bool, code: str) -> None:
    with Stage(bind_address4=address(5), reject_unlisted_recipient=choice) as standing, standing.logged_in() as client:
        assert client.mail("ann@example.com", "nobody@example.com").startswith(code)


def test_the_sending_limit_counts_recipients_and_says_later() -> None:
    with Stage(bind_address4=address(6), message_ratelimit=Rate(2, 86400)) as limited, limited.logged_in() as client:
        client.say("MAIL FROM:<ann@example.com>")
        assert client.say("RCPT TO:<a@remote.example>").startswith("250")
        assert client.say("RCPT TO:<b@remote.example>").startswith("250")
        assert client.say("RCPT TO:<c@remote.example>").startswith("450 4.2.1")


def test_notls_offers_plain_log_ins_and_no_port_465() -> None:
    with Stage(bind_address4=address(7), tls_flavor="notls") as plain, plain.connect(587) as client:
        offered = client.say("EHLO client.example")
        assert "STARTTLS" not in offered
        assert "AUTH PLAIN LOGIN" in offered
        assert client.log_in("ann@example.com", PASSWORD).startswith("235")
        assert client.mail("ann@example.com", "far@remote.example").startswith("250")
        with pytest.raises(ConnectionRefusedError):
            plain.connect(465)
