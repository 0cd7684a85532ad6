"""Where a visitor may be sent, and under which names we answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

_LONGEST = 2000


def local_target(given: str | None, host: str) -> str | None:
    """The path and query of *given* when it leads to this host; None for everything else.

    Browsers read ``//host`` and ``/\\host`` as another host, and drop tabs and line ends; none of that is let through.
    """
    if (
        not given
        or len(given) > _LONGEST
        or given.startswith("//")
        or "\\" in given
        or any(ord(c) <= 32 or ord(c) == 127 for c in given)
    ):
        return None
    try:
        parts = urlsplit(given)
    except ValueError:
        return None
    is_ours = parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
    if (parts.scheme or parts.netloc) and not is_ours:
        return None
    path = parts.path or "/"
    if not path.startswith("/") or path.startswith("//"):
        return None
    return f"{path}?{parts.query}" if parts.query else path


def is_our_host(header: str, names: Collection[str]) -> bool:
    """Whether a Host header is one of our *names* or an address.

    Pages never repeat the header, but a foreign name that leads here (DNS rebinding) would share their origin. An
    address cannot be rebound, and is how a new server is first reached.
    """
    host = header.strip().lower()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    host = host.rstrip(".")
    if host in names or host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
