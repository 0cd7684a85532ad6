"""Where mail for a relayed domain goes: the notation of ``relay.smtp``, and what Postfix is told.

======================  =========================================================
(empty, NULL)           the MX of the relayed domain
``:port``               the same, on that port
``host[:port]``         the host itself; IPv6 addresses in brackets
``mx:host[:port]``      the MX of *host*
``lmtp:host[:port]``    the host itself, by LMTP
======================  =========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Literal

from mailu.address import AddressError, parse_domain


class BadRelayTarget(ValueError):
    """The text is not of the notation; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class RelayTarget:
    """A parsed target. ``host`` None is the relayed domain itself; ``port`` None is the protocol's own."""

    protocol: Literal["smtp", "lmtp"] = "smtp"
    host: str | None = None
    port: int | None = None
    mx: bool = True
    """Ask for MX records of the host; else its addresses are used."""

    def transport(self, domain: str) -> str:
        """The right side of a Postfix transport map for the relayed *domain*. Source: transport(5), RESULT FORMAT."""
        return f"{self.protocol}:{self.next_hop(domain)}"

    def next_hop(self, domain: str) -> str:
        """The same without the transport; brackets keep smtp(8) from asking for MX records."""
        host = self.host or domain
        if ":" in host:
            next_hop = f"[ipv6:{host}]"
        elif self.protocol == "smtp" and not self.mx:
            next_hop = f"[{host}]"
        else:
            next_hop = host
        return next_hop + ("" if self.port is None else f":{self.port}")

    def __str__(self) -> str:
        """The target in canonical notation, as it is stored."""
        prefix = "lmtp:" if self.protocol == "lmtp" else "mx:" if self.mx and self.host else ""
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host or ""
        return prefix + host + ("" if self.port is None else f":{self.port}")


def parse_relay_target(text: str | None) -> RelayTarget:
    """Parse a relay target; None is the empty text. Raises BadRelayTarget."""
    rest = (text or "").strip().lower()
    use_mx = rest.startswith("mx:")
    use_lmtp = rest.startswith("lmtp:")
    if use_mx or use_lmtp:
        rest = rest.partition(":")[2]
    host, port = _split_port(rest, brackets_allowed=not use_mx)
    if host is None and use_lmtp:
        raise BadRelayTarget("lmtp: needs the name or address of a host")
    return RelayTarget(
        protocol="lmtp" if use_lmtp else "smtp", host=host, port=port, mx=not use_lmtp and (use_mx or host is None)
    )


def _split_port(text: str, *, brackets_allowed: bool) -> tuple[str | None, int | None]:
    if text.startswith("["):
        if not brackets_allowed:
            raise BadRelayTarget("mx: needs the name of a domain; an address in brackets has no MX record")
        inside, bracket, after = text[1:].partition("]")
        if not bracket:
            raise BadRelayTarget("the closing ] is missing")
        if after and not after.startswith(":"):
            raise BadRelayTarget(f"after ] only :port can follow, not {after!r}")
        return _parse_host(inside.removeprefix("ipv6:")), _parse_port(after[1:]) if after else None
    host, colon, port = text.rpartition(":")
    if not colon:
        host = text
    if ":" in host:
        raise BadRelayTarget("an IPv6 address has to stand in brackets, as in [2001:db8::1]:25")
    return (_parse_host(host) if host else None), (_parse_port(port) if colon else None)


def _parse_host(text: str) -> str:
    if ":" in text:
        try:
            return str(IPv6Address(text))
        except AddressValueError:
            raise BadRelayTarget(f"{text!r} is not an IPv6 address") from None
    try:
        return parse_domain(text)
    except AddressError as error:
        raise BadRelayTarget(str(error)) from None


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 65535):
        raise BadRelayTarget(f"{text!r} is not a port: a number from 1 to 65535")
    return int(text)
