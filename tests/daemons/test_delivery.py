"""The first thing a mail server is for: mail comes in and can be read."""

from __future__ import annotations

import smtplib

import pytest

from tests.daemons.server import ADMIN, OTHER, STRANGER, USER, Server


def test_a_user_writes_to_another_one(stack: Server) -> None:
    sent = stack.send(OTHER, subject="from a user", text="Lunch?\n")
    arrived = stack.wait_for_message(OTHER, subject="from a user")
    assert arrived["Message-ID"] == sent["Message-ID"]
    assert arrived.get_content().splitlines() == ["Lunch?"]


@pytest.mark.parametrize("port", [465, 587])
def test_both_submission_ports_take_mail(stack: Server, port: int) -> None:
    stack.send(OTHER, subject=f"on {port}", port=port)
    stack.wait_for_message(OTHER, subject=f"on {port}")


def test_a_stranger_writes_to_a_user(stack: Server) -> None:
    stack.send(USER, sender=STRANGER, subject="from a stranger", port=25)
    stack.wait_for_message(USER, subject="from a stranger")


def test_a_stranger_cannot_write_to_strangers(stack: Server) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
        stack.send("somebody@example.net", sender=STRANGER, port=25)
    (code, text) = refusal.value.recipients["somebody@example.net"]
    assert 500 <= code < 600, text


def test_nobody_sends_in_another_ones_name(stack: Server) -> None:
    with pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused)):
        stack.send(OTHER, sender=ADMIN, login=USER)


def test_a_wrong_password_is_refused(stack: Server) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        stack.smtp(465, login=USER, password="wrong")
