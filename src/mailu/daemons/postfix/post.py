"""Messages of the system itself to the postmaster, handed to Postfix's ``inject`` service, which queues them."""

from __future__ import annotations

import smtplib
import socket
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from pathlib import Path

from mailu.places import Places
from mailu.settings import Settings

SECONDS = 30.0


class NotSent(Exception):
    """Postfix did not take the message; the text says why."""


class _UnixSmtp(smtplib.SMTP):
    """SMTP over a unix socket; *host* is its path."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(host)
        return connection


def inject_socket(places: Places) -> Path:
    """Where Postfix takes mail from the services of its own machine."""
    return places.mail_queue / "public" / "inject"


def tell_postmaster(settings: Settings, subject: str, text: str) -> None:
    """Queue one message for POSTMASTER@DOMAIN. Raises NotSent."""
    message = notice(settings, subject, text)
    try:
        with _UnixSmtp(str(inject_socket(Places(settings.root))), 0, settings.hostname, timeout=SECONDS) as server:
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"Postfix did not take a message: {error}") from None


def notice(settings: Settings, subject: str, text: str) -> EmailMessage:
    """The message; no program answers it (RFC 3834)."""
    address = settings.postmaster_address
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(settings.sitename, address.localpart, address.domain)
    message["To"] = str(address)
    message["Subject"] = " ".join(subject.split())
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=settings.domain)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message
