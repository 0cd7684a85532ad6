"""Whether smart hosts that get a password prove who they are, looked at as Postfix does at its TLS level ``secure``."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from mailu.identity.certificates import covered_names, covers

SECONDS = 5.0
IMPLICIT_TLS_PORTS = frozenset({465})
ROOTS = "/etc/ssl/certs/ca-certificates.crt"
LookUp = Callable[[str, str], Sequence[str]]
"""The records that a name has of a type; none also when DNS does not say."""
_NEXT_HOP = re.compile(r"(?:\[(?:ipv6:)?(?P<host>[^\[\]]+)\]|(?P<domain>[^\[\]:]+))(?::(?P<port>\w+))?")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a smart host showed. *untrusted*: why its certificate proves nothing; *away*: why there was none."""

    untrusted: str = ""
    away: str = ""


def trusted_roots(etc: Path) -> str:
    """The file of roots that the Postfix with the configuration *etc* trusts: the operator may have named another."""
    command = ["/usr/sbin/postconf", "-c", str(etc), "-xh", "smtp_tls_CAfile"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ROOTS
    return done.stdout.strip() or ROOTS


def ask(next_hop: str, roots: str, look_up: LookUp) -> Answer:
    """Begin TLS with a next hop of Postfix."""
    match = _NEXT_HOP.fullmatch(next_hop)
    if match is None:
        return Answer(away="it is no next hop of Postfix")
    name = (match["host"] or match["domain"]).lower()
    host = name if match["host"] else _exchanger(name, look_up)
    try:
        port = _port(match["port"])
        address = next((found for kind in ("A", "AAAA") for found in look_up(host, kind)), host)
        leaf = _shown(address, host, port, ssl.create_default_context(cafile=roots))
    except ssl.SSLCertVerificationError as error:
        return Answer(untrusted=error.verify_message)
    except (OSError, smtplib.SMTPException) as error:
        return Answer(away=str(error))
    own = covered_names(leaf)
    if covers(leaf, name) or any(each.endswith(f".{name}") for each in own):
        return Answer()
    return Answer(untrusted=f"its certificate is for {', '.join(own) or 'no name'}")


def _exchanger(domain: str, look_up: LookUp) -> str:
    """The host that takes mail for a domain first."""
    records = [value.split() for value in look_up(domain, "MX")]
    return min(((int(record[0]), record[1].rstrip(".")) for record in records), default=(0, domain))[1]


def _port(word: str | None) -> int:
    if word is None:
        return 25
    return int(word) if word.isdigit() else socket.getservbyname(word, "tcp")


def _shown(address: str, host: str, port: int, context: ssl.SSLContext) -> x509.Certificate:
    """The certificate, once its chain was found good. Its names are looked at by the caller: they may be a domain's."""
    context.check_hostname = False
    with _Session(address, host, port, context) as session:
        if port not in IMPLICIT_TLS_PORTS:
            session.starttls(context=context)
        assert isinstance(session.sock, ssl.SSLSocket)
        octets = session.sock.getpeercert(binary_form=True)
    assert octets is not None
    return x509.load_der_x509_certificate(octets)


class _Session(smtplib.SMTP):
    """A session with *host* at an *address* that our own resolver gave."""

    def __init__(self, address: str, host: str, port: int, context: ssl.SSLContext) -> None:
        self._address, self._context = address, context
        super().__init__(host, port, timeout=SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((self._address, port), timeout)
        if port in IMPLICIT_TLS_PORTS:
            return self._context.wrap_socket(plain, server_hostname=host)
        return plain
