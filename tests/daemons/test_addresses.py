"""Where mail for an address goes: every way in which the directory can lead it."""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Iterator

import pytest

from tests.daemons.conversation import api, wait_for_recipient
from tests.daemons.server import DOMAIN, OTHER, STRANGER, USER, Server, until

FAR = "somebody@example.net"


@contextlib.contextmanager
def alias(stack: Server, address: str, *destination: str, **fields: object) -> Iterator[str]:
    """An alias for the time of a test, in effect."""
    example = address.replace("%", ".any").lstrip(".")
    api(stack, "POST", "/alias", email=address, destination=list(destination), **fields)
    wait_for_recipient(stack, example)
    try:
        yield address
    finally:
        api(stack, "DELETE", f"/alias/{address}")
        wait_for_recipient(stack, example, 550)


def explained(stack: Server, address: str) -> str:
    return stack.command("explain", address, check=False).stdout


def refusal(stack: Server, recipient: str) -> tuple[int, str]:
    """How port 25 refuses a recipient; fails when it takes it."""
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        stack.send(recipient, sender=STRANGER, port=25)
    code, text = caught.value.recipients[recipient]
    return code, text.decode()


def arrives(stack: Server, at: str, recipient: str, subject: str, *, at_login: str) -> None:
    stack.send(recipient, sender=STRANGER, subject=subject, port=25)
    found = stack.wait_for_message(at_login, subject=subject)
    assert found["Delivered-To"] == at


def test_an_alias_leads_to_every_destination(stack: Server) -> None:
    with alias(stack, f"both@{DOMAIN}", USER, OTHER):
        stack.send(f"both@{DOMAIN}", sender=STRANGER, subject="to both", port=25)
        for login in (USER, OTHER):
            stack.wait_for_message(login, subject="to both")


def test_an_exact_alias_beats_a_wildcard_and_a_mailbox_beats_both(stack: Server) -> None:
    with alias(stack, f"sales.exact@{DOMAIN}", USER), alias(stack, f"sales%@{DOMAIN}", OTHER, wildcard=True):
        stack.send(f"sales.berlin@{DOMAIN}", sender=STRANGER, subject="by wildcard", port=25)
        stack.send(f"sales.exact@{DOMAIN}", sender=STRANGER, subject="by exact alias", port=25)
        stack.wait_for_message(OTHER, subject="by wildcard")
        stack.wait_for_message(USER, subject="by exact alias")


def test_a_catch_all_leaves_existing_mailboxes_alone(stack: Server) -> None:
    with alias(stack, f"%@{DOMAIN}", OTHER, wildcard=True):
        stack.send(f"whoever@{DOMAIN}", sender=STRANGER, subject="caught", port=25)
        stack.send(USER, sender=STRANGER, subject="not caught", port=25)
        stack.wait_for_message(OTHER, subject="caught")
        stack.wait_for_message(USER, subject="not caught")


def test_an_unknown_address_is_refused_at_once(stack: Server) -> None:
    code, text = refusal(stack, f"nobody@{DOMAIN}")
    assert (code, "5.1.1" in text) == (550, True)


def test_an_alternative_name_works_for_every_address_of_its_domain(stack: Server) -> None:
    api(stack, "POST", "/alternative", name="alt.test", domain=DOMAIN)
    try:
        wait_for_recipient(stack, "user@alt.test")
        stack.send("user@alt.test", sender=STRANGER, subject="by its other name", port=25)
        stack.wait_for_message(USER, subject="by its other name")
    finally:
        api(stack, "DELETE", "/alternative/alt.test")


def test_what_follows_the_delimiter_is_kept_for_the_reader(stack: Server) -> None:
    arrives(stack, f"user+shop@{DOMAIN}", f"user+shop@{DOMAIN}", "with detail", at_login=USER)


def test_a_name_with_slashes_is_a_mailbox_like_others(stack: Server) -> None:
    address = stack.add_user("bob/with/slash")
    wait_for_recipient(stack, address)
    stack.send(address, sender=STRANGER, subject="to a slash", port=25)
    stack.wait_for_message(address, subject="to a slash")


@pytest.mark.parametrize("keep", [True, False])
def test_a_forward_goes_on_and_keeps_a_copy_only_if_asked(stack: Server, keep: bool) -> None:
    subject = f"forwarded, keep {keep}"
    api(stack, "PATCH", f"/user/{USER}", forward_enabled=True, forward_destination=[OTHER, FAR], forward_keep=keep)
    try:
        until(lambda: FAR in explained(stack, USER), what="the forward")
        stack.send(USER, sender=STRANGER, subject=subject, port=25)
        stack.wait_for_message(OTHER, subject=subject)
        line = stack.wait_for_log("smtp", f"to=<{FAR}>, orig_to=<{USER}>")
        assert "status=deferred" in line or "status=sent" in line or "status=bounced" in line
        if keep:
            stack.wait_for_message(USER, subject=subject)
        else:
            assert subject not in [message["Subject"] for message in stack.messages(USER)]
    finally:
        api(stack, "PATCH", f"/user/{USER}", forward_enabled=False)
        until(lambda: FAR not in explained(stack, USER), what="the end of the forward")


def test_a_disabled_mailbox_refuses_mail_and_log_ins_with_a_clear_text(stack: Server) -> None:
    address = stack.add_user("leaving")
    stack.command("user-delete", address)
    wait_for_recipient(stack, address, 550)
    code, text = refusal(stack, address)
    assert code == 550
    assert "5.2.1" in text
    with pytest.raises(smtplib.SMTPAuthenticationError):
        stack.smtp(465, login=address)


def test_a_full_mailbox_refuses_at_rcpt_time_and_takes_mail_again_when_there_is_room(stack: Server) -> None:
    address = stack.add_user("full")
    wait_for_recipient(stack, address)
    stack.send(address, sender=STRANGER, subject="fits", text="x" * 70_000, port=25)
    stack.wait_for_message(address, subject="fits")
    api(stack, "PATCH", f"/user/{address}", quota_bytes=50_000)

    def refused() -> bool:
        try:
            stack.send(address, sender=STRANGER, subject="too much", port=25)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = error.recipients[address]
            assert code == 552
            assert b"5.2.2" in text
            return True
        except smtplib.SMTPDataError as error:  # the change came between RCPT TO and the end of the message
            if error.smtp_code != 552:
                raise
        return False

    until(refused, what="the refusal")
    api(stack, "PATCH", f"/user/{address}", quota_bytes=500_000)
    until(lambda: not refused(), what="the end of the refusal")


def test_a_new_mailbox_of_an_old_name_does_not_inherit_its_mail(stack: Server) -> None:
    address = stack.add_user("again")
    wait_for_recipient(stack, address)
    stack.send(address, sender=STRANGER, subject="for the first", port=25)
    stack.wait_for_message(address, subject="for the first")
    stack.command("user-delete", "--really", address)
    wait_for_recipient(stack, address, 550)
    stack.add_user("again", password="another good password")
    wait_for_recipient(stack, address)
    assert stack.messages(address, password="another good password") == []
