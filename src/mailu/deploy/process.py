"""One daemon as a child process: started in a session of its own, its words read from pipes, ended with all its kin.

Facts this rests on: Postfix writes no log line to a socket, so stdout and stderr are pipes; a terminated Dovecot leaves
`imap`, `log` and `stats` processes with a live session behind and a killed Postfix its `smtpd`, but they keep the
process group, so the group is ended after the leader; the parent-death signal is set by setpriv(1) right before the
daemon is executed, so a daemon does not outlive an agent that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailu.deploy.journal import LineSplitter
from mailu.deploy.leftovers import all_processes

SETPRIV = "/usr/bin/setpriv"
READ_BYTES = 65536
GATHER_SECONDS = 0.02
"""After a read the pipe gathers for so long, as every line would wake us: Postfix and Dovecot write ten a message."""
GROUP_TERM_SECONDS = 2.0
GROUP_KILL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute: an absolute program and its arguments, its whole environment, its user (None: ours)."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    folder: Path = Path("/")
    prefix: Sequence[str] = ()
    """A program that prepares something and then becomes the daemon."""


class StartError(Exception):
    """The daemon could not even be executed; the text says why."""


def describe_exit(code: int) -> str:
    """Plain words for a return code as asyncio gives it (negative: the signal that ended it)."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (out of memory, or somebody killed it)" if -code == signal.SIGKILL else ""
    return f"was ended by {name}{hint}"


class Daemon:
    """A running daemon. Made by start(); `exited` is set once the leader has ended, with its code in `exit_code`."""

    def __init__(self, process: asyncio.subprocess.Process, pumps: list[_Pump]) -> None:
        self._process = process
        self._pumps = pumps
        self.pid = process.pid
        self.exited = asyncio.Event()
        self._waiter = asyncio.create_task(self._wait(), name=f"wait {self.pid}")

    @classmethod
    async def start(cls, command: Command, *, on_lines: Callable[[Iterable[str]], None]) -> Daemon:
        """Execute *command*; every line of its stdout and stderr is handed to *on_lines*.

        Raises StartError when the program or the user does not exist.
        """
        program = Path(command.arguments[0])
        if not os.access(program, os.X_OK):
            raise StartError(f"{program} is not there or cannot be executed")
        account = _account(command.user)
        pumps, ends = [], []
        for _ in ("stdout", "stderr"):
            reader, writer = os.pipe()
            if account is not None:
                # /dev/stdout is opened again by some daemons, as the user they run as.
                os.fchown(writer, account.pw_uid, account.pw_gid)
            pumps.append(_Pump(reader, on_lines))
            ends.append(writer)
        try:
            process = await asyncio.create_subprocess_exec(
                SETPRIV,
                "--pdeathsig",
                "TERM",
                "--",
                *command.prefix,
                *command.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=ends[0],
                stderr=ends[1],
                env=dict(command.environment),
                cwd=command.folder,
                start_new_session=True,
                umask=0o022,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=os.getgrouplist(account.pw_name, account.pw_gid) if account else None,
            )
        except OSError as error:
            for pump in pumps:
                pump.close()
            raise StartError(f"{program} cannot be started: {error}") from error
        finally:
            for end in ends:
                os.close(end)
        return cls(process, pumps)

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    def send(self, number: signal.Signals) -> None:
        """Signal the leader; nothing happens when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self, *, grace_seconds: float) -> None:
        """TERM to the leader, wait; TERM to what is left of its group, wait; KILL. Returns when nothing is left."""
        if self.exit_code is None:
            self.send(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.exited.wait(), grace_seconds)
        await self.end_group()
        await self.exited.wait()
        await self._waiter

    async def end_group(self) -> None:
        """End what is left of the process group, the leader too."""
        for number, seconds in ((signal.SIGTERM, GROUP_TERM_SECONDS), (signal.SIGKILL, GROUP_KILL_SECONDS)):
            if not self._group_lives():
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
            until = asyncio.get_running_loop().time() + seconds
            while self._group_lives() and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.01)

    def _group_lives(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        # Dead children that init has not reaped yet count for killpg, not for us.
        return any(facts.group == self.pid for facts in all_processes())

    async def _wait(self) -> None:
        await self._process.wait()
        # Last words are still in the pipe when the leader ends; its children may hold the pipe open for ever.
        for pump in self._pumps:
            pump.drain()
        self.exited.set()


class _Pump:
    """Reads one pipe without blocking and hands on its lines; ends by itself when all writers are gone."""

    def __init__(self, reader: int, on_lines: Callable[[Iterable[str]], None]) -> None:
        os.set_blocking(reader, False)
        self._reader: int | None = reader
        self._on_lines = on_lines
        self._splitter = LineSplitter()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(reader, self._read)

    def drain(self) -> None:
        """Read what is there now."""
        while self._take():
            pass

    def close(self) -> None:
        if self._reader is not None:
            self._loop.remove_reader(self._reader)
            os.close(self._reader)
            self._reader = None
            if rest := self._splitter.finish():
                self._on_lines(rest)

    def _read(self) -> None:
        """Read once, then let the pipe gather; it holds 64 KiB, and a full one is read on at once."""
        if self._take() < READ_BYTES and self._reader is not None:
            self._loop.remove_reader(self._reader)
            self._loop.call_later(GATHER_SECONDS, self._read_on)

    def _read_on(self) -> None:
        if self._reader is not None:
            self._loop.add_reader(self._reader, self._read)

    def _take(self) -> int:
        """Read what one read gives, and return how many bytes that were; 0 for none now, or none any more."""
        if self._reader is None:
            return 0
        try:
            data = os.read(self._reader, READ_BYTES)
        except BlockingIOError:
            return 0
        if not data:
            self.close()
        elif lines := self._splitter.feed(data):
            self._on_lines(lines)
        return len(data)


def _account(user: str | None) -> pwd.struct_passwd | None:
    if user is None:
        return None
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise StartError(f"the user {user!r} does not exist; run `mailu install`") from None


def reap_adopted(own_children: Iterable[int]) -> None:
    """Reap dead processes that were handed to us because their parent died (we are init, or a subreaper).

    Only processes in a session other than ours are touched: children of subprocess.run() share our session and
    somebody waits for them.
    """
    known, own_session = set(own_children), os.getsid(0)
    for facts_pid in _zombie_children():
        if facts_pid not in known and _session(facts_pid) != own_session:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(facts_pid, os.WNOHANG)


def _zombie_children() -> list[int]:
    children = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            children += [int(number) for number in (task / "children").read_text(encoding="ascii").split()]
    return [pid for pid in children if _stat_fields(pid)[:1] == ["Z"]]


def _session(pid: int) -> int | None:
    fields = _stat_fields(pid)
    return int(fields[3]) if fields else None


def _stat_fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
