"""A few threads for hashing, shared fairly.

Hashing a password takes 20 ms with argon2id and half a second with old bcrypt hashes. What stands in line for it is
taken in turns, so that nobody can fill the line for others:

- sources that have logged in to their account before come before strangers;
- among equals, each source (an address, a network) gets one turn after the other, however much it has waiting;
- slow hashes never hold all threads: one is left for quick ones, and the two kinds alternate;
- the line has an end, for one source and for all, and strangers cannot fill it whole; and nobody stands in it for
  longer than clients have patience. ``PoolFull`` is told to clients as "try later".
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class PoolFull(Exception):
    """There is too much work in line."""


@dataclass(frozen=True, slots=True)
class Turn:
    """On whose behalf work is done, and of which kind it is."""

    source: str
    known: bool = False
    """The source has logged in to the account before."""
    slow: bool = False
    """The work takes more than about 0.1 s."""


@dataclass(slots=True)
class _Job:
    work: Callable[[], Any]
    done: asyncio.Future[Any]
    slow: bool
    deadline: float
    """Of the loop's clock."""


@dataclass(slots=True)
class _Lane:
    """Jobs of one kind, in turns by source."""

    waiting: OrderedDict[str, deque[_Job]] = field(default_factory=OrderedDict)

    def put(self, source: str, job: _Job) -> None:
        self.waiting.setdefault(source, deque()).append(job)

    def take(self) -> _Job | None:
        if not self.waiting:
            return None
        source, jobs = self.waiting.popitem(last=False)
        job = jobs.popleft()
        if jobs:
            self.waiting[source] = jobs
        return job


class FairPool:
    """Threads and the line before them. Used from one event loop."""

    def __init__(
        self, threads: int | None = None, *, line: int = 512, line_of_one: int = 256, patience_seconds: float = 10
    ) -> None:
        """Use *threads* threads (default: one more than there are processors, at least two). *line* jobs may wait at
        most, *line_of_one* of one source, none of them for longer than *patience_seconds*."""
        self._threads = max(2, threads if threads is not None else (os.cpu_count() or 1) + 1)
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="hash")
        self._lanes = {(known, slow): _Lane() for known in (True, False) for slow in (True, False)}
        self._line, self._line_of_one, self._patience_seconds = line, line_of_one, patience_seconds
        self._waiting_of: dict[str, int] = {}
        self._waiting = self._running = self._running_slow = 0
        self._slow_next = False

    async def run(self, turn: Turn, work: Callable[[], T]) -> T:
        """Do *work* in a thread when it is its turn. Raises PoolFull, and what *work* raises."""
        room = self._line if turn.known else self._line * 3 // 4
        if self._waiting >= room or self._waiting_of.get(turn.source, 0) >= self._line_of_one:
            raise PoolFull
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), turn.slow, loop.time() + self._patience_seconds)
        self._lanes[turn.known, turn.slow].put(turn.source, job)
        self._waiting += 1
        self._waiting_of[turn.source] = self._waiting_of.get(turn.source, 0) + 1
        job.done.add_done_callback(lambda _: self._left(turn.source))
        self._start()
        return await job.done  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let running work end and drop what waits."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _left(self, source: str) -> None:
        self._waiting -= 1
        self._waiting_of[source] -= 1
        if not self._waiting_of[source]:
            del self._waiting_of[source]

    def _start(self) -> None:
        while self._running < self._threads and (job := self._next()):
            if job.done.done():  # whoever asked has gone
                continue
            if asyncio.get_running_loop().time() > job.deadline:
                job.done.set_exception(PoolFull())
                continue
            self._running += 1
            self._running_slow += job.slow
            future = asyncio.get_running_loop().run_in_executor(self._executor, job.work)
            future.add_done_callback(partial(self._ended, job))

    def _next(self) -> _Job | None:
        slow_allowed = self._running_slow < self._threads - 1
        kinds = [slow for slow in (self._slow_next, not self._slow_next) if slow_allowed or not slow]
        for known in (True, False):
            for slow in kinds:
                if job := self._lanes[known, slow].take():
                    self._slow_next = not slow
                    return job
        return None

    def _ended(self, job: _Job, ended: asyncio.Future[Any]) -> None:
        self._running -= 1
        self._running_slow -= job.slow
        error = ended.exception()
        if not job.done.done():
            if error:
                job.done.set_exception(error)
            else:
                job.done.set_result(ended.result())
        self._start()
