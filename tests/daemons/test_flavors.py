"""Certificates that somebody else provides (TLS_FLAVOR=cert, mail), and none at all (notls), on a whole server."""

from __future__ import annotations

import imaplib
import plistlib
import smtplib
import socket
import subprocess
import urllib.request
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.daemons.conftest import NETWORK
from tests.daemons.server import DOMAIN, OTHER, PASSWORD, USER, Server, make_message, trusting, until
from tests.daemons.tls_client import IMPLICIT, STARTTLS, leaf
from tests.pki import TestAuthority

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ADDRESS = f"{NETWORK}.23"
MAIL, SECOND = f"mail.{DOMAIN}", f"imap.{DOMAIN}"
EVERY_PORT = (*IMPLICIT, *STARTTLS)


@pytest.fixture(scope="module")
def authority() -> TestAuthority:
    return TestAuthority.make()


@pytest.fixture(scope="module")
def server(authority: TestAuthority) -> Iterator[Server]:
    """A server with a key that is none, to begin with."""
    made = Server(ADDRESS, {"HOSTNAMES": f"{MAIL},{SECOND}", "WEBMAIL": "none", "WEBDAV": "radicale"})
    authority.issue(made.root / "certs" / "one", MAIL)
    (made.root / "certs" / "one" / "privkey.pem").write_text("not a key\n")
    try:
        made.up()
        made.populate()
        yield made
    finally:
        made.remove()


def get(server: Server, path: str, scheme: str = "https") -> str:
    """A page."""
    with urllib.request.urlopen(f"{scheme}://{server.address}{path}", timeout=20, context=trusting()) as answer:
        return str(answer.read().decode())


def wait_for(server: Server, authority: TestAuthority, name: str, unlike: int = 0) -> int:
    """Until every port serves a certificate of the authority for *name*, another than *unlike*; returns its number."""

    def served() -> int | None:
        # Until the agent has answered a change, within a second or two, a new process of Postfix reads what lies there:
        # while that is no pair it says 454, or ends the connection on port 465.
        try:
            found = {leaf(server.address, port, name) for port in EVERY_PORT}
        except OSError:
            return None
        one = found.pop()
        ours = one.issuer == authority.certificate.subject and one.serial_number != unlike
        return one.serial_number if ours and not found else None

    return until(served, seconds=120, what=f"the certificate of {name} on every port")


def test_without_a_good_certificate_the_page_says_for_which_name_and_why(server: Server) -> None:
    page = get(server, "/")
    assert MAIL in page
    assert "privkey.pem holds no private key" in page
    assert leaf(server.address, 993, MAIL).issuer == leaf(server.address, 443, MAIL).issuer, "self-signed, everywhere"
    assert any(MAIL in text and "self-signed" in text for text in server.status()["warnings"])


def test_each_name_has_a_folder_of_its_own_and_is_served_on_every_port(
    server: Server, authority: TestAuthority
) -> None:
    authority.issue(server.root / "certs" / "one", MAIL)
    authority.issue(server.root / "elsewhere" / "two", SECOND)
    (server.root / "certs" / "two").symlink_to(server.root / "elsewhere" / "two")
    assert wait_for(server, authority, MAIL) != wait_for(server, authority, SECOND)
    assert "privkey.pem" not in get(server, "/")


def test_a_new_certificate_is_served_by_every_port_and_drops_no_session(
    server: Server, authority: TestAuthority
) -> None:
    before = wait_for(server, authority, MAIL)
    reader = imaplib.IMAP4_SSL(server.address, 993, ssl_context=trusting(), timeout=60)
    reader.login(OTHER, PASSWORD)
    reader.select("INBOX")
    reader.send(b"i1 IDLE\r\n")
    assert reader.readline().startswith(b"+")
    with server.smtp(465, login=USER) as sender:
        sender.mail(USER)
        sender.rcpt(OTHER)
        authority.issue(server.root / "certs" / "one", MAIL)
        wait_for(server, authority, MAIL, unlike=before)
        code, said = sender.data(make_message(USER, OTHER, subject="begun before").as_bytes())
        assert code == 250, said
    told = until(lambda: line if b"EXISTS" in (line := reader.readline()) else None, seconds=30, what="the new message")
    assert b"EXISTS" in told
    reader.send(b"DONE\r\n")
    assert until(lambda: line if (line := reader.readline()).startswith(b"i1 ") else None).startswith(b"i1 OK")
    reader.logout()


def test_a_bad_pair_is_refused_with_the_reason_while_the_one_before_serves(
    server: Server, authority: TestAuthority
) -> None:
    before = wait_for(server, authority, MAIL)
    other = TestAuthority.make()
    other.issue(server.root / "elsewhere" / "x", MAIL)
    (server.root / "elsewhere/x/privkey.pem").replace(server.root / "certs/one/privkey.pem")
    until(
        lambda: any("is not the private key" in text and "serves on" in text for text in server.status()["warnings"]),
        seconds=30,
        what="the warning",
    )
    assert wait_for(server, authority, MAIL) == before
    server.down()
    server.up()
    assert wait_for(server, authority, MAIL) == before, "a restart makes no difference"
    authority.issue(server.root / "certs" / "one", MAIL, key=rsa.generate_private_key(65537, 2048))
    wait_for(server, authority, MAIL, unlike=before)
    until(lambda: not any("private key" in text for text in server.status()["warnings"]), seconds=30)


def test_the_profile_for_apple_devices_is_signed(server: Server, authority: TestAuthority) -> None:
    wait_for(server, authority, MAIL)
    url = f"https://{server.address}/apple.mobileconfig?email={USER}"
    with urllib.request.urlopen(url, timeout=20, context=trusting()) as answer:
        assert answer.headers["Content-Type"].startswith("application/x-apple-aspen-config")
        signed = answer.read()
    (server.root / "ca.pem").write_bytes(authority.pem())
    command = ["openssl", "smime", "-verify", "-inform", "DER", "-purpose", "any", "-CAfile"]
    done = subprocess.run([*command, str(server.root / "ca.pem")], input=signed, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    payloads = plistlib.loads(done.stdout)["PayloadContent"]
    kinds = ["com.apple.mail.managed", "com.apple.caldav.account", "com.apple.carddav.account"]
    assert [one["PayloadType"] for one in payloads] == kinds
    assert payloads[0]["EmailAddress"] == USER


def test_behind_a_proxy_for_the_web_mail_has_tls_and_port_80_the_whole_site(
    server: Server, authority: TestAuthority
) -> None:
    """TLS_FLAVOR=mail, as earlier settings have it."""
    server.write_settings(TLS_FLAVOR="mail")
    server.command("apply", seconds=200)
    for port in (465, 993, 995, 25, 143):
        assert leaf(server.address, port, MAIL).issuer == authority.certificate.subject
    assert "<form" in until(lambda: get(server, "/sso/login", "http"), seconds=30)


def test_without_tls_there_is_none_anywhere(server: Server) -> None:
    server.write_settings(TLS_FLAVOR="notls")
    server.command("apply", seconds=200)
    until(
        lambda: all(_closed(server, port) for port in (443, 465, 993, 995)) or None, seconds=60, what="the end of TLS"
    )
    for port in (25, 587):
        with smtplib.SMTP(server.address, port, timeout=20) as connection:
            connection.ehlo()
            assert not connection.has_extn("starttls")
    session = imaplib.IMAP4(server.address, 143, timeout=20)
    assert "STARTTLS" not in session.capabilities
    session.login(USER, PASSWORD)
    session.logout()
    assert "<form" in get(server, "/sso/login", "http")


def _closed(server: Server, port: int) -> bool:
    try:
        socket.create_connection((server.address, port), timeout=5).close()
    except OSError:
        return True
    return False
