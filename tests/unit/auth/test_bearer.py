"""The API's token is limited like a password, and nobody locks its owner out."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.unit.auth.fakes import Clock, House, directory, rules, user

from mailu.auth.admission import Limited
from mailu.auth.bearer import BearerJudge
from mailu.auth.counters import MemoryCounters
from mailu.auth.limits import Limits
from mailu.auth.lines import Fingerprints
from mailu.directory.api_tokens import ApiTokenEntry

NARROW = ApiTokenEntry(7, "monitoring", True, frozenset({"a.test"}), None)


async def look_up(secret: str) -> ApiTokenEntry | None:
    return NARROW if secret == "narrow-token" else None


def judge(token: str = "right-token", limits: Limits | None = None) -> BearerJudge:
    clock = Clock()
    limits = limits or Limits(rules(), MemoryCounters(clock=clock), clock=clock)
    return BearerJudge(limits, token, Fingerprints(b"f"), look_up)


def test_right_and_wrong() -> None:
    bearer = judge()
    assert asyncio.run(bearer.decide("right-token", "192.0.2.1")) == "operator"
    for wrong in ("", "right", "right-tokenx", "\udcff"):
        assert asyncio.run(bearer.decide(wrong, "192.0.2.1")) == "wrong"


def test_without_a_token_of_the_operator_the_others_work() -> None:
    assert asyncio.run(judge("").decide("", "192.0.2.1")) == "wrong"
    assert asyncio.run(judge("").decide("narrow-token", "192.0.2.1")) is NARROW


def test_guessing_is_slowed_down_and_costs_the_network_a_strike() -> None:
    bearer = judge()

    async def play() -> None:
        answers = [await bearer.decide(f"guess {number}", "192.0.2.1") for number in range(20)]
        assert answers[:10] == ["wrong"] * 10
        assert all(isinstance(answer, Limited) for answer in answers[10:])
        assert await bearer.limits.counters.keys("LIMITER/auth-ip/") == ["LIMITER/auth-ip/192.0.2.0/strikes"]

    asyncio.run(play())


def test_a_client_that_had_it_right_is_never_kept_out_by_others() -> None:
    bearer = judge()

    async def play() -> None:
        assert await bearer.decide("right-token", "192.0.2.1") == "operator"
        for network in range(200):
            await bearer.decide(f"guess {network}", f"10.0.{network}.1")
        assert await bearer.decide("right-token", "192.0.2.1") == "operator"

    asyncio.run(play())


def test_wrong_api_tokens_count_against_log_ins_from_there() -> None:
    house = House(directory(user("ann@example.org", "secret")))
    bearer = judge(limits=house.limits)

    async def play() -> None:
        for number in range(4):
            await house.try_(f"nobody{number}@example.org", client_ip="192.0.2.9")
        assert not house.slept
        await bearer.decide("guess", "192.0.2.9")
        await house.try_("nobody@example.org", client_ip="192.0.2.9")
        assert house.slept, "five strikes make a network noisy"

    asyncio.run(play())


def test_the_token_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bearer = judge()
    for given in ("right-token", "wrong-token", "wrong\ntoken"):
        asyncio.run(bearer.decide(given, "192.0.2.1\nforged"))
    assert "token:" not in caplog.text.replace("API token from", "")
    assert "wrong-token" not in caplog.text
    assert "right-token" not in caplog.text
    assert all("\n" not in record.getMessage() for record in caplog.records)
