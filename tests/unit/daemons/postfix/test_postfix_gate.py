"""Ports behind a load balancer: the PROXY header is believed from there, and nobody else gets to send one."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest
from tests.unit.daemons.postfix.dialogue import Dialogue
from tests.unit.daemons.postfix.stage import PASSWORD, Stage, address, networks

from mailu.daemons.postfix.gate import admits

BALANCER = address(35)
TRUSTED = address(36)


@pytest.fixture(scope="module")
def behind() -> Iterator[Stage]:
    """25 and 465 behind a balancer, 587 open; a network with relay rights."""
    with Stage(
        bind_address4=address(10),
        proxy_protocol=frozenset({25, 465}),
        real_ip_from=networks(f"{BALANCER}/32"),
        relaynets=networks("198.51.100.0/24", f"{TRUSTED}/32"),
    ) as standing:
        yield standing


def header(client: str) -> bytes:
    """A PROXY header, version 1."""
    family = "TCP6" if ":" in client else "TCP4"
    return f"PROXY {family} {client} {'::1' if ':' in client else '192.0.2.1'} 50000 25\r\n".encode()


@pytest.mark.parametrize(
    ("peer", "inside"), [("10.0.0.7", True), ("10.0.1.7", False), ("fe80::1%eth0", True), ("fe81::1", False)]
)
def test_the_gate_admits_addresses_in_the_networks(peer: str, inside: bool) -> None:
    assert admits(peer, [ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("fe80::/64")]) is inside


@pytest.mark.daemons
@pytest.mark.parametrize("client", ["203.0.113.9", "2001:db8::9"])
def test_the_balancers_word_about_the_client_counts(behind: Stage, client: str) -> None:
    with behind.connect(source=BALANCER, first=header(client)) as session:
        word = f"gate {client}"
        body = f"Subject: {word}\r\n\r\nx\r\n".encode()
        assert session.mail("stranger@remote.example", "ann@example.com", body=body).startswith("250")
    assert f"[{client}]" in behind.mailboxes.wait(word).text.decode().replace("IPv6:", "")


@pytest.mark.daemons
def test_relay_rights_go_by_the_client_and_not_by_the_balancer(behind: Stage) -> None:
    with behind.connect(source=BALANCER, first=header("203.0.113.9")) as session:
        assert session.mail("x@remote.example", "victim@remote.example").startswith("554 5.7.1")
    with behind.connect(source=BALANCER, first=header("198.51.100.4")) as session:
        assert session.mail("x@remote.example", "far@remote.example").startswith("250")


@pytest.mark.daemons
@pytest.mark.parametrize(
    "source", ["127.0.0.1", address(37), TRUSTED, address(10)], ids=["first", "second", "relaynets", "own"]
)
@pytest.mark.parametrize("port", [25, 465])
def test_nobody_else_can_forge_a_header_or_connect_at_all(behind: Stage, source: str, port: int) -> None:
    for first in (header("198.51.100.4"), b""):
        with Dialogue(behind.settings.bind_address4, port, source=source, first=first) as session:
            assert session.greeting.startswith("421 4.7.0")
    behind.hear(f"port {port}: refused {source}, which is not in REAL_IP_FROM")


@pytest.mark.daemons
def test_the_balancer_cannot_leave_out_the_header(behind: Stage) -> None:
    with Dialogue(behind.settings.bind_address4, 25, source=BALANCER, first=b"EHLO x\r\n") as session:
        assert not session.greeting.startswith("2")


@pytest.mark.daemons
def test_tls_begins_after_the_header(behind: Stage) -> None:
    raw = behind.connect(465, source=BALANCER, first=header("203.0.113.9"))
    with raw as session:
        assert session.log_in("ann@example.com", PASSWORD).startswith("235")
        assert session.mail("ann@example.com", "far@remote.example").startswith("250")


@pytest.mark.daemons
def test_a_port_that_is_not_behind_the_balancer_is_as_always(behind: Stage) -> None:
    with behind.logged_in(port=587) as session:
        assert session.mail("ann@example.com", "far@remote.example").startswith("250")


@pytest.mark.daemons
def test_a_reload_reaches_postfix_and_the_end_of_the_gate_ends_everything() -> None:
    with Stage(
        bind_address4=address(11), proxy_protocol=frozenset({25}), real_ip_from=networks(f"{BALANCER}/32")
    ) as behind:
        behind.reload()
        behind.hear("reload")
        with behind.connect(source=BALANCER, first=header("203.0.113.9")) as session:
            assert session.say("NOOP").startswith("250")
        children = children_of(behind.postfix.pid)
        gate = next(pid for pid in children if "gate.py" in command_of(pid))
        os.kill(gate, signal.SIGKILL)
        assert behind.postfix.wait(10) == 1
        time.sleep(0.2)
        assert not any(alive(pid) for pid in children)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address(11), 25), 1)


def children_of(pid: int) -> list[int]:
    """Processes that *pid* has started."""
    with open(f"/proc/{pid}/task/{pid}/children") as stream:  # noqa: PTH123
        return [int(word) for word in stream.read().split()]


def command_of(pid: int) -> str:
    """The command line of a process."""
    with open(f"/proc/{pid}/cmdline", "rb") as stream:  # noqa: PTH123
        return stream.read().decode()


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
