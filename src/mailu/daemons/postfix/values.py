"""What the templates are filled with: facts worked out of the settings, in Postfix's own words."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailu.daemons.room import RenderRequest
from mailu.settings import Network, Settings

BOUNCE_LIFETIME_SECONDS = 2 * 86400
_DANE = {"dane": "may", "dane-only": "encrypt"}
_VERIFIED = frozenset({"fingerprint", "verify", "secure", "dane-only"})
"""Levels at which a server has to prove who it is."""
_IMPLICIT_TLS_PORTS = frozenset({"465", "smtps", "submissions"})
_WEAK = "aNULL, eNULL, kRSA, kPSK, MD5, 3DES, CAMELLIA, ARIA, SEED, IDEA"
_NOT_AUTHENTICATED = "SHA1, SHA256, SHA384"
"""In OpenSSL's words the ciphers whose MAC is apart from the encryption: all in CBC mode. Those with GCM and ChaCha20
have a MAC called AEAD, whatever hash stands in their names (openssl-ciphers(1))."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS that is offered: parameters of smtpd(8)."""

    profile: str
    level: str
    protocols: str
    ciphers: str
    exclude: str


@dataclass(frozen=True, slots=True)
class ClientTls:
    """TLS that is asked for: ``smtp_tls_security_level``, and what people should know about it."""

    level: str
    note: str

    @property
    def dane(self) -> bool:
        """Whether DNSSEC is asked for."""
        return self.level in _DANE


@dataclass(frozen=True, slots=True)
class Relay:
    """The smart host."""

    next_hop: str
    implicit_tls: str
    """TLS level when its port begins with TLS, else empty."""
    log_in: bool
    plain: bool
    """Whether the password may travel without TLS, because the operator switched TLS off."""
    tls_policy: str
    """TLS level that is asked for because of the password; empty where the one for everybody is enough."""

    @property
    def route(self) -> str:
        """Transport and next hop for mail that goes there."""
        return f"{'smarthost' if self.implicit_tls else 'smtp'}:{self.next_hop}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One name's files."""

    name: str
    chain: Path
    key: Path
    rsa: tuple[Path, Path] | None = None
    """Chain and key of an RSA pair for clients without ECDSA."""

    @property
    def files(self) -> str:
        """Each key before its chain, as ``smtpd_tls_chain_files`` and SNI tables want them."""
        pairs = [(self.chain, self.key), *([self.rsa] if self.rsa else [])]
        return ", ".join(f"{key}, {chain}" for chain, key in pairs)


def escape(text: str) -> str:
    """*text* as a value of main.cf that means itself: no parameter is looked up in it."""
    return text.replace("$", "$$")


def postfix_network(network: Network) -> str:
    """A network as ``mynetworks`` wants it: an IPv6 address in brackets."""
    if network.version == 6:
        return f"[{network.network_address}]/{network.prefixlen}"
    return str(network)


def outbound_inet_protocols(bound: Sequence[str], *, ipv6: bool) -> str:
    """The families that mail is sent with: a server that has no IPv6 address of its own must not send from one."""
    if not ipv6:
        return "ipv4"
    families = {":" in address for address in bound}
    return "all" if len(families) != 1 else "ipv6" if families == {True} else "ipv4"


def inet_interfaces(bound: Sequence[str]) -> str:
    """Own addresses: those that are listened on, or all where one of them stands for all.

    Postfix wants an address that an interface has; any 127.x can be listened on, but only 127.0.0.1 is there.
    """
    own = [ipaddress.ip_address(address) for address in bound]
    if not own or any(address.is_unspecified for address in own):
        return "all"
    there = ["127.0.0.1" if address.version == 4 and address.is_loopback else str(address) for address in own]
    return ", ".join(f"[{address}]" if ":" in address else address for address in there)


def source_address(bound: Sequence[str], version: int) -> str:
    """The address to send from: the one listened on, if it is one that can reach others; else empty, the system's."""
    for address in map(ipaddress.ip_address, bound):
        if address.version == version and not (address.is_unspecified or address.is_loopback):
            return str(address)
    return ""


def server_tls(profile: str, *, level: str = "encrypt") -> ServerTls:
    """Versions and ciphers of a *profile* (modern, intermediate, old). Source: Mozilla's Server Side TLS."""
    if profile == "modern":
        return ServerTls(profile, level, ">=TLSv1.3", "high", _WEAK)
    if profile == "intermediate":
        return ServerTls(profile, level, ">=TLSv1.2", "high", f"{_WEAK}, {_NOT_AUTHENTICATED}")
    return ServerTls(profile, level, ">=TLSv1", "medium", "aNULL, MD5")


def inbound_tls(settings: Settings) -> ServerTls:
    """Port 25."""
    level = "encrypt" if settings.inbound_tls_enforce else "may"
    return server_tls("old" if settings.tls_permissive else "intermediate", level=level)


def outbound_tls(settings: Settings, *, resolver_validates: bool) -> ClientTls:
    """What other servers are asked for. DANE without validation would be a promise that nobody keeps."""
    level = settings.outbound_tls_level
    if level not in _DANE or resolver_validates:
        return ClientTls(level, "")
    instead = _DANE[level]
    return ClientTls(
        instead, f"OUTBOUND_TLS_LEVEL={level} needs a resolver that validates DNSSEC; it is {instead} now."
    )


def relay(settings: Settings, *, resolver_validates: bool) -> Relay | None:
    """The smart host; None without."""
    if settings.relayhost is None:
        return None
    level = outbound_tls(settings, resolver_validates=resolver_validates).level
    log_in, plain = settings.relayuser is not None, level == "none"
    needed = smart_host_level(level, log_in=log_in and not plain)
    port = re.search(r":([0-9A-Za-z-]+)$", settings.relayhost)
    implicit = port is not None and port[1].lower() in _IMPLICIT_TLS_PORTS
    return Relay(
        next_hop=settings.relayhost,
        implicit_tls=needed if implicit else "",
        log_in=log_in,
        plain=plain,
        tls_policy="" if implicit or plain or not log_in or needed == level else needed,
    )


def smart_host_level(level: str, *, log_in: bool) -> str:
    """The TLS level for a smart host that has to be spoken to through TLS; *level* is the one for everybody.

    Who gets a password proves to be the host: a certificate for the next hop's name, which does not come from DNS.
    """
    if level in _VERIFIED:
        return level
    return "secure" if log_in else "encrypt"


def slow_route(treatment: str, smart_host: Relay | None) -> str:
    """Right-hand side of transport(5) for a slow class; a smart host takes that mail as well, by its own pace."""
    if smart_host is None:
        return f"{treatment}:"
    return smart_host.route if smart_host.implicit_tls else f"{treatment}:{smart_host.next_hop}"


def certificates(request: RenderRequest) -> list[Certificate]:
    """The files to serve; none without TLS."""
    if not request.settings.has_tls:
        return []
    rooted = request.chains_with_root
    rsa = {name: (rooted.get(chain, chain), key) for name, chain, key in request.rsa_certificates}
    return [
        Certificate(name, rooted.get(chain, chain), key, rsa.get(name)) for name, chain, key in request.certificates
    ]


def remedy(settings: Settings) -> str:
    """What to tell a mail program that came to port 25 with a log-in; empty where no port takes log-ins."""
    ways = []
    if 465 in settings.listening_ports:
        ways.append("465 with SSL/TLS")
    if 587 in settings.listening_ports:
        ways.append("587 with STARTTLS" if settings.has_tls else "587")
    return f"use port {' or '.join(ways)}" if ways else ""
