"""Certificates that somebody else provides (TLS_FLAVOR=cert, mail), and none at all (notls), on a whole server."""

from __future__ import annotations

import imaplib
import json
import plistlib
import smtplib
import socket
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.daemons.conftest import NETWORK
from tests.daemons.server import DOMAIN, OTHER, PASSWORD, STRANGER, USER, Server, make_message, trusting, until
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
        found = {leaf(server.address, port, name) for port in EVERY_PORT}
        one = found.pop()
        ours = one.issuer == authority.certificate.subject and one.serial_number != unlike
        return one.serial_number if ours and not found else None

    return until(served, seconds=120, what=f"the certificate of {name} on every port")


class NewSessions:
    """Strict clients that come again and again on ports 25, 465 and 993; ``failures`` is what went wrong for them."""

    def __init__(self, server: Server, authority: TestAuthority) -> None:
        self.failures: list[str] = []
        self.seen: dict[int, list[x509.Certificate]] = {25: [], 465: [], 993: []}
        self._server = server
        self._tls = ssl.create_default_context(cadata=authority.pem().decode())
        self._tls.check_hostname = False  # they come by address
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._come, args=(port,)) for port in self.seen]

    def __enter__(self) -> NewSessions:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _come(self, port: int) -> None:
        session = {25: self._deliver, 465: self._submit, 993: self._read}[port]
        while not self._end.wait(0.1):
            try:
                octets = session()
            except (OSError, smtplib.SMTPException, imaplib.IMAP4.error) as error:
                self.failures.append(f"port {port}: {error!r}")
            else:
                self.seen[port].append(x509.load_der_x509_certificate(octets))

    def _deliver(self) -> bytes:
        with smtplib.SMTP(self._server.address, 25, timeout=20) as session:
            session.starttls(context=self._tls)
            session.ehlo("mail.example.org")
            _accepted(session, STRANGER)
            return _shown(session.sock)

    def _submit(self) -> bytes:
        with smtplib.SMTP_SSL(self._server.address, 465, timeout=20, context=self._tls) as session:
            session.login(USER, PASSWORD)
            _accepted(session, USER)
            return _shown(session.sock)

    def _read(self) -> bytes:
        with imaplib.IMAP4_SSL(self._server.address, 993, timeout=20, ssl_context=self._tls) as session:
            session.login(USER, PASSWORD)
            assert session.select("INBOX")[0] == "OK"
            return _shown(session.sock)


def _accepted(session: smtplib.SMTP, sender: str) -> None:
    """The recipient is taken; nothing is sent."""
    for code, said in (session.mail(sender), session.rcpt(OTHER), session.rset()):
        if code != 250:
            raise smtplib.SMTPResponseException(code, said)


def _shown(connection: object) -> bytes:
    """The certificate of a TLS connection."""
    assert isinstance(connection, ssl.SSLSocket)
    octets = connection.getpeercert(binary_form=True)
    assert octets
    return octets


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


def test_while_bad_pairs_come_and_go_no_new_session_fails(server: Server, authority: TestAuthority) -> None:
    """Whatever is put there is served once it is good, and not for a moment before."""
    before = wait_for(server, authority, MAIL)
    folder, fresh = server.root / "certs" / "one", server.root / "elsewhere" / "fresh"
    chain, key = folder / "fullchain.pem", folder / "privkey.pem"
    authority.issue(fresh, MAIL)
    new_chain, new_key = (fresh / "fullchain.pem").read_bytes(), (fresh / "privkey.pem").read_bytes()
    leaf_only = new_chain.removesuffix(authority.pem())
    bad = [
        (b"garbage", new_key, "holds no certificate"),
        (new_chain, key.read_bytes(), "is not the private key"),
        (new_chain, new_key[:100], "holds no private key"),
        (new_chain[:-100], new_key, "ends within a certificate"),
        (leaf_only, new_key, "holds no intermediate certificate"),
        (b"", new_key, "holds no certificate"),
    ]
    with NewSessions(server, authority) as clients:
        for bad_chain, bad_key, reason in bad:
            chain.write_bytes(bad_chain)
            key.write_bytes(bad_key)
            said = partial(_is_said, server, reason, "serves on")
            until(said, seconds=60, what=f"the warning that {reason}")
        assert _is_said(server, "fullchain.pem holds no certificate", "serves on")
        shown = json.loads(server.command("certificates", "--json", check=False).stdout)
        assert "the certificate before it serves on" in shown[0]["reason"]
        found = json.loads(server.command("doctor", "--json", check=False, seconds=200).stdout)
        assert any(one["check"] == "certificates" and "serves on" in one["what"] for one in found), found
        chain.write_bytes(new_chain)
        wait_for(server, authority, MAIL, unlike=before)
    assert clients.failures == []
    assert all(len(seen) > 10 for seen in clients.seen.values()), "they came all the time"
    serials = {certificate.serial_number for seen in clients.seen.values() for certificate in seen}
    assert serials == {before, x509.load_pem_x509_certificates(new_chain)[0].serial_number}


def _is_said(server: Server, *words: str) -> bool:
    return any(all(word in text for word in words) for text in server.status()["warnings"])


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
