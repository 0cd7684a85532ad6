"""Signing keys on a whole server: those of an earlier one, those of other names, and every way of changing them."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mailu.identity.dkim import public_record
from tests.daemons.conversation import WITH_API, api
from tests.daemons.island import Island, IslandServer, can_be_made
from tests.daemons.server import ADMIN, DOMAIN, USER, make_message, until
from tests.daemons.test_pages import send, visitor

pytestmark = pytest.mark.timeout(1200)

OTHER_NAME = "other.test"
SEED = bytes([255]) * 32
"""In base64 it begins with a slash, as a path does."""
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)
OLD = {
    f"{DOMAIN}.dkim.key": RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    f"{DOMAIN}.dkim-ed25519.key": ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
}
ROTATION_DAYS = 365
ROUND_SECONDS = 400
"""The keys are looked after every five minutes."""


class Site:
    """A server whose records are in DNS, whenever ``publish`` is called."""

    def __init__(self, island: Island) -> None:
        self.island = island
        self.server = IslandServer(island, {**WITH_API, "DKIM_ROTATION_DAYS": str(ROTATION_DAYS)})

    def publish(self) -> None:
        self.island.publish(self.server.records())

    def keys(self, state: str) -> list[str]:
        """Selectors of the keys in a state."""
        shown: list[dict[str, Any]] = json.loads(self.server.command("dkim", "list", DOMAIN, "--json").stdout)
        return sorted(one["selector"] for one in shown if one["state"] == state)

    def verified(self, sender: str, subject: str) -> dict[str, str]:
        """Send a message, and have dkimpy verify its signatures: selector to domain."""
        self.server.send(USER, sender=sender, login=USER, message=make_message(sender, USER, subject=subject))
        self.server.wait_for_message(USER, subject=subject, seconds=90)
        raw = next(one for one in self.server.raw_messages(USER) if f"Subject: {subject}\r\n".encode() in one)
        signatures = re.findall(rb"^DKIM-Signature: (.*?)\r\n(?=\S)", raw, re.MULTILINE | re.DOTALL)
        for index in range(len(signatures)):
            assert dkim.DKIM(raw).verify(idx=index, dnsfunc=self.island.names.text), signatures[index]
        return {_tag(one, "s"): _tag(one, "d") for one in signatures}

    def uses(self, keys: list[str]) -> None:
        """New mail is signed with these keys alone, as soon as the filter knows them."""
        until(
            lambda: sorted(self.verified(USER, f"signed {time.monotonic()}")) == keys, seconds=60, what=f"use of {keys}"
        )


def _tag(signature: bytes, name: str) -> str:
    found = re.search(rf"(?:^|[;\s]){name}=([^;\s]+)".encode(), signature)
    assert found, signature
    return found[1].decode()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    if not can_be_made():
        pytest.skip("no right to make network namespaces here, or no knot: ./mailu install --tests")
    island = Island()
    try:
        island.start()
        made = Site(island)
        try:
            folder = made.server.root / "dkim"
            folder.mkdir()
            for name, text in OLD.items():
                (folder / name).write_bytes(text)
                (folder / name).chmod(0o600)
                long_ago = time.time() - 2 * ROTATION_DAYS * 86_400
                os.utime(folder / name, (long_ago, long_ago))
            made.server.up()
            made.server.populate()
            with made.server.machine.here():
                api(made.server, "POST", "/alternative", name=OTHER_NAME, domain=DOMAIN)
            made.publish()
            yield made
        finally:
            made.server.remove()
    finally:
        island.remove()


def test_the_keys_of_an_earlier_server_sign_on(site: Site) -> None:
    records = site.server.records()
    for selector, key in (("dkim", RSA), ("dkim-ed25519", ED25519)):
        (line,) = [one for one in records.splitlines() if one.startswith(f"{selector}._domainkey.{DOMAIN}. ")]
        assert "".join(re.findall(r'"([^"]*)"', line)) == public_record(key)
    assert site.verified(USER, "signed as before") == {"dkim": DOMAIN, "dkim-ed25519": DOMAIN}
    secret = base64.b64encode(SEED).decode()
    assert secret.startswith("/")
    assert secret not in site.server.log_text()


def test_another_name_of_a_domain_has_records_and_signatures_of_its_own(site: Site) -> None:
    records = site.server.records()
    for start in (f"{OTHER_NAME}. 600 IN MX", f"dkim._domainkey.{OTHER_NAME}. ", f"_dmarc.{OTHER_NAME}. "):
        assert f"\n{start}" in records
    sender = USER.replace(DOMAIN, OTHER_NAME)
    assert site.verified(sender, "of the other name") == {"dkim": OTHER_NAME, "dkim-ed25519": OTHER_NAME}


def test_the_schedule_changes_keys_by_itself_once_their_records_are_seen(site: Site) -> None:
    new = until(lambda: site.keys("pending"), seconds=ROUND_SECONDS, what="the schedule")
    assert len(new) == 2
    assert sorted(site.verified(USER, "before their records")) == ["dkim", "dkim-ed25519"]
    site.publish()
    until(lambda: site.keys("active") == new, seconds=ROUND_SECONDS, what="the end of the wait")
    assert site.keys("retired") == ["dkim", "dkim-ed25519"]
    site.uses(new)


def test_a_button_changes_keys(site: Site) -> None:
    before = site.keys("active")
    with site.server.machine.here(), visitor(site.server, ADMIN) as admin:
        answer = send(admin, f"/admin/domain/genkeys/{DOMAIN}", do="begin")
    assert answer.status_code == 303
    new = site.keys("pending")
    assert len(new) == 2
    assert "not every name server" in site.server.command("dkim", "advance", DOMAIN).stdout
    site.publish()
    site.server.command("dkim", "advance", DOMAIN)
    assert site.keys("active") == new
    assert set(before) <= set(site.keys("retired"))
    site.uses(new)


def test_the_api_changes_keys(site: Site) -> None:
    before = site.keys("active")
    with site.server.machine.here():
        for selector, algorithm in (("mine", "rsa"), ("mine-too", "ed25519")):
            answer = api(site.server, "POST", f"/domain/{DOMAIN}/dkim", selector=selector, algorithm=algorithm)
            assert answer["state"] == "pending"
            assert answer["value"].startswith(f"v=DKIM1; k={algorithm}; p=")
    site.uses(before)
    site.publish()
    site.server.command("dkim", "advance", DOMAIN)
    site.uses(["mine", "mine-too"])
    with site.server.machine.here():
        shown = api(site.server, "GET", f"/domain/{DOMAIN}/dkim")
    assert {one["selector"] for one in shown if one["state"] == "active"} == {"mine", "mine-too"}
