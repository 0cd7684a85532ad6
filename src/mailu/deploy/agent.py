"""The agent of one service: keeps its daemon running with the configuration that the settings ask for.

One task (`run`) starts the daemon, waits until it answers, starts it again when it dies (0.1 s later, then doubling to
30 s; anew after a healthy minute). `apply` brings a changed situation into the running daemon: by HUP, or by a restart
where the daemon cannot do better, and only when the rendered text or a certificate changed. A configuration that the
daemon's checker refuses, or that the daemon does not come back with, is taken back; the service stays up, `degraded`,
and says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailu.daemons.room import RenderRequest, Room, Tidy, Unhurried
from mailu.deploy.configuration import Applied, Configuration, Rejected
from mailu.deploy.journal import Journal, time_stamp
from mailu.deploy.leftovers import forget, remember
from mailu.deploy.process import Command, Daemon, StartError, describe_exit
from mailu.deploy.situation import Situation
from mailu.deploy.status import Change, Outcome, State, Status

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
PROBE_PAUSES_SECONDS = (0.02, 0.02, 0.05, 0.05, 0.1)
RELOAD_SECONDS = 10.0
WATCHDOG_SECONDS = 5.0
"""How often a daemon that answered once is asked whether it still does."""
QUOTED_LINES = 3
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

log = logging.getLogger("mailu.agent")


@dataclass(frozen=True, slots=True)
class Terms:
    """How patient the agent is with this service."""

    stop_seconds: float = 10.0
    restart_seconds: float = 30.0
    """How long a daemon that was restarted for a new configuration may take before the configuration is taken back."""
    hung_seconds: float | None = None
    """A daemon that runs and has not answered for so long is ended and started again; None: it is never asked."""
    prefix: tuple[str, ...] = ()
    """Put before the daemon's command; see Command."""
    prepare: Callable[[RenderRequest], None] | None = None
    """Done once before the first start, in a thread."""
    overhear: Callable[[Iterable[str]], None] | None = None
    """Handed every line that the daemon says, after the journal has it."""


class Agent:
    """One service. *run* until *stop*; *apply* any time between."""

    def __init__(self, room: Room, situation: Situation, journal: Journal, terms: Terms | None = None) -> None:
        self.room = room
        self.name = room.name
        self.status = Status(name=room.name, since=time_stamp())
        self.answered = asyncio.Event()
        """Set once the daemon has answered for the first time."""
        self.gave_up = asyncio.Event()
        """Set when a start failed with nothing to fall back on; the agent goes on trying."""
        self._situation = situation
        self._journal = journal
        self._terms = terms or Terms()
        self._configuration = Configuration(room, situation.places.service(self.name))
        self._applied: Applied | None = None
        self._daemon: Daemon | None = None
        self._started_with: Command | None = None
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        """Held while the daemon is started, reloaded or stopped on purpose."""

    # -- the life of the daemon

    async def run(self) -> None:
        """Keep the daemon running until stop() is called."""
        while not self._stopping.is_set():
            try:
                async with self._lock:
                    await self._begin()
            except (Rejected, StartError) as error:
                self._failed(error)
                await self._sleep_or_wake(self._pause())
                continue
            except Exception:  # an error of ours in one service must not end the others
                log.exception("%s: the agent could not start the daemon", self.name)
                self._set("failed", reason="an error in the agent; see the log")
                self.gave_up.set()
                await self._sleep_or_wake(self._pause())
                continue
            await self._watch_over()

    async def stop(self) -> None:
        """End the daemon and everything it started."""
        self._stopping.set()
        self._wake.set()
        if self._daemon is not None:
            self._set("stopping")
        async with self._lock:
            await self._end_daemon()
            self._set("stopped")

    async def restart(self) -> None:
        """End the daemon and start it anew as it was; nothing happens while it does not run."""
        async with self._lock:
            if self._daemon is None or self._applied is None or self._stopping.is_set():
                return
            trouble = await self._put_in_force(self._applied, restart=True)
            if trouble is None:
                self._now_ready()
            else:
                log.error("%s does not serve after its restart: %s", self.name, trouble)

    async def probe(self) -> None:
        """Ask the daemon now whether it answers, and keep the answer in the status."""
        if self._daemon is None or self._applied is None or self.status.state not in ("ready", "degraded", "starting"):
            return
        if self.status.state == "starting":
            if await self._ask(self._applied) is None:
                self._now_ready()
            return
        await self._note_answer()

    async def _begin(self) -> None:
        """Establish the configuration and execute the daemon."""
        if self._stopping.is_set():
            return
        if self._applied is None:
            if self.status.state == "waiting":
                self._set("preparing")
            applied = await self._first_configuration()
            if self._terms.prepare is not None:
                await asyncio.to_thread(self._terms.prepare, applied.request)
            self._applied = applied
        command = self._command(self._applied)
        self._set("starting")
        self._daemon = await Daemon.start(command, on_lines=self._heard)
        self._started_with = command
        self.status.pid = self._daemon.pid
        remember(self._pids, self.name, self._daemon.pid)

    async def _first_configuration(self) -> Applied:
        try:
            applied = await asyncio.to_thread(self._configuration.establish, self._situation)
        except Rejected as error:
            fallback = await asyncio.to_thread(self._configuration.last_good, self._situation)
            if fallback is None:
                raise
            self._reject(error.problems, "it runs with the configuration of the last time")
            return fallback
        self._accept(applied)
        return applied

    async def _watch_over(self) -> None:
        """From the start of a daemon to its end; applying may put another one in its place meanwhile."""
        began = time.monotonic()
        while not self._stopping.is_set():
            daemon = self._daemon
            if daemon is None:
                return
            answers = asyncio.create_task(self._until_ready(daemon))
            await daemon.exited.wait()
            answers.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answers
            # Whoever applies a configuration holds the lock, and deals with a daemon that ends meanwhile.
            async with self._lock:
                if self._stopping.is_set():
                    return
                if self._daemon is not daemon:
                    began = time.monotonic()
                    continue
                await daemon.end_group()
                self._died(daemon, time.monotonic() - began)
            await self._sleep_or_wake(self._pause())
            return

    async def _until_ready(self, daemon: Daemon) -> None:
        assert self._applied is not None
        if await self._answers(daemon, self._applied, seconds=None) is not None:
            return
        self._now_ready()
        if self._terms.hung_seconds is not None:
            await self._until_hung(daemon, self._terms.hung_seconds)

    async def _until_hung(self, daemon: Daemon, hung_seconds: float) -> None:
        """Ask now and then; end a daemon that runs but does nothing any more. Its end is then dealt with as any. One
        that answers may be tidied up.
        """
        answered = time.monotonic()
        while True:
            await asyncio.sleep(min(WATCHDOG_SECONDS, hung_seconds / 4))
            async with self._lock:  # not while a configuration is changed
                if self._daemon is not daemon or self._stopping.is_set():
                    return
                reason = await self._note_answer()
                silent = time.monotonic() - answered
                if reason is None:
                    answered = time.monotonic()
                    await self._tidy(daemon)
                elif silent >= hung_seconds:
                    log.error("%s has not answered for %.0f s (%s); it is ended", self.name, silent, reason)
                    await daemon.end_group()
                    return

    async def _tidy(self, daemon: Daemon) -> None:
        if not isinstance(self.room, Tidy):
            return
        try:
            await asyncio.to_thread(self.room.tidy, daemon.pid)
        except Exception:
            log.exception("%s: tidying up failed", self.name)

    async def _note_answer(self) -> str | None:
        """Ask, keep the answer in the status, tell when it changed; returns why there was none."""
        assert self._applied is not None
        reason = await self._ask(self._applied)
        if self._daemon is None or self._daemon.exit_code is not None or self.status.state not in ("ready", "degraded"):
            return reason
        if reason is None:
            if not self.status.ready:
                log.info("%s answers again", self.name)
            self._now_ready()
        else:
            if self.status.ready:
                log.error("%s does not answer: %s", self.name, reason)
            self._set("degraded", reason=f"does not answer: {reason}", ready=False)
        return reason

    async def _answers(self, daemon: Daemon, applied: Applied, seconds: float | None) -> str | None:
        """Ask until it answers (None), it has ended, or *seconds* have passed: then why not."""
        until = None if seconds is None else time.monotonic() + seconds
        attempt = 0
        while True:
            reason = await self._ask(applied)
            if daemon.exit_code is not None:
                return f"the daemon {describe_exit(daemon.exit_code)}"
            if reason is None:
                return None
            if self._stopping.is_set():
                return "it is being stopped"
            self.status.reason = reason
            if until is not None and time.monotonic() > until:
                return reason
            await asyncio.sleep(PROBE_PAUSES_SECONDS[min(attempt, len(PROBE_PAUSES_SECONDS) - 1)])
            attempt += 1

    async def _ask(self, applied: Applied) -> str | None:
        try:
            return await asyncio.to_thread(self.room.ready, applied.request)
        except Exception as error:
            log.exception("%s: asking whether it is ready failed", self.name)
            return f"asking failed: {error!r}"

    def _died(self, daemon: Daemon, lived_seconds: float) -> None:
        if lived_seconds >= HEALTHY_SECONDS:
            self._pause_seconds = FIRST_PAUSE_SECONDS
        assert daemon.exit_code is not None
        words = f"{describe_exit(daemon.exit_code)} after {lived_seconds:.1f} s"
        if quoted := self._last_words():
            words += f"; its last words: {quoted}"
        log.error("%s %s; starting it again in %.1f s", self.name, words, self._pause_seconds)
        self._daemon = None
        forget(self._pids, self.name)
        self.status.restarts += 1
        if not self.answered.is_set() and self.status.restarts >= 3:
            self.gave_up.set()
        self._set("failed", reason=words)

    def _failed(self, error: Rejected | StartError) -> None:
        problems = error.problems if isinstance(error, Rejected) else (str(error),)
        if self.status.reason != problems[0]:
            # It is tried again and again; that it still fails is not news.
            for problem in problems:
                log.error("%s cannot be started: %s", self.name, problem)
        if isinstance(error, Rejected):
            self.status.problems = list(problems)
        self._set("failed", reason=problems[0])
        self.gave_up.set()

    async def _end_daemon(self) -> None:
        daemon = self._daemon
        if daemon is None:
            return
        if isinstance(self.room, Unhurried) and self._applied is not None and daemon.exit_code is None:
            try:
                await asyncio.to_thread(self.room.end, self._applied.request, daemon.pid)
            except Exception:
                log.exception("%s: it could not be ended in its own way", self.name)
        await daemon.stop(grace_seconds=self._terms.stop_seconds)
        self._daemon = None
        forget(self._pids, self.name)

    # -- changes

    async def apply(self, situation: Situation) -> Change:
        """Bring *situation* into the daemon. Never raises for a bad configuration: the change says `rejected`."""
        async with self._lock:
            self._situation = situation
            if self._daemon is None or self._applied is None:
                self._applied = None
                self._pause_seconds = FIRST_PAUSE_SECONDS
                self._wake.set()
                return self._change("started" if not self._stopping.is_set() else "unchanged")
            try:
                return await self._apply_running(self._applied)
            except Rejected as error:
                return self._reject(error.problems, "it goes on with the configuration before")
            except Exception as error:  # an error of ours in one service must not keep the others from their changes
                log.exception("%s: the agent could not apply the change", self.name)
                return self._reject((f"an error in the agent: {error!r}",), "it goes on with what it has")

    async def _apply_running(self, applied: Applied) -> Change:
        if not await asyncio.to_thread(self._configuration.changed, self._situation, applied):
            if self.status.problems:
                self._accept(applied)
                self._now_ready()
            return self._change("unchanged")
        renewed = await asyncio.to_thread(self._configuration.renew, self._situation, applied)
        restart = self._must_restart(applied, renewed) or not await self._takes_signals(applied)
        trouble = await self._put_in_force(renewed, restart=restart)
        if trouble is not None:
            await self._take_back(applied, renewed, restart=restart)
            raise Rejected((trouble,))
        self._applied = renewed
        self._accept(renewed)
        self._now_ready()
        log.info("%s %s with the new configuration", self.name, "was restarted" if restart else "was reloaded")
        return self._change("restarted" if restart else "reloaded")

    def _must_restart(self, applied: Applied, renewed: Applied) -> bool:
        if self.room.reload == "restart" or self._command(renewed) != self._started_with:
            return True
        needs_restart = getattr(self.room, "needs_restart", None)
        return needs_restart is not None and bool(needs_restart(applied.request, renewed.request))

    async def _takes_signals(self, applied: Applied) -> bool:
        """Whether HUP reaches a handler: one that comes while the daemon is still starting ends it."""
        assert self._daemon is not None
        if self.status.state != "starting":
            return True
        return await self._answers(self._daemon, applied, self._terms.restart_seconds) is None

    async def _put_in_force(self, applied: Applied, *, restart: bool) -> str | None:
        """Make the daemon use *applied*. Returns None, or why it does not serve with it."""
        if restart:
            await self._end_daemon()
            self._set("starting")
            try:
                command = self._command(applied)
                self._daemon = await Daemon.start(command, on_lines=self._heard)
            except StartError as error:
                return str(error)
            self._started_with = command
            self.status.pid = self._daemon.pid
            remember(self._pids, self.name, self._daemon.pid)
        assert self._daemon is not None
        heard = len(self._journal.tail)
        if not restart:
            self._daemon.send(signal.SIGHUP)
            await asyncio.sleep(PROBE_PAUSES_SECONDS[-1])
        seconds = self._terms.restart_seconds if restart else RELOAD_SECONDS
        reason = await self._answers(self._daemon, applied, seconds)
        if reason is None:
            return None
        quoted = self._last_words() if len(self._journal.tail) != heard or restart else ""
        return f"with the new configuration {reason}" + (f"; its last words: {quoted}" if quoted else "")

    async def _take_back(self, applied: Applied, renewed: Applied, *, restart: bool) -> None:
        if self._stopping.is_set():
            return
        await asyncio.to_thread(self._configuration.go_back, applied, renewed)
        alive = self._daemon is not None and self._daemon.exit_code is None
        trouble = await self._put_in_force(applied, restart=restart or not alive)
        if trouble is not None:
            log.error("%s does not serve with the configuration before either: %s", self.name, trouble)

    def _reject(self, problems: Sequence[str], consequence: str) -> Change:
        if self.status.problems != list(problems):
            for problem in problems:
                log.error("%s: the new configuration is not used: %s", self.name, problem)
            log.error("%s: %s", self.name, consequence)
        self.status.problems = list(problems)
        if self.status.state == "ready":
            self._set("degraded", reason="configuration rejected", ready=True)
        return self._change("rejected", *problems)

    def _accept(self, applied: Applied) -> None:
        self.status.problems = []
        self.status.notes = list(applied.notes)
        for note in applied.notes:
            log.warning("%s: %s", self.name, note)

    def _change(self, outcome: Outcome, *reasons: str) -> Change:
        return Change(self.name, outcome, reasons)

    # -- small things

    @property
    def _pids(self) -> Path:
        return self._situation.places.run / "pids"

    @property
    def pid(self) -> int | None:
        """The daemon's process number while it runs."""
        return self._daemon.pid if self._daemon is not None else None

    def _command(self, applied: Applied) -> Command:
        usual = {"PATH": PATH, "LANG": "C.UTF-8", "TZ": applied.request.settings.tz}
        environment = {**usual, **self.room.environment(applied.request)}
        return Command(
            arguments=self.room.command(applied.request, self._configuration.link),
            environment=environment,
            user=self.room.user(),
            folder=self._situation.places.service(self.name),
            prefix=self._terms.prefix,
        )

    def _heard(self, lines: Iterable[str]) -> None:
        said = list(lines)
        self._journal.write(said)
        if self._terms.overhear is not None:
            self._terms.overhear(said)

    def _last_words(self) -> str:
        return " / ".join(list(self._journal.tail)[-QUOTED_LINES:])

    def _now_ready(self) -> None:
        self._pause_seconds = self._pause_seconds if self.answered.is_set() else FIRST_PAUSE_SECONDS
        self.answered.set()
        if self.status.problems:
            self._set("degraded", reason="configuration rejected", ready=True)
        else:
            self._set("ready")

    def _pause(self) -> float:
        seconds = self._pause_seconds
        self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        return seconds

    async def _sleep_or_wake(self, seconds: float) -> None:
        self._wake.clear()
        if self._stopping.is_set():
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    def _set(self, state: State, *, reason: str = "", ready: bool | None = None) -> None:
        if self.status.state != state:
            self.status.since = time_stamp()
        self.status.state = state
        self.status.ready = state == "ready" if ready is None else ready
        self.status.reason = reason
        if state in ("failed", "stopped"):
            self.status.pid = None
