"""The parts are put together as the settings say."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path

import pytest
from tests.unit.auth.conftest import RedisServer
from tests.unit.auth.fakes import attempt, directory, user

from mailu.auth import assembly, passwords
from mailu.auth.accounts import LoginRecord
from mailu.auth.counters import MemoryCounters, SteadyCounters
from mailu.auth.login import Accepted, Reason, Refused
from mailu.auth.steady import redis_client
from mailu.settings import Rate, Settings, load_settings

ANN = "ann@example.org"


def settings(**variables: str) -> Settings:
    given = {"SECRET_KEY": "s" * 32, "DOMAIN": "example.org", "HOSTNAMES": "mail.example.org"}
    return load_settings(None, given | variables)


def test_the_limits_are_those_of_the_settings() -> None:
    limits = assembly.build_limits(
        settings(
            RATELIMIT_STORAGE_URL="memory://",
            AUTH_RATELIMIT_IP="7/minute",
            AUTH_RATELIMIT_USER="none",
            AUTH_RATELIMIT_IP_V4_MASK="28",
            AUTH_RATELIMIT_EXEMPTION="192.0.2.0/24",
            AUTH_RATELIMIT_EXEMPTION_LENGTH="600",
        )
    )
    assert isinstance(limits.counters, MemoryCounters)
    assert (limits.rules.per_network, limits.rules.per_account) == (Rate(7, 60), None)
    assert (limits.rules.v4_mask, limits.rules.v6_mask, limits.rules.known_seconds) == (28, 48, 600)
    assert limits.rules.exempt == (ipaddress.ip_network("192.0.2.0/24"),)


def test_the_judge_works_without_any_redis(tmp_path: Path) -> None:
    records: list[LoginRecord] = []
    snapshot = directory(user(ANN, passwords.hash_password("secret")))
    chosen = settings(ROOT=str(tmp_path), AUTH_REQUIRE_TOKENS="true")

    async def play() -> None:
        judge = assembly.build_judge(chosen, lambda: snapshot, records.append)
        assert isinstance(await judge.decide(attempt(protocol="web")), Accepted)
        refused = await judge.decide(attempt(protocol="imap"))
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.TOKEN_REQUIRED
        plain = await judge.decide(attempt(protocol="imap", tls=False))
        assert isinstance(plain, Refused)
        assert plain.reason is Reason.TLS_REQUIRED
        await judge.close()

    asyncio.run(play())
    assert [record.email for record in records] == [ANN]


def test_databases_2_and_3_of_redis_are_used_with_its_password(redis_server: RedisServer, tmp_path: Path) -> None:
    root = redis_server.folder / "r"
    (root / "run" / "redis").mkdir(parents=True)
    chosen = settings(ROOT=str(root))
    (root / "run" / "redis" / "redis").symlink_to(redis_server.socket)

    async def play() -> None:
        admin = redis_client(redis_server.url(0), password="p" * 64)
        await admin.config_set("requirepass", chosen.service_key("REDIS"))
        await admin.aclose()
        judge = assembly.build_judge(
            chosen, lambda: directory(user(ANN, passwords.hash_password("secret"))), lambda _: None
        )
        sessions = assembly.build_sessions(chosen)
        await judge.decide(attempt())
        await sessions.create(user(ANN))
        for database, prefix in ((2, "exempt-192.0.2.1"), (3, "session:")):
            redis = assembly.redis_of(chosen, database)
            assert any(str(key).startswith(prefix) for key in await redis.keys())
            await redis.aclose()
        await judge.close()
        await sessions.close()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("variables", "host", "port"),
    [
        ({"REDIS_ADDRESS": "redis.internal"}, "redis.internal", 6379),
        ({"REDIS_ADDRESS": "2001:db8::1"}, "2001:db8::1", 6379),
    ],
)
def test_redis_may_be_on_another_machine(variables: dict[str, str], host: str, port: int) -> None:
    kwargs = assembly.redis_of(settings(**variables), 2).connection_pool.connection_kwargs
    assert (kwargs["host"], kwargs["port"], kwargs["db"]) == (host, port, 2)
    assert kwargs["password"] == settings().service_key("REDIS")


def test_a_storage_url_wins_and_keeps_its_own_password() -> None:
    chosen = settings(RATELIMIT_STORAGE_URL="redis+unix:///run/r.sock?db=5", SESSION_STORAGE_URL="redis://:pw@host:7/6")
    assert isinstance(assembly.build_counters(chosen), SteadyCounters)
    client = redis_client("redis+unix:///run/r.sock?db=5")
    assert client.connection_pool.connection_kwargs["path"] == "/run/r.sock"
    assert client.connection_pool.connection_kwargs["db"] == 5
    with_password = redis_client("redis://:pw@host:7/6").connection_pool.connection_kwargs
    assert (with_password["password"], with_password["port"]) == ("pw", 7)


def test_the_api_has_a_judge_of_its_own() -> None:
    chosen = settings(RATELIMIT_STORAGE_URL="memory://", API_TOKEN="t" * 32)

    async def nobody(_secret: str) -> None:
        return None

    bearer = assembly.build_bearer_judge(chosen, assembly.build_limits(chosen), nobody)
    assert asyncio.run(bearer.decide("t" * 32, "192.0.2.1")) == "operator"
    assert asyncio.run(bearer.decide("x", "192.0.2.1")) == "wrong"
