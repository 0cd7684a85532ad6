"""TLS as strangers see it: testssl.sh over every port of a server set up by default, and the other profiles."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.daemons.conftest import NETWORK
from tests.daemons.server import DOMAIN, Server, until
from tests.pki import TestAuthority

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning"),
]

ADDRESS, BRIDGE = f"{NETWORK}.21", f"{NETWORK}.22"
NAME = f"mail.{DOMAIN}"
BRIDGE_PORT = 4191
TESTSSL_SECONDS = 600

STARTTLS = {25: "smtp", 587: "smtp", 143: "imap", 110: "pop3"}
"""The ports whose STARTTLS testssl.sh speaks; ManageSieve (4190) it reaches over a bridge."""

PERMISSIVE = {
    # TLS_PERMISSIVE: a server that knows no better would otherwise send in plain text (RFC 7435), which is worse. BEAST
    # needs a browser that repeats a secret as often as a stranger likes; nothing of the kind speaks SMTP.
    "BEAST_CBC_TLS1",
}
"""What port 25 may show above LOW, and why."""


@pytest.fixture(scope="module")
def authority() -> TestAuthority:
    """Who signs the certificates."""
    return TestAuthority.make()


@pytest.fixture(scope="module")
def server(authority: TestAuthority) -> Iterator[Server]:
    """A server with the default settings and certificates of both kinds."""
    made = Server(ADDRESS)
    authority.issue(made.root / "certs" / "ecdsa", NAME)
    authority.issue(made.root / "certs" / "rsa", NAME, key=rsa.generate_private_key(65537, 2048))
    try:
        made.up()
        yield made
    finally:
        made.remove()


@contextmanager
def bridge(target: tuple[str, int]) -> Iterator[None]:
    """Let a client that does not know ManageSieve talk TLS to it: ask for STARTTLS, then pass octets on."""
    listener = socket.create_server((BRIDGE, BRIDGE_PORT))

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=_join, args=(listener.accept()[0], target), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # else the thread that waits in accept() keeps it open
        thread.join()
        listener.close()


def _join(client: socket.socket, target: tuple[str, int]) -> None:
    with suppress(OSError), client, socket.create_connection(target, timeout=30) as there:
        for question in (b"", b"STARTTLS\r\n"):
            there.sendall(question)
            said = b""
            while not said.splitlines()[-1:] or not said.splitlines()[-1].startswith(b"OK"):
                if not (more := there.recv(4096)):
                    return
                said += more
        back = threading.Thread(target=_pass_on, args=(there, client), daemon=True)
        back.start()
        _pass_on(client, there)
        back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while octets := source.recv(16384):
            sink.sendall(octets)
        sink.shutdown(socket.SHUT_WR)


def findings(port: int, authority: TestAuthority, folder: Path) -> list[dict[str, str]]:
    """What testssl.sh says about a port: protocols, ciphers, forward secrecy, certificate, known attacks, headers."""
    (folder / "ca.pem").write_bytes(authority.pem())
    answer = folder / f"{port}.json"
    address, asked = (BRIDGE, BRIDGE_PORT) if port == 4190 else (ADDRESS, port)
    command = [
        "testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", address,
        "--add-ca", str(folder / "ca.pem"), "--jsonfile", str(answer),
        "--protocols", "--standard", "--pfs", "--server-defaults", "--vulnerable",
        *(["--headers"] if port == 443 else []),
        *(["--starttls", STARTTLS[port]] if port in STARTTLS else []),
        f"{NAME}:{asked}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=TESTSSL_SECONDS, check=False)
    assert answer.exists(), done.stdout + done.stderr
    found: list[dict[str, str]] = json.loads(answer.read_text())
    return found


@pytest.mark.parametrize("port", [443, 465, 993, 995, 587, 143, 110, 4190, 25])
def test_testssl_finds_nothing_above_low(server: Server, authority: TestAuthority, port: int, tmp_path: Path) -> None:
    with bridge((server.address, 4190)) if port == 4190 else nullcontext():
        found = findings(port, authority, tmp_path)
    by_id = {one["id"].partition(" ")[0]: one for one in found}
    assert by_id["TLS1_3"]["severity"] == "OK", "it did not look"
    assert by_id["heartbleed"]["severity"] == "OK", "it did not look"
    trust = [one["finding"] for one in found if one["id"].startswith("cert_chain_of_trust")]
    assert trust == ["passed.", "passed."], "an ECDSA and an RSA certificate"
    allowed = PERMISSIVE if port == 25 else set()
    bad = [one for one in found if one["severity"] in ("MEDIUM", "HIGH", "CRITICAL") and one["id"] not in allowed]
    assert bad == []


GROUPS = {"TLS_PROFILE_WEB": 443, "TLS_PROFILE_IMAP": 993, "TLS_PROFILE_SUBMISSION": 465}
OFFERED = {
    "modern": {ssl.TLSVersion.TLSv1_3},
    "intermediate": {ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3},
    "old": {ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3},
}


def speaks(version: ssl.TLSVersion, port: int) -> bool:
    """Whether a client that knows this version only can talk to the port."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = version
    try:
        with socket.create_connection((ADDRESS, port), timeout=20) as plain, client.wrap_socket(plain):
            return True
    except (ssl.SSLError, ConnectionError):
        return False


@pytest.mark.parametrize("profiles", [("modern", "old", "intermediate"), ("old", "intermediate", "modern")])
def test_each_group_of_listeners_has_the_profile_it_was_given(server: Server, profiles: tuple[str, ...]) -> None:
    given = dict(zip(GROUPS, profiles, strict=True))
    server.write_settings(**given)
    server.command("apply", seconds=200)
    for setting, port in GROUPS.items():

        def offered(port: int = port) -> set[ssl.TLSVersion]:
            return {version for version in OFFERED["old"] if speaks(version, port)}

        wanted = OFFERED[given[setting]]
        until(lambda wanted=wanted, offered=offered: offered() == wanted or None, seconds=30, what=setting)  # type: ignore[misc]


def test_the_profile_for_all_leaves_port_25_alone(server: Server) -> None:
    server.write_settings(TLS_PROFILE="modern", **dict.fromkeys(GROUPS))
    server.command("apply", seconds=200)
    until(lambda: not speaks(ssl.TLSVersion.TLSv1_2, 465) or None, seconds=30, what="the profile")
    with socket.create_connection((ADDRESS, 25), timeout=30) as plain:
        for question in (b"", b"EHLO client.example.org\r\n", b"STARTTLS\r\n"):
            plain.sendall(question)
            plain.recv(4096)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        client.set_ciphers("ALL:@SECLEVEL=0")
        client.maximum_version = ssl.TLSVersion.TLSv1
        client.minimum_version = ssl.TLSVersion.TLSv1
        with client.wrap_socket(plain) as encrypted:
            assert encrypted.version() == "TLSv1"
