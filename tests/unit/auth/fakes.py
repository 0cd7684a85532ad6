"""People, a clock and a judge for tests about logging in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from mailu.auth.accounts import LoginRecord
from mailu.auth.buckets import LimitRules
from mailu.auth.counters import Counters, MemoryCounters
from mailu.auth.limits import Limits
from mailu.auth.login import Decision, Judge, LoginAttempt, LoginRules
from mailu.auth.pool import FairPool, Turn
from mailu.auth.sessions import Sessions
from mailu.auth.verifier import Verdict, Verifier
from mailu.directory.snapshot import Snapshot, TokenEntry, UserEntry
from mailu.settings.values import Rate

DEVICE_KEY, FINGERPRINT_KEY = b"d" * 32, b"f" * 32
NOON = 1_800_000_000.0


class Clock:
    """Seconds since the epoch, as far as the test has let them pass."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def user(email: str, password: str = "", **changes: Any) -> UserEntry:
    """An ordinary account; *password* is what is stored."""
    plain = UserEntry(
        email=email,
        domain_name=email.rpartition("@")[2],
        password=password,
        enabled=True,
        global_admin=False,
        enable_imap=True,
        enable_pop=True,
        allow_spoofing=False,
        change_pw_next_login=False,
        quota_bytes=0,
        quota_bytes_used=0,
        home=email,
        forward_enabled=False,
        forward_destination=(),
        forward_keep=True,
        reply_enabled=False,
        reply_subject=None,
        reply_body=None,
        reply_startdate=date(1900, 1, 1),
        reply_enddate=date(2999, 12, 31),
        displayed_name="",
        spam_enabled=True,
        spam_mark_as_read=True,
        spam_threshold=80,
        message_ratelimit=None,
    )
    return plain._replace(**changes)


def directory(*users: UserEntry, tokens: Mapping[str, tuple[TokenEntry, ...]] | None = None) -> Snapshot:
    """A snapshot of these people."""
    return Snapshot(users={each.email: each for each in users}, tokens=tokens or {})


def rules(**changes: Any) -> LimitRules:
    """The default limits."""
    given: dict[str, Any] = {"per_network": Rate(5, 3600), "per_account": Rate(50, 86400)} | changes
    return LimitRules(**given)


def attempt(login: str = "ann@example.org", password: str | bytes = "secret", **changes: Any) -> LoginAttempt:
    """An IMAP log-in over TLS from 192.0.2.1."""
    given: dict[str, Any] = {
        "login": login,
        "password": password.encode() if isinstance(password, str) else password,
        "protocol": "imap",
        "client_ip": "192.0.2.1",
        "client_port": 50123,
        "local_port": 993,
        "tls": True,
    }
    return LoginAttempt(**given | changes)


class PlainVerifier(Verifier):
    """Takes stored passwords as they are, at once, and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__(FairPool(2))
        self.asked = 0

    async def verify(self, account: str, stored: str, password: bytes, turn: Turn, *, upgrade: bool = True) -> Verdict:
        self.asked += 1
        return Verdict(right=stored.encode() == password)


class House:
    """A judge with everything around it, for one test."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        limit_rules: LimitRules | None = None,
        counters: Counters | None = None,
        verifier: Verifier | None = None,
        sessions: Sessions | None = None,
        require_tokens: bool = False,
        require_tls: bool = True,
    ) -> None:
        self.clock = Clock()
        self.snapshot = snapshot
        self.records: list[LoginRecord] = []
        self.slept: list[float] = []
        self.plain = PlainVerifier()
        self.limits = Limits(limit_rules or rules(), counters or MemoryCounters(clock=self.clock), clock=self.clock)
        self.judge = Judge(
            snapshot=lambda: self.snapshot,
            limits=self.limits,
            verifier=verifier or self.plain,
            sessions=sessions,
            rules=LoginRules(require_tokens, require_tls, DEVICE_KEY, FINGERPRINT_KEY),
            record=self.records.append,
            sleep=self._sleep,
        )

    async def try_(self, login: str = "ann@example.org", password: str | bytes = "secret", **changes: Any) -> Decision:
        """Let the judge decide about one attempt."""
        return await self.judge.decide(attempt(login, password, **changes))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
