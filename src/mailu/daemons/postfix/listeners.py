"""Which ports Postfix listens on, on which addresses, and what each of them is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mailu.settings import Settings

Kind = Literal["smtp", "submission", "submissions"]

KINDS: dict[int, Kind] = {25: "smtp", 465: "submissions", 587: "submission"}


@dataclass(frozen=True, slots=True)
class Listener:
    """One entry of master.cf. A *gated* one has no address: the gate listens in its place and hands it connections."""

    port: int
    kind: Kind
    address: str
    gated: bool
    tls: bool
    """Whether TLS is spoken, at once or after STARTTLS."""
    implicit_tls: bool

    @property
    def service(self) -> str:
        """Name of the entry."""
        return f"gate-{self.port}" if self.gated else endpoint(self.address, self.port)

    @property
    def type(self) -> str:
        """Type of the entry."""
        return "pass" if self.gated else "inet"

    @property
    def where(self) -> str:
        """For a comment: what else is to know of it."""
        return f" through port {self.port} of a proxy" if self.gated else ""


def endpoint(address: str, port: int) -> str:
    """Address and port as Postfix writes them, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def addresses(settings: Settings, *, ipv6: bool) -> tuple[str, ...]:
    """The addresses to listen on; *ipv6* says whether the machine has any such address."""
    return tuple(address for address in settings.bind_addresses if ipv6 or ":" not in address)


def listeners(settings: Settings, *, ipv6: bool) -> list[Listener]:
    """All entries, by port. A port that a proxy speaks to has one, the others one for each address."""
    found = []
    for port, kind in sorted(KINDS.items()):
        if port not in settings.listening_ports:
            continue
        gated = port in settings.proxy_protocol
        implicit_tls = port in settings.tls_listening_ports
        # Port 465 without TLS of its own: it ends at a load balancer.
        tls = settings.has_tls and (implicit_tls or port != 465)
        for address in ("",) if gated else addresses(settings, ipv6=ipv6):
            found.append(Listener(port, kind, address, gated, tls, implicit_tls))
    return found
