"""Mail is counted as it comes, goes and is refused, and shown on the page, by the API and by the command."""

from __future__ import annotations

import itertools
import json
import smtplib
from collections.abc import Iterator

import pytest

from tests.daemons.conftest import NETWORK
from tests.daemons.conversation import api, elsewhere, wait_for_recipient
from tests.daemons.server import ADMIN, STRANGER, Server, until
from tests.daemons.test_pages import visitor

COUNTED = "counted.test"
FAR = "far.test"


@pytest.fixture
def people(stack: Server) -> Iterator[tuple[str, str]]:
    """Two people in a domain that nobody else uses."""
    names = stack.add_user("ann", domain=COUNTED), stack.add_user("bob", domain=COUNTED)
    for name in names:
        wait_for_recipient(stack, name)
    yield names
    api(stack, "DELETE", f"/domain/{COUNTED}")


def test_mail_in_out_refused_and_filed_as_junk_is_counted(stack: Server, people: tuple[str, str]) -> None:
    ann, bob = people
    before = numbers(stack)
    with elsewhere(f"{NETWORK}.91") as (port, envelopes):
        api(stack, "POST", "/relay", name=FAR, smtp=f"[{NETWORK}.91]:{port}")
        stack.send(bob, sender=ann, subject="inside")
        stack.send(bob, sender=STRANGER, subject="from outside", port=25)
        wait_for_recipient(stack, f"somebody@{FAR}")
        stack.send(f"somebody@{FAR}", sender=ann, subject="to the outside")
        until(lambda: envelopes, seconds=60, what="the message elsewhere")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            stack.send(f"nobody@{COUNTED}", sender=STRANGER, port=25)
        api(stack, "DELETE", f"/relay/{FAR}")
    api(stack, "PATCH", f"/user/{ann}", mail_rules=[{"match": "always", "folder": "Junk"}])
    more = send_until_filed(stack, ann)
    expected = {"received": 2 + more, "sent": 1, "refused": 1, "junk": 1}
    until(lambda: at_least(numbers(stack, COUNTED), expected), seconds=120, what="the numbers")
    found = numbers(stack, COUNTED)
    # Whether somebody is here was asked until it was so: there may be more refusals.
    assert {**found, "refused": 1} == expected
    assert at_least(numbers(stack), {kind: before[kind] + number for kind, number in expected.items()})
    said = json.loads(stack.command("statistics", "--domain", COUNTED, "--json").stdout)
    assert {kind: sum(day[kind] for day in said) for kind in expected} == found
    with visitor(stack, ADMIN) as admin:
        assert '<rect class="bar"' in admin.get("/admin/").text
        assert f'<td class="number">{expected["received"]}</td>' in admin.get(f"/admin/statistics/{COUNTED}").text


def numbers(server: Server, domain: str | None = None) -> dict[str, int]:
    """What the API says of the last thirty days together."""
    days = api(server, "GET", "/statistics" if domain is None else f"/statistics?domain={domain}")
    return {kind: sum(day[kind] for day in days) for kind in ("received", "sent", "refused", "junk")}


def at_least(found: dict[str, int], expected: dict[str, int]) -> bool:
    return all(found[kind] >= number for kind, number in expected.items())


def send_until_filed(server: Server, recipient: str) -> int:
    """Send until a message is filed into Junk, so the rule is in force; returns how many were sent."""
    numbers = itertools.count(1)

    def filed() -> int:
        number = next(numbers)
        subject = f"for Junk, {number}"
        server.send(recipient, sender=STRANGER, subject=subject, port=25)
        folder = until(lambda: folder_of(server, recipient, subject), seconds=60, what="the arrival")
        return number if folder == "Junk" else 0

    return until(filed, seconds=120, what="the rule")


def folder_of(server: Server, login: str, subject: str) -> str:
    """Where a message is; empty while it is nowhere."""
    for folder in ("INBOX", "Junk"):
        if any(message["Subject"] == subject for message in server.messages(login, folder=folder)):
            return folder
    return ""
