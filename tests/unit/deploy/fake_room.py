"""A room for the fake daemon, and what the tests of agents are built from."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mailu.daemons.room import CheckResult, ConfigFile, Folder, Host, OverrideError, Reload, RenderRequest
from mailu.deploy.agent import Agent, Terms
from mailu.deploy.journal import Console, Journal
from mailu.deploy.situation import Situation
from mailu.places import Places
from mailu.settings import load_settings

SCRIPT = Path(__file__).with_name("fake_daemon.py")
HOST = Host(
    debian=12,
    dovecot=(2, 3),
    postfix=(3, 7),
    rspamd=(3, 4),
    cpus=2,
    ipv6=False,
    resolver_validates=False,
    directory_port=0,
    directory_secret="secret",
)


@dataclass
class FakeRoom:
    """Renders SITENAME as the daemon's words; `bad` in it is refused by the checker."""

    name: str = "fake"
    overrides_folder: str | None = "fake"
    reload: Reload = "HUP"
    checks: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)

    def folders(self, request: RenderRequest) -> list[Folder]:
        return [Folder(request.places.service(self.name))]

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        if "broken" in request.overrides:
            raise OverrideError("overrides/fake/broken: line 1 makes no sense")
        extra = " ".join(request.overrides.values())
        certificate = " ".join(str(chain) for _, chain, _ in request.certificates)
        return {"fake.conf": ConfigFile(f"{request.settings.sitename} {extra}\n# {request.etc} {certificate}\n")}

    def check(self, request: RenderRequest) -> CheckResult:
        text = (request.etc / "fake.conf").read_text()
        self.checks.append(text)
        if "bad" in text.split():
            return CheckResult(problems=("fake.conf: line 1: bad is not a word",))
        return CheckResult(notes=("this is only a fake",) if "noted" in text.split() else ())

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        return [sys.executable, "-S", str(SCRIPT), str(etc / "fake.conf"), str(self.door(request)), *self.arguments]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        return {"FAKE": request.settings.website}

    def user(self) -> str | None:
        return None

    def ready(self, request: RenderRequest) -> str | None:
        try:
            return None if self.banner(request.places) else "no banner"
        except OSError as error:
            return str(error)

    def door(self, request: RenderRequest) -> Path:
        return request.places.service(self.name) / "door"

    def banner(self, places: Places) -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(places.service(self.name) / "door"))
            return client.recv(100).decode()


def situation(root: Path, words: str = "banner=one", **more: str) -> Situation:
    variables = {
        "ROOT": str(root),
        "DOMAIN": "example.com",
        "HOSTNAMES": "mail.example.com",
        "SECRET_KEY": "0123456789abcdef",
        "BIND_ADDRESS4": "127.0.18.1",
        "SITENAME": words,
    }
    settings = load_settings(None, {**variables, **more})
    return Situation(settings, Places(root), HOST)


def with_words(before: Situation, words: str) -> Situation:
    return replace(before, settings=replace(before.settings, sitename=words))


class Running:
    """An agent of the fake daemon that runs while the context lasts."""

    def __init__(self, root: Path, words: str = "banner=one", room: FakeRoom | None = None, **terms: Any) -> None:
        self.room = room or FakeRoom()
        self.situation = situation(root, words)
        self.places = self.situation.places
        self.journal = Journal(self.places.logs / "fake.log", console=Console(None))
        patience = replace(Terms(stop_seconds=0.3, restart_seconds=2.0), **terms)
        self.agent = Agent(self.room, self.situation, self.journal, patience)

    async def __aenter__(self) -> Running:
        self.task = asyncio.create_task(self.agent.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.agent.stop()
        await asyncio.wait_for(self.task, 5)
        self.journal.close()

    async def ready(self) -> None:
        await asyncio.wait_for(self.agent.answered.wait(), 5)

    def log_text(self) -> str:
        return self.journal.path.read_text()


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Wait for a condition, not for a time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.01)


def run(test: Awaitable[None]) -> None:
    async def main() -> None:
        await test

    asyncio.run(main())
