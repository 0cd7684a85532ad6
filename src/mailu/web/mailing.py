"""Mail that the pages send: announcements, first messages to new mailboxes.

It is handed to Postfix's ``inject`` service, which queues it; nothing here waits for a delivery. Many recipients
share a transaction, so an announcement to thousands is a few dozen of them, sent by a task of its own after the page
was answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from pathlib import Path

from mailu.places import Places
from mailu.settings import Settings

log = logging.getLogger("mailu.web")

RECIPIENTS_AT_ONCE = 100
_TIMEOUT_SECONDS = 60.0
_TASKS: set[asyncio.Task[None]] = set()


class NotSent(Exception):
    """Postfix did not take a message; the text is what it said."""


def inject_socket(settings: Settings) -> Path:
    """Where Postfix takes mail from the services of its own machine."""
    return Places(settings.root).mail_queue / "public" / "inject"


def system_message(settings: Settings, subject: str, text: str) -> EmailMessage:
    """A message from the postmaster, without a recipient's name in it."""
    message = EmailMessage(policy=SMTP)
    sender = settings.postmaster_address
    message["From"] = Address(settings.sitename, sender.localpart, sender.domain)
    message["To"] = "undisclosed-recipients:;"
    message["Subject"] = " ".join(subject.split())
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=settings.domain)
    message["Auto-Submitted"] = "auto-generated"
    message["Precedence"] = "bulk"
    message.set_content(text.replace("\r\n", "\n"))
    return message


def send_later(settings: Settings, message: EmailMessage, recipients: Iterable[str]) -> None:
    """Hand *message* to Postfix for all *recipients*, in a task of its own. Call it on the event loop."""
    task = asyncio.create_task(_send_all(settings, message, list(recipients)))
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)


async def _send_all(settings: Settings, message: EmailMessage, recipients: list[str]) -> None:
    sent = 0
    for start in range(0, len(recipients), RECIPIENTS_AT_ONCE):
        group = recipients[start : start + RECIPIENTS_AT_ONCE]
        try:
            sent += await send(settings, message, group)
        except (NotSent, OSError, TimeoutError) as error:
            log.error("a message to %d mailboxes was not taken by Postfix: %s", len(group), error)
    log.info("%r was queued for %d of %d mailboxes", str(message["Subject"]), sent, len(recipients))


async def send(settings: Settings, message: EmailMessage, recipients: Sequence[str]) -> int:
    """Hand *message* to Postfix; return how many recipients it took. Raises NotSent, OSError, TimeoutError."""
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_unix_connection(inject_socket(settings))
        try:
            return await _converse(reader, writer, settings, message, recipients)
        finally:
            writer.close()


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    settings: Settings,
    message: EmailMessage,
    recipients: Sequence[str],
) -> int:
    async def ask(line: str) -> str:
        if line:
            writer.write(f"{line}\r\n".encode())
            await writer.drain()
        return await _answer(reader)

    async def need(line: str, digit: str) -> None:
        answer = await ask(line)
        if not answer.startswith(digit):
            raise NotSent(answer)

    await need("", "2")
    await need(f"EHLO {settings.hostname}", "2")
    await need(f"MAIL FROM:<{settings.postmaster_address}>", "2")
    taken = 0
    for recipient in recipients:
        answer = await ask(f"RCPT TO:<{recipient}>")
        taken += answer.startswith("2")
    if not taken:
        raise NotSent("none of the recipients was accepted")
    await need("DATA", "3")
    writer.write(_dotted(message.as_bytes()))
    await need("", "2")
    return taken


async def _answer(reader: asyncio.StreamReader) -> str:
    while True:
        line = (await reader.readline()).decode("utf-8", "replace").strip()
        if line[3:4] != "-":
            return line or "421 the connection was closed"


def _dotted(message: bytes) -> bytes:
    """As it goes over the wire: dots doubled at the start of a line, and the line that ends it (RFC 5321 s4.5.2)."""
    lines = message.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"
