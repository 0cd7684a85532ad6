"""Viruses and macros."""

from __future__ import annotations

import smtplib

import pytest

from tests.daemons.optional.conftest import SIGNATURE
from tests.daemons.server import OTHER, USER, Server, make_message

MACRO = 'Attribute VB_Name = "ThisDocument"\nSub AutoOpen()\nShell "cmd /c calc"\nOpen "x" For Output As #1\nEnd Sub\n'


def test_a_virus_does_not_get_in(full: Server) -> None:
    message = make_message(OTHER, USER, subject="a present")
    message.add_attachment(SIGNATURE.encode() * 3, maintype="application", subtype="octet-stream", filename="gift.bin")
    with pytest.raises(smtplib.SMTPResponseException):
        full.send(USER, sender="stranger@example.org", message=message, port=25)
    full.wait_for_log("antispam", "CLAM_VIRUS")


def test_a_document_with_macros_is_looked_at(full: Server) -> None:
    message = make_message(OTHER, USER, subject="an invoice")
    message.add_attachment((MACRO * 20).encode(), maintype="application", subtype="msword", filename="invoice.doc")
    with pytest.raises(smtplib.SMTPResponseException):
        full.send(USER, sender="stranger@example.org", message=message, port=25)
    full.wait_for_log("antispam", "OLETOOLS")
