"""Looking from here whether the authority would find our answer, before it is asked: a failed check there counts.

The proof is a file of ours, fetched over every address that the name has. An address that is this machine's own must
answer. Another one that does not answer proves nothing: many routers do not let the inside reach their outside
address, so the authority is asked then. One that answers with something else is another server.
"""

from __future__ import annotations

import http.client
import ipaddress
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

CHALLENGES = ".well-known/acme-challenge"
FETCH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why the authority would not find our answer, and what to do."""

    reason: str
    advice: str


class NoAddress(Exception):
    """The name has no address; the text says what DNS answered."""


class LookupFailed(Exception):
    """DNS did not answer: it is not known whether the name has an address."""


def look(
    name: str,
    webroot: Path,
    *,
    addresses: Callable[[str], Sequence[str]],
    fetch: Callable[[str, str, str], bytes | None],
    is_ours: Callable[[str], bool],
) -> Obstacle | None:
    """Return what is in the way of http-01 for *name*, None when nothing is known to be.

    *addresses* gives A and AAAA of a name, or raises NoAddress or LookupFailed. *fetch* gets the path at an address
    (name, address, path): the body, or None when nobody answers there.
    """
    try:
        found = addresses(name)
    except NoAddress as error:
        return Obstacle(
            str(error), f"Add an A record of {name}, and an AAAA record with IPv6, that leads to this server."
        )
    except LookupFailed as error:
        return Obstacle(str(error), "See why names are not resolved here; `mailu doctor` looks at the resolver.")
    token = f"mailu-{secrets.token_urlsafe(18)}"
    file = webroot / CHALLENGES / token
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(token, encoding="ascii")
    try:
        for address in found:
            obstacle = _judge(name, address, token, fetch(name, address, f"/{CHALLENGES}/{token}"), is_ours)
            if obstacle is not None:
                return obstacle
    finally:
        file.unlink(missing_ok=True)
    return None


def _judge(name: str, address: str, token: str, body: bytes | None, is_ours: Callable[[str], bool]) -> Obstacle | None:
    if body == token.encode():
        return None
    if body is not None:
        return Obstacle(
            f"{name} leads to {address}, where another server answers on port 80",
            f"Point every A and AAAA record of {name} to this server, or pass /.well-known/acme-challenge/ on to it.",
        )
    if not is_ours(address):
        return None
    return Obstacle(
        f"{name} leads to {address}, which is this machine, but port 80 does not answer there",
        "See whether the service `front` runs, listens on this address (BIND_ADDRESS4, BIND_ADDRESS6) and on port 80.",
    )


def fetch_over(port: int) -> Callable[[str, str, str], bytes | None]:
    """A *fetch* for ``look`` that asks *port* of an address. Redirects are not followed: they are an answer."""

    def fetch(name: str, address: str, path: str) -> bytes | None:
        with closing(http.client.HTTPConnection(address, port, timeout=FETCH_SECONDS)) as connection:
            try:
                connection.request("GET", path, headers={"Host": name, "User-Agent": "Mailu"})
                return connection.getresponse().read(4096)
            except (OSError, http.client.HTTPException):
                return None

    return fetch


def is_own_address(address: str) -> bool:
    """Whether *address* is one of this machine's: whether it can be bound."""
    version = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    try:
        with socket.socket(version, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True
