"""Each attack that ``mailu.auth.limits`` speaks of, played against the judge with a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count

import pytest
from tests.unit.auth.fakes import DEVICE_KEY, House, directory, rules, user

from mailu.auth import devices
from mailu.auth.login import Accepted, Decision, Reason, Refused
from mailu.directory.snapshot import UserEntry

OFFICE = "198.51.100.7"
ANN = "ann@example.org"


def people(number: int) -> list[UserEntry]:
    """*number* accounts beside Ann's; the password of each is its address with an exclamation mark."""
    return [user(f"p{index}@example.org", f"p{index}@example.org!") for index in range(number)]


@pytest.fixture
def house() -> House:
    return House(directory(user(ANN, "secret"), *people(1000)))


def limited(decision: Decision) -> bool:
    return isinstance(decision, Refused) and decision.reason is Reason.RATE_LIMITED


def addresses() -> Iterator[str]:
    """One address in a new network each."""
    return (f"10.{number // 250}.{number % 250}.9" for number in count())


def test_guessing_from_one_place_becomes_ever_slower(house: House) -> None:
    async def attack() -> list[int]:
        looked_at = []
        for hour in range(24):
            before = house.plain.asked
            for second in range(3600):
                await house.try_(ANN, f"guess {hour} {second}", client_ip="203.0.113.5")
                house.clock.advance(1)
            looked_at.append(house.plain.asked - before)
        return looked_at

    looked_at = asyncio.run(attack())
    assert looked_at[0] <= 20
    assert max(looked_at[1:]) <= 4
    assert sum(looked_at) <= 130


def test_what_is_refused_meanwhile_does_not_make_it_worse_and_the_wait_is_true(house: House) -> None:
    async def attack() -> None:
        for number in range(10):
            assert not limited(await house.try_(ANN, f"guess {number}"))
        refused = await house.try_(ANN, "secret")
        assert isinstance(refused, Refused)
        assert refused.retry_after_seconds == 5
        house.clock.advance(4)
        for _ in range(100):
            assert limited(await house.try_(ANN, "secret"))
        house.clock.advance(1)
        assert isinstance(await house.try_(ANN, "secret"), Accepted)

    asyncio.run(attack())


def test_nobody_locks_out_the_owner_at_an_address_known_for_the_account(house: House) -> None:
    async def attack() -> None:
        assert isinstance(await house.try_(ANN, "secret", client_ip=OFFICE), Accepted)
        for number, address in zip(range(500), addresses(), strict=False):
            await house.try_(ANN, f"guess {number}", client_ip=address)
            house.clock.advance(60)
        strangers = [await house.try_(ANN, f"more {number}", client_ip="203.0.113.5") for number in range(3)]
        assert limited(strangers[-1])
        assert isinstance(await house.try_(ANN, "secret", client_ip=OFFICE), Accepted)

    asyncio.run(attack())


def test_nobody_locks_out_a_browser_with_the_devices_cookie(house: House) -> None:
    cookie = devices.new_cookie(ANN, DEVICE_KEY)

    async def attack() -> None:
        for number, address in zip(range(300), addresses(), strict=False):
            await house.try_(ANN, f"guess {number}", client_ip=address)
        assert limited(await house.try_(ANN, "secret", client_ip="203.0.113.5"))
        accepted = await house.try_(ANN, "secret", client_ip="203.0.113.5", protocol="web", device=cookie)
        assert isinstance(accepted, Accepted)
        assert isinstance(await house.try_(ANN, "secret", client_ip="203.0.113.5"), Accepted), "the phone beside it"

    asyncio.run(attack())


def test_a_few_networks_cannot_keep_the_travelling_owner_out(house: House) -> None:
    async def attack() -> None:
        for network in range(20):
            for number in range(100):
                await house.try_(ANN, f"guess {network} {number}", client_ip=f"10.1.{network}.9")
        assert isinstance(await house.try_(ANN, "secret", client_ip="203.0.113.5"), Accepted)

    asyncio.run(attack())


def test_a_botnet_gets_a_bounded_number_of_tries_at_one_account(house: House) -> None:
    async def attack() -> None:
        for number, address in zip(range(86_400 // 20), addresses(), strict=False):
            await house.try_(ANN, f"guess {number}", client_ip=address)
            house.clock.advance(20)

    asyncio.run(attack())
    assert house.plain.asked <= 200


def test_the_owners_own_mistakes_do_not_keep_out_others_or_himself_for_long(house: House) -> None:
    async def play() -> None:
        assert isinstance(await house.try_(ANN, "secret", client_ip=OFFICE), Accepted)
        for number in range(49):
            assert not limited(await house.try_(ANN, f"typo {number}", client_ip=OFFICE))
        assert isinstance(await house.try_(ANN, "secret", client_ip=OFFICE), Accepted)
        await house.try_(ANN, "typo 50", client_ip=OFFICE)
        assert limited(await house.try_(ANN, "secret", client_ip=OFFICE))
        house.clock.advance(5)
        assert isinstance(await house.try_(ANN, "secret", client_ip=OFFICE), Accepted)
        assert isinstance(await house.try_("p1@example.org", "p1@example.org!", client_ip=OFFICE), Accepted)

    asyncio.run(play())


@pytest.mark.parametrize("known_before", [False, True])
@pytest.mark.parametrize("victims", ["unknown names", "one account", "many accounts"])
def test_two_hundred_people_log_in_from_one_address_beside_a_guesser(
    house: House, victims: str, known_before: bool
) -> None:
    """200 log-ins in a minute, and five guesses a second from the same address for ten minutes before and meanwhile."""
    guesses = count()
    slowed = looked_at = 0

    async def guess() -> None:
        nonlocal slowed, looked_at
        looked_at -= house.plain.asked
        number = next(guesses)
        name = {
            "unknown names": f"nobody{number}@example.org",
            "one account": ANN,
            "many accounts": f"p{200 + number % 800}@example.org",
        }[victims]
        slowed += limited(await house.try_(name, f"guess {number}", client_ip=OFFICE))
        looked_at += house.plain.asked

    async def log_in(person: int) -> Decision:
        name = f"p{person}@example.org"
        return await house.try_(name, f"{name}!", client_ip=OFFICE)

    async def play() -> list[Decision]:
        if known_before:
            for person in range(200):
                await log_in(person)
            house.clock.advance(7200)
            for _ in range(3000):
                await guess()
                house.clock.advance(0.2)
        decisions = []
        for person in range(200):
            decisions.append(await log_in(person))
            house.clock.advance(0.3)
            await guess()
            await guess()
        return decisions

    decisions = asyncio.run(play())
    assert all(isinstance(decision, Accepted) for decision in decisions)
    assert slowed >= next(guesses) * 0.95
    assert looked_at <= {"unknown names": 5, "one account": 20, "many accounts": 70 if known_before else 400}[victims]


def test_a_sprayer_gets_few_looks_an_hour(house: House) -> None:
    async def attack() -> None:
        for number in range(7200):
            await house.try_(f"p{number % 1000}@example.org", f"Summer{number // 1000}", client_ip="203.0.113.5")
            house.clock.advance(1)

    asyncio.run(attack())
    assert house.plain.asked <= 140


def test_an_own_account_buys_a_sprayer_next_to_nothing(house: House) -> None:
    async def attack() -> None:
        for number in range(3600):
            if not number % 10:
                await house.try_(ANN, "secret", client_ip="203.0.113.5")
            await house.try_(f"p{number % 1000}@example.org", "Summer", client_ip="203.0.113.5")
            house.clock.advance(1)

    asyncio.run(attack())
    assert house.plain.asked <= 360 + 80


def test_an_own_account_does_not_exempt_from_limits_on_another(house: House) -> None:
    async def attack() -> list[bool]:
        await house.try_("p1@example.org", "p1@example.org!", client_ip="203.0.113.5")
        return [limited(await house.try_(ANN, f"guess {number}", client_ip="203.0.113.5")) for number in range(30)]

    assert asyncio.run(attack()) == [False] * 10 + [True] * 20


def test_unknown_accounts_are_answered_and_counted_as_existing_ones() -> None:
    async def answers(name: str) -> list[object]:
        house = House(directory(user(ANN, "secret"), *people(20)))
        seen: list[object] = []
        for number in range(25):
            seen.append(await house.try_(name, f"guess {number}", client_ip="203.0.113.5"))
            house.clock.advance(1)
        for number in range(8):  # the network becomes noisy by other names
            await house.try_(f"x{number}@example.org", "guess", client_ip="203.0.113.5")
        for number in range(25):
            seen.append(await house.try_(name, f"other {number}", client_ip="203.0.113.5"))
            house.clock.advance(1)
        return [*seen, len(house.slept)]

    assert asyncio.run(answers(ANN)) == asyncio.run(answers("nobody@example.org"))


def test_unknown_accounts_cost_a_hash_in_a_quiet_network_and_nothing_in_a_noisy_one(house: House) -> None:
    async def attack() -> list[int]:
        cost = []
        for number in range(50):
            before = house.plain.asked
            await house.try_(f"nobody{number}@example.org", "guess", client_ip="203.0.113.5")
            cost.append(house.plain.asked - before)
        return cost

    assert asyncio.run(attack()) == [1] * 5 + [0] * 45


def test_wrong_answers_to_a_noisy_network_all_take_a_second(house: House) -> None:
    async def attack() -> None:
        for number in range(5):
            await house.try_(f"nobody{number}@example.org", "guess", client_ip="203.0.113.5")
        assert house.slept == []
        for name in (ANN, "nobody@example.org", "p1@example.org", ANN, ANN, ANN, ANN):
            assert limited(await house.try_(name, f"guess {len(house.slept)}", client_ip="203.0.113.5"))

    asyncio.run(attack())
    assert len(house.slept) == 7
    assert all(0.9 < seconds <= 1 for seconds in house.slept)


def test_attempts_at_the_same_time_do_not_slip_past_the_limit(house: House) -> None:
    async def attack() -> int:
        guesses = (house.try_(ANN, f"guess {number}", client_ip="203.0.113.5") for number in range(500))
        await asyncio.gather(*guesses)
        return house.plain.asked

    assert asyncio.run(attack()) <= 10


def test_one_wrong_password_counts_once_however_often_it_comes(house: House) -> None:
    async def play() -> None:
        for _ in range(500):
            decision = await house.try_(ANN, "the old one")
            assert isinstance(decision, Refused)
            assert decision.reason is Reason.BAD_CREDENTIALS
        assert isinstance(await house.try_(ANN, "secret"), Accepted)

    asyncio.run(play())


def test_who_logs_in_after_a_mistake_takes_his_strike_back(house: House) -> None:
    async def play() -> None:
        for person in range(100):
            name = f"p{person}@example.org"
            decision = await house.try_(name, "mistake", client_ip=OFFICE)
            assert isinstance(decision, Refused)
            assert decision.reason is Reason.BAD_CREDENTIALS, "the network is still quiet"
            assert isinstance(await house.try_(name, f"{name}!", client_ip=OFFICE), Accepted)

    asyncio.run(play())


def test_names_that_strangers_make_up_do_not_fill_the_shared_counters(house: House) -> None:
    async def attack() -> list[str]:
        for number in range(3000):
            await house.try_(f"nobody{number}@example.org", "guess", client_ip="203.0.113.5")
        return await house.limits.counters.keys("")

    assert asyncio.run(attack()) == ["LIMITER/auth-ip/203.0.113.0/strikes"]


def test_limits_can_be_switched_off() -> None:
    house = House(directory(user(ANN, "secret")), limit_rules=rules(per_network=None, per_account=None))

    async def attack() -> None:
        for number in range(300):
            assert not limited(await house.try_(ANN, f"guess {number}"))
            assert not limited(await house.try_(f"nobody{number}@example.org", "guess"))

    asyncio.run(attack())
