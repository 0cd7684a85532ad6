"""How this machine asks its own daemons whether they answer: where, and without looking at certificates."""

from __future__ import annotations

import ipaddress
import ssl


def reachable(address: str) -> str:
    """The loopback address of the family where *address*, which a daemon is bound to, stands for all."""
    parsed = ipaddress.ip_address(address)
    if not parsed.is_unspecified:
        return address
    return "127.0.0.1" if parsed.version == 4 else "::1"


def any_certificate() -> ssl.SSLContext:
    """For a client whose question is whether somebody answers, not who it is: the certificate may be a stand-in."""
    # ssl.create_default_context() would read all authorities of the world, which takes 20 ms.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
