"""The same work is not done twice, and nothing that has changed is remembered."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.auth.fakes import Clock

from mailu.auth import passwords, verifier
from mailu.auth.pool import FairPool, Turn
from mailu.auth.verifier import Verdict, Verifier

TURN = Turn("192.0.2.1")
ANN = "ann@example.org"


class Counting:
    """Stands in for hashing: a stored password is itself, and each look is counted."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, password: bytes, stored: str, *, upgrade: bool) -> Verdict:
        self.looks += 1
        return Verdict(stored.encode() == password, "new" if upgrade and stored == "old" == password.decode() else None)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr(verifier, "_verify", counting)
    return counting


def test_a_right_and_a_wrong_password_are_looked_at_once(looks: Counting) -> None:
    async def play() -> None:
        checks = Verifier(FairPool(2))
        for _ in range(5):
            assert (await checks.verify(ANN, "secret", b"secret", TURN)).right
            assert not (await checks.verify(ANN, "secret", b"wrong", TURN)).right
        assert checks.recall(ANN, "secret", b"secret") is True
        assert checks.recall(ANN, "secret", b"wrong") is False
        assert checks.recall(ANN, "secret", b"other") is None
        checks.close()

    asyncio.run(play())
    assert looks.looks == 2


def test_a_changed_hash_is_another_matter_at_once(looks: Counting) -> None:
    async def play() -> None:
        checks = Verifier(FairPool(2))
        assert (await checks.verify(ANN, "secret", b"secret", TURN)).right
        assert not (await checks.verify(ANN, "changed", b"secret", TURN)).right
        assert not (await checks.verify(ANN, "secret", b"changed", TURN)).right
        assert (await checks.verify(ANN, "changed", b"changed", TURN)).right, "the program knew the new one first"
        checks.close()

    asyncio.run(play())
    assert looks.looks == 4


def test_accounts_are_kept_apart(looks: Counting) -> None:
    async def play() -> None:
        checks = Verifier(FairPool(2))
        await checks.verify(ANN, "secret", b"secret", TURN)
        assert checks.recall("bob@example.org", "secret", b"secret") is None
        assert checks.recall(ANN + "s", "ecret", b"secret") is None
        checks.close()

    asyncio.run(play())


def test_memory_lasts_minutes_and_is_bounded(looks: Counting) -> None:
    clock = Clock()

    async def play() -> None:
        checks = Verifier(FairPool(2), remember=3, clock=clock)
        await checks.verify(ANN, "secret", b"secret", TURN)
        clock.advance(verifier.RIGHT_SECONDS - 1)
        assert checks.recall(ANN, "secret", b"secret")
        clock.advance(1)
        assert checks.recall(ANN, "secret", b"secret") is None
        for number in range(5):
            await checks.verify(ANN, "secret", b"%d" % number, TURN)
        assert [checks.recall(ANN, "secret", b"%d" % number) for number in range(5)] == [None, None] + [False] * 3
        checks.close()

    asyncio.run(play())


def test_ten_connections_of_one_program_cost_one_look(looks: Counting) -> None:
    async def play() -> list[Verdict]:
        checks = Verifier(FairPool(2))
        verdicts = await asyncio.gather(*(checks.verify(ANN, "secret", b"secret", TURN) for _ in range(10)))
        checks.close()
        return verdicts

    assert asyncio.run(play()) == [Verdict(right=True)] * 10
    assert looks.looks == 1


def test_when_the_first_of_them_goes_away_the_others_get_their_answer(looks: Counting) -> None:
    async def play() -> Verdict:
        checks = Verifier(FairPool(2))
        first = asyncio.create_task(checks.verify(ANN, "secret", b"secret", TURN))
        second = asyncio.create_task(checks.verify(ANN, "secret", b"secret", TURN))
        await asyncio.sleep(0)
        first.cancel()
        verdict = await second
        checks.close()
        return verdict

    assert asyncio.run(play()).right


def test_an_upgraded_hash_is_remembered_before_it_is_stored(looks: Counting) -> None:
    async def play() -> None:
        checks = Verifier(FairPool(2))
        assert (await checks.verify(ANN, "old", b"old", TURN)).replacement == "new"
        assert (await checks.verify(ANN, "old", b"old", TURN)).replacement is None, "once is enough"
        assert checks.recall(ANN, "new", b"old")
        checks.close()

    asyncio.run(play())


def test_real_hashes_are_verified_and_upgraded() -> None:
    async def play() -> None:
        checks = Verifier(FairPool(2))
        stored = "$1$F2OStvi1$Q8hBIHkdJpJkJn/TrMIZ9/"
        verdict = await checks.verify(ANN, stored, b"password", TURN)
        assert verdict.replacement
        assert passwords.verify(b"password", verdict.replacement)
        assert await checks.verify(ANN, stored, b"wrong", TURN) == Verdict(right=False)
        assert await checks.verify("bob@example.org", stored, b"password", TURN, upgrade=False) == Verdict(right=True)
        assert await checks.verify("bob@example.org", verdict.replacement, b"password", TURN) == Verdict(right=True)
        checks.close()

    asyncio.run(play())
