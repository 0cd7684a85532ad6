"""Profiles for Apple devices: signed with the served certificate, by the agent; the pages can ask for nothing else."""

from __future__ import annotations

import asyncio
import base64
import plistlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.pki import Key, TestAuthority
from tests.unit.deploy.fake_room import situation

from mailu import operations
from mailu.deploy import ground
from mailu.deploy.ground import Verdict
from mailu.deploy.signing import signed_profile, signing_server
from mailu.deploy.situation import Situation

HOST, ANN = "mail.example.com", "ann@example.com"


@pytest.fixture
def root() -> Iterator[Path]:
    """Sockets want a short path."""
    with tempfile.TemporaryDirectory(prefix="s-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _situation(root: Path) -> Situation:
    made = situation(root)
    ground.prepare_root(made.places)
    return ground.situation_of(made.settings, ground.read_host(made.places, made.settings, Verdict()))[0]


def _verified(authority: TestAuthority, signed: bytes, folder: Path) -> bytes:
    """What openssl says was signed; fails when the chain or the signature does not hold."""
    (folder / "ca.pem").write_bytes(authority.pem())
    (folder / "signed").write_bytes(signed)
    files = ["-in", str(folder / "signed"), "-CAfile", str(folder / "ca.pem")]
    command = ["openssl", "smime", "-verify", "-inform", "DER", "-purpose", "any", *files]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize("key", [None, rsa.generate_private_key(65537, 2048)])
def test_the_profile_verifies_with_the_served_certificate(root: Path, tmp_path: Path, key: Key | None) -> None:
    authority = TestAuthority.make()
    authority.issue(root / "certs" / "one", HOST, key=key)
    profile = plistlib.loads(_verified(authority, signed_profile(_situation(root), ANN), tmp_path))
    assert profile["PayloadContent"][0]["EmailAddress"] == ANN
    assert profile["PayloadContent"][0]["IncomingMailServerHostName"] == HOST


def test_a_certificate_that_no_device_trusts_signs_nothing(root: Path) -> None:
    assert signed_profile(_situation(root), ANN) == b"", "it is self-signed"
    TestAuthority.make().issue(root / "certs" / "one", HOST)
    made = _situation(root)
    assert signed_profile(made, ANN)
    assert signed_profile(made, ANN, datetime.now(UTC) + timedelta(days=91)) == b"", "it has ended"
    assert signed_profile(replace(made, settings=replace(made.settings, tls_flavor="notls")), ANN) == b""


def test_the_pages_name_an_address_and_can_have_nothing_else_signed(root: Path, tmp_path: Path) -> None:
    authority = TestAuthority.make()
    authority.issue(root / "certs" / "one", HOST)
    made = _situation(root)

    async def ask(what: str, **values: object) -> dict[str, object]:
        server = signing_server(made.places.signing, lambda: made)
        assert server is not None
        await server.open()
        try:
            return await asyncio.to_thread(operations.ask_at, made.places.signing, what, **values)
        finally:
            await server.close()

    answer = asyncio.run(ask("mobileconfig", address=ANN, profile="<plist>mine</plist>"))
    signed = _verified(authority, base64.b64decode(str(answer["profile"])), tmp_path)
    assert plistlib.loads(signed)["PayloadContent"][0]["EmailAddress"] == ANN
    assert b"mine" not in signed
    with pytest.raises(operations.NotDone):
        asyncio.run(ask("mobileconfig", address="no address"))
    with pytest.raises(operations.NotDone):
        asyncio.run(ask("sign", text="anything"))
