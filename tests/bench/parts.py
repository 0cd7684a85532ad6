"""Where the CPU time of a load goes, by the name of the process: looked at often, since some live for a second only."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.loads import Target
from tests.bench.processes import tree

_LOOK_EVERY_SECONDS = 0.1


class Parts:
    """CPU seconds by name while ``watching``, summed over all processes that were seen."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._before: dict[int, float] = {}
        self._names: dict[int, str] = {}
        self._used: dict[int, float] = {}
        self._whole = target.cpu_seconds()

    def look(self) -> None:
        """Take down what every process of the target has used so far; the first time, as what does not count."""
        first, hosts = not self._used, set(self._target.hosts)
        for pid in [*tree(self._target.processes), *hosts]:
            found = _used(pid)
            if found is None:
                continue
            self._names[pid] = "agents" if pid in hosts else found[0]
            self._used[pid] = found[1]
            if first:
                self._before[pid] = found[1]

    def by_name(self) -> Counter[str]:
        """CPU seconds of each name; ``(ended)`` is what processes used after they were last looked at."""
        found: Counter[str] = Counter()
        for pid, seconds in self._used.items():
            found[self._names[pid]] += seconds - self._before.get(pid, 0.0)  # type: ignore[assignment]
        whole = self._target.cpu_seconds() - self._whole
        found["(ended)"] = max(0.0, whole - sum(found.values()))  # type: ignore[assignment]
        return found


@contextmanager
def watching(target: Target) -> Iterator[Parts]:
    """Look at the processes of *target* until the end."""
    parts, stop = Parts(target), threading.Event()
    parts.look()

    def go_on() -> None:
        while not stop.wait(_LOOK_EVERY_SECONDS):
            parts.look()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield parts
    finally:
        stop.set()
        thread.join()
        parts.look()


def _used(pid: int) -> tuple[str, float] | None:
    """Name and CPU seconds of a process, all of its threads; None when it is gone."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        nanoseconds = sum(
            int(thread.joinpath("schedstat").read_text().split()[0]) for thread in Path(f"/proc/{pid}/task").iterdir()
        )
    except (OSError, IndexError):
        return None
    if name.startswith("python"):
        name = _program(pid) or name
    return name, nanoseconds / 1e9


def _program(pid: int) -> str:
    """The module that a Python process runs."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return words[words.index(b"-m") + 1].decode() if b"-m" in words else ""
