"""Sockets are made with the right mode, and only a dead one is replaced."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from mailu.servers.listening import AddressInUse, listen_loopback, listen_unix


def test_a_socket_is_made_with_its_folder_and_everybody_may_write_to_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "map"
    with listen_unix(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        assert stat.S_ISSOCK(path.stat().st_mode)


def test_a_file_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "map"
    listen_unix(path).close()
    assert path.exists()
    with listen_unix(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_where_somebody_answers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "map"
    with listen_unix(path), pytest.raises(AddressInUse, match="another process answers"):
        listen_unix(path)
    assert path.exists()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text("precious")
    with pytest.raises(OSError, match="is not a socket"):
        listen_unix(path)
    assert path.read_text() == "precious"


def test_a_path_that_is_too_long_is_explained(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="use a shorter ROOT"):
        listen_unix(tmp_path / ("x" * 100))


def test_a_port_that_is_taken_is_an_error() -> None:
    with listen_loopback(0, "127.0.14.9") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            listen_loopback(port, "127.0.14.9")
