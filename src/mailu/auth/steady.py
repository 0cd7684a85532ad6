"""Asking Redis, and going on without it while it is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger("mailu.auth")

Answer = TypeVar("Answer")

_TIMEOUT_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0


def redis_client(url: str, *, password: str | None = None) -> Redis:
    """Return a client for *url* (``unix:///path?db=2``, ``redis://host/2``) that answers or fails within a second.

    A connection that broke is opened anew once, since Redis may have been restarted since it was last used.
    """
    redis = Redis.from_url(
        url.removeprefix("redis+") if url.startswith("redis+unix://") else url,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 1),
        decode_responses=True,
    )
    if password is not None:
        redis.connection_pool.connection_kwargs["password"] = password
    return redis


class Steady:
    """Asks Redis while it answers. Says once in the log that it does not, and asks again after a pause."""

    def __init__(self, what: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """*what* is kept in Redis, for the log: a plural."""
        self._what, self._clock = what, clock
        self._pause = _FIRST_PAUSE_SECONDS
        self._not_before = 0.0
        self._away = False

    @property
    def is_away(self) -> bool:
        """Whether Redis did not answer when it was last asked."""
        return self._away

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """Return what Redis answers to *question*; None where it does not answer, or did not a moment ago."""
        if self._away and self._clock() < self._not_before:
            return None
        try:
            answer = await question()
        except (RedisError, OSError) as error:
            self._gone(error)
            return None
        if self._away:
            log.warning("Redis is back: %s are kept there again.", self._what)
        self._away, self._pause = False, _FIRST_PAUSE_SECONDS
        return answer

    def _gone(self, error: Exception) -> None:
        if self._away:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        else:
            log.warning("Redis does not answer (%s): %s are kept in memory.", error, self._what)
        self._away = True
        self._not_before = self._clock() + self._pause
