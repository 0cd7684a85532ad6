"""TCP and UDP ports: which process listens on one, and ports on loopback that belong to a root while it is up."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailu.deploy.lock import Lock

FIRST_PORT = 21_000
LAST_PORT = 29_999
LISTEN_STATE = "0A"


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that listens on TCP *port* of *address*. *pid* is 0 when it cannot be seen (another container)."""

    address: str
    port: int
    pid: int
    name: str

    def __str__(self) -> str:
        """For a sentence: who it is."""
        return f"{self.name} (pid {self.pid})" if self.pid else "a process that cannot be seen from here"


class PortTaken(Exception):
    """Ports that the settings ask for are in use; the text names them and who has them."""


def listeners() -> list[Listener]:
    """Everything that listens for TCP connections on this machine."""
    sockets = [*_sockets(Path("/proc/net/tcp")), *_sockets(Path("/proc/net/tcp6"))]
    owners = _owners({inode for _, _, inode in sockets})
    return [
        Listener(address=address, port=port, pid=owners.get(inode, (0, ""))[0], name=owners.get(inode, (0, ""))[1])
        for address, port, inode in sockets
    ]


def taken(addresses: Sequence[str], ports: Iterable[int], known: Sequence[Listener] | None = None) -> list[Listener]:
    """Listeners in the way of binding *ports* on *addresses*; a wildcard address is in everybody's way."""
    wanted = set(ports)
    return [
        listener
        for listener in (listeners() if known is None else known)
        if listener.port in wanted and any(_clash(listener.address, address) for address in addresses)
    ]


def require_free(addresses: Sequence[str], ports: Iterable[int]) -> None:
    """Raise PortTaken, in one sentence, unless every port can be bound."""
    found = taken(addresses, ports)
    if not found:
        return
    by_owner: dict[str, list[str]] = {}
    for listener in sorted(found, key=lambda item: item.port):
        where = f"{listener.port} on {listener.address}"
        if where not in by_owner.setdefault(str(listener), []):
            by_owner[str(listener)].append(where)
    parts = [
        f"port {' and '.join(places)} {'is' if len(places) == 1 else 'are'} taken by {owner}"
        for owner, places in by_owner.items()
    ]
    text = "; ".join(parts)
    raise PortTaken(text[0].upper() + text[1:] + ".")


def loopback_ports(
    file: Path, names: Sequence[str], *, ours: Container[str] | None = None, reserved: Iterable[int] = ()
) -> tuple[dict[str, int], bool]:
    """One loopback port (TCP and UDP) for each of *names*, kept in *file*, the same as last time where possible.

    Only the ports of *ours* (None: of all) have to be free: the others may be in use by their owners, which run in
    processes of their own. Returns the ports, and whether one that *file* knew is another one now.
    """
    with Lock(file.with_suffix(".lock"), wait=True):
        before = _read_ports(file)
        chosen: dict[str, int] = {}
        for name in names:
            port = before.get(name, 0)
            if not port or ((ours is None or name in ours) and not _free(port)):
                port = _find_port(set(chosen.values()) | set(before.values()) | set(reserved))
            chosen[name] = port
        if chosen != before:
            scratch = file.with_suffix(".new")
            scratch.write_text(json.dumps(chosen), encoding="ascii")
            scratch.replace(file)
    return chosen, any(name in before and before[name] != port for name, port in chosen.items())


def _read_ports(file: Path) -> dict[str, int]:
    try:
        return {str(name): int(port) for name, port in json.loads(file.read_text(encoding="ascii")).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _find_port(avoid: set[int]) -> int:
    # Start at a place of this process's own: roots that start at the same moment then do not meet at the same port.
    start = FIRST_PORT + (os.getpid() * 37) % (LAST_PORT - FIRST_PORT)
    for offset in range(LAST_PORT - FIRST_PORT):
        port = FIRST_PORT + (start - FIRST_PORT + offset) % (LAST_PORT - FIRST_PORT)
        if port not in avoid and _free(port):
            return port
    raise PortTaken(f"No loopback port between {FIRST_PORT} and {LAST_PORT} is free.")


def _free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as trial:
            if kind == socket.SOCK_STREAM:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def _sockets(table: Path) -> list[tuple[str, int, str]]:
    """Address, port and inode of each listening socket in a /proc/net/tcp table (proc(5))."""
    try:
        rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return []
    found = []
    for row in rows:
        if row[3] == LISTEN_STATE:
            address, _, port = row[1].partition(":")
            found.append((_address(address), int(port, 16), row[9]))
    return found


def _address(text: str) -> str:
    """The kernel prints 32-bit words in the machine's byte order; all Debian machines we run on are little-endian."""
    raw = bytes.fromhex(text)
    words = b"".join(raw[index : index + 4][::-1] for index in range(0, len(raw), 4))
    return str(ipaddress.ip_address(words))


def _clash(listening: str, wanted: str) -> bool:
    """Whether a listener on one address hinders binding the other (``::`` of a dual-stack socket takes IPv4 too)."""
    ours, theirs = ipaddress.ip_address(wanted), ipaddress.ip_address(listening)
    if isinstance(theirs, ipaddress.IPv6Address) and theirs.ipv4_mapped is not None:
        theirs = theirs.ipv4_mapped
    if ours == theirs or theirs == ipaddress.ip_address("::"):
        return True
    return ours.version == theirs.version and (ours.is_unspecified or theirs.is_unspecified)


def _owners(inodes: set[str]) -> dict[str, tuple[int, str]]:
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    owners: dict[str, tuple[int, str]] = {}
    for pid in sorted(int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()):
        for inode in _open_sockets(pid, wanted):
            owners.setdefault(inode, (pid, _name(pid)))
    return owners


def _open_sockets(pid: int, wanted: Mapping[str, str]) -> list[str]:
    """Those of the sockets *wanted* (link text to inode) that a process has open; none when it may not be looked at."""
    found = []
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(wanted.get(str(descriptor.readlink()), ""))
    return [inode for inode in found if inode]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a process that just ended"
