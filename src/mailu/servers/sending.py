"""How many recipients a person may send to: MESSAGE_RATELIMIT, a limit of their own, or none."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection

from mailu.auth.counters import Bucket, Counters, Mark
from mailu.directory import lookup
from mailu.directory.snapshot import Snapshot
from mailu.settings.values import Rate, rate

log = logging.getLogger("mailu.servers.sending")

KEY_PREFIX = "LIMITER/sending/"
"""Before the address, the key under which recipients are counted."""


class SendingLimits:
    """The limit of each account, and whether it is reached."""

    def __init__(self, counters: Counters, default: Rate | None, exempt: Collection[str]) -> None:
        """*exempt*: addresses of accounts without a limit; *default* None is no limit for anybody."""
        self._counters = counters
        self._default = default
        self._exempt = frozenset(exempt)
        self._parse: Callable[[str], Rate | None] = rate.parse
        self._bad: set[str] = set()

    async def objection(self, snapshot: Snapshot, login: str) -> str | None:
        """Count one recipient of *login*; the refusal when it is one too many, else None."""
        account = lookup.account(snapshot, login)
        email = account.email if account is not None else login
        limit = self.limit_of(email, account.message_ratelimit if account is not None else None)
        if limit is None or await self._count(email, limit):
            return None
        log.warning("%s has sent to more recipients than %s allows", email, limit)
        return (
            f"450 4.2.1 too many emails too fast: {email} may send to no more recipients than {limit}. "
            "Please try again later"
        )

    async def _count(self, email: str, limit: Rate) -> bool:
        """Count one event, unless that would be more than *limit* allows; return whether it was counted."""
        bucket = Bucket(f"{KEY_PREFIX}{email}", limit.seconds)
        (level,) = await self._counters.look([(bucket, "")])
        if level.count >= limit.count:
            return False
        await self._counters.mark([Mark(bucket, secrets.token_hex(8), keep=limit.count)])
        return True

    def limit_of(self, email: str, own: str | None) -> Rate | None:
        """The limit of an account, None for none. One of its own that cannot be read counts as absent."""
        if email in self._exempt:
            return None
        if own is None or not own.strip():
            return self._default
        try:
            return self._parse(own)
        except ValueError as error:
            if email not in self._bad:
                self._bad.add(email)
                log.error("the sending limit %.40r of %s cannot be read (%s); the general one holds", own, email, error)
            return self._default
