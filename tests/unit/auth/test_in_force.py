"""Operators see who is slowed down and let them go, from any process that reaches Redis."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.auth.conftest import PASSWORD, RedisServer
from tests.unit.auth.fakes import House, directory, rules, user

from mailu.auth.counters import RedisCounters
from mailu.auth.in_force import clear, list_in_force
from mailu.auth.limits import Limits
from mailu.auth.login import Accepted, Reason, Refused
from mailu.auth.steady import redis_client

ANN = "ann@example.org"
SLASH = "bob/with/slash@example.org"


async def guess_much(house: House) -> None:
    """Somebody at 203.0.113.5 guesses at two accounts and at names, and Ann mistypes a little at home."""
    await house.try_(ANN, "secret", client_ip="192.0.2.1")
    for number in range(5):
        await house.try_(ANN, f"typo {number}", client_ip="192.0.2.1")
    for account in (ANN, SLASH):
        for number in range(12):
            await house.try_(account, f"guess {number}", client_ip="203.0.113.5")
    for number in range(8):
        await house.try_(f"nobody{number}@example.org", "guess", client_ip="2001:db8:5::5")


def test_all_limits_in_force_are_listed_and_nothing_else() -> None:
    house = House(directory(user(ANN, "secret"), user(SLASH, "secret")))

    async def play() -> None:
        assert await list_in_force(house.limits) == []
        await guess_much(house)
        found = [
            (each.kind, each.account, each.origin, each.count, each.allowed, each.retry_after_seconds)
            for each in await list_in_force(house.limits)
        ]
        assert found == [
            ("network", None, "2001:db8:5::", 8, 5, 40),
            ("account from network", ANN, "203.0.113.0", 10, 10, 5),
            ("account from network", SLASH, "203.0.113.0", 10, 10, 5),
        ]
        house.clock.advance(6)
        assert {each.retry_after_seconds for each in await list_in_force(house.limits)} == {34, 0}
        house.clock.advance(3600)
        assert len(await list_in_force(house.limits)) == 2

    asyncio.run(play())


def test_an_account_is_let_go() -> None:
    house = House(directory(user(ANN, "secret"), user(SLASH, "secret")))

    async def play() -> None:
        await guess_much(house)
        refused = await house.try_(SLASH, "secret", client_ip="203.0.113.5")
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.RATE_LIMITED
        assert await clear(house.limits, account=SLASH) == 2
        assert isinstance(await house.try_(SLASH, "secret", client_ip="203.0.113.5"), Accepted)
        assert {each.account for each in await list_in_force(house.limits)} == {None, ANN}

    asyncio.run(play())


@pytest.mark.parametrize("address", ["2001:db8:5::5", "2001:db8:5:77::1", "2001:db8:5::/48"])
def test_a_network_is_let_go_by_any_of_its_addresses(address: str) -> None:
    house = House(directory(user(ANN, "secret"), user(SLASH, "secret")))

    async def play() -> None:
        await guess_much(house)
        assert await clear(house.limits, address=address) == 1
        assert {each.origin for each in await list_in_force(house.limits)} == {"203.0.113.0"}

    asyncio.run(play())


def test_an_account_from_one_place_and_everything() -> None:
    house = House(directory(user(ANN, "secret"), user(SLASH, "secret")))

    async def play() -> None:
        await guess_much(house)
        assert await clear(house.limits, account=ANN, address="203.0.113.77") == 1
        assert await clear(house.limits, account=ANN, address="198.51.100.1") == 0
        assert await clear(house.limits) > 3
        assert await list_in_force(house.limits) == []
        assert await house.limits.counters.keys("exempt-") == ["exempt-192.0.2.1"], "who is known stays known"

    asyncio.run(play())


def test_what_is_no_address_is_said() -> None:
    house = House(directory())
    with pytest.raises(ValueError, match="'nonsense' is no address"):
        asyncio.run(clear(house.limits, address="nonsense"))


def test_another_process_lists_and_clears_through_redis(redis_server: RedisServer) -> None:
    async def play() -> None:
        redis = redis_client(redis_server.url(2), password=PASSWORD)
        house = House(directory(user(ANN, "secret"), user(SLASH, "secret")))
        house.limits.counters = RedisCounters(redis, clock=house.clock)
        await guess_much(house)
        other = redis_client(redis_server.url(2), password=PASSWORD)
        command_line = Limits(rules(), RedisCounters(other, clock=house.clock), clock=house.clock)
        assert len(await list_in_force(command_line)) == 3
        assert await clear(command_line, account=ANN) == 3
        assert isinstance(await house.try_(ANN, "secret", client_ip="203.0.113.5"), Accepted)
        await redis.aclose()
        await other.aclose()

    asyncio.run(play())


def test_foreign_keys_in_the_database_do_no_harm(redis_server: RedisServer) -> None:
    async def play() -> None:
        redis = redis_client(redis_server.url(2), password=PASSWORD)
        await redis.rpush("LIMITER/auth-ip/192.0.2.0/5/1/hour", "1", "2")
        await redis.zadd("LIMITER/auth-user/odd", {"x": 1})
        await redis.zadd("LIMITER/auth-ip/192.0.2.0/other", {"x": 1})
        limits = Limits(rules(), RedisCounters(redis))
        assert await list_in_force(limits) == []
        assert await clear(limits) == 0
        await redis.aclose()

    asyncio.run(play())
