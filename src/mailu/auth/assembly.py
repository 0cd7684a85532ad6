"""Putting the parts together from the settings, once a process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from mailu.auth.accounts import LoginRecord
from mailu.auth.bearer import BearerJudge
from mailu.auth.buckets import LimitRules
from mailu.auth.counters import Counters, MemoryCounters, RedisCounters, SteadyCounters
from mailu.auth.limits import Limits
from mailu.auth.lines import Fingerprints
from mailu.auth.login import Judge, LoginRules
from mailu.auth.pool import FairPool
from mailu.auth.sessions import SessionRules, Sessions
from mailu.auth.shelf import MemoryShelf, RedisShelf, Shelf, SteadyShelf
from mailu.auth.steady import redis_client
from mailu.auth.verifier import Verifier
from mailu.directory.api_tokens import ApiTokenEntry
from mailu.directory.snapshot import Snapshot
from mailu.places import Places
from mailu.settings import Settings

LIMITS_DATABASE = 2
SESSIONS_DATABASE = 3
"""Numbers of Redis databases, as they have always been."""


def redis_of(settings: Settings, database: int) -> Redis:
    """Return a client of the installation's Redis: its socket, or REDIS_ADDRESS."""
    password = settings.service_key("REDIS")
    host = settings.redis_address
    if host is None:
        return redis_client(f"unix://{Places(settings.root).redis_socket}?db={database}", password=password)
    bracketed = f"[{host}]" if ":" in host else host
    return redis_client(f"redis://{bracketed}:6379/{database}", password=password)


def build_counters(settings: Settings) -> Counters:
    """Return the counters of the limits, as RATELIMIT_STORAGE_URL says."""
    url = settings.ratelimit_storage_url
    if url and url.startswith("memory://"):
        return MemoryCounters()
    redis = redis_client(url) if url else redis_of(settings, LIMITS_DATABASE)
    return SteadyCounters(RedisCounters(redis), MemoryCounters())


def build_limits(settings: Settings, counters: Counters | None = None) -> Limits:
    """Return the limits on guessing, for the judge or for listing and clearing them."""
    rules = LimitRules(
        per_network=settings.auth_ratelimit_ip,
        per_account=settings.auth_ratelimit_user,
        v4_mask=settings.auth_ratelimit_ip_v4_mask,
        v6_mask=settings.auth_ratelimit_ip_v6_mask,
        exempt=settings.auth_ratelimit_exemption,
        known_seconds=settings.auth_ratelimit_exemption_length,
    )
    return Limits(rules, counters or build_counters(settings))


def build_sessions(settings: Settings) -> Sessions:
    """Return the web sessions, in Redis unless MEMORY_SESSIONS or SESSION_STORAGE_URL says otherwise."""
    url = settings.session_storage_url
    shelf: Shelf
    if settings.memory_sessions or (url and url.startswith("memory://")):
        shelf = MemoryShelf()
    else:
        redis = redis_client(url) if url else redis_of(settings, SESSIONS_DATABASE)
        shelf = SteadyShelf(RedisShelf(redis), MemoryShelf())
    rules = SessionRules(
        idle_seconds=settings.session_timeout,
        lifetime_seconds=settings.permanent_session_lifetime,
        id_bits=settings.session_key_bits,
        key=settings.derive_key("SESSION_BINDING_KEY"),
    )
    return Sessions(shelf, rules)


def build_judge(
    settings: Settings,
    snapshot: Callable[[], Snapshot],
    record: Callable[[LoginRecord], None],
    *,
    limits: Limits | None = None,
    sessions: Sessions | None = None,
) -> Judge:
    """Return the judge of credentials, with *limits* and *sessions* of the process where it has them already."""
    rules = LoginRules(
        require_tokens=settings.auth_require_tokens,
        require_tls=settings.has_tls,
        device_key=settings.derive_key("DEVICE_COOKIE_KEY"),
        fingerprint_key=settings.derive_key("TRUNCATED_PW_KEY"),
    )
    return Judge(
        snapshot=snapshot,
        limits=limits or build_limits(settings),
        verifier=Verifier(FairPool()),
        sessions=sessions or build_sessions(settings),
        rules=rules,
        record=record,
    )


def build_bearer_judge(
    settings: Settings, limits: Limits, look_up: Callable[[str], Awaitable[ApiTokenEntry | None]]
) -> BearerJudge:
    """Return the judge of the API's tokens; *look_up* finds those that were made in the administration."""
    key = settings.derive_key("TRUNCATED_PW_KEY")
    return BearerJudge(limits, settings.api_token or "", Fingerprints(key), look_up)
