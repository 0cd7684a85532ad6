"""Every form in which mail may come, through the whole stack: what was accepted is what is read."""

from __future__ import annotations

import hashlib
from email.message import EmailMessage

import pytest

from tests.daemons.conversation import SmtpWords, smtp_words
from tests.daemons.server import OTHER, STRANGER, USER, Server, make_message, until

FULL_MESSAGE_BYTES = 50_000_000


def body_on_disk(stack: Server, subject: str, *, folder: str = "INBOX", login: str = USER) -> bytes:
    """The raw message with that subject, octet by octet, as IMAP gives it."""
    stack.wait_for_message(login, subject=subject, folder=folder, seconds=60)
    with stack.imap(login) as session:
        session.select(folder, readonly=True)
        number = session.search(None, "SUBJECT", f'"{subject}"')[1][0].split()[-1]
        answer = session.fetch(number.decode(), "(BODY.PEEK[])")[1][0]
        assert isinstance(answer, tuple)
        return answer[1]


def envelope(words: SmtpWords, recipient: str, *, sender: str = STRANGER, options: str = "") -> None:
    assert words.say(f"MAIL FROM:<{sender}>{options}")[0] == 250
    assert words.say(f"RCPT TO:<{recipient}>")[0] == 250


def test_extensions_are_offered_on_every_port_that_takes_mail(stack: Server) -> None:
    with stack.smtp(25) as inbound, stack.smtp(465) as submission:
        for connection in (inbound, submission):
            connection.ehlo("client.example.org")
            for extension in ("pipelining", "size", "8bitmime", "dsn", "smtputf8", "chunking", "enhancedstatuscodes"):
                assert connection.has_extn(extension), extension
        assert not inbound.has_extn("auth")
        assert submission.has_extn("auth")


def test_internationalised_addresses_and_headers_arrive_as_they_are(stack: Server) -> None:
    message = make_message(STRANGER, USER, subject="Grüße aus 東京", text="Schöne Grüße\n")
    message.replace_header("From", "Jürgen <jürgen@example.org>")
    with stack.smtp(25) as connection:
        connection.send_message(message, "jürgen@example.org", [USER], mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    found = stack.wait_for_message(USER, subject="Grüße aus 東京")
    assert "jürgen@example.org" in str(found["From"])
    assert found.get_content().strip() == "Schöne Grüße"


def test_eight_bit_text_is_not_changed(stack: Server) -> None:
    text = (
        "Subject: eight bits\r\nFrom: <stranger@example.org>\r\nTo: <user@mailu.test>\r\n"
        "Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nÄÖÜ €\r\n"
    )
    with stack.smtp(25) as connection:
        connection.sendmail(STRANGER, [USER], text.encode(), mail_options=["BODY=8BITMIME"])
    assert "ÄÖÜ €".encode() in body_on_disk(stack, "eight bits")


def test_chunks_make_one_message(stack: Server) -> None:
    text = make_message(STRANGER, USER, subject="in chunks", text=".\nlines with dots\n..\n").as_bytes(
        policy=EmailMessage().policy.clone(linesep="\r\n")
    )
    with smtp_words(stack.address) as words:
        envelope(words, USER)
        half = len(text) // 2
        assert words.say(f"BDAT {half}\r\n".encode() + text[:half])[0] == 250
        assert words.say(f"BDAT {len(text) - half} LAST\r\n".encode() + text[half:])[0] == 250
    assert body_on_disk(stack, "in chunks").endswith(b".\r\nlines with dots\r\n..\r\n")


def test_pipelined_commands_are_answered_in_order(stack: Server) -> None:
    with smtp_words(stack.address) as words:
        words.send(
            f"MAIL FROM:<{STRANGER}>\r\nRCPT TO:<nobody-here@mailu.test>\r\nRCPT TO:<{USER}>\r\nDATA\r\n".encode()
        )
        assert [words.hear()[0] for _ in range(4)] == [250, 550, 250, 354]
        words.send(make_message(STRANGER, USER, subject="pipelined").as_bytes().replace(b"\n", b"\r\n") + b"\r\n.\r\n")
        assert words.hear()[0] == 250
    stack.wait_for_message(USER, subject="pipelined")


def test_a_success_notice_is_sent_when_asked_for(stack: Server) -> None:
    message = make_message(OTHER, USER, subject="tell me")
    with stack.smtp(465, login=OTHER) as connection:
        connection.send_message(message, OTHER, [USER], rcpt_options=["NOTIFY=SUCCESS"])
    notice = until(
        lambda: next((m for m in stack.messages(OTHER) if m.get_content_type() == "multipart/report"), None),
        what="the notice",
    )
    assert "delivery-status" in str(notice)


def test_the_largest_message_arrives_whole_and_a_larger_one_is_refused_at_once(stack: Server) -> None:
    line = b"0123456789" * 7 + b"\r\n"
    header = (
        b"Subject: fifty megabytes\r\nFrom: <stranger@example.org>\r\nTo: <user@mailu.test>\r\n"
        b"Message-ID: <fifty@example.org>\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\n"
    )
    body = line * ((FULL_MESSAGE_BYTES - 4096) // len(line))
    with stack.smtp(25) as connection:
        connection.ehlo("client.example.org")
        assert connection.mail(STRANGER, [f"SIZE={FULL_MESSAGE_BYTES + 1}"])[0] == 552
        connection.sendmail(STRANGER, [USER], header + body)
    stored = body_on_disk(stack, "fifty megabytes")
    found = stored.partition(b"\r\n\r\n")[2]
    assert hashlib.sha256(found).digest() == hashlib.sha256(body).digest()


@pytest.mark.parametrize("port", [465, 587])
def test_a_user_writes_internationalised_mail_to_another_one(stack: Server, port: int) -> None:
    subject = f"こんにちは {port}"
    message = make_message(OTHER, USER, subject=subject)
    message.replace_header("To", "Frau Müller <user@mailu.test>")
    with stack.smtp(port, login=OTHER) as connection:
        connection.send_message(message, OTHER, [USER], mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    stack.wait_for_message(USER, subject=subject)
