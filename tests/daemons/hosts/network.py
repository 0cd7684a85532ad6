"""Machines for tests: network namespaces on one bridge, with addresses that exist in there only.

A machine shares files and processes with the real one; what is its own is the network, and what stands in
``/etc/netns/<name>``, which ip-netns(8) mounts over ``/etc`` for programs that it starts.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.pki import TestAuthority

PREFIX = "192.31.196."
"""Of AS112 (RFC 7535): public, so that no program takes it for local, and nobody's mail server."""
_numbers = itertools.count()
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def can_be_made() -> bool:
    """Whether this machine lets us have namespaces with a network of their own."""
    name = f"mtp{os.getpid()}"
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return False
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return True


@dataclass
class Machine:
    """One host. *etc* is what is different in its ``/etc``."""

    name: str
    address: str
    namespace: str

    @property
    def etc(self) -> Path:
        """What is mounted over ``/etc``, entry by entry."""
        return Path("/etc/netns") / self.namespace

    @property
    def command(self) -> list[str]:
        """What to put before a command so that it runs there."""
        return ["ip", "netns", "exec", self.namespace]

    @contextmanager
    def here(self) -> Iterator[None]:
        """Make sockets there: this thread's, and those that it makes stay there."""
        with Path("/proc/thread-self/ns/net").open() as before, Path(f"/run/netns/{self.namespace}").open() as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())


@dataclass
class Network:
    """A bridge in a namespace of its own, and the machines on it."""

    machines: list[Machine] = field(default_factory=list)
    _mark: str = field(default_factory=lambda: f"mt{os.getpid()}.{next(_numbers)}")

    @property
    def _switch(self) -> str:
        return f"{self._mark}switch"

    def start(self) -> None:
        """Make the bridge."""
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br0", "up")

    def add(self, name: str, number: int, *, name_server: str) -> Machine:
        """A machine at the address with this last number; *name_server* is for programs that read resolv.conf."""
        machine = Machine(name, f"{PREFIX}{number}", f"{self._mark}{name}")
        space = machine.namespace
        _ip("netns", "add", space)
        self.machines.append(machine)
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("link", "add", f"v{number}", "netns", self._switch, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("-n", self._switch, "link", "set", f"v{number}", "master", "br0", "up")
        _ip("-n", space, "addr", "add", f"{machine.address}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")
        machine.etc.mkdir(parents=True)
        (machine.etc / "resolv.conf").write_text(f"nameserver {name_server}\n")
        return machine

    def cut(self, machine: Machine) -> None:
        """Pull the machine's cable."""
        _ip("-n", machine.namespace, "link", "set", "eth0", "down")

    def mend(self, machine: Machine) -> None:
        """Plug it in again."""
        _ip("-n", machine.namespace, "link", "set", "eth0", "up")

    def remove(self) -> None:
        """Take everything away."""
        for machine in self.machines:
            subprocess.run(["ip", "netns", "del", machine.namespace], capture_output=True, check=False)
            shutil.rmtree(machine.etc, ignore_errors=True)
        subprocess.run(["ip", "netns", "del", self._switch], capture_output=True, check=False)


def trust(machine: Machine, authority: TestAuthority) -> None:
    """Let the programs of a *machine* trust the certificates of an authority, which nobody else does."""
    folder = machine.etc / "ssl"
    shutil.copytree("/etc/ssl", folder, symlinks=True, dirs_exist_ok=True)
    bundle = folder / "certs" / "ca-certificates.crt"
    bundle.write_bytes(bundle.read_bytes() + authority.pem())
    said = subprocess.run(
        ["openssl", "x509", "-noout", "-hash"], input=authority.pem(), capture_output=True, check=True
    )
    (folder / "certs" / f"{said.stdout.decode().strip()}.0").write_bytes(authority.pem())


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*words: str) -> None:
    _run(["ip", *words])


def _run(words: Sequence[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
