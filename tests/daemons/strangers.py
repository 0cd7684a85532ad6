"""Strangers who hold connections open: ``python -m tests.daemons.strangers ADDRESS COUNT_EACH PORT ...``.

On every port so many connections, three in a row from one address of 127.64.0.0/10; every second one is silent, the
others send one octet every other second. One that the server closes is opened again. After each second a line with the
number of connections that are established goes to stdout. It ends when stdin does.
"""

from __future__ import annotations

import errno
import heapq
import resource
import select
import socket
import sys
import time
from dataclasses import dataclass

CONNECTIONS_AN_ADDRESS = 3
OCTET_SECONDS = 2.0
RETRY_SECONDS = 1.0
OPENED_A_ROUND = 400
"""So many connections are opened between two looks at what the others do."""


@dataclass
class Line:
    """One place of the flood: which port, from where, and the socket in it now."""

    port: int
    source: str
    slow: bool
    connection: socket.socket | None = None
    established: bool = False
    sent: int = 0


class Flood:
    """All connections, in one loop."""

    def __init__(self, address: str, each: int, ports: list[int]) -> None:
        self._address = address
        numbers = range(each * len(ports))
        self._lines = [
            Line(ports[n % len(ports)], _source(n // len(ports)), (n // len(ports)) % 2 == 1) for n in numbers
        ]
        self._waiting = list(self._lines)
        self._due: list[tuple[float, int]] = []
        self._poll = select.epoll()
        self._by_number: dict[int, Line] = {}
        self.refused = 0

    def round(self) -> None:
        """Open some, look what happened to the others, send what is due."""
        for _ in range(min(OPENED_A_ROUND, len(self._waiting))):
            self._open(self._waiting.pop())
        for number, events in self._poll.poll(0.05, 4096):
            self._happened(self._by_number[number], events)
        now = time.monotonic()
        while self._due and self._due[0][0] < now:
            _, index = heapq.heappop(self._due)
            self._drip(index)

    @property
    def established(self) -> int:
        """Connections that stand now."""
        return sum(line.established for line in self._lines)

    def _open(self, line: Line) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: one port may serve many addresses
        connection.bind((line.source, 0))
        code = connection.connect_ex((self._address, line.port))
        if code not in (0, errno.EINPROGRESS):
            connection.close()
            self._again(line)
            return
        line.connection, line.established, line.sent = connection, False, 0
        self._by_number[connection.fileno()] = line
        self._poll.register(connection, select.EPOLLIN | select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR)

    def _happened(self, line: Line, events: int) -> None:
        assert line.connection is not None
        if events & select.EPOLLOUT and not events & (select.EPOLLERR | select.EPOLLHUP):
            line.established = True
            self._poll.modify(line.connection, select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR)
            if line.slow:
                heapq.heappush(self._due, (time.monotonic() + OCTET_SECONDS, self._lines.index(line)))
        if events & (select.EPOLLIN | select.EPOLLERR | select.EPOLLHUP):
            try:
                if line.connection.recv(4096):
                    return
            except BlockingIOError:
                return
            except OSError:
                pass
            self._close(line)

    def _drip(self, index: int) -> None:
        line = self._lines[index]
        if line.connection is None or not line.established:
            return
        try:
            line.connection.send(b"x")
        except OSError:
            self._close(line)
            return
        heapq.heappush(self._due, (time.monotonic() + OCTET_SECONDS, index))

    def _close(self, line: Line) -> None:
        assert line.connection is not None
        self._poll.unregister(line.connection)
        del self._by_number[line.connection.fileno()]
        line.connection.close()
        line.connection, line.established = None, False
        self._again(line)

    def _again(self, line: Line) -> None:
        self.refused += 1
        self._waiting.insert(0, line)


def _source(number: int) -> str:
    host = number // CONNECTIONS_AN_ADDRESS
    return f"127.{64 + host // 62500}.{host // 250 % 250}.{1 + host % 250}"


def main() -> None:
    """Flood until stdin is closed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    address, each, *ports = sys.argv[1:]
    flood = Flood(address, int(each), [int(port) for port in ports])
    told = 0.0
    while not select.select([sys.stdin], [], [], 0)[0]:
        flood.round()
        if time.monotonic() - told >= 1:
            print(flood.established, flood.refused, flush=True)
            told = time.monotonic()


if __name__ == "__main__":
    main()
