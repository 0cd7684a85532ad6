"""Where web sessions lie: small texts that vanish by themselves, and lists of them, in Redis or in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from redis.asyncio import Redis

from mailu.auth.steady import Steady


class Shelf(Protocol):
    """Texts under keys, and lists of names with an end each."""

    async def put(self, key: str, text: str, seconds: int) -> None:
        """Keep *text* for *seconds*."""

    async def replace(self, key: str, text: str) -> bool:
        """Put *text* in place of another, which keeps its time. False: there is none any more."""

    async def get(self, key: str, seconds: int | None = None) -> str | None:
        """Return the text; with *seconds* it is kept that long from now on. None where there is none."""

    async def left(self, key: str) -> float | None:
        """Return for how many more seconds a text is kept; None where there is none."""

    async def drop(self, keys: list[str]) -> int:
        """Remove texts; return how many there were."""

    async def enlist(self, index: str, name: str, seconds: int) -> None:
        """Put *name* into a list for *seconds*."""

    async def listed(self, index: str) -> list[str]:
        """Return the names in a list, oldest end first."""

    async def unlist(self, index: str, names: list[str]) -> None:
        """Take names out of a list."""

    async def close(self) -> None:
        """Close connections."""


class RedisShelf:
    """In Redis: survives a restart of ours, and is seen by all processes. Raises RedisError and OSError."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis, self._clock = redis, clock

    async def put(self, key: str, text: str, seconds: int) -> None:
        await self._redis.set(key, text, ex=max(1, seconds))

    async def replace(self, key: str, text: str) -> bool:
        return bool(await self._redis.set(key, text, xx=True, keepttl=True))

    async def get(self, key: str, seconds: int | None = None) -> str | None:
        text = await self._redis.getex(key, ex=max(1, seconds)) if seconds else await self._redis.get(key)
        return None if text is None else str(text)

    async def left(self, key: str) -> float | None:
        milliseconds = await self._redis.pttl(key)
        return milliseconds / 1000 if milliseconds >= 0 else None

    async def drop(self, keys: list[str]) -> int:
        return int(await self._redis.delete(*keys)) if keys else 0

    async def enlist(self, index: str, name: str, seconds: int) -> None:
        now = self._clock()
        pipe = self._redis.pipeline(transaction=False)
        pipe.zremrangebyscore(index, "-inf", now)
        pipe.zadd(index, {name: now + seconds})
        pipe.expire(index, seconds)
        await pipe.execute()

    async def listed(self, index: str) -> list[str]:
        return [str(name) for name in await self._redis.zrange(index, f"({self._clock()}", "+inf", byscore=True)]

    async def unlist(self, index: str, names: list[str]) -> None:
        if names:
            await self._redis.zrem(index, *names)

    async def close(self) -> None:
        await self._redis.aclose()


class MemoryShelf:
    """In this process only. The *size* youngest texts and lists are kept."""

    def __init__(self, *, size: int = 20_000, clock: Callable[[], float] = time.time) -> None:
        self._size, self._clock = size, clock
        self._texts: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lists: OrderedDict[str, dict[str, float]] = OrderedDict()

    async def put(self, key: str, text: str, seconds: int) -> None:
        self._texts[key] = (text, self._clock() + seconds)
        if len(self._texts) > self._size:
            self._texts.popitem(last=False)

    async def replace(self, key: str, text: str) -> bool:
        found = self._find(key)
        if found:
            self._texts[key] = (text, found[1])
        return found is not None

    async def get(self, key: str, seconds: int | None = None) -> str | None:
        found = self._find(key)
        if found and seconds:
            self._texts[key] = (found[0], self._clock() + seconds)
        return found[0] if found else None

    async def left(self, key: str) -> float | None:
        found = self._find(key)
        return found[1] - self._clock() if found else None

    async def drop(self, keys: list[str]) -> int:
        return sum(self._texts.pop(key, None) is not None for key in keys)

    async def enlist(self, index: str, name: str, seconds: int) -> None:
        names = self._lists.setdefault(index, {})
        for ended in [other for other, until in names.items() if until <= self._clock()]:
            del names[ended]
        names[name] = self._clock() + seconds
        if len(self._lists) > self._size:
            self._lists.popitem(last=False)

    async def listed(self, index: str) -> list[str]:
        names = self._lists.get(index, {})
        return sorted((name for name, until in names.items() if until > self._clock()), key=names.__getitem__)

    async def unlist(self, index: str, names: list[str]) -> None:
        for name in names:
            self._lists.get(index, {}).pop(name, None)

    async def close(self) -> None:
        """There is nothing to close."""

    def _find(self, key: str) -> tuple[str, float] | None:
        found = self._texts.get(key)
        if found and found[1] <= self._clock():
            del self._texts[key]
            return None
        return found


class SteadyShelf:
    """Redis while it answers; what is put while it does not lies in memory, and is found there afterwards too."""

    def __init__(self, shared: Shelf, own: Shelf, *, steady: Steady | None = None) -> None:
        self._shared, self._own = shared, own
        self._steady = steady or Steady("web sessions")

    @property
    def is_away(self) -> bool:
        """Redis did not answer when it was last asked: what is not found may exist all the same."""
        return self._steady.is_away

    async def put(self, key: str, text: str, seconds: int) -> None:
        if await self._steady.ask(lambda: _done(self._shared.put(key, text, seconds))) is None:
            await self._own.put(key, text, seconds)

    async def replace(self, key: str, text: str) -> bool:
        return bool(await self._steady.ask(lambda: self._shared.replace(key, text))) or await self._own.replace(
            key, text
        )

    async def get(self, key: str, seconds: int | None = None) -> str | None:
        found = await self._steady.ask(lambda: self._shared.get(key, seconds))
        return await self._own.get(key, seconds) if found is None else found

    async def left(self, key: str) -> float | None:
        found = await self._steady.ask(lambda: self._shared.left(key))
        return await self._own.left(key) if found is None else found

    async def drop(self, keys: list[str]) -> int:
        return (await self._steady.ask(lambda: self._shared.drop(keys)) or 0) + await self._own.drop(keys)

    async def enlist(self, index: str, name: str, seconds: int) -> None:
        if await self._steady.ask(lambda: _done(self._shared.enlist(index, name, seconds))) is None:
            await self._own.enlist(index, name, seconds)

    async def listed(self, index: str) -> list[str]:
        return [*(await self._steady.ask(lambda: self._shared.listed(index)) or ()), *await self._own.listed(index)]

    async def unlist(self, index: str, names: list[str]) -> None:
        await self._steady.ask(lambda: self._shared.unlist(index, names))
        await self._own.unlist(index, names)

    async def close(self) -> None:
        await self._shared.close()


async def _done(work: object) -> bool:
    await work  # type: ignore[misc]
    return True
