"""A network for one server and its clients, with everything that a server finds outside: names, time, block lists.

The machines are those of ``hosts/network.py``; a signed DNS (Knot) and a clock (chrony) have machines of their own.
Nothing leaves it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.daemons.hosts import network
from tests.daemons.hosts.names import KNOT, NameServer, pointer_of
from tests.daemons.hosts.network import PREFIX, Network
from tests.daemons.hosts.world import HostedServer
from tests.daemons.server import DOMAIN

HOST, NAME_SERVER, TIME_SERVER = (f"{PREFIX}{last}" for last in (25, 53, 123))
MAIL = f"mail.{DOMAIN}"
CHRONY = Path(shutil.which("chronyd") or "/usr/sbin/chronyd")


def can_be_made() -> bool:
    """Whether this machine lets us have such namespaces, and has a name server."""
    return KNOT.exists() and network.can_be_made()


class Island:
    """The network. ``machine`` is the server's; ``publish`` sets what is in DNS."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mt-island-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.network = Network()
        self._clock: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make it, with a DNS that knows the server's address and nothing else."""
        self.network.start()
        self.names = NameServer(self.network.add("dns", 53, name_server=NAME_SERVER), self.folder)
        self._time = self.network.add("time", 123, name_server=NAME_SERVER)
        self.machine = self.network.add("host", 25, name_server=NAME_SERVER)
        (self.machine.etc / "hosts").write_text(f"127.0.0.1 localhost\n{TIME_SERVER} pool.ntp.org\n")
        self.names.start()
        self.publish()

    def publish(self, records: str = "", *, address: str = HOST, pointer: str = MAIL) -> None:
        """Set what is in DNS: *records* as lines of a zone file, the *address* of the host, the name of its address."""
        self.names.point({pointer_of(HOST): pointer})
        self.names.publish(records=f"{MAIL}. 5 IN A {address}\n{records}")

    def clock_up(self) -> None:
        """Let a time server answer, which leaves the machine's clock alone."""
        (self.folder / "chrony.conf").write_text(
            f"local stratum 1\nallow all\nbindaddress {TIME_SERVER}\ncmdport 0\nbindcmdaddress /\n"
            f"pidfile {self.folder}/chrony.pid\nuser root\n"
        )
        with (self.folder / "chrony.log").open("ab") as log:
            self._clock = subprocess.Popen(
                [*self._time.command, str(CHRONY), "-d", "-x", "-f", str(self.folder / "chrony.conf")],
                stdout=log, stderr=log,
            )  # fmt: skip

    def clock_down(self) -> None:
        """Let no time server answer."""
        if self._clock is not None:
            self._clock.terminate()
            self._clock.wait(20)
            self._clock = None

    def remove(self) -> None:
        """End and remove everything."""
        self.clock_down()
        if hasattr(self, "names"):
            self.names.stop()
        self.network.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


class IslandServer(HostedServer):
    """A server on the island, for the domain of all tests."""

    def __init__(self, island: Island, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(island.machine, island.names, settings or {}, domain=DOMAIN)
