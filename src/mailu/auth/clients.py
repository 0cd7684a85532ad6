"""Where an attempt comes from: the address, the source that can be recognised again, and the network it belongs to."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Client:
    """A client's address at three sizes."""

    address: str
    """As text in its shortest form; ``unknown`` where it could not be read."""
    source: str
    """What is recognised again after a log-in: an IPv4 address, or the first address of an IPv6 /64, inside which
    privacy extensions (RFC 8981) change the rest daily."""
    network: str
    """First address of the network that strikes are counted for."""
    exempt: bool = False
    """The operator never wants it limited."""


def locate(client_ip: str, *, v4_mask: int = 24, v6_mask: int = 48, exempt: Sequence[Network] = ()) -> Client:
    """Return where *client_ip* is. IPv4 addresses inside IPv6 (RFC 4291 s2.5.5.2) are IPv4 addresses. All that cannot
    be read is one unknown place, so it shares one allowance."""
    address = parse_ip(client_ip)
    if address is None:
        return Client(_UNKNOWN, _UNKNOWN, _UNKNOWN)
    mask, own = (v4_mask, 32) if address.version == 4 else (v6_mask, 64)
    return Client(
        str(address),
        first_address(address, own),
        first_address(address, mask),
        any(address in network for network in exempt),
    )


def parse_ip(text: str) -> Address | None:
    """Return the address in *text*, without a scope; None where it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def first_address(address: Address, prefix_length: int) -> str:
    """Return the first address of the network of *prefix_length* bits around *address*."""
    return str(ipaddress.ip_network((address, prefix_length), strict=False).network_address)
