"""The web application of a small host: started when somebody asks, gone when nobody does."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.room_harness import make_request

from mailu.deploy.services import ADMIN
from mailu.directory.store import open_store
from mailu.places import Places
from mailu.settings import load_settings

ANSWERS_ONCE = """
import os, socket
listener = socket.socket(fileno=int(os.environ["MAILU_LISTENER"]))
listener.setblocking(True)
connection, _ = listener.accept()
connection.sendall(f"{os.getpid()}\\n".encode())
"""
STAYS = """
import os, socket
listener = socket.socket(fileno=int(os.environ["MAILU_LISTENER"]))
listener.setblocking(True)
while True:
    listener.accept()[0].sendall(f"{os.getpid()}\\n".encode())
"""
FAILS = "import sys; sys.exit(3)"


class Running:
    """A porter on sockets of its own."""

    def __init__(self, folder: Path, *program: str, **environment: str) -> None:
        self.door, self.window, self.log = folder / "http", folder / "porter", folder / "log"
        command = [sys.executable, "-m", "mailu.servers.porter", str(self.door), str(self.window), *program]
        with self.log.open("wb") as log:
            environ = {**os.environ, **environment}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environ, start_new_session=True)
        self.until(self.window.exists)

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def ask(self) -> str:
        """What the program says to one who connects; empty when it ends without a word."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(120)
            connection.connect(str(self.door))
            return connection.recv(100).decode().strip()

    def state(self) -> str:
        """What the agent is answered."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.window))
            connection.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
            return connection.makefile().read()

    def programs(self) -> list[int]:
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in text.split()]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def make(*program: str, **environment: str) -> Running:
        started.append(Running(tmp_path, *program, **environment))
        return started[-1]

    yield make
    for running in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()


def test_nothing_runs_until_somebody_asks_and_again_after_it_ended(start: Callable[..., Running]) -> None:
    running = start(sys.executable, "-c", ANSWERS_ONCE)
    assert "200" in running.state()
    assert running.programs() == []
    first = running.ask()
    assert first.isdigit()
    running.until(lambda: not running.programs())
    assert running.ask() not in ("", first)


def test_looking_in_wakes_nobody(start: Callable[..., Running]) -> None:
    running = start(sys.executable, "-c", ANSWERS_ONCE)
    for _ in range(3):
        assert "200" in running.state()
    assert "started" not in running.log.read_text()


def test_whoever_asks_while_it_runs_is_served_by_the_same(start: Callable[..., Running]) -> None:
    running = start(sys.executable, "-c", STAYS)
    assert running.ask() == running.ask()


def test_told_to_end_it_ends_with_the_program(start: Callable[..., Running]) -> None:
    running = start(sys.executable, "-c", STAYS)
    program = int(running.ask())
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0
    assert not Path(f"/proc/{program}").exists()


def test_told_to_end_while_nobody_asked_it_ends(start: Callable[..., Running]) -> None:
    running = start(sys.executable, "-c", STAYS)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0


def test_a_program_that_fails_is_told_of_and_not_started_without_pause(start: Callable[..., Running]) -> None:
    running = start(sys.executable, "-c", FAILS)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(running.door))
        running.until(lambda: "exit code 3" in running.state())
        assert "503" in running.state()
        time.sleep(2)  # what must not happen meanwhile needs time in which it could
    assert running.log.read_text().count("started") <= 4


@pytest.fixture
def web_application(start: Callable[..., Running], tmp_path: Path) -> Callable[[int], Running]:
    """Started by a porter; the number says after how many seconds it sleeps."""
    environ = {"DOMAIN": "example.com", "HOSTNAMES": "mail.example.com", "SECRET_KEY": "0123456789abcdef"}
    more = {"TLS_FLAVOR": "notls", "RATELIMIT_STORAGE_URL": "memory://", "MEMORY_SESSIONS": "true"}
    settings = load_settings(None, {**environ, **more, "ROOT": str(tmp_path)})
    Places(tmp_path).data.mkdir(parents=True)
    open_store(settings.database_uri).upgrade()
    (tmp_path / "settings.json").write_text(settings.to_json())
    variables = {"MAILU_SETTINGS": str(tmp_path / "settings.json")}
    program = (sys.executable, "-m", "mailu.servers.admin")
    return lambda seconds: start(*program, **variables, MAILU_IDLE_SECONDS=str(seconds))


def test_the_web_application_answers_who_woke_it_and_sleeps_again(web_application: Callable[[int], Running]) -> None:
    running = web_application(1)
    for _ in range(2):
        assert page(running.door, "/sso/login") == 200, running.log.read_text()
        running.until(lambda: not running.programs())
        assert running.door.exists()


def test_the_web_application_ends_by_itself_when_it_is_told_to(web_application: Callable[[int], Running]) -> None:
    running = web_application(600)
    assert page(running.door, "/sso/login") == 200, running.log.read_text()
    os.kill(running.programs()[0], signal.SIGTERM)
    running.until(lambda: not running.programs())
    assert "200" in running.state(), "not ended by the signal, but of its own accord"


def page(door: Path, path: str) -> int:
    """The status of a page, asked for as nginx does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(120)
        connection.connect(str(door))
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: mail.example.com\r\n\r\n".encode())
        with connection.makefile("rb") as stream:
            return int(stream.readline().split()[1])


def test_only_a_small_host_has_a_porter() -> None:
    large, small = make_request(), make_request({"SMALL_HOST": "true"})
    etc = Path("/etc/x")
    assert ADMIN.command(large, etc)[1:] == ["-m", "mailu.servers.admin"]
    assert ADMIN.command(small, etc)[2] == "mailu.servers.porter"
    assert ADMIN.command(small, etc)[-3:] == ADMIN.command(large, etc)
