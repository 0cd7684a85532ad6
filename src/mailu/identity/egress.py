"""From which public addresses mail leaves, as far as this machine can tell, and which of them DNS does not know yet.

The main host's A and AAAA records name most of them, and the SPF record names the main host. A machine that sends from
another address (a second one, IPv6 without an AAAA record) has to be named apart. Asking DNS takes time, so what was
found is kept in a file, which pages and zone files are made with.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
from collections.abc import Callable
from pathlib import Path

from mailu.identity.dns_answers import DnsUnknown, Found
from mailu.places import Places
from mailu.settings import Settings

_OUTSIDE = {4: "192.0.2.1", 6: "2001:db8::1"}
"""Addresses of nobody (RFC 5737, RFC 3849), to ask for the way to the outside."""


def egress_address(settings: Settings, version: int = 4) -> str | None:
    """The public address that connections to the outside leave from; None when it is a private one, or none."""
    bound = [one for one in settings.bind_addresses if not ipaddress.ip_address(one).is_unspecified]
    for text in (*bound, _source(version)):
        if text and ipaddress.ip_address(text).version == version and ipaddress.ip_address(text).is_global:
            return text
    return None


def public_addresses(settings: Settings) -> list[str]:
    """Public addresses that this server is known to have; empty behind a router."""
    return [address for version in (4, 6) if (address := egress_address(settings, version))]


def _source(version: int) -> str | None:
    """The address this machine would use towards the outside; nothing is sent."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect((_OUTSIDE[version], 9))
            return str(trial.getsockname()[0])
    except OSError:
        return None


def unnamed(places: Places) -> tuple[str, ...]:
    """The addresses that SPF has to name apart, as they were found the last time; empty when nobody has looked."""
    try:
        return tuple(str(one) for one in json.loads(_file(places).read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError):
        return ()


def look_for_unnamed(settings: Settings, places: Places, look: Callable[[str, str], Found]) -> tuple[str, ...]:
    """Find them now and keep them. Without an answer, or any address of the main host, what was known stays.

    With a smart host mail leaves from there, and only its operator knows which addresses that are.
    """
    try:
        named = {address for kind in ("A", "AAAA") for address in look(settings.hostname, kind).values}
    except DnsUnknown:
        return unnamed(places)
    if not named:
        return unnamed(places)
    leaving = () if settings.relayhost else public_addresses(settings)
    found = tuple(address for address in leaving if address not in named)
    if found != unnamed(places):
        with contextlib.suppress(OSError):
            scratch = _file(places).with_suffix(".new")
            scratch.write_text(json.dumps(found), encoding="ascii")
            scratch.replace(_file(places))
    return found


def _file(places: Places) -> Path:
    return places.data / "egress.json"
