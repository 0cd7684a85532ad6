"""Sets of things seen within a while: what the limits count with, in Redis or in memory.

A limit here is on *different* wrong passwords or *different* accounts, so a bucket is a set of marks with the time of
each (a sorted set in Redis); the same mark twice is one. The ``limits`` library counts events, asks one question a
round trip and cannot list what it holds, so it does not fit. All questions about one log-in take one round trip here.

``SteadyCounters`` uses Redis while it answers and a memory of its own while it does not. It keeps the memory warm, so
that an outage does not forget who is under attack.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from redis.asyncio import Redis

from mailu.auth.steady import Steady

AHEAD_SECONDS = 60.0
"""How far the clock of another machine may be before ours. A mark from later than that was made while a clock was
wrong, and does not count: otherwise nobody could send, or log in again, until that time."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A set of marks, each of which counts for *window_seconds*."""

    key: str
    window_seconds: int


@dataclass(frozen=True, slots=True)
class Level:
    """What is in a bucket now."""

    count: int = 0
    newest: float = 0.0
    """Seconds since the epoch of the youngest mark; 0 where there is none."""
    marked: bool = False
    """The mark that was asked about is there."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to put into a bucket. The bucket keeps its *keep* youngest marks."""

    bucket: Bucket
    name: str
    keep: int = 1000
    refresh: bool = False
    """Count from now on where the mark is there already; otherwise its first time stays."""


class Counters(Protocol):
    """Where buckets are kept."""

    async def look(self, questions: Sequence[tuple[Bucket, str]]) -> list[Level]:
        """Return the level of each bucket, and whether the named mark is in it."""

    async def mark(self, marks: Sequence[Mark]) -> None:
        """Put marks into buckets."""

    async def unmark(self, marks: Sequence[tuple[Bucket, str]]) -> None:
        """Take marks out of buckets."""

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys of all buckets that begin with *prefix*; some may have run empty."""

    async def clear(self, keys: Sequence[str]) -> int:
        """Remove buckets; return how many there were."""

    async def close(self) -> None:
        """Close connections."""


@dataclass(slots=True)
class _Marks:
    window_seconds: int
    times: dict[str, float] = field(default_factory=dict)


class MemoryCounters:
    """Buckets of this process. The *size* most recently used are kept."""

    def __init__(self, *, size: int = 100_000, clock: Callable[[], float] = time.time) -> None:
        self._size, self._clock = size, clock
        self._buckets: OrderedDict[str, _Marks] = OrderedDict()

    async def look(self, questions: Sequence[tuple[Bucket, str]]) -> list[Level]:
        return [self._level(bucket, name) for bucket, name in questions]

    async def mark(self, marks: Sequence[Mark]) -> None:
        for mark in marks:
            kept = self._buckets.setdefault(mark.bucket.key, _Marks(mark.bucket.window_seconds))
            self._buckets.move_to_end(mark.bucket.key)
            self._expire(kept)
            if mark.refresh:
                kept.times.pop(mark.name, None)
            kept.times.setdefault(mark.name, self._clock())
            if len(kept.times) > mark.keep:
                del kept.times[next(iter(kept.times))]
        while len(self._buckets) > self._size:
            self._buckets.popitem(last=False)

    async def unmark(self, marks: Sequence[tuple[Bucket, str]]) -> None:
        for bucket, name in marks:
            if kept := self._buckets.get(bucket.key):
                kept.times.pop(name, None)

    async def keys(self, prefix: str) -> list[str]:
        return [key for key in self._buckets if key.startswith(prefix)]

    async def clear(self, keys: Sequence[str]) -> int:
        return sum(self._buckets.pop(key, None) is not None for key in keys)

    async def close(self) -> None:
        """There is nothing to close."""

    def _level(self, bucket: Bucket, name: str) -> Level:
        kept = self._buckets.get(bucket.key)
        if kept is None:
            return Level()
        self._expire(kept)
        if not kept.times:
            del self._buckets[bucket.key]
            return Level()
        return Level(len(kept.times), max(kept.times.values()), name in kept.times)

    def _expire(self, kept: _Marks) -> None:
        """Forget marks that have become too old, or are of the future. They stand in order, as dictionaries keep it."""
        too_old, too_new = self._clock() - kept.window_seconds, self._clock() + AHEAD_SECONDS
        for name, at in reversed(list(kept.times.items())):
            if at <= too_new:
                break
            del kept.times[name]
        for name, at in list(kept.times.items()):
            if at > too_old:
                break
            del kept.times[name]


# One command for all buckets of a log-in: the client library takes longer over each command than Redis does.
_LOOK = """
local found = {}
for i, key in ipairs(KEYS) do
  local after, latest, name = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  local newest = redis.call('ZRANGE', key, latest, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES')
  found[i] = {redis.call('ZCOUNT', key, after, latest), newest[2] or '0', redis.call('ZSCORE', key, name)}
end
return found
"""
_MARK = """
for i, key in ipairs(KEYS) do
  local now, too_old, too_new, name, beyond, window, refresh = unpack(ARGV, 7 * i - 6, 7 * i)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', too_old)
  redis.call('ZREMRANGEBYSCORE', key, too_new, '+inf')
  if refresh == '1' then redis.call('ZADD', key, now, name) else redis.call('ZADD', key, 'NX', now, name) end
  redis.call('ZREMRANGEBYRANK', key, 0, beyond)
  redis.call('EXPIRE', key, window)
end
"""


class RedisCounters:
    """Buckets in Redis, shared by all processes. Raises RedisError and OSError when Redis does not answer."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis, self._clock = redis, clock
        self._look, self._mark = redis.register_script(_LOOK), redis.register_script(_MARK)

    async def look(self, questions: Sequence[tuple[Bucket, str]]) -> list[Level]:
        now, levels = self._clock(), []
        given = [(f"({now - bucket.window_seconds}", now + AHEAD_SECONDS, name) for bucket, name in questions]
        answers = await self._look([bucket.key for bucket, _ in questions], list(chain.from_iterable(given)))
        for (bucket, _), (count, newest, at) in zip(questions, answers, strict=True):
            marked = at is not None and now - bucket.window_seconds < float(at) <= now + AHEAD_SECONDS
            levels.append(Level(count, float(newest), marked) if count else Level())
        return levels

    async def mark(self, marks: Sequence[Mark]) -> None:
        if not marks:
            return
        now = self._clock()
        given: list[str | float] = []
        for mark in marks:
            window = mark.bucket.window_seconds
            given += [now, now - window, f"({now + AHEAD_SECONDS}", mark.name, -mark.keep - 1, window]
            given.append(int(mark.refresh))
        await self._mark([mark.bucket.key for mark in marks], given)

    async def unmark(self, marks: Sequence[tuple[Bucket, str]]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for bucket, name in marks:
            pipe.zrem(bucket.key, name)
        await pipe.execute()

    async def keys(self, prefix: str) -> list[str]:
        pattern = "".join(f"\\{c}" if c in "*?[]\\^-" else c for c in prefix) + "*"
        found = {key async for key in self._redis.scan_iter(match=pattern, count=1000, _type="ZSET")}
        return sorted(key.decode(errors="replace") if isinstance(key, bytes) else key for key in found)

    async def clear(self, keys: Sequence[str]) -> int:
        return int(await self._redis.delete(*keys)) if keys else 0

    async def close(self) -> None:
        await self._redis.aclose()


class SteadyCounters:
    """Redis while it answers, else memory."""

    def __init__(self, shared: Counters, own: MemoryCounters, *, steady: Steady | None = None) -> None:
        self._shared, self._own = shared, own
        self._steady = steady or Steady("limits on log-ins")

    @property
    def is_shared(self) -> bool:
        """Whether Redis answered when it was last asked. Otherwise only this process knows its counts."""
        return not self._steady.is_away

    async def look(self, questions: Sequence[tuple[Bucket, str]]) -> list[Level]:
        levels = await self._steady.ask(lambda: self._shared.look(questions))
        return await self._own.look(questions) if levels is None else levels

    async def mark(self, marks: Sequence[Mark]) -> None:
        await self._own.mark(marks)
        await self._steady.ask(lambda: self._shared.mark(marks))

    async def unmark(self, marks: Sequence[tuple[Bucket, str]]) -> None:
        await self._own.unmark(marks)
        await self._steady.ask(lambda: self._shared.unmark(marks))

    async def keys(self, prefix: str) -> list[str]:
        keys = await self._steady.ask(lambda: self._shared.keys(prefix))
        return await self._own.keys(prefix) if keys is None else keys

    async def clear(self, keys: Sequence[str]) -> int:
        own = await self._own.clear(keys)
        shared = await self._steady.ask(lambda: self._shared.clear(keys))
        return own if shared is None else shared

    async def close(self) -> None:
        await self._shared.close()
