"""DANE beats MTA-STS, an MTA-STS policy in hand beats its disappearance, and nobody waits twice for the same answer."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from mailu.directory.snapshot import TlsExceptionEntry
from mailu.servers.outbound_tls import RECHECK_SECONDS, OutboundTls
from mailu.servers.receivers import NotKnown

SECURE = "secure match=mx.there.example servername=hostname"


class World:
    """What a receiving domain publishes, and how often it was asked."""

    def __init__(self) -> None:
        self.texts: list[str] | None = ["v=STSv1; id=1"]
        self.mode = "enforce"
        self.age = 604800
        self.file: bytes | None = b"policy"
        self.dane = False
        self.seconds = 0.0
        self.now = 1000.0
        self.asked: list[str] = []

    async def sts_texts(self, domain: str) -> list[str]:
        self.asked.append(f"TXT {domain}")
        await asyncio.sleep(self.seconds)
        if self.texts is None:
            raise NotKnown("DNS does not answer")
        return self.texts

    async def sts_policy(self, domain: str) -> bytes:
        self.asked.append(f"GET {domain}")
        if self.file is None:
            raise NotKnown("the web server does not answer")
        if self.file != b"policy":
            return self.file
        return f"version: STSv1\nmode: {self.mode}\nmx: mx.there.example\nmax_age: {self.age}\n".encode()

    async def has_dane(self, domain: str) -> bool:
        self.asked.append(f"TLSA {domain}")
        return self.dane

    def policies(self, *, enforce_testing: bool = False, respect_dane: bool = True) -> OutboundTls:
        return OutboundTls(
            self,
            levels={"strict.example": "encrypt", "excepted.example": "encrypt"},
            enforce_testing=enforce_testing,
            respect_dane=respect_dane,
            exceptions=lambda: {"excepted.example": TlsExceptionEntry("may", date(2030, 1, 31))},
            clock=lambda: self.now,
        )


def ask(policies: OutboundTls, next_hop: str = "there.example") -> str | None:
    return asyncio.run(policies.policy(next_hop))


def test_a_policy_is_enforced() -> None:
    assert ask(World().policies()) == SECURE


@pytest.mark.parametrize("next_hop", ["excepted.example", "Excepted.example", "[excepted.example]:587"])
def test_an_exception_beats_all_else_and_the_log_says_so(next_hop: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.dane = True
    with caplog.at_level("INFO"):
        assert ask(world.policies(), next_hop) == "may"
    assert f"TLS to {next_hop}: may is enough until 2030-01-31, by exception" in caplog.text
    assert world.asked == []


@pytest.mark.parametrize("next_hop", [".excepted.example", "sub.excepted.example", "[192.0.2.1]", "[ipv6:2001:db8::1]"])
def test_an_exception_is_for_nobody_else(next_hop: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        ask(World().policies(), next_hop)
    assert "by exception" not in caplog.text


@pytest.mark.parametrize("next_hop", ["Strict.example", "[strict.example]:587", "strict.example:25"])
def test_the_operators_level_comes_first_and_nobody_is_asked(next_hop: str) -> None:
    """It is for a domain or for a host, such as a smart host."""
    world = World()
    assert ask(world.policies(), next_hop) == "encrypt"
    assert world.asked == []


@pytest.mark.parametrize(
    "next_hop",
    [
        "[there.example]",
        "[192.0.2.1]:25",
        "there.example:26",
        ".there.example",
        "localhost",
        "",
        "a b.example",
        "é.example\x00",
    ],
)
def test_what_is_no_domain_has_no_policy(next_hop: str) -> None:
    world = World()
    assert ask(world.policies(), next_hop) is None
    assert world.asked == []


def test_dane_is_left_to_postfix_where_it_is_used() -> None:
    world = World()
    world.dane = True
    assert ask(world.policies()) is None
    assert ask(world.policies(respect_dane=False)) == SECURE


def test_a_domain_without_mta_sts_costs_one_question() -> None:
    world = World()
    world.texts = []
    policies = world.policies()
    assert ask(policies) is None
    assert ask(policies) is None
    assert world.asked == ["TXT there.example"]


def test_testing_mode_is_enforced_only_when_errors_are_to_defer() -> None:
    world = World()
    world.mode = "testing"
    assert ask(world.policies()) is None
    assert ask(world.policies(enforce_testing=True)) == SECURE
    world.mode = "none"
    assert ask(world.policies(enforce_testing=True)) is None


def test_without_a_policy_in_hand_a_failure_is_no_policy() -> None:
    world = World()
    world.file = None
    assert ask(world.policies()) is None
    world.file = b"<html>"
    assert ask(world.policies()) is None
    world.texts = None
    assert ask(world.policies()) is None


@pytest.mark.parametrize("what_fails", ["dns", "record gone", "web", "rubbish"])
def test_a_policy_in_hand_holds_until_it_expires(what_fails: str) -> None:
    world = World()
    policies = world.policies()
    assert ask(policies) == SECURE
    world.texts = {"dns": None, "record gone": []}.get(what_fails, ["v=STSv1; id=2"])
    world.file = b"<html>" if what_fails == "rubbish" else None
    world.now += RECHECK_SECONDS + 1
    assert ask(policies) == SECURE
    world.now += world.age
    assert ask(policies) is None


def test_an_unchanged_id_is_not_fetched_again_and_a_new_one_is() -> None:
    world = World()
    policies = world.policies()
    ask(policies)
    world.now += RECHECK_SECONDS + 1
    assert ask(policies) == SECURE
    assert world.asked.count("GET there.example") == 1
    world.texts, world.mode = ["v=STSv1; id=2"], "none"
    world.now += RECHECK_SECONDS + 1
    assert ask(policies) is None
    assert world.asked.count("GET there.example") == 2


def test_many_who_want_the_same_answer_wait_for_one_question() -> None:
    world = World()
    world.seconds = 0.05
    policies = world.policies()

    async def crowd() -> list[str | None]:
        first = asyncio.create_task(policies.policy("there.example"))
        others = [asyncio.create_task(policies.policy("there.example")) for _ in range(20)]
        await asyncio.sleep(0.01)
        first.cancel()
        return list(await asyncio.gather(*others))

    assert asyncio.run(crowd()) == [SECURE] * 20
    assert world.asked.count("TXT there.example") == 1
