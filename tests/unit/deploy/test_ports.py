"""Who listens where, and ports on loopback that stay a root's own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailu.deploy.ports import Listener, PortTaken, listeners, loopback_ports, require_free, taken

ADDRESS = "127.0.18.77"


@contextmanager
def listening(address: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> Iterator[int]:
    with socket.socket(family) as server:
        server.bind((address, port))
        server.listen()
        yield server.getsockname()[1]


def test_a_listener_is_found_with_its_process() -> None:
    with listening(ADDRESS) as port:
        found = [item for item in listeners() if (item.address, item.port) == (ADDRESS, port)]
        assert [item.pid for item in found] == [os.getpid()]
        assert found[0].name == Path("/proc/self/comm").read_text().strip()


def test_a_taken_port_is_refused_in_one_sentence() -> None:
    with listening(ADDRESS) as port:
        with pytest.raises(PortTaken) as refused:
            require_free([ADDRESS], [port])
        text = str(refused.value)
        assert text.startswith(f"Port {port} on {ADDRESS} is taken by ")
        assert text.endswith(f"(pid {os.getpid()}).")
    require_free([ADDRESS], [port])


@pytest.mark.parametrize(
    ("there", "wanted", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "127.0.0.2", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("::", "127.0.0.1", True),
        ("::1", "127.0.0.1", False),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "::1", False),
        ("::1", "::", True),
        ("127.0.0.1", "::", False),
    ],
)
def test_addresses_clash_as_the_kernel_sees_it(there: str, wanted: str, clash: bool) -> None:
    known = [Listener(there, 25, 612, "exim4")]
    assert bool(taken([wanted], [25], known)) is clash
    assert not taken([wanted], [26], known)


def test_several_ports_of_one_owner_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [Listener("0.0.0.0", port, 612, "exim4") for port in (465, 25)] + [Listener("0.0.0.0", 80, 0, "")]
    monkeypatch.setattr("mailu.deploy.ports.listeners", lambda: known)
    with pytest.raises(PortTaken) as refused:
        require_free(["192.0.2.1"], [25, 80, 465])
    assert str(refused.value) == (
        "Port 25 on 0.0.0.0 and 465 on 0.0.0.0 are taken by exim4 (pid 612); "
        "port 80 on 0.0.0.0 is taken by a process that cannot be seen from here."
    )


def test_ports_of_a_root_stay_the_same(tmp_path: Path) -> None:
    file = tmp_path / "run" / "ports.json"
    first, moved = loopback_ports(file, ["directory", "resolver"])
    assert not moved
    assert len(set(first.values())) == 2
    assert loopback_ports(file, ["directory", "resolver"]) == (first, False)


def test_a_port_that_somebody_took_is_replaced_and_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first, _ = loopback_ports(file, ["directory", "resolver"])
    with listening("127.0.0.1", first["directory"]):
        second, moved = loopback_ports(file, ["directory", "resolver"])
    assert moved
    assert second["directory"] != first["directory"]
    assert second["resolver"] == first["resolver"]


def test_ports_of_others_may_be_in_use(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first, _ = loopback_ports(file, ["directory", "resolver"])
    with listening("127.0.0.1", first["directory"]):
        assert loopback_ports(file, ["directory", "resolver"], ours=["resolver"]) == (first, False)


def test_a_new_name_gets_a_port_and_moves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first, _ = loopback_ports(file, ["directory"])
    second, moved = loopback_ports(file, ["directory", "fuzzy"])
    assert not moved
    assert second["directory"] == first["directory"]
    assert second["fuzzy"] != first["directory"]


@pytest.mark.parametrize("text", ["", "[]", '{"directory": "x"}', '{"directory": '])
def test_a_file_that_makes_no_sense_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ports.json"
    file.write_text(text)
    assert loopback_ports(file, ["directory"])[0]["directory"] > 0
