"""The whole server with an authority beside it: certificates on every port, policies, keys, the doctor."""

from __future__ import annotations

import imaplib
import json
import smtplib
import socket
import sqlite3
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from mailu.identity.expiry import passed_mark
from tests.daemons.conftest import NETWORK
from tests.daemons.server import DOMAIN, USER, Server, until
from tests.daemons.tls_client import IMPLICIT, STARTTLS, context, leaf
from tests.pebble import Authority, authority, needs_pebble

pytestmark = [pytest.mark.daemons, pytest.mark.slow, needs_pebble, pytest.mark.timeout(400)]

CA, ADDRESS, NOBODY = (f"{NETWORK}.{host}" for host in (6, 20, 7))
NAME, BAD, POLICY = f"mail.{DOMAIN}", f"bad.{DOMAIN}", f"mta-sts.{DOMAIN}"
NAMES = f"""server:
    local-zone: "." static
    local-data: ". 3600 IN SOA a.test. nobody.test. 1 3600 3600 3600 3600"
    local-data: "{NAME}. 60 IN A {ADDRESS}"
    local-data: "{BAD}. 60 IN A {NOBODY}"
    local-data: "{POLICY}. 60 IN A {ADDRESS}"
    local-data: "{DOMAIN}. 60 IN MX 10 {NAME}."
"""


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """The authority; it sees the names where they are."""
    with authority(CA, tmp_path_factory.mktemp("pebble")) as made:
        made.point(NAME, ADDRESS)
        made.point(POLICY, ADDRESS)
        made.point(BAD, NOBODY)
        yield made


@pytest.fixture(scope="module")
def server(ca: Authority) -> Iterator[Server]:
    """A server with one name that leads to it, and one that leads to nobody."""
    made = Server(
        ADDRESS,
        {"HOSTNAMES": f"{NAME},{BAD}", "TLS_FLAVOR": "letsencrypt", "ACME_SERVER": ca.server, "ACME_ROOTS": "ca.pem"},
    )
    made.write_override("unbound/names.conf", NAMES)
    (made.root / "certs").mkdir(exist_ok=True)
    (made.root / "certs" / "ca.pem").write_bytes(ca.ca_file.read_bytes())
    try:
        made.up()
        made.populate()
        until(lambda: state_of(made, NAME)["expires_at"] or None, seconds=90, what="the first certificate")
        until(
            lambda: leaf(made.address, 993, NAME).issuer == ca_name(ca) or None,
            seconds=20,
            what="the reload of Dovecot",
        )
        yield made
    finally:
        made.remove()


def ca_name(ca: Authority) -> x509.Name:
    """Who signs leaves: the name of Pebble's intermediate begins like this."""
    return ISSUER.setdefault("name", _issuer(ca))


ISSUER: dict[str, x509.Name] = {}


def _issuer(ca: Authority) -> x509.Name:
    return x509.load_pem_x509_certificate(ca._get("intermediates/0")).subject


def overview(server: Server) -> list[dict[str, Any]]:
    """As `mailu certificates` shows it."""
    found: list[dict[str, Any]] = json.loads(server.command("certificates", "--json", check=False).stdout)
    return found


def state_of(server: Server, name: str) -> dict[str, Any]:
    """One name of it."""
    return next((one for one in overview(server) if one["name"] == name), {"expires_at": None, "state": "absent"})


@pytest.mark.parametrize("port", [*IMPLICIT, *STARTTLS])
def test_every_port_serves_the_certificate_that_was_issued(server: Server, ca: Authority, port: int) -> None:
    found = until(lambda: one if (one := leaf(server.address, port, NAME)).issuer == ca_name(ca) else None, seconds=15)
    assert isinstance(found.public_key(), ec.EllipticCurvePublicKey)


@pytest.mark.parametrize("port", [*IMPLICIT, *STARTTLS])
def test_a_client_without_ecdsa_gets_the_rsa_certificate(server: Server, ca: Authority, port: int) -> None:
    rsa_chain = server.root / "certs/letsencrypt/live" / f"{NAME}-rsa" / "fullchain.pem"
    until(rsa_chain.exists, seconds=60, what="the RSA certificate")

    def shown() -> x509.Certificate | None:
        try:
            return leaf(server.address, port, NAME, ciphers="ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384")
        except (ssl.SSLError, OSError):
            return None

    found = until(shown, seconds=20, what=f"RSA on port {port}")
    assert isinstance(found.public_key(), rsa.RSAPublicKey)
    assert found.issuer == ca_name(ca)


def test_a_name_that_leads_nowhere_says_why_and_what_to_do_and_hinders_nobody(server: Server) -> None:
    bad = state_of(server, BAD)
    assert bad["state"] == "problem"
    assert "does not answer" in bad["reason"]
    assert bad["advice"]
    assert bad["next_try_at"]
    assert state_of(server, NAME)["state"] == "ok"
    assert any(BAD in warning and "port 80" in warning for warning in server.status()["warnings"])


def test_a_renewal_is_served_everywhere_and_drops_no_connection(server: Server) -> None:
    before = leaf(server.address, 993, NAME)
    session = imaplib.IMAP4_SSL(server.address, 993, ssl_context=context(), timeout=30)
    session.login(USER, "correct horse battery")

    def renewed(port: int) -> bool:
        return leaf(server.address, port, NAME).serial_number != before.serial_number

    with smtplib.SMTP(server.address, 25, timeout=30) as sending:
        sending.ehlo()
        server.command("certificates", "renew", NAME, seconds=150)
        for port in (993, 443, 465, 25):
            until(partial(renewed, port), seconds=20, what=f"the renewed certificate on port {port}")
        assert session.select("INBOX")[0] == "OK"
        assert sending.noop()[0] == 250
    session.logout()
    after = leaf(server.address, 993, NAME)
    assert after.public_key() == before.public_key(), "TLSA records pin the key"


def test_a_policy_is_served_with_a_certificate_of_its_own(server: Server, ca: Authority, tmp_path: Path) -> None:
    server.command("mta-sts", DOMAIN, "enforce")
    until(lambda: state_of(server, POLICY)["expires_at"] or None, seconds=120, what="the policy's certificate")
    root = tmp_path / "root.pem"
    root.write_bytes(ca.root().public_bytes(Encoding.PEM))
    trusted = ssl.create_default_context(cafile=str(root))

    def fetch() -> str | None:
        try:
            with (
                socket.create_connection((server.address, 443), timeout=10) as plain,
                trusted.wrap_socket(plain, server_hostname=POLICY) as connection,
            ):
                connection.sendall(f"GET /.well-known/mta-sts.txt HTTP/1.0\r\nHost: {POLICY}\r\n\r\n".encode())
                answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
        except ssl.SSLError:
            return None
        return answer if " 200 " in answer.splitlines()[0] else None

    answer = until(fetch, seconds=20, what="the policy")
    assert "mode: enforce" in answer
    assert f"mx: {NAME}" in answer
    records = server.command("dns", DOMAIN, "--zone").stdout
    assert f"_mta-sts.{DOMAIN}. 600 IN TXT" in records
    assert f"_25._tcp.{NAME}. 86400 IN TLSA 3 1 1 " in records


def test_keys_are_changed_by_command_and_wait_for_their_records(server: Server) -> None:
    shown = json.loads(server.command("dkim", "list", DOMAIN, "--json").stdout)
    assert {one["state"] for one in shown} == {"active"}
    said = server.command("dkim", "rotate", DOMAIN).stdout
    assert f"._domainkey.{DOMAIN}. 600 IN TXT" in said
    assert "not every name server" in server.command("dkim", "advance", DOMAIN).stdout
    shown = json.loads(server.command("dkim", "list", DOMAIN, "--json").stdout)
    assert [one["state"] for one in shown] == ["active", "active", "pending", "pending"]
    server.command("dkim", "cancel", DOMAIN)


def test_the_doctor_says_what_is_wrong_here_and_nothing_else_of_the_machine(server: Server) -> None:
    done = server.command("doctor", "--json", check=False, seconds=200)
    found = json.loads(done.stdout)
    by_check: dict[str, set[str]] = {}
    for one in found:
        by_check.setdefault(one["check"], set()).add(one["state"])
    assert done.returncode == 2, "the records of this domain are not there"
    assert by_check["services"] == {"ok"}, found
    assert by_check["ports"] == {"ok"}, found
    assert by_check["listeners"] == {"ok"}, found
    assert by_check["secrets"] == {"ok"}, [one for one in found if one["check"] == "secrets"]
    assert "failure" in by_check["dns"]
    assert "failure" in by_check["certificates"], "one name leads to nobody"


def test_the_bundle_holds_no_secret(server: Server, tmp_path: Path) -> None:
    """Neither those of the settings and keys, nor any hash or token in the database, whoever wrote it into a log."""
    api_key = server.command("api-token", "create", "monitoring").stdout.strip()
    server.send(USER, subject="something for the logs")
    file = tmp_path / "support.txt"
    server.command("support", str(file), seconds=200)
    text = file.read_text()
    assert server.settings["SECRET_KEY"] not in text
    secret = (server.root / "run/directory/secret").read_text().strip()
    assert secret not in text
    for key in (server.root / "dkim").glob("*.key"):
        assert key.read_text().splitlines()[1] not in text
    for key in (server.root / "certs").glob("letsencrypt/archive/*/privkey*.pem"):
        assert key.read_text().splitlines()[1] not in text
    assert api_key not in text
    assert "correct horse battery" not in text
    hashes = list(stored_secrets(server))
    assert hashes
    assert [one for one in hashes if one in text] == []
    assert USER not in text, "people are blotted out"
    assert "== findings" in text
    assert "something for the logs" not in text


def stored_secrets(server: Server) -> Iterator[str]:
    """Every hash, token and secret of the database."""
    with closing(sqlite3.connect(f"file:{server.root}/data/main.db?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            columns = [row[1] for row in database.execute(f"pragma table_info('{table}')")]
            for column in columns:
                if any(word in column for word in ("password", "secret", "hash", "token")):
                    values = database.execute(f'select "{column}" from "{table}"')
                    yield from (str(value) for (value,) in values if isinstance(value, str) and len(value) > 8)


def test_the_page_without_a_trusted_certificate_names_the_reason(server: Server) -> None:
    request = urllib.request.Request(f"http://{server.address}/.well-known/acme-challenge/testing")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 204
    text = (server.root / "run/front/etc/pages/certificate.html").read_text()
    assert BAD in text
    assert "port 80 does not answer" in text


def test_marks_of_the_end_are_passed_one_after_another() -> None:
    from datetime import UTC, datetime, timedelta

    begins = datetime(2026, 1, 1, tzinfo=UTC)
    ends = begins + timedelta(days=90)
    marks = [passed_mark(begins, ends, ends - timedelta(days=left)) for left in (20, 14, 8, 7, 3, 2, 1, 0.5, 0)]
    assert marks == [None, 14, 14, 7, 3, 3, 1, 1, 0]


def test_behind_a_proxy_for_the_web_certificates_for_mail_are_issued_all_the_same(server: Server) -> None:
    """TLS_FLAVOR=mail-letsencrypt, as earlier settings have it."""
    server.write_settings(TLS_FLAVOR="mail-letsencrypt")
    server.command("apply", seconds=200)
    before = leaf(server.address, 993, NAME)
    server.command("certificates", "renew", NAME, seconds=150)
    until(lambda: leaf(server.address, 993, NAME).serial_number != before.serial_number or None, seconds=30)
    with urllib.request.urlopen(f"http://{server.address}/sso/login", timeout=10) as page:
        assert page.status == 200, "the whole site is on port 80"
