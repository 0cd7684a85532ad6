"""Log-ins that are remembered cost next to nothing, slow ones hold nobody up, and time tells nothing about accounts."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time

import bcrypt
import pytest
from tests.unit.auth.conftest import PASSWORD, RedisServer
from tests.unit.auth.fakes import House, directory, rules, user

from mailu.auth import passwords
from mailu.auth.counters import RedisCounters
from mailu.auth.decoys import Decoys
from mailu.auth.login import Accepted, Refused
from mailu.auth.pool import FairPool
from mailu.auth.steady import redis_client
from mailu.auth.verifier import Verifier

ANN = "ann@example.org"


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "mailu.auth")


async def _rate(house: House, number: int) -> float:
    assert isinstance(await house.try_(), Accepted)
    started = time.perf_counter()
    for _ in range(number):
        assert isinstance(await house.try_(), Accepted)
    return number / (time.perf_counter() - started)


def test_a_remembered_log_in_is_decided_without_hashing() -> None:
    house = House(directory(user(ANN, passwords.hash_password("secret"))), verifier=Verifier(FairPool(2)))

    async def play() -> float:
        rate = await _rate(house, 2000)
        await house.judge.close()
        return rate

    started = time.perf_counter()
    passwords.verify(b"secret", house.snapshot.users[ANN].password)
    hashing = time.perf_counter() - started
    assert asyncio.run(play()) > 20 / hashing, "twenty times as fast as hashing, at least"


def test_a_remembered_log_in_from_a_known_address_asks_redis_nothing(redis_server: RedisServer) -> None:
    async def play() -> int:
        redis = redis_client(redis_server.url(2), password=PASSWORD)
        house = House(
            directory(user(ANN, passwords.hash_password("secret"))),
            counters=RedisCounters(redis),
            verifier=Verifier(FairPool(2)),
        )
        house.limits.clock = time.time
        await house.try_()
        await house.try_()
        before = (await redis.info("stats"))["total_commands_processed"]
        await _rate(house, 500)
        after = (await redis.info("stats"))["total_commands_processed"]
        await house.judge.close()
        return int(after - before)

    assert asyncio.run(play()) <= 30


def test_a_quick_log_in_does_not_wait_behind_ten_slow_ones() -> None:
    slow = bcrypt.hashpw(b"geheim", bcrypt.gensalt(12)).decode()
    people = [user(f"p{number}@example.org", slow) for number in range(10)]
    house = House(directory(user(ANN, passwords.hash_password("secret")), *people), verifier=Verifier(FairPool(3)))

    async def play() -> tuple[float, float]:
        started = time.perf_counter()
        crowd = [
            asyncio.create_task(house.try_(person.email, "geheim", client_ip=f"10.0.{number}.1"))
            for number, person in enumerate(people)
        ]
        await asyncio.sleep(0.01)
        assert isinstance(await house.try_(client_ip="192.0.2.1"), Accepted)
        quick = time.perf_counter() - started
        assert all(isinstance(decision, Accepted) for decision in await asyncio.gather(*crowd))
        everything = time.perf_counter() - started
        await house.judge.close()
        return quick, everything

    quick, everything = asyncio.run(play())
    assert quick < everything / 2


def test_an_unknown_account_takes_as_long_as_a_wrong_password() -> None:
    stored = passwords.hash_password("secret")
    house = House(
        directory(user(ANN, stored), user("bob@example.org", stored)),
        limit_rules=rules(per_network=None, per_account=None),
        verifier=Verifier(FairPool(2)),
    )

    async def took(login: str, number: int) -> float:
        started = time.perf_counter()
        assert isinstance(await house.try_(login, f"guess {number}"), Refused)
        return time.perf_counter() - started

    async def play() -> tuple[float, float]:
        known, unknown = [], []
        for number in range(15):
            known.append(await took(ANN, number))
            unknown.append(await took(f"nobody{number}@example.org", number))
        await house.judge.close()
        return statistics.median(known), statistics.median(unknown)

    known, unknown = asyncio.run(play())
    assert 0.5 < known / unknown < 2


def test_unknown_names_are_spread_over_the_kinds_of_hashes_as_accounts_are() -> None:
    people = [user(f"p{number}@example.org", "$2b$12$" if number % 4 else "$argon2id$") for number in range(100)]
    snapshot = directory(*people)
    decoys = Decoys()
    chosen = [decoys.stored_for(f"nobody{number}@example.org", snapshot) for number in range(1000)]
    assert 0.6 < sum(stored == "$2b$12$" for stored in chosen) / 1000 < 0.9
    again = [decoys.stored_for(f"nobody{number}@example.org", snapshot) for number in range(1000)]
    assert again == chosen, "a name keeps its kind"
    assert passwords.is_supported(decoys.stored_for("x", directory()))
