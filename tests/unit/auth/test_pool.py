"""Nobody fills the line before the threads for others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from mailu.auth.pool import FairPool, PoolFull, Turn


class Bench:
    """Work that waits until it is let go, and remembers the order in which it began."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = threading.Event()

    def work(self, name: str) -> Callable[[], str]:
        def run() -> str:
            self.begun.append(name)
            self.go.wait(10)
            return name

        return run


async def settle() -> None:
    await asyncio.sleep(0.05)


def test_sources_take_turns_however_much_one_of_them_wants() -> None:
    async def play() -> list[str]:
        pool, bench = FairPool(2), Bench()
        flood = [asyncio.create_task(pool.run(Turn("flood"), bench.work("flood"))) for _ in range(50)]
        await settle()
        other = asyncio.create_task(pool.run(Turn("other"), bench.work("other")))
        await settle()
        bench.go.set()
        await asyncio.gather(*flood, other)
        pool.close()
        return bench.begun

    assert asyncio.run(play()).index("other") <= 3


def test_known_sources_come_before_strangers() -> None:
    async def play() -> list[str]:
        pool, bench = FairPool(2), Bench()
        strangers = [asyncio.create_task(pool.run(Turn(str(n)), bench.work("stranger"))) for n in range(100)]
        await settle()
        known = asyncio.create_task(pool.run(Turn("home", known=True), bench.work("known")))
        await settle()
        bench.go.set()
        await asyncio.gather(*strangers, known)
        pool.close()
        return bench.begun

    assert asyncio.run(play()).index("known") == 2


def test_slow_work_always_leaves_a_thread_for_quick_work() -> None:
    async def play() -> str:
        pool, bench = FairPool(3), Bench()
        slow = [asyncio.create_task(pool.run(Turn(str(n), slow=True), bench.work("slow"))) for n in range(10)]
        await settle()
        done = await asyncio.wait_for(pool.run(Turn("quick"), lambda: "quick"), 5)
        assert bench.begun == ["slow", "slow"]
        bench.go.set()
        await asyncio.gather(*slow)
        pool.close()
        return done

    assert asyncio.run(play()) == "quick"


def test_quick_work_does_not_starve_slow_work() -> None:
    async def play() -> list[str]:
        pool, order = FairPool(2), list[str]()
        held = threading.Event()
        first = [asyncio.create_task(pool.run(Turn(f"x{n}"), lambda: held.wait(10))) for n in range(2)]
        await settle()
        quick = [asyncio.create_task(pool.run(Turn(str(n)), lambda: order.append("quick"))) for n in range(50)]
        slow = asyncio.create_task(pool.run(Turn("s", slow=True), lambda: order.append("slow")))
        await settle()
        held.set()
        await asyncio.gather(*first, *quick, slow)
        pool.close()
        return order

    assert asyncio.run(play()).index("slow") <= 4


def test_a_full_line_is_said_at_once_and_strangers_never_fill_it_whole() -> None:
    async def play() -> None:
        pool, bench = FairPool(2, line=16, line_of_one=8), Bench()
        tasks = [asyncio.create_task(pool.run(Turn(str(n)), bench.work("x"))) for n in range(12)]
        await settle()
        with pytest.raises(PoolFull):
            await pool.run(Turn("stranger"), bench.work("x"))
        tasks.append(asyncio.create_task(pool.run(Turn("home", known=True), bench.work("x"))))
        await settle()
        bench.go.set()
        await asyncio.gather(*tasks)
        assert await pool.run(Turn("stranger"), lambda: 1) == 1, "the line is free again"
        pool.close()

    asyncio.run(play())


def test_one_source_cannot_hold_the_whole_line() -> None:
    async def play() -> None:
        pool, bench = FairPool(2, line=100, line_of_one=5), Bench()
        tasks = [asyncio.create_task(pool.run(Turn("one"), bench.work("x"))) for _ in range(5)]
        await settle()
        with pytest.raises(PoolFull):
            await pool.run(Turn("one"), bench.work("x"))
        bench.go.set()
        await asyncio.gather(*tasks)
        assert await pool.run(Turn("one"), lambda: 1) == 1
        pool.close()

    asyncio.run(play())


def test_errors_reach_whoever_asked() -> None:
    async def play() -> None:
        pool = FairPool(2)
        with pytest.raises(ZeroDivisionError):
            await pool.run(Turn("a"), lambda: 1 // 0)
        assert await pool.run(Turn("a"), lambda: 1) == 1
        pool.close()

    asyncio.run(play())


def test_work_that_nobody_waits_for_any_more_is_not_begun() -> None:
    async def play() -> list[str]:
        pool, bench = FairPool(2), Bench()
        running = [asyncio.create_task(pool.run(Turn(str(n)), bench.work("running"))) for n in range(2)]
        await settle()
        waiting = asyncio.create_task(pool.run(Turn("gone"), bench.work("gone")))
        await settle()
        waiting.cancel()
        bench.go.set()
        await asyncio.gather(*running)
        await settle()
        pool.close()
        return bench.begun

    assert asyncio.run(play()) == ["running", "running"]


def test_the_event_loop_goes_on_meanwhile() -> None:
    async def play() -> float:
        pool, longest = FairPool(2), 0.0
        work = [asyncio.create_task(pool.run(Turn(str(n)), lambda: time.sleep(0.05))) for n in range(8)]
        while not all(task.done() for task in work):
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)
        pool.close()
        return longest

    assert asyncio.run(play()) < 2


def test_nobody_stands_in_line_for_longer_than_clients_wait() -> None:
    async def play() -> None:
        pool, bench = FairPool(2, patience_seconds=0.1), Bench()
        running = [asyncio.create_task(pool.run(Turn(str(n)), bench.work("running"))) for n in range(2)]
        waiting = [asyncio.create_task(pool.run(Turn(str(n)), bench.work("late"))) for n in range(5)]
        await asyncio.sleep(0.2)
        bench.go.set()
        await asyncio.gather(*running)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(answer, PoolFull) for answer in answers)
        assert bench.begun == ["running", "running"]
        assert await pool.run(Turn("x"), lambda: 1) == 1
        pool.close()

    asyncio.run(play())
