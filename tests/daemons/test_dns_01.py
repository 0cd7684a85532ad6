"""Certificates proven by DNS with a plug-in of certbot's, RFC 2136, which changes the zone of a name server (Knot)."""

from __future__ import annotations

import base64
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mailu.identity.certificates import read_chain
from tests.daemons.conftest import NETWORK
from tests.daemons.hosts.names import KNOT
from tests.daemons.server import DOMAIN, Server, until
from tests.daemons.tls_client import leaf
from tests.pebble import Authority, authority, needs_pebble

pytestmark = [
    needs_pebble,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not KNOT.exists(), reason="knot is not installed: ./mailu install --tests"),
]

CA, ADDRESS, NAME_SERVER = (f"{NETWORK}.{host}" for host in (25, 26, 27))
PORT = 5300
NAME = f"mail.{DOMAIN}"
SECRET = base64.b64encode(secrets.token_bytes(64)).decode()
ISSUE_SECONDS = 180


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A name server whose zone is changed by whoever has the key. Nothing in it leads to our port 80."""
    with knot(tmp_path_factory.mktemp("knot")):
        yield


@contextmanager
def knot(folder: Path) -> Iterator[None]:
    (folder / "knot.conf").write_text(
        f"server:\n  rundir: {folder}\n  listen: {NAME_SERVER}@{PORT}\ndatabase:\n  storage: {folder}\n"
        f"key:\n  - id: mailu.\n    algorithm: hmac-sha512\n    secret: {SECRET}\n"
        "acl:\n  - id: changes\n    key: mailu.\n    action: update\n"
        f"zone:\n  - domain: {DOMAIN}\n    storage: {folder}\n    file: zone\n    acl: changes\n"
    )
    (folder / "zone").write_text(
        f"$ORIGIN {DOMAIN}.\n@ 5 SOA ns hostmaster 1 60 60 600 5\n@ 5 NS ns\n"
        f"ns 5 A {NAME_SERVER}\nmail 5 A 192.0.2.25\n"
    )
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([str(KNOT), "-c", str(folder / "knot.conf")], stdout=log, stderr=log) as process,
    ):
        try:
            until(lambda: texts("mail", "A"), seconds=60, what="the name server")
            yield
        finally:
            process.terminate()


def texts(label: str, kind: str = "TXT") -> list[str]:
    """What is at a name of the zone now."""
    try:
        answer = dns.query.udp(dns.message.make_query(f"{label}.{DOMAIN}", kind), NAME_SERVER, port=PORT, timeout=2)
    except (dns.exception.DNSException, OSError):
        return []
    return [record.to_text() for rrset in answer.answer for record in rrset]


@pytest.fixture(scope="module")
def ca(names: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(CA, tmp_path_factory.mktemp("pebble"), name_server=f"{NAME_SERVER}:{PORT}") as made:
        yield made


@pytest.fixture(scope="module")
def server(ca: Authority) -> Iterator[Server]:
    made = Server(
        ADDRESS,
        {
            "TLS_FLAVOR": "letsencrypt",
            "ACME_SERVER": ca.server,
            "ACME_ROOTS": "ca.pem",
            "ACME_DNS_PLUGIN": "rfc2136",
            "ACME_DNS_SECONDS": "1",
            "WEBMAIL": "none",
        },
    )
    certs = made.root / "certs"
    certs.mkdir()
    (certs / "ca.pem").write_bytes(ca.ca_file.read_bytes())
    write_credentials(made, SECRET)
    try:
        made.up()
        yield made
    finally:
        made.remove()


def write_credentials(server: Server, secret: str) -> None:
    file = server.root / "certs" / "dns.ini"
    file.write_text(
        f"dns_rfc2136_server = {NAME_SERVER}\ndns_rfc2136_port = {PORT}\ndns_rfc2136_name = mailu.\n"
        f"dns_rfc2136_secret = {secret}\ndns_rfc2136_algorithm = HMAC-SHA512\n"
    )
    file.chmod(0o600)


def issued(server: Server, lineage: str) -> x509.Certificate | None:
    chain = server.root / "certs/letsencrypt/live" / lineage / "fullchain.pem"
    return read_chain(chain)[0] if chain.exists() else None


@pytest.mark.parametrize("lineage", [NAME, f"{NAME}-rsa"])
def test_a_certificate_is_issued_by_a_change_of_the_zone_alone(server: Server, ca: Authority, lineage: str) -> None:
    found = until(lambda: issued(server, lineage), seconds=ISSUE_SECONDS, what="a certificate")
    intermediate = x509.load_pem_x509_certificate(ca._get("intermediates/0"))
    assert found.issuer == intermediate.subject
    assert texts("_acme-challenge") == [], "the proof is taken away again"


def test_what_was_issued_is_served(server: Server) -> None:
    found = until(lambda: issued(server, NAME), seconds=ISSUE_SECONDS, what="a certificate")
    until(lambda: leaf(ADDRESS, 993, NAME).serial_number == found.serial_number, seconds=60, what="its use")


def test_a_key_that_the_name_server_refuses_is_told_and_is_written_nowhere(server: Server) -> None:
    until(lambda: issued(server, f"{NAME}-rsa"), seconds=ISSUE_SECONDS, what="a certificate")
    wrong = base64.b64encode(secrets.token_bytes(64)).decode()
    write_credentials(server, wrong)
    done = server.command("certificates", "renew", NAME, "--wait", "150", check=False, seconds=200)
    assert done.returncode == 1
    for words in ("didn't like the signature", "certs/dns.ini", "Next try at"):
        assert words in done.stderr
    assert leaf(ADDRESS, 993, NAME).public_bytes(Encoding.DER), "the one before serves on"
    logs = "".join(path.read_text(errors="replace") for path in (server.root / "run").rglob("*.log*") if path.is_file())
    assert [one for one in (wrong, SECRET) if one in logs] == []
    write_credentials(server, SECRET)
    server.command("certificates", "renew", NAME, "--wait", "150", seconds=200)
