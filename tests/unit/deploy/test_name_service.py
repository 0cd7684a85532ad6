"""Postfix is led to our own resolver without a change to the machine's resolv.conf."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from mailu.deploy import name_service
from mailu.deploy.name_service import own_address, own_file, write_own_file
from mailu.places import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path)
    found.run.mkdir()
    return found


def test_the_file_names_our_resolver_or_says_what_the_systems_says(places: Places, tmp_path: Path) -> None:
    system = tmp_path / "system"
    system.write_text("nameserver 192.0.2.1\n")
    write_own_file(places, "127.60.1.2", use_own=False, system=system)
    assert own_file(places).read_text() == "nameserver 192.0.2.1\n"
    write_own_file(places, "127.60.1.2", use_own=True, system=system)
    assert "nameserver 127.60.1.2\n" in own_file(places).read_text()
    assert "trust-ad" in own_file(places).read_text()
    assert "192.0.2.1" not in own_file(places).read_text()


def test_the_file_is_changed_in_place_because_a_mount_sees_no_new_one(places: Places, tmp_path: Path) -> None:
    system = tmp_path / "system"
    write_own_file(places, "127.60.1.2", use_own=True, system=system)
    before = own_file(places).stat()
    write_own_file(places, "127.60.1.2", use_own=True, system=system)
    assert own_file(places).stat().st_mtime_ns == before.st_mtime_ns
    write_own_file(places, "127.60.1.3", use_own=True, system=system)
    assert own_file(places).stat().st_ino == before.st_ino


def test_without_an_address_the_systems_file_holds(places: Places, tmp_path: Path) -> None:
    system = tmp_path / "system"
    system.write_text("nameserver 192.0.2.1\n")
    write_own_file(places, "", use_own=True, system=system)
    assert own_file(places).read_text() == "nameserver 192.0.2.1\n"


@pytest.mark.skipif(not name_service.is_possible(), reason="no mount namespaces here")
def test_a_program_sees_the_file_and_the_machine_does_not(places: Places, tmp_path: Path) -> None:
    write_own_file(places, "127.60.1.2", use_own=True)
    before = Path("/etc/resolv.conf").read_text()
    command = [*name_service.enter(own_file(places)), "cat", "/etc/resolv.conf"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "nameserver 127.60.1.2\n" in said
    assert Path("/etc/resolv.conf").read_text() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="port 53 is root's")
def test_a_root_keeps_its_address_while_nobody_takes_it(places: Places) -> None:
    address = own_address(places)
    assert address.startswith("127.")
    assert own_address(places) == address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        taker.bind((address, 53))
        other = own_address(places)
    assert other not in ("", address)


def test_roots_do_not_meet() -> None:
    addresses = {name_service._guess(Path(f"/tmp/r{number}"), 0) for number in range(50)}
    assert len(addresses) > 45
