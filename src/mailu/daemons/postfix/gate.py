"""Listens on the ports that a load balancer speaks the PROXY protocol to, and lets only that in.

Postfix believes a PROXY header from whoever connects, and after it knows nothing of the real peer. So where
PROXY_PROTOCOL names a port, this program listens in Postfix's place: a connection from an address outside REAL_IP_FROM
is refused, one from inside is handed to smtpd(8) as it is (a descriptor over a unix socket, as postscreen(8) does it).
No byte of the client is read or copied here; smtpd reads the header itself. Nobody else reaches those services: their
sockets are in the queue's folder "private".

It is the parent of ``master``: passes on HUP and TERM, and ends with it. What listens is a process of its own,
without root rights. This file is run by its path and imports nothing of ours, so that it starts fast and stays small.

usage: gate.py --queue FOLDER --from NETWORK... --listen ADDRESS PORT... -- COMMAND...
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import ipaddress
import os
import pwd
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

USER = "postfix"
BACKLOG = 1024
HAND_OVER_SECONDS = 10.0
REFUSAL = b"421 4.7.0 Only the load balancer may speak to this port\r\n"
BUSY = b"421 4.3.2 Too busy, try again later\r\n"
END_OF_ATTRIBUTES = b"\0"
"""An empty attribute list in Postfix's internal form: the service finds out about the client by itself."""
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command behind the gate; return its exit code, or 1 when the gate itself failed."""
    options = _parser().parse_args(arguments)
    networks = [ipaddress.ip_network(text) for text in options.networks]
    sockets = [listen(address, int(port)) for address, port in options.listen]
    gate = _fork_gate(sockets, networks, Path(options.queue))
    for listening in sockets:
        listening.close()
    command = _fork_command(options.command)
    _pass_signals_to(command)
    return _wait_for(command, gate)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Let only a load balancer in.")
    parser.add_argument("--queue", required=True)
    parser.add_argument("--from", dest="networks", action="append", required=True)
    parser.add_argument("--listen", nargs=2, action="append", required=True)
    parser.add_argument("command", nargs="+")
    return parser


def listen(address: str, port: int) -> socket.socket:
    """A listening socket on *address* (IPv4, or IPv6 without IPv4 in it)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listening.bind((address, port))
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


def serve(sockets: Sequence[socket.socket], networks: Sequence[Network], queue: Path) -> None:
    """Let connections in or refuse them, for ever."""
    with selectors.DefaultSelector() as selector:
        for listening in sockets:
            selector.register(listening, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                _accept(key.fileobj, networks, queue)


def _accept(listening: socket.socket, networks: Sequence[Network], queue: Path) -> None:
    try:
        connection, peer = listening.accept()
    except OSError:  # gone again, or no descriptor left: the next round sees
        return
    port = listening.getsockname()[1]
    with connection:
        if not admits(peer[0], networks):
            _say(f"port {port}: refused {peer[0]}, which is not in REAL_IP_FROM")
            _refuse(connection, REFUSAL)
            return
        try:
            hand_over(connection, queue / "private" / f"gate-{port}")
        except OSError as error:
            _say(f"port {port}: smtpd does not take a connection: {error}")
            _refuse(connection, BUSY)


def admits(peer: str, networks: Sequence[Network]) -> bool:
    """Whether *peer* is one of the proxies."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    return any(address in network for network in networks)


def hand_over(connection: socket.socket, service: Path) -> None:
    """Give *connection* to the Postfix service (type "pass") at *service*. Raises OSError when it does not take it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(HAND_OVER_SECONDS)
        channel.connect(str(service))
        socket.send_fds(channel, [b"\0"], [connection.fileno()])
        channel.sendall(END_OF_ATTRIBUTES)


def _refuse(connection: socket.socket, words: bytes) -> None:
    try:
        connection.setblocking(False)
        connection.send(words)
    except OSError:
        pass


def _fork_gate(sockets: Sequence[socket.socket], networks: Sequence[Network], queue: Path) -> int:
    if child := os.fork():
        return child
    try:
        account = pwd.getpwnam(USER)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        _end_with_parent()
        serve(sockets, networks, queue)
    except Exception as error:  # the parent ends everything when this process ends
        _say(f"gate ended: {error!r}")
    os._exit(1)


def _fork_command(command: list[str]) -> int:
    if child := os.fork():
        return child
    try:
        _end_with_parent()
        os.execv(command[0], command)  # noqa: S606 - there is no shell
    except OSError as error:
        _say(f"{command[0]} cannot be started: {error}")
    os._exit(127)


def _end_with_parent() -> None:
    """Be sent TERM when the parent dies without a word (prctl(2)). Changing rights undoes it, so it comes last."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _pass_signals_to(command: int) -> None:
    def pass_on(number: int, frame: object) -> None:  # noqa: ARG001
        with contextlib.suppress(ProcessLookupError):
            os.kill(command, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)


def _wait_for(command: int, gate: int) -> int:
    """Wait for either to end, end the other; the command's exit code, 1 when the gate ended first."""
    ended, status = os.wait()
    other = gate if ended == command else command
    with contextlib.suppress(ProcessLookupError):
        os.kill(other, signal.SIGTERM)
    os.waitpid(other, 0)
    return os.waitstatus_to_exitcode(status) if ended == command else 1


def _say(words: str) -> None:
    print(f"gate: {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
