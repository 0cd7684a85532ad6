"""Strikes that are no log-ins: AUTH on port 25."""

from __future__ import annotations

import asyncio
import ipaddress

from tests.unit.auth.fakes import House, directory, rules, user

from mailu.auth.in_force import list_in_force

ANN = "ann@example.org"


def test_a_printer_with_a_wrong_setting_counts_once_and_a_known_address_not_at_all() -> None:
    house = House(directory(user(ANN, "secret")))

    async def play() -> None:
        await house.try_(ANN, client_ip="192.0.2.1")
        for _ in range(100):
            assert await house.limits.strike("192.0.2.7", "smtp-auth")
            assert not await house.limits.strike("192.0.2.1", "smtp-auth")
        assert await list_in_force(house.limits) == []

    asyncio.run(play())


def test_many_addresses_of_a_network_make_it_noisy_together() -> None:
    house = House(directory(user(ANN, "secret")))

    async def play() -> None:
        for host in range(5):
            await house.limits.strike(f"192.0.2.{host}", "smtp-auth")
        (found,) = await list_in_force(house.limits)
        assert (found.kind, found.origin, found.count) == ("network", "192.0.2.0", 5)

    asyncio.run(play())


def test_exempt_networks_and_switched_off_limits_have_no_strikes() -> None:
    exempt = House(directory(), limit_rules=rules(exempt=(ipaddress.ip_network("192.0.2.0/24"),)))
    off = House(directory(), limit_rules=rules(per_network=None))

    async def play() -> None:
        for house in (exempt, off):
            for host in range(9):
                assert not await house.limits.strike(f"192.0.2.{host}", "smtp-auth")
            assert await house.limits.counters.keys("") == []

    asyncio.run(play())
