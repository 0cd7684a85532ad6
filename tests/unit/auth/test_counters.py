"""Buckets count alike in Redis and in memory, and go on in memory while Redis is away."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable

import pytest
from tests.unit.auth.conftest import PASSWORD, RedisServer
from tests.unit.auth.fakes import NOON, Clock

from mailu.auth.counters import Bucket, Counters, Level, Mark, MemoryCounters, RedisCounters, SteadyCounters
from mailu.auth.steady import Steady, redis_client

DAY = Bucket("LIMITER/auth-user/ann@example.org/strangers", 86400)
HOUR = Bucket("LIMITER/auth-ip/192.0.2.0/strikes", 3600)
Play = Callable[[Counters, Clock], Awaitable[None]]


async def _counts_different_marks(counters: Counters, clock: Clock) -> None:
    for name in ("a", "b", "a", "a"):
        await counters.mark([Mark(DAY, name)])
        clock.advance(1)
    assert await counters.look([(DAY, "a"), (DAY, "c"), (HOUR, "a")]) == [
        Level(2, NOON + 1, True),
        Level(2, NOON + 1, False),
        Level(),
    ]


async def _window_moves(counters: Counters, clock: Clock) -> None:
    await counters.mark([Mark(HOUR, "a"), Mark(DAY, "a")])
    clock.advance(1800)
    await counters.mark([Mark(HOUR, "b"), Mark(HOUR, "a")])
    clock.advance(1799)
    assert (await counters.look([(HOUR, "a")]))[0] == Level(2, NOON + 1800, True)
    clock.advance(1)
    assert await counters.look([(HOUR, "a"), (DAY, "a")]) == [Level(1, NOON + 1800, False), Level(1, NOON, True)]
    clock.advance(1800)
    assert (await counters.look([(HOUR, "b")]))[0] == Level()


async def _refreshed_marks_count_from_now_on(counters: Counters, clock: Clock) -> None:
    await counters.mark([Mark(HOUR, "a", refresh=True), Mark(HOUR, "b")])
    clock.advance(3000)
    await counters.mark([Mark(HOUR, "a", refresh=True)])
    clock.advance(3000)
    assert (await counters.look([(HOUR, "a")]))[0] == Level(1, NOON + 3000, True)


async def _keeps_the_youngest(counters: Counters, clock: Clock) -> None:
    for number in range(10):
        await counters.mark([Mark(DAY, str(number), keep=3)])
        clock.advance(1)
    levels = await counters.look([(DAY, str(number)) for number in range(10)])
    assert [level.marked for level in levels] == [False] * 7 + [True] * 3
    assert levels[0].count == 3


async def _takes_marks_out(counters: Counters, clock: Clock) -> None:
    await counters.mark([Mark(DAY, "a"), Mark(DAY, "b")])
    await counters.unmark([(DAY, "a"), (HOUR, "a")])
    assert (await counters.look([(DAY, "a")]))[0] == Level(1, NOON, False)


async def _lists_and_clears(counters: Counters, clock: Clock) -> None:
    odd = Bucket("LIMITER/auth-user/[*]?@example.org/strangers", 60)
    await counters.mark([Mark(bucket, "a") for bucket in (DAY, HOUR, odd)])
    assert sorted(await counters.keys("LIMITER/")) == sorted([DAY.key, HOUR.key, odd.key])
    assert await counters.keys("LIMITER/auth-user/[*]?") == [odd.key]
    assert await counters.clear([DAY.key, "LIMITER/none"]) == 1
    assert await counters.clear([]) == 0
    assert await counters.look([(DAY, "a"), (HOUR, "a")]) == [Level(), Level(1, NOON, True)]


async def _marks_from_a_clock_that_was_ahead_do_not_count(counters: Counters, clock: Clock) -> None:
    await counters.mark([Mark(DAY, "a"), Mark(HOUR, "a")])
    clock.advance(3 * 86_400)
    await counters.mark([Mark(DAY, "b"), Mark(DAY, "c"), Mark(HOUR, "b")])
    clock.advance(-3 * 86_400 + 10)
    assert await counters.look([(HOUR, "b")]) == [Level()]
    await counters.mark([Mark(DAY, "b")])
    assert await counters.look([(DAY, "b"), (DAY, "c")]) == [Level(1, NOON + 10, True), Level(1, NOON + 10, False)]
    clock.advance(-30)
    assert await counters.look([(DAY, "b")]) == [Level(1, NOON + 10, True)]  # another machine's


EVERY: list[Play] = [
    _marks_from_a_clock_that_was_ahead_do_not_count,
    _counts_different_marks,
    _window_moves,
    _refreshed_marks_count_from_now_on,
    _keeps_the_youngest,
    _takes_marks_out,
    _lists_and_clears,
]


@pytest.mark.parametrize("play", EVERY, ids=lambda play: play.__name__)
def test_in_memory(play: Play) -> None:
    clock = Clock()
    asyncio.run(play(MemoryCounters(clock=clock), clock))  # type: ignore[arg-type]


def test_in_redis(redis_server: RedisServer) -> None:
    async def all_of_them() -> None:
        redis = redis_client(redis_server.url(2), password=PASSWORD)
        for play in EVERY:
            clock = Clock()
            await play(RedisCounters(redis, clock=clock), clock)
            await redis.flushdb()
        await redis.aclose()

    asyncio.run(all_of_them())


def test_keys_in_redis_vanish_by_themselves(redis_server: RedisServer) -> None:
    async def play() -> int:
        redis = redis_client(redis_server.url(2), password=PASSWORD)
        await RedisCounters(redis).mark([Mark(HOUR, "a")])
        left = await redis.ttl(HOUR.key)
        await redis.aclose()
        return int(left)

    assert 3590 <= asyncio.run(play()) <= 3600


def test_memory_keeps_the_buckets_that_were_used_last() -> None:
    async def play() -> None:
        counters = MemoryCounters(size=3)
        for number in range(5):
            await counters.mark([Mark(DAY, "x"), Mark(Bucket(str(number), 60), "a")])
        assert await counters.keys("") == ["3", DAY.key, "4"] or len(await counters.keys("")) == 3
        assert (await counters.look([(DAY, "x")]))[0].count == 1

    asyncio.run(play())


def test_without_redis_it_counts_in_memory_says_so_once_and_comes_back(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mailu.auth")
    pauses = Clock(0)

    async def play() -> None:
        redis = redis_client(redis_server.url(2), password=PASSWORD)
        counters = SteadyCounters(RedisCounters(redis), MemoryCounters(), steady=Steady("limits", clock=pauses))
        await counters.mark([Mark(DAY, "before")])
        assert counters.is_shared
        redis_server.stop()
        for name in ("a", "b"):
            await counters.mark([Mark(DAY, name)])
            pauses.advance(60)
        level = (await counters.look([(DAY, "before")]))[0]
        assert (level.count, level.marked) == (3, True), "what was counted before is not forgotten"
        assert not counters.is_shared
        assert await counters.keys("LIMITER/auth-user/") == [DAY.key]
        redis_server.start()
        pauses.advance(60)
        await counters.mark([Mark(DAY, "after")])
        assert counters.is_shared
        assert (await counters.look([(DAY, "after")]))[0].count == 1
        assert await counters.clear([DAY.key]) == 1
        await counters.close()

    asyncio.run(play())
    assert [record.message.split(":")[0].split(" (")[0] for record in caplog.records] == [
        "Redis does not answer",
        "Redis is back",
    ]


def test_a_redis_that_was_restarted_unnoticed_is_asked_again_at_once(redis_server: RedisServer) -> None:
    async def play() -> None:
        redis = redis_client(redis_server.url(2), password=PASSWORD)
        counters = RedisCounters(redis)
        await counters.mark([Mark(DAY, "a")])
        redis_server.stop()
        redis_server.start()
        await counters.mark([Mark(DAY, "b")])
        assert (await counters.look([(DAY, "b")]))[0].count == 1
        await counters.close()

    asyncio.run(play())


@pytest.mark.parametrize("url", ["unix:///nonexistent/redis?db=2", "redis://127.0.13.1:1/2"])
def test_a_redis_that_was_never_there_costs_no_time(url: str) -> None:
    async def play() -> float:
        counters = SteadyCounters(RedisCounters(redis_client(url)), MemoryCounters())
        started = asyncio.get_running_loop().time()
        for _ in range(100):
            await counters.look([(DAY, "a")])
        await counters.close()
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(play()) < 1


def test_a_wrong_password_for_redis_is_told(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        counters = SteadyCounters(RedisCounters(redis_client(redis_server.url(2), password="x")), MemoryCounters())
        await counters.mark([Mark(DAY, "a")])
        assert (await counters.look([(DAY, "a")]))[0].count == 1
        await counters.close()

    asyncio.run(play())
    assert "password" in caplog.text
    assert PASSWORD not in caplog.text


def test_pauses_between_attempts_grow_and_end() -> None:
    clock, asked = Clock(0), list[float]()

    async def question() -> int:
        asked.append(clock())
        raise ConnectionRefusedError("gone")

    async def play() -> None:
        steady = Steady("limits", clock=clock)
        for _ in range(200):
            await steady.ask(question)
            clock.advance(1)

    asyncio.run(play())
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert gaps[:6] == [1, 2, 4, 8, 16, 30]
    assert set(gaps[6:]) == {30}
