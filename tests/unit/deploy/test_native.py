"""What the commands find of running agents, and of none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailu.deploy import native
from mailu.deploy.control import NotRunning
from mailu.deploy.hosting import running_pids
from mailu.deploy.native import NotReady, Overview
from mailu.places import Places

SERVER = """
import asyncio, json, sys
from pathlib import Path
from mailu.deploy.control import ControlServer
from mailu.deploy.lock import Lock
run, name, answer = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
async def give(request):
    return answer
async def main():
    Lock(run / f"{name}lock").acquire()
    await ControlServer(run / f"control{'.' + name if name else ''}", {"status": give, "apply": give}).open()
    print("up", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def service(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": "ready", "ready": True, "pid": 1, "reason": "", "problems": [], "notes": [], **more}


def answer(*services: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"pid": 7, "services": list(services), "settings_problems": [], "warnings": ["w"], **more}


@pytest.fixture
def places() -> Iterator[Places]:
    with tempfile.TemporaryDirectory(prefix="n-", dir="/tmp") as name:
        (Path(name) / "run").mkdir()
        yield Places(Path(name))


@pytest.fixture
def agents(places: Places) -> Iterator[Any]:
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, content: str) -> int:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", SERVER, str(places.run), name, content]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.stdout.close()
        threading.Thread(target=process.wait, daemon=True).start()
        started.append(process)
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_nothing_runs_at_an_empty_root(places: Places) -> None:
    overview = native.overview(places)
    assert (overview.running, overview.ready, overview.services) == (False, False, [])
    with pytest.raises(NotRunning, match=f"Mailu does not run at {places.root}"):
        native.apply(places)
    assert native.down(places) == ([], [])


def test_what_several_processes_host_is_one_overview(places: Places, agents: Any) -> None:
    agents("", json.dumps(answer(service("redis"), service("imap"))))
    agents("smtp", json.dumps(answer(service("smtp", ready=False, state="failed"), pid=8)))
    overview = native.overview(places)
    assert [item["name"] for item in overview.services] == ["redis", "imap", "smtp"]
    assert (overview.running, overview.ready) == (True, False)
    assert sorted(overview.pids) == [7, 8]
    assert overview.warnings == ["w"]
    assert overview.to_json()["ready"] is False


def test_a_socket_that_nobody_serves_is_nothing(places: Places, agents: Any) -> None:
    pid = agents("", json.dumps(answer(service("redis"))))
    assert native.overview(places).ready
    os.kill(pid, 9)
    while running_pids(places):
        pass
    assert not native.overview(places).running


def test_down_ends_every_process_and_waits_for_it(places: Places, agents: Any) -> None:
    pids = [agents("", json.dumps(answer())), agents("smtp", json.dumps(answer()))]
    assert sorted(native.down(places)[0]) == sorted(pids)
    assert running_pids(places) == []


@pytest.mark.parametrize(
    ("services", "ready", "hopeless"),
    [
        ([service("a"), service("b")], True, False),
        ([service("a"), service("b", ready=False, state="starting")], False, False),
        ([service("a"), service("b", ready=False, state="failed")], False, False),
        ([service("a"), service("b", ready=False, state="failed", problems=["line 1"])], False, True),
        ([service("a", ready=False), service("b", ready=False, state="failed", problems=["x"])], False, False),
        ([], False, False),
    ],
)
def test_waiting_ends_when_it_is_of_no_use(services: list[dict[str, Any]], ready: bool, hopeless: bool) -> None:
    overview = Overview(root="/mailu", running=True, services=services)
    assert overview.ready is ready
    assert native._is_hopeless(overview) is hopeless


def test_the_words_of_a_background_process_that_ended_are_told(places: Places) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"Port 25 on 127.0.0.1 is taken by exim4 (pid 612).\n")
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe, pytest.raises(NotReady, match=r"taken by exim4 \(pid 612\)"):
        native._wait_until_ready(places, 4711, pipe, lambda _: None)


def test_another_processes_readiness_is_not_ours(places: Places, agents: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    agents("", json.dumps(answer(service("redis"))))
    reader, writer = os.pipe()
    told: list[str] = []

    def say_no(_: float) -> None:
        os.write(writer, b"already running")
        os.close(writer)
        monkeypatch.setattr(time, "sleep", lambda _: None)

    monkeypatch.setattr(time, "sleep", say_no)
    with os.fdopen(reader, "rb") as pipe, pytest.raises(NotReady, match="already running"):
        native._wait_until_ready(places, 4711, pipe, told.append)
    assert told == []


@pytest.mark.parametrize(
    ("state", "after_seconds", "left_seconds"),
    [
        ("waiting", 0, 120),
        ("starting", 110, 10),
        ("preparing", 10, 110),
        ("preparing", 110, 60),
        ("preparing", 200, 60),
        ("preparing", 290, 10),
    ],
)
def test_the_start_waits_longer_for_what_is_being_prepared(
    state: str, after_seconds: float, left_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: began + after_seconds)
    services = [
        {"name": "redis", "ready": True, "state": "ready"},
        {"name": "antispam", "ready": False, "state": state},
    ]
    overview = Overview(root="/", running=True, services=services)
    assert native._extended(began + 120, overview, began) - began - after_seconds == left_seconds
