"""Which TLS each port speaks, and with which certificate."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from tests.unit.daemons.postfix.dialogue import Dialogue
from tests.unit.daemons.postfix.stage import Stage, address

pytestmark = pytest.mark.daemons


@pytest.fixture(scope="module")
def strict() -> Iterator[Stage]:
    """TLS demanded of everybody, and the newest only."""
    with Stage(
        bind_address4=address(13), inbound_tls_enforce=True, tls_permissive=False, tls_profile_submission="modern"
    ) as standing:
        yield standing


def handshake(stage: Stage, port: int, version: str, name: str = "mail.example.com") -> str:
    """What openssl says of a handshake with one version of TLS."""
    command = ["openssl", "s_client", "-connect", f"{stage.settings.bind_address4}:{port}", f"-{version}"]
    command += ["-cipher", "DEFAULT:@SECLEVEL=0", "-servername", name]
    if port != 465:
        command += ["-starttls", "smtp"]
    done = subprocess.run(command, input="QUIT\n", capture_output=True, text=True, check=False, timeout=20)
    return done.stdout + done.stderr


def succeeds(stage: Stage, port: int, version: str) -> bool:
    """Whether a handshake with that version comes to an end."""
    said = handshake(stage, port, version)
    return "BEGIN CERTIFICATE" in said and "Cipher is (NONE)" not in said


@pytest.mark.parametrize(
    ("port", "version", "works"),
    [
        (25, "tls1", True),
        (25, "tls1_2", True),
        (25, "tls1_3", True),
        (465, "tls1_1", False),
        (465, "tls1_2", True),
        (465, "tls1_3", True),
        (587, "tls1_1", False),
        (587, "tls1_2", True),
    ],
)
def test_versions_by_default(stage: Stage, port: int, version: str, works: bool) -> None:
    assert succeeds(stage, port, version) is works


@pytest.mark.parametrize(
    ("port", "version", "works"),
    [(25, "tls1_1", False), (25, "tls1_2", True), (465, "tls1_2", False), (465, "tls1_3", True)],
)
def test_versions_when_strict(strict: Stage, port: int, version: str, works: bool) -> None:
    assert succeeds(strict, port, version) is works


def test_the_old_profile_serves_old_programs() -> None:
    with Stage(bind_address4=address(17), tls_profile="old") as old:
        assert succeeds(old, 465, "tls1")
        assert succeeds(old, 587, "tls1_1")


def test_inbound_tls_enforce_refuses_mail_without_tls(strict: Stage) -> None:
    with strict.connect() as client:
        assert client.say("MAIL FROM:<stranger@remote.example>").startswith("530 5.7.0")
        client.start_tls()
        assert client.mail("stranger@remote.example", "ann@example.com").startswith("250")


@pytest.mark.parametrize("port", [25, 465, 587])
@pytest.mark.parametrize(
    ("asked", "shown"), [("mail.example.com",) * 2, ("mx.example.org",) * 2, ("other.example.net", "mail.example.com")]
)
def test_the_certificate_is_that_of_the_name_asked_for(stage: Stage, port: int, asked: str, shown: str) -> None:
    assert f"subject=CN = {shown}" in handshake(stage, port, "tls1_3", asked)


def test_a_session_on_465_is_encrypted_before_a_word_is_said(stage: Stage) -> None:
    with Dialogue(stage.settings.bind_address4, 465, first=b"EHLO x\r\n") as client:
        assert client.greeting == ""
