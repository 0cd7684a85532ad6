"""Mailu on this machine, without containers and without systemd: up, down, status, logs, apply, run.

`up` hosts the agents of all services in one process, in the foreground or, detached, in the background. The other
commands find that process by its lock and its control socket below the root.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from mailu.deploy import control
from mailu.deploy.hosting import Hosting, running_pids
from mailu.deploy.journal import Console, JournalHandler
from mailu.deploy.leftovers import end_leftovers, process_facts
from mailu.deploy.lock import wait_until_free
from mailu.deploy.source import Source
from mailu.places import Places
from mailu.settings import Settings

READY_SECONDS = 120.0
PREPARING_SECONDS = 300.0
"""The most that `up` waits while a service is being prepared: at the first start a small machine compiles Rspamd's
expressions for minutes."""
STARTING_SECONDS = 60.0
"""What a service has left then, from the end of its preparation."""
STOP_SECONDS = 90.0
STATUS_SECONDS = 10.0
APPLY_SECONDS = 180.0
POLL_SECONDS = 0.05

log = logging.getLogger("mailu.agent")


class NotReady(Exception):
    """`up --detach` ended without every service answering; the text says which and why."""


@dataclass(slots=True)
class Overview:
    """What all running agents of a root say together."""

    root: str
    running: bool
    pids: list[int] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    settings_problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """Everything that should run answers."""
        return self.running and bool(self.services) and all(service["ready"] for service in self.services)

    def to_json(self) -> dict[str, Any]:
        """The answer of ``mailu status --json``."""
        return {
            "root": self.root,
            "running": self.running,
            "ready": self.ready,
            "pids": self.pids,
            "services": self.services,
            "settings_problems": self.settings_problems,
            "warnings": self.warnings,
        }


def host(source: Source, settings: Settings, *, only: str | None = None, stream: BinaryIO | None = None) -> int:
    """Host agents in this process until it is told to stop. Returns the exit code.

    *stream* receives every line of every service. Raises what Hosting.run raises.
    """
    console = Console(stream)

    async def main() -> int:
        hosting = Hosting(source, settings, only=only, console=console)
        with _logging_into(hosting):
            return await hosting.run()

    try:
        return asyncio.run(main())
    finally:
        console.close()


@contextlib.contextmanager
def _logging_into(hosting: Hosting) -> Iterator[None]:
    logger = logging.getLogger("mailu")
    logger.setLevel(logging.INFO)
    handler: logging.Handler | None = None

    class Late(logging.Handler):
        """The journal's folder is made when the root is locked; open it with the first record."""

        def emit(self, record: logging.LogRecord) -> None:
            nonlocal handler
            if handler is None:
                handler = JournalHandler(hosting.journal("mailu"))
            handler.emit(record)

    late = Late()
    logger.addHandler(late)
    try:
        yield
    finally:
        logger.removeHandler(late)


def host_detached(source: Source, settings: Settings, *, told: Callable[[str], None]) -> Overview:
    """Host the agents in a new background process and wait until every service answers.

    *told* receives a line whenever a service became ready. Raises NotReady; a process that could start stays, so that
    its status and logs can be looked at.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _background(source, settings, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        return _wait_until_ready(Places(settings.root), pid, pipe, told)


def _background(source: Source, settings: Settings, writer: int) -> None:
    """Become the background process, which keeps *writer* open as long as it lives. What stops it is written there.

    It is another program (``background``): what the command line has loaded would stay in memory for ever.
    """
    try:
        os.setsid()
        os.chdir("/")
        _redirect(Places(settings.root))
        os.set_inheritable(writer, True)
        command = [sys.executable, "-m", "mailu.deploy.background", str(writer)]
        file = [str(source.file)] if source.file is not None else []
        os.execve(command[0], [*command, *file], {**os.environ, **source.environ})  # noqa: S606 - no shell
    except BaseException as error:
        os.write(writer, f"{error or repr(error)}\n".encode())
    finally:
        os._exit(1)


def _redirect(places: Places) -> None:
    """No terminal any more: what Python itself says goes beside the logs."""
    places.logs.mkdir(parents=True, exist_ok=True)
    null = os.open(os.devnull, os.O_RDONLY)
    said = os.open(places.logs / "background.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    os.dup2(null, 0)
    os.dup2(said, 1)
    os.dup2(said, 2)


def _wait_until_ready(places: Places, pid: int, pipe: BinaryIO, told: Callable[[str], None]) -> Overview:
    os.set_blocking(pipe.fileno(), False)
    began = time.monotonic()
    deadline = began + READY_SECONDS
    seen: set[str] = set()
    while True:
        if (words := pipe.read()) is not None:
            raise NotReady(words.decode(errors="replace").strip() or "the background process ended; see `mailu logs`")
        now = overview(places, probe=False)
        if pid not in now.pids:
            # It has not got as far yet, or finds that somebody else runs here and will say so.
            time.sleep(POLL_SECONDS)
            continue
        for service in now.services:
            if service["ready"] and service["name"] not in seen:
                seen.add(service["name"])
                told(f"{service['name']} is ready ({time.monotonic() - began:.1f} s)")
        if now.ready:
            return now
        if _is_hopeless(now):
            raise NotReady(f"these services cannot be started: {_late(now)}")
        deadline = _extended(deadline, now, began)
        if time.monotonic() > deadline:
            raise NotReady(f"after {deadline - began:.0f} s these services do not answer yet: {_late(now)}")
        time.sleep(POLL_SECONDS)


def _extended(deadline: float, now: Overview, began: float) -> float:
    """The deadline, put off while a service is being prepared."""
    if not any(item["state"] == "preparing" for item in now.services):
        return deadline
    return max(deadline, min(time.monotonic() + STARTING_SECONDS, began + PREPARING_SECONDS))


def _is_hopeless(now: Overview) -> bool:
    """Whether everything is ready but services whose configuration is refused: waiting changes nothing."""
    late = [item for item in now.services if not item["ready"]]
    return bool(late) and all(item["state"] == "failed" and item["problems"] for item in late)


def _late(now: Overview) -> str:
    late = [f"{item['name']}: {item['reason'] or item['state']}" for item in now.services if not item["ready"]]
    return "; ".join(late)


def overview(places: Places, *, probe: bool = True) -> Overview:
    """Ask every running agent of this root how its services are."""
    result = Overview(root=str(places.root), running=False)
    for path in _control_sockets(places):
        with contextlib.suppress(control.NotRunning, TimeoutError):
            answer = control.ask(path, {"do": "status", "probe": probe}, seconds=STATUS_SECONDS)
            result.running = True
            result.pids.append(answer["pid"])
            result.services += answer["services"]
            result.settings_problems += answer["settings_problems"]
            result.warnings += [text for text in answer["warnings"] if text not in result.warnings]
    return result


def apply(places: Places) -> tuple[list[dict[str, Any]], list[str]]:
    """Have the running agents read everything again.

    Returns one ``{"service", "outcome", "reasons"}`` for each service, and what is wrong with the settings.
    Raises NotRunning when nothing runs.
    """
    changes: list[dict[str, Any]] = []
    problems: list[str] = []
    sockets = _control_sockets(places)
    if not sockets:
        raise control.NotRunning(f"Mailu does not run at {places.root}.")
    for path in sockets:
        answer = control.ask(path, {"do": "apply"}, seconds=APPLY_SECONDS)
        changes += answer["services"]
        problems += [text for text in answer["settings_problems"] if text not in problems]
    return changes, problems


def _control_sockets(places: Places) -> list[Path]:
    return [path for path in sorted(places.run.glob("control*")) if path.is_socket()]


def _wait_for_the_end_of(pids: list[int], until: float) -> None:
    """A process gives its locks back shortly before it is gone."""
    while any(process_facts(pid) is not None for pid in pids) and time.monotonic() < until:
        time.sleep(POLL_SECONDS / 10)


def down(places: Places) -> tuple[list[int], list[str]]:
    """Stop everything that runs at this root, also what a killed agent left behind.

    Returns the process numbers that were told to stop and sentences about leftovers. Raises TimeoutError when
    something still runs after STOP_SECONDS.
    """
    pids = running_pids(places)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    for path in sorted(places.run.glob("*lock")):
        if not wait_until_free(path, max(0.0, until - time.monotonic())):
            raise TimeoutError(f"the process that holds {path} does not end; see `mailu logs mailu`")
    _wait_for_the_end_of(pids, until)
    return pids, end_leftovers(places.run / "pids", places.root)
