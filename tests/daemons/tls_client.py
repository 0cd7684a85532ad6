"""Looking at the certificates that ports show, after STARTTLS where they want it."""

from __future__ import annotations

import socket
import ssl

from cryptography import x509

IMPLICIT = (443, 465, 993, 995)
STARTTLS = (25, 587, 143, 110, 4190)


def context(ciphers: str = "") -> ssl.SSLContext:
    """A client that takes any certificate; *ciphers*: what it speaks, in TLS 1.2."""
    made = ssl.create_default_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if ciphers:
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        made.set_ciphers(ciphers)
    return made


def leaf(address: str, port: int, name: str, ciphers: str = "") -> x509.Certificate:
    """The certificate that *port* at *address* shows for *name*."""
    tls = context(ciphers)
    with socket.create_connection((address, port), timeout=20) as plain:
        _start_tls(plain, port)
        with tls.wrap_socket(plain, server_hostname=name) as connection:
            octets = connection.getpeercert(binary_form=True)
    assert octets
    return x509.load_der_x509_certificate(octets)


def _start_tls(plain: socket.socket, port: int) -> None:
    greeting_end = {4190: b"OK"}.get(port, b"\r\n")
    ask = {25: b"STARTTLS\r\n", 587: b"STARTTLS\r\n", 143: b"a STARTTLS\r\n", 110: b"STLS\r\n", 4190: b"STARTTLS\r\n"}
    if port not in ask:
        return
    _read(plain, greeting_end)
    if port in (25, 587):
        plain.sendall(b"EHLO client.example.org\r\n")
        _read(plain, b"250 ")
    plain.sendall(ask[port])
    _read(plain, {143: b"a OK", 110: b"+OK", 4190: b"OK"}.get(port, b"220"))


def _read(plain: socket.socket, wanted: bytes) -> None:
    said = b""
    while wanted not in said or not said.endswith(b"\n"):
        more = plain.recv(4096)
        assert more, said
        said += more
