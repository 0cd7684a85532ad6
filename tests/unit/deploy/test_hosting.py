"""Several agents in one process: started together, changed together, stopped in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.unit.deploy.fake_room import FakeRoom, run, until

from mailu.daemons.postfix import queue
from mailu.daemons.room import Folder, RenderRequest
from mailu.deploy import hosting as hosting_module
from mailu.deploy import mail_counts, resolver
from mailu.deploy.clock import Clock
from mailu.deploy.control import ask
from mailu.deploy.ground import Verdict
from mailu.deploy.hosting import AlreadyRunning, Hosting, control_path, running_pids
from mailu.deploy.leftovers import process_facts, recorded
from mailu.deploy.ports import PortTaken
from mailu.deploy.services import Service
from mailu.deploy.source import Source
from mailu.places import Places
from mailu.settings import Settings

ADDRESS = "127.0.18.78"


@dataclass
class NamedRoom(FakeRoom):
    """A fake daemon under the name of a service; its banner is the name and what SITENAME says."""

    folder_of: list[str] = field(default_factory=list)

    def folders(self, request: RenderRequest) -> list[Folder]:
        self.folder_of.append(str(request.places.service(self.name)))
        return super().folders(request)


class Site:
    """A root with fake services, and its settings file."""

    def __init__(self, root: Path, *services: str, needs: dict[str, tuple[str, ...]] | None = None) -> None:
        self.root = root
        self.places = Places(root)
        self.file = root / "mailu.env"
        self.rooms = {name: NamedRoom(name=name, overrides_folder=name) for name in services}
        self.needs = needs or {}
        self.wanted = list(services)
        self.write()

    def write(self, **more: str) -> None:
        variables = {
            "ROOT": str(self.root),
            "DOMAIN": "example.com",
            "HOSTNAMES": "mail.example.com",
            "SECRET_KEY": "0123456789abcdef",
            "BIND_ADDRESS4": ADDRESS,
            "SITENAME": "banner=one",
        }
        text = "".join(f'{name}="{value}"\n' for name, value in {**variables, **more}.items())
        scratch = self.file.with_suffix(".new")
        scratch.write_text(text)
        scratch.replace(self.file)

    def table(self, settings: Settings) -> list[Service]:
        return [
            Service(name, lambda room=self.rooms[name]: room, needs=self.needs.get(name, ()), stop_seconds=1)  # type: ignore[misc]
            for name in self.wanted
        ]

    def hosting(self, **more: Any) -> Hosting:
        source = Source(self.file, {})
        return Hosting(source, source.load(), service_table=self.table, **more)

    async def status(self) -> dict[str, Any]:
        return await asyncio.to_thread(ask, self.places.run / "control", {"do": "status", "probe": True}, seconds=5)

    def running(self) -> list[str]:
        """The services whose daemons run now."""
        return sorted(record.service for record in recorded(self.places.run / "pids"))

    async def apply(self) -> dict[str, Any]:
        return await asyncio.to_thread(ask, self.places.run / "control", {"do": "apply"}, seconds=10)

    def log(self) -> str:
        file = self.places.logs / "mailu.log"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(resolver, "judge", lambda choice, port: Verdict())
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Hosted:
    """A hosting that runs in the background of a test."""

    def __init__(self, hosting: Hosting) -> None:
        self.hosting = hosting

    async def __aenter__(self) -> Hosting:
        self.task = asyncio.create_task(self.hosting.run())
        return self.hosting

    async def __aexit__(self, *error: object) -> None:
        self.hosting._stop.set()
        await asyncio.wait_for(self.task, 10)

    async def all_ready(self) -> None:
        def ready() -> bool:
            assert not self.task.done(), self.task.result()
            hosted = self.hosting._hosted.values()
            return bool(hosted) and all(item.agent.status.ready for item in hosted)

        await until(ready, seconds=10)


def test_all_services_run_and_are_told_of(root: Path) -> None:
    async def scenario() -> None:
        site = Site(root, "redis", "imap", "smtp")
        hosted = Hosted(site.hosting())
        async with hosted:
            await hosted.all_ready()
            answer = await site.status()
            assert [item["name"] for item in answer["services"]] == ["redis", "imap", "smtp"]
            assert all(item["ready"] for item in answer["services"])
            assert answer["pid"] == os.getpid()
            assert running_pids(site.places) == [os.getpid()]
        assert running_pids(site.places) == []
        assert not control_path(site.places, None).exists()

    run(scenario())


class Starts:
    """Counts that a fake daemon was started."""

    def read(self, line: str) -> tuple[str, str] | None:
        return ("received", "example.com") if line == "started as one" else None


def test_what_services_log_is_counted_and_told_before_the_directory_stops(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[list[str], Any]] = []
    monkeypatch.setitem(mail_counts.TALLIES, "smtp", Starts)

    def ask(*_arguments: object, body: bytes, **_more: object) -> bytes:
        told.append((site.running(), json.loads(body)))
        return b"{}"

    monkeypatch.setattr(mail_counts, "ask_directory", ask)
    site = Site(root, "directory", "smtp")

    async def scenario() -> None:
        hosted = Hosted(site.hosting())
        async with hosted:
            await hosted.all_ready()

    run(scenario())
    assert [(running, rows[0][1:]) for running, rows in told] == [(["directory"], ["received", "example.com", 1])]


def test_a_service_waits_for_those_it_needs(root: Path) -> None:
    async def scenario() -> None:
        site = Site(root, "redis", "antispam", needs={"antispam": ("redis",)})
        reasons: list[str | None] = ["loading"]
        site.rooms["redis"].ready = lambda request: reasons[0]  # type: ignore[method-assign]
        async with Hosted(site.hosting()) as hosting:
            await until(lambda: hosting._hosted and hosting._hosted["redis"].agent.status.reason == "loading")
            assert hosting._hosted["antispam"].agent.status.state == "waiting"
            reasons[0] = None
            await until(lambda: hosting._hosted["antispam"].agent.status.ready)

    run(scenario())


def test_a_service_does_not_wait_for_ever(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting_module, "NEEDS_SECONDS", 0.1)

    async def scenario() -> None:
        site = Site(root, "redis", "antispam", needs={"antispam": ("redis",)})
        site.rooms["redis"].ready = lambda request: "never"  # type: ignore[method-assign]
        async with Hosted(site.hosting()) as hosting:
            await until(lambda: hosting._hosted and hosting._hosted["antispam"].agent.status.ready, seconds=10)

    run(scenario())


def test_stopping_goes_the_other_way_round(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    async def scenario() -> None:
        site = Site(root, "redis", "directory", "imap", "smtp", "front")
        hosted = Hosted(site.hosting())
        async with hosted as hosting:
            await hosted.all_ready()
            for name, item in hosting._hosted.items():
                real = item.agent.stop

                async def noted(name: str = name, real: Any = real) -> None:
                    ended.append(name)
                    await real()

                monkeypatch.setattr(item.agent, "stop", noted)

    run(scenario())
    assert ended == ["front", "smtp", "imap", "directory", "redis"]


def test_a_changed_settings_file_is_noticed(root: Path) -> None:
    async def scenario() -> None:
        site = Site(root, "imap")
        hosted = Hosted(site.hosting())
        async with hosted:
            await hosted.all_ready()
            site.write(SITENAME="banner=two")
            await until(lambda: site.rooms["imap"].banner(site.places) == "two")

    run(scenario())


def test_settings_that_make_no_sense_are_refused_and_shown(root: Path) -> None:
    async def scenario() -> None:
        site = Site(root, "imap")
        hosted = Hosted(site.hosting())
        async with hosted:
            await hosted.all_ready()
            site.write(SITENAME="banner=two", MESSAGE_SIZE_LIMIT="plenty")
            answer = await site.apply()
            assert answer["services"] == []
            assert "MESSAGE_SIZE_LIMIT=plenty" in answer["settings_problems"][0]
            assert (await site.status())["settings_problems"] == answer["settings_problems"]
            assert site.rooms["imap"].banner(site.places) == "one"
            site.write(SITENAME="banner=three")
            assert (await site.apply())["services"] == [{"service": "imap", "outcome": "reloaded", "reasons": []}]
            assert (await site.status())["settings_problems"] == []

    run(scenario())


def test_the_root_cannot_be_changed_while_services_run(root: Path) -> None:
    async def scenario() -> None:
        site = Site(root, "imap")
        hosted = Hosted(site.hosting())
        async with hosted:
            await hosted.all_ready()
            site.write(ROOT="/elsewhere")
            assert "ROOT cannot be changed" in (await site.apply())["settings_problems"][0]

    run(scenario())


def test_an_error_in_one_room_does_not_keep_others_from_their_change(root: Path) -> None:
    async def scenario() -> None:
        site = Site(root, "imap", "smtp")
        hosted = Hosted(site.hosting())
        async with hosted:
            await hosted.all_ready()

            def render(request: RenderRequest) -> Any:
                raise ZeroDivisionError("oops")

            site.rooms["imap"].render = render  # type: ignore[method-assign]
            site.write(SITENAME="banner=two")
            outcomes = {item["service"]: item["outcome"] for item in (await site.apply())["services"]}
            assert outcomes == {"imap": "rejected", "smtp": "reloaded"}
            assert all(item["ready"] for item in (await site.status())["services"])

    run(scenario())


def test_services_come_and_go_with_the_settings(root: Path) -> None:
    async def scenario() -> None:
        site = Site(root, "imap", "smtp")
        site.wanted = ["imap"]
        hosted = Hosted(site.hosting())
        async with hosted as hosting:
            await hosted.all_ready()
            site.wanted = ["smtp"]
            outcomes = {item["service"]: item["outcome"] for item in (await site.apply())["services"]}
            assert (outcomes["imap"], outcomes["smtp"]) == ("stopped", "started")
            await hosted.all_ready()
            assert list(hosting._hosted) == ["smtp"]

    run(scenario())


def test_an_override_is_noticed(root: Path) -> None:
    async def scenario() -> None:
        site = Site(root, "imap", "smtp")
        hosted = Hosted(site.hosting())
        async with hosted:
            await hosted.all_ready()
            folder = site.places.overrides / "imap"
            folder.mkdir()
            (folder / "words").write_text("bad")
            await until(lambda: hosted.hosting._hosted["imap"].agent.status.problems)
            assert hosted.hosting._hosted["smtp"].agent.status.state == "ready"
            (folder / "words").unlink()
            await until(lambda: not hosted.hosting._hosted["imap"].agent.status.problems)

    run(scenario())


def test_a_second_hosting_of_a_root_is_refused(root: Path) -> None:
    async def scenario() -> None:
        site = Site(root, "imap")
        hosted = Hosted(site.hosting())
        async with hosted:
            await hosted.all_ready()
            with pytest.raises(AlreadyRunning, match=f"Mailu already runs at {root} \\(pid {os.getpid()}\\)"):
                await site.hosting().run()
            with pytest.raises(AlreadyRunning, match="imap already runs"):
                await Hosting(Source(site.file, {}), site.hosting()._settings, only="imap").run()

    run(scenario())


def test_a_port_that_is_taken_stops_the_start_before_anything_runs(root: Path) -> None:
    async def scenario() -> None:
        site = Site(root, "smtp")
        server = await asyncio.start_server(lambda *_: None, ADDRESS, 465)
        async with server:
            with pytest.raises(PortTaken, match=f"Port 465 on {ADDRESS} is taken by"):
                await site.hosting().run()
        assert running_pids(site.places) == []

    run(scenario())


def test_one_service_alone_ends_with_an_error_when_it_cannot_start(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(root, "imap")
    site.write(SITENAME="bad")
    monkeypatch.setattr(hosting_module, "find_service", lambda name, settings: site.table(settings)[0])
    codes: list[int] = []

    async def scenario() -> None:
        codes.append(await asyncio.wait_for(site.hosting(only="imap").run(), 10))

    run(scenario())
    assert codes == [1]


def test_a_signal_ends_one_service_in_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(root, "imap")
    monkeypatch.setattr(hosting_module, "find_service", lambda name, settings: site.table(settings)[0])

    async def scenario() -> None:
        hosting = site.hosting(only="imap")
        task = asyncio.create_task(hosting.run())
        await until(lambda: hosting._hosted and hosting._hosted["imap"].agent.status.ready)
        assert control_path(site.places, "imap").exists()
        pid = hosting._hosted["imap"].agent.pid
        assert pid is not None
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(task, 10) == 0
        assert process_facts(pid) is None

    run(scenario())


def test_a_changed_verdict_about_names_reaches_the_rooms(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = [Verdict(), Verdict(5300, own_validates=True)]
    monkeypatch.setattr(resolver, "FIRST_PAUSES_SECONDS", (0.05,))
    monkeypatch.setattr(resolver, "judge", lambda choice, port: verdicts[0] if len(verdicts) == 1 else verdicts.pop(0))

    async def scenario() -> None:
        site = Site(root, "imap")
        hosted = Hosted(site.hosting())
        async with hosted as hosting:
            await until(lambda: hosting._situation and hosting._situation.host.resolver_port == 5300)
            assert resolver.remembered(site.places) == Verdict(5300, own_validates=True)

    run(scenario())


def test_a_clock_that_was_set_back_costs_a_restart_of_the_mailboxes_and_tries_the_queue_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps, retried = [0.0], list[Path]()

    async def retry(configuration: Path, ids: list[str]) -> None:
        assert ids == []
        retried.append(configuration)

    monkeypatch.setattr(hosting_module, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(Clock, "set_back", lambda _clock: jumps.pop() if jumps else 0.0)
    monkeypatch.setattr(queue, "retry", retry)

    async def scenario() -> None:
        site = Site(root, "redis", "imap", "smtp")
        hosted = Hosted(site.hosting())
        async with hosted as hosting:
            await hosted.all_ready()
            before = {name: item.agent.pid for name, item in hosting._hosted.items()}
            jumps.append(3600.0)
            await until(lambda: retried, seconds=20)
            await hosted.all_ready()
            after = {name: item.agent.pid for name, item in hosting._hosted.items()}
            assert [name for name in before if before[name] != after[name]] == ["imap"]
            assert retried == [site.places.service("smtp") / "etc"]

    run(scenario())
