"""Hosting agents: one process that runs the agents of all services of a machine (`up`) or of one service (`run`).

It holds the lock of the root, ends what an earlier run left behind, watches the settings, the overrides and the
certificates, answers commands on a control socket, and stops the services in reverse order when it is told to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mailu.daemons.postfix import queue
from mailu.daemons.room import RenderRequest
from mailu.daemons.rspamd import dmarc_report_command
from mailu.deploy import expiry, ground, machine, name_service, ports, resolver, space
from mailu.deploy.agent import Agent, Terms
from mailu.deploy.clock import Clock
from mailu.deploy.control import ControlServer
from mailu.deploy.daily import DailyJobs, Job
from mailu.deploy.first_admin import FirstAdmin
from mailu.deploy.ground import Unsuitable, Verdict
from mailu.deploy.journal import Console, Hidden, Journal
from mailu.deploy.leftovers import end_leftovers
from mailu.deploy.lock import Held, Lock, holder
from mailu.deploy.mail_counts import TALLIES, MailCounts
from mailu.deploy.operations import operations_server
from mailu.deploy.process import reap_adopted
from mailu.deploy.python_room import python_environment
from mailu.deploy.services import Service, find_service, stop_order, wanted_services
from mailu.deploy.signing import signing_server
from mailu.deploy.situation import Situation
from mailu.deploy.source import Source, tree_signature
from mailu.deploy.status import Change
from mailu.memory import give_back
from mailu.places import Places
from mailu.settings import Settings, SettingsError

WATCH_SECONDS = 1.0
CERTIFICATES_SECONDS = 3600.0
REAP_SECONDS = 5.0
NEEDS_SECONDS = 15.0
SPACE_SECONDS = 5.0
FIRST_ADMIN_SECONDS = 15.0
FIRST_NOTICE_SECONDS = 20.0
OPEN_FILES = 65_536
PR_SET_CHILD_SUBREAPER = 36

log = logging.getLogger("mailu.agent")


class AlreadyRunning(Exception):
    """Another process hosts agents of this root; the text names it."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """An agent, its service, and the task that runs it."""

    service: Service
    agent: Agent
    task: asyncio.Task[None]


class Hosting:
    """The agents of one process. *only*: the name of the one service to run, None for all that the settings want."""

    def __init__(
        self,
        source: Source,
        settings: Settings,
        *,
        only: str | None = None,
        console: Console | None = None,
        service_table: Callable[[Settings], list[Service]] = wanted_services,
    ) -> None:
        self._source = source
        self._settings = settings
        self._only = only
        self._console = console or Console(None)
        self._table = service_table
        self.places = Places(settings.root)
        self._hosted: dict[str, Hosted] = {}
        self._journals: dict[str, Journal] = {}
        self._hidden = Hidden()
        self._situation: Situation | None = None
        self._verdict = Verdict()
        self._settings_problems: list[str] = []
        self.warnings: list[str] = []
        self._stop = asyncio.Event()
        self._applying = asyncio.Lock()
        self._locks: list[Lock] = []
        self._first_admin = FirstAdmin()
        self._mail_counts = MailCounts(lambda: self._situation.host if self._situation else None)

    # -- from start to end

    async def run(self) -> int:
        """Start everything, stay until told to stop, stop everything. Returns the exit code.

        Raises AlreadyRunning, Unsuitable, PortTaken, UnknownSystem before anything was started.
        """
        self._take_locks()
        try:
            self._prepare()
            self._catch_signals()
            control = ControlServer(control_path(self.places, self._only), self._handlers())
            # Only the process that hosts all services can answer for them.
            operations = operations_server(self.places, self._answer_status) if self._only is None else None
            signing = signing_server(self.places.signing, self._situation_now) if self._hosts("front") else None
            servers = [server for server in (control, operations, signing) if server is not None]
            try:
                for server in servers:
                    await server.open()
                return await self._serve()
            finally:
                await self._stop_all()
                for server in servers:
                    await server.close()
        finally:
            for journal in self._journals.values():
                journal.close()
            for lock in self._locks:
                lock.release()

    def _hosts(self, name: str) -> bool:
        return self._only in (None, name)

    def _situation_now(self) -> Situation:
        assert self._situation is not None
        return self._situation

    def _take_locks(self) -> None:
        ground.prepare_root(self.places)
        names = [self._only] if self._only else [service.name for service in self._table(self._settings)]
        paths = [] if self._only else [self.places.run / "lock"]
        paths += [self.places.run / f"{name}.lock" for name in names]
        for path in paths:
            lock = Lock(path)
            try:
                lock.acquire()
            except Held as held:
                for taken in self._locks:
                    taken.release()
                what = "Mailu" if path.name == "lock" else path.stem
                raise AlreadyRunning(f"{what} already runs at {self.places.root} (pid {held.pid}).") from None
            self._locks.append(lock)

    def _prepare(self) -> None:
        services = self._services()
        names = {service.name for service in services}
        for sentence in end_leftovers(self.places.run / "pids", self.places.root, names if self._only else None):
            log.warning("%s", sentence)
        ports.require_free(self._settings.bind_addresses, self._public_ports(names))
        _raise_limits()
        self._verdict = resolver.remembered(self.places)
        host = ground.read_host(self.places, self._settings, self._verdict, only=self._only)
        self._situation, self.warnings = ground.situation_of(self._settings, host)
        self._hide_secrets()
        self._write_resolv_conf()
        for warning in self.warnings:
            log.warning("%s", warning)

    def _hide_secrets(self) -> None:
        assert self._situation is not None
        self._hidden.keep([*self._settings.secrets(), self._situation.host.directory_secret])

    def _write_resolv_conf(self) -> None:
        assert self._situation is not None
        address = self._situation.host.unbound_address
        name_service.write_own_file(self.places, address, use_own=bool(self._verdict.port))

    def _public_ports(self, names: set[str]) -> set[int]:
        owned = {port for name in names for port in SERVICE_PORTS.get(name, ())}
        return owned & set(self._settings.listening_ports)

    async def _serve(self) -> int:
        for service in self._services():
            self._host(service)
        tasks = [
            asyncio.create_task(self._watch(), name="watch"),
            asyncio.create_task(self._reap(), name="reap"),
            asyncio.create_task(self._judge_resolver(), name="resolver"),
            asyncio.create_task(self._look_for_space(), name="space"),
            asyncio.create_task(self._make_first_admin(), name="first administrator"),
            asyncio.create_task(self._tell_of_endings(), name="expiry"),
            asyncio.create_task(self._mail_counts.run(), name="mail counts"),
            asyncio.create_task(self._follow_clock(), name="clock"),
        ]
        if self._only:
            tasks.append(asyncio.create_task(self._give_up_with_the_only_one(), name="give up"))
        else:
            daily = DailyJobs(self.places.run / "daily", self._daily_jobs)
            tasks.append(asyncio.create_task(daily.run(), name="daily jobs"))
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return 1 if self._only and self._hosted[self._only].agent.gave_up.is_set() else 0

    def _services(self) -> list[Service]:
        if self._only:
            return [find_service(self._only, self._settings)]
        return self._table(self._settings)

    async def _give_up_with_the_only_one(self) -> None:
        assert self._only is not None
        agent = self._hosted[self._only].agent
        await agent.gave_up.wait()
        if not agent.answered.is_set():
            self._stop.set()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(self.apply()))

    # -- agents

    def _host(self, service: Service) -> None:
        assert self._situation is not None
        terms = Terms(
            stop_seconds=service.stop_seconds,
            hung_seconds=service.hung_seconds,
            prefix=self._prefix(service),
            prepare=self._preparation(service),
            overhear=self._mail_counts.listener(service.name),
        )
        agent = Agent(service.room(), self._situation, self.journal(service.name), terms)
        task = asyncio.create_task(self._run_after_needs(service, agent), name=f"agent {service.name}")
        self._hosted[service.name] = Hosted(service, agent, task)

    def _preparation(self, service: Service) -> Callable[[RenderRequest], None] | None:
        return self._first_admin.ensure if service.name == "directory" else None

    def _prefix(self, service: Service) -> tuple[str, ...]:
        if not service.own_resolv_conf or not name_service.is_possible():
            return ()
        return tuple(name_service.enter(name_service.own_file(self.places)))

    async def _make_first_admin(self) -> None:
        """The database may come up later than we do."""
        while True:
            await asyncio.sleep(FIRST_ADMIN_SECONDS)
            await asyncio.to_thread(self._first_admin.try_again)

    async def _tell_of_endings(self) -> None:
        """Mail the postmaster about certificates that end; only where Postfix is at hand, so that one process does."""
        while True:
            await asyncio.sleep(FIRST_NOTICE_SECONDS)
            smtp = self._hosted.get("smtp")
            if smtp is not None and smtp.agent.status.ready and self._situation is not None:
                await asyncio.to_thread(expiry.tell, self._situation)
                await asyncio.sleep(CERTIFICATES_SECONDS)

    async def _run_after_needs(self, service: Service, agent: Agent) -> None:
        needs = [self._hosted[need].agent.answered.wait() for need in service.needs if need in self._hosted]
        # A service that does not come must not keep the others away for ever: they degrade, and say so.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*needs), NEEDS_SECONDS)
        announce = asyncio.create_task(self._announce(agent))
        try:
            await agent.run()
        finally:
            announce.cancel()

    async def _announce(self, agent: Agent) -> None:
        began = time.monotonic()
        await agent.answered.wait()
        log.info("%s is ready (%.2f s)", agent.name, time.monotonic() - began)
        give_back()  # of what rendering and checking took

    async def _end(self, name: str) -> None:
        hosted = self._hosted.pop(name)
        await hosted.agent.stop()
        hosted.task.cancel()
        await asyncio.gather(hosted.task, return_exceptions=True)

    async def _stop_all(self) -> None:
        """Front and SMTP first: nothing new comes in while those behind them end."""
        if self._hosted:
            log.info("stopping")
        for name in stop_order(self._hosted):
            hosted = self._hosted[name]
            await hosted.agent.stop()
            if name in TALLIES:  # both stop before the directory does
                await self._mail_counts.tell()
            hosted.task.cancel()
            await asyncio.gather(hosted.task, return_exceptions=True)
        if self._hosted:
            log.info("stopped")

    def journal(self, name: str) -> Journal:
        """The log file of a service; of this process itself under the name ``mailu``."""
        if name not in self._journals:
            self._journals[name] = Journal(
                self.places.logs / f"{name}.log",
                console=self._console,
                group=self.places.logs.stat().st_gid,
                hidden=self._hidden,
            )
        return self._journals[name]

    # -- changes

    async def apply(self) -> tuple[list[Change], list[str]]:
        """Read settings, overrides and certificates again and bring them into the services.

        Returns what changed for each service and, when the settings cannot be used, what is wrong with them (then
        nothing changed).
        """
        async with self._applying:
            try:
                settings = await asyncio.to_thread(self._source.load)
                self._require_same_root(settings)
            except SettingsError as error:
                self._refuse_settings(error.problems)
                return [], error.problems
            self._settings_problems = []
            return await self._apply_settings(settings), []

    def _require_same_root(self, settings: Settings) -> None:
        if settings.root != self.places.root:
            raise SettingsError([f"ROOT cannot be changed from {self.places.root} while the services run"])

    def _refuse_settings(self, problems: list[str]) -> None:
        if problems != self._settings_problems:
            for problem in problems:
                log.error("the settings are not used: %s", problem)
            log.error("everything goes on with the settings before")
        self._settings_problems = problems

    async def _apply_settings(self, settings: Settings) -> list[Change]:
        assert self._situation is not None
        self._settings = settings
        host = replace(
            self._situation.host,
            resolver_validates=self._verdict.validates,
            resolver_port=self._verdict.port,
            resolves=self._verdict.resolves,
            cpus=settings.cpu_count or machine.processors(),
        )
        situation, self.warnings = await asyncio.to_thread(ground.situation_of, settings, host)
        self._situation = situation
        self._hide_secrets()
        changes = await asyncio.gather(*(hosted.agent.apply(situation) for hosted in self._hosted.values()))
        return list(changes) + await self._start_and_end()

    async def _start_and_end(self) -> list[Change]:
        """Start services that the settings want now, end those that they no longer want."""
        if self._only:
            return []
        wanted = {service.name: service for service in self._table(self._settings)}
        changes = []
        for name in stop_order(set(self._hosted) - set(wanted)):
            await self._end(name)
            changes.append(Change(name, "stopped"))
        for name, service in wanted.items():
            if name not in self._hosted:
                self._host(service)
                changes.append(Change(name, "started"))
        return changes

    async def _watch(self) -> None:
        """Notice changed files within a second."""
        seen = self._signature()
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._write_resolv_conf()
            now = self._signature()
            if now != seen or time.monotonic() - renewed > CERTIFICATES_SECONDS:
                # An editor or a deploy hook writes several files: wait until it is done.
                await self._until_quiet(now)
                seen = self._signature()
                renewed = time.monotonic()
                await self._apply_and_tell()

    async def _until_quiet(self, seen: tuple[object, ...]) -> None:
        for _ in range(10):
            await asyncio.sleep(0.2)
            now = self._signature()
            if now == seen:
                return
            seen = now

    async def _apply_and_tell(self) -> None:
        try:
            await self.apply()
        except Exception:
            log.exception("changed settings could not be applied")

    def _signature(self) -> tuple[object, ...]:
        return (
            self._source.signature(),
            tree_signature(self.places.overrides),
            tree_signature(self.places.certs),
        )

    def _daily_jobs(self) -> list[Job]:
        """What is to be done once a day with the settings as they are now."""
        whose = ["--env", str(self._source.file)] if self._source.file else ["--root", str(self.places.root)]
        mailu = [sys.executable, "-m", "mailu.cli", *whose]
        jobs = [
            Job("erase", "mail of deleted mailboxes", [*mailu, "retired", "erase"], python_environment()),
            Job("exceptions", "exceptions from encryption", [*mailu, "tls-exceptions", "expire"], python_environment()),
        ]
        if self._settings.dmarc_send_reports and "antispam" in self._hosted and self._situation is not None:
            etc = self.places.service("antispam") / "etc"
            command = dmarc_report_command(self._situation.request(etc, None), etc)
            jobs.append(Job("dmarc", "DMARC reports", command))
        return jobs

    async def _reap(self) -> None:
        """As init or subreaper we inherit the children of daemons that died; they must not stay as zombies."""
        while True:
            await asyncio.sleep(REAP_SECONDS)
            own = [hosted.agent.pid for hosted in self._hosted.values()]
            reap_adopted(pid for pid in own if pid is not None)

    async def _judge_resolver(self) -> None:
        """Find out again and again who can resolve names, and let the services know when that changes."""
        await self._until_own_resolver_answered()
        async for verdict in resolver.verdicts(self._resolver_port, lambda: self._settings):
            if verdict == self._verdict:
                continue
            resolver.remember(self.places, verdict)
            self._verdict = verdict
            log.info("%s", resolver.describe(verdict))
            async with self._applying:
                await self._apply_settings(self._settings)

    async def _look_for_space(self) -> None:
        """Say when a disk is full, and when it is no longer."""
        told: dict[Path, str] = {}
        while True:
            found = await asyncio.to_thread(space.shortages, self.places, self._settings)
            for folder in found.keys() - told.keys():
                log.error("%s", found[folder])
            for folder in told.keys() - found.keys():
                log.info("there is room again on the disk of %s", folder)
            told = found
            await asyncio.sleep(SPACE_SECONDS)

    async def _follow_clock(self) -> None:
        """Help those who do not get over a clock that was set back."""
        clock = Clock()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if not (seconds := clock.set_back()):
                continue
            log.warning("the clock was set back by %.0f s", seconds)
            if (imap := self._hosted.get("imap")) is not None:
                await imap.agent.restart()
            if "smtp" in self._hosted:
                try:
                    await queue.retry(self.places.service("smtp") / "etc", [])
                except queue.QueueError as error:
                    log.error("mail that was to be tried again by the clock before is not tried now: %s", error)

    async def _until_own_resolver_answered(self) -> None:
        """Nothing is said about a resolver that is only starting."""
        hosted = self._hosted.get("resolver")
        if hosted is not None and self._settings.resolver == "unbound":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hosted.agent.answered.wait(), NEEDS_SECONDS)

    def _resolver_port(self) -> int:
        """The port of our own resolver while it answers, else 0. One that runs in another process may answer.

        Who wants it and no other (RESOLVER=unbound) keeps it while it is away: another may know less, and say that
        domains do not exist.
        """
        assert self._situation is not None
        hosted = self._hosted.get("resolver")
        if hosted is not None and self._settings.resolver == "unbound":
            return self._situation.host.unbound_port
        answers = hosted.agent.status.ready if hosted is not None else self._only is not None
        return self._situation.host.unbound_port if answers else 0

    # -- commands

    def _handlers(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        return {"status": self._answer_status, "apply": self._answer_apply}

    async def _answer_status(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("probe"):
            await asyncio.gather(*(hosted.agent.probe() for hosted in self._hosted.values()))
        return {
            "pid": os.getpid(),
            "root": str(self.places.root),
            "services": [hosted.agent.status.to_json() for hosted in self._hosted.values()],
            "settings_problems": self._settings_problems,
            "warnings": [
                *self.warnings,
                *resolver.warnings(self._verdict, self._settings),
                *space.shortages(self.places, self._settings).values(),
            ],
        }

    async def _answer_apply(self, request: dict[str, Any]) -> dict[str, Any]:
        changes, problems = await self.apply()
        return {"services": [change.to_json() for change in changes], "settings_problems": problems}


SERVICE_PORTS: dict[str, tuple[int, ...]] = {
    "front": (80, 443),
    "smtp": (25, 465, 587),
    "imap": (110, 143, 993, 995, 4190),
}
"""Which of the public ports a service opens."""


def control_path(places: Places, only: str | None) -> Path:
    """The control socket of `up`, or of one service that runs by itself."""
    return places.run / ("control" if only is None else f"control.{only}")


def running_pids(places: Places) -> list[int]:
    """Process numbers of everything that hosts agents of this root now."""
    found = [holder(path) for path in sorted(places.run.glob("*lock"))]
    return sorted({pid for pid in found if pid})


def _raise_limits() -> None:
    """More open files for the daemons where the system allows, and dead grandchildren come to us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


__all__ = ["AlreadyRunning", "Hosting", "Unsuitable", "control_path", "running_pids"]
