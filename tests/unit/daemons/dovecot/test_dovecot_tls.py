"""TLS, names, proxies, and stored mail that is compressed."""

from __future__ import annotations

import imaplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from tests.unit.daemons.dovecot.house import ADDRESS, House, message

pytestmark = pytest.mark.daemons


def trusting(house: House) -> ssl.SSLContext:
    """What a client that trusts this house's certificates uses."""
    context = ssl.create_default_context()
    for _, chain, _ in house.request.certificates:
        context.load_verify_locations(chain)
    return context


@contextmanager
def behind_proxy(house: House, header: bytes) -> Iterator[ssl.SSLSocket]:
    """A connection to port 993 that begins as a proxy begins it."""
    with socket.create_connection((ADDRESS, 993), 10) as plain:
        plain.sendall(header)
        with trusting(house).wrap_socket(plain, server_hostname="mail.example.org") as encrypted:
            yield encrypted


def ask(connection: socket.socket, line: bytes) -> bytes:
    """Send one tagged command; everything up to its tagged answer."""
    connection.sendall(line + b"\r\n")
    heard = b""
    while b"\r\n" + line.split()[0] + b" " not in b"\r\n" + heard:
        data = connection.recv(4096)
        assert data, heard
        heard += data
    return heard


def test_no_password_is_taken_before_tls(encrypted: House) -> None:
    session = imaplib.IMAP4(ADDRESS, timeout=10)
    assert "LOGINDISABLED" in session.capabilities
    with pytest.raises(imaplib.IMAP4.error, match=r"PRIVACYREQUIRED"):
        session.login(encrypted.person(), "secret")
    session.starttls(unverified())
    assert "LOGINDISABLED" not in session.capabilities
    session.logout()


def unverified() -> ssl.SSLContext:
    """For imaplib, which cannot be told another name than the address it connects to."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_the_directory_hears_of_tls(encrypted: House) -> None:
    address = encrypted.person()
    session = imaplib.IMAP4(ADDRESS, timeout=10)
    session.starttls(unverified())
    session.login(address, "secret")
    session.logout()
    assert encrypted.around.directory.attempts[-1]["auth-ssl"] == "yes"


@pytest.mark.parametrize("name", ["mail.example.org", "mx.example.org"])
def test_each_name_has_its_certificate(encrypted: House, name: str) -> None:
    with (
        socket.create_connection((ADDRESS, 995), 10) as plain,
        trusting(encrypted).wrap_socket(plain, server_hostname=name) as session,
    ):
        assert session.recv(100).startswith(b"+OK")


def test_a_client_without_a_name_gets_the_first_certificate(encrypted: House) -> None:
    with socket.create_connection((ADDRESS, 995), 10) as plain, unverified().wrap_socket(plain) as session:
        shown = x509.load_der_x509_certificate(session.getpeercert(binary_form=True) or b"")
    assert shown.subject.rfc4514_string() == "CN=mail.example.org"


def test_old_versions_are_not_spoken(encrypted: House) -> None:
    context = unverified()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection((ADDRESS, 995), 10) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain)


@pytest.mark.parametrize("header", [b"PROXY TCP4 192.0.2.77 192.0.2.1 4711 993\r\n"])
def test_the_client_is_the_one_that_the_proxy_names(encrypted: House, header: bytes) -> None:
    address = encrypted.person()
    with behind_proxy(encrypted, header) as connection:
        assert connection.recv(4096).startswith(b"* OK")
        assert b"a OK" in ask(connection, f"a LOGIN {address} secret".encode())
        ask(connection, b"b LOGOUT")
    attempt = encrypted.around.directory.attempts[-1]
    assert (attempt["client-ip"], attempt["client-port"], attempt["auth-port"]) == ("192.0.2.77", "4711", "993")


def test_a_proxied_port_without_a_header_says_nothing(encrypted: House) -> None:
    with socket.create_connection((ADDRESS, 993), 10) as plain, pytest.raises((OSError, ssl.SSLError)):
        unverified().wrap_socket(plain)


def test_stored_mail_is_compressed_and_read_as_it_came(encrypted: House) -> None:
    address = encrypted.person()
    encrypted.deliver(address, message() + b"x" * 5000 + b"\r\n")
    [stored] = (encrypted.home_of(address) / "new").iterdir()
    assert stored.read_bytes()[:2] == b"\x1f\x8b"
    assert stored.stat().st_size < 2000
    session = imaplib.IMAP4(ADDRESS, timeout=10)
    session.starttls(unverified())
    session.login(address, "secret")
    session.select()
    content = session.fetch("1", "(BODY[TEXT])")[1][0]
    session.logout()
    assert isinstance(content, tuple)
    assert b"x" * 5000 in content[1]


def test_where_tls_ends_before_us_the_other_ports_still_need_it(offloaded: House) -> None:
    address = offloaded.person()
    with socket.create_connection((offloaded.address, 993), 10) as plain:
        assert plain.recv(4096).startswith(b"* OK")
        assert b"a OK" in ask(plain, f"a LOGIN {address} secret".encode())
    attempts = len(offloaded.around.directory.attempts)
    with pytest.raises(imaplib.IMAP4.error, match="UNAVAILABLE"):
        offloaded.imap(address)
    assert len(offloaded.around.directory.attempts) == attempts, "the password is not even looked at"


def test_the_key_is_not_readable_to_the_mail_user(encrypted: House) -> None:
    key = Path(encrypted.request.certificates[0][2])
    assert key.stat().st_mode & 0o077 == 0
