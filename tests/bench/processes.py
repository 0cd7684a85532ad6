"""What processes cost: CPU seconds and proportional memory of whole process trees, read from /proc (proc(5))."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    group: int
    ticks: int
    """User and system time of the process and of its children that have ended."""
    own_ticks: int
    """Of the process alone."""
    state: str
    """R: runs or waits for a processor; D: waits for the disk; S: sleeps."""


def _read(pid: int) -> _Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    own, ended = (sum(map(int, fields[first : first + 2])) for first in (11, 13))
    return _Process(pid, int(fields[1]), int(fields[2]), own + ended, own, fields[0])


def parent(pid: int) -> int:
    """The process that *pid* is a child of; 0 when there is no such process."""
    process = _read(pid)
    return process.parent if process is not None else 0


def _all() -> list[_Process]:
    found = (_read(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - no stat of each
    return [process for process in found if process is not None]


def tree(roots: Iterable[int]) -> list[int]:
    """The processes *roots* and all their living descendants."""
    children: dict[int, list[int]] = {}
    for process in _all():
        children.setdefault(process.parent, []).append(process.pid)
    waiting, seen = list(roots), set[int]()
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen.add(pid)
            waiting += children.get(pid, [])
    return sorted(seen)


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU time that the trees below *roots* have used, ended children included."""
    processes = (_read(pid) for pid in tree(roots))
    return sum(process.ticks for process in processes if process is not None) / _TICKS


def any_runs(roots: Iterable[int]) -> bool:
    """Whether a process of the trees below *roots* runs, waits for a processor, or for the disk."""
    processes = (_read(pid) for pid in tree(roots))
    return any(process is not None and process.state in "RD" for process in processes)


def own_cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that the processes *pids* have used themselves, without children."""
    found = (_read(pid) for pid in pids)
    return sum(process.own_ticks for process in found if process is not None) / _TICKS


def pss_kib(roots: Iterable[int]) -> int:
    """Proportional set size of the trees below *roots*, in KiB: shared pages are counted once for all who share."""
    total = 0
    for pid in tree(roots):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str, every: float = 0.02) -> None:
    """Return once *condition* holds. Raises TimeoutError naming *what* after *seconds*."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)


class Daemon:
    """A real daemon in the foreground, in a process group of its own, its words in a file."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        """End the whole group: politely, then not."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                continue
        self.process.wait()
        self._log.close()
