"""What happens all the time, written to the database in batches: used bytes, last log-ins, better password hashes,
how much mail there was.

Nothing here is worth a write of its own, and nothing waits for it. While the database is gone the newest value of
each is kept and written later.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from mailu.auth.accounts import LoginRecord
from mailu.directory.mail_counts import Key

log = logging.getLogger("mailu.servers.bookkeeping")

INTERVAL_SECONDS = 10.0
MAX_UPGRADES = 10_000
"""Password hashes that wait to be stored; above it, new ones are dropped and come again at the next log-in."""


@dataclass(slots=True)
class Batch:
    """The newest facts since the last write."""

    used_bytes: dict[str, int] = field(default_factory=dict)
    last_logins: dict[str, float] = field(default_factory=dict)
    """Seconds since the epoch, by address."""
    upgrades: dict[tuple[str, int | None], LoginRecord] = field(default_factory=dict)
    """By address and app token."""
    mail: Counter[Key] = field(default_factory=Counter)
    """To be added: unlike all else here, not to be written twice."""

    def __bool__(self) -> bool:
        return bool(self.used_bytes or self.last_logins or self.upgrades or self.mail)

    def under(self, newer: Batch) -> Batch:
        """This batch, which could not be written, with what came since laid over it."""
        return Batch(
            {**self.used_bytes, **newer.used_bytes},
            {**self.last_logins, **newer.last_logins},
            {**self.upgrades, **newer.upgrades},
            self.mail + newer.mail,
        )


class Bookkeeping:
    """Collects on the loop, writes in a thread."""

    def __init__(self, write: Callable[[Batch], None], *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        """*write* stores one batch, in a thread; it may raise anything."""
        self._write = write
        self._interval_seconds = interval_seconds
        self._batch = Batch()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bookkeeping")
        self._failing = False

    @property
    def waiting(self) -> int:
        """Facts that are not written yet."""
        return len(self._batch.used_bytes) + len(self._batch.last_logins) + len(self._batch.upgrades)

    def usage_changed(self, email: str, used_bytes: int) -> None:
        """Take note of what a mailbox holds."""
        self._batch.used_bytes[email] = used_bytes

    def logged_in(self, record: LoginRecord) -> None:
        """Take note of an accepted log-in."""
        self._batch.last_logins[record.email] = record.at
        if record.upgrade is not None and len(self._batch.upgrades) < MAX_UPGRADES:
            self._batch.upgrades[record.email, record.upgrade.token_id] = record

    def mail_counted(self, counts: Mapping[Key, int]) -> None:
        """Take note of mail that came, went or was refused."""
        self._batch.mail.update(counts)

    async def run(self) -> None:
        """Write every few seconds until cancelled."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self.flush()

    async def flush(self) -> bool:
        """Write what there is; return whether nothing is left to write."""
        batch, self._batch = self._batch, Batch()
        if not batch:
            return True
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, batch)
        except BaseException as error:
            if not isinstance(error, Exception):
                # The thread goes on writing; what may be written twice is kept in case it does not.
                self._batch = replace(batch, mail=Counter()).under(self._batch)
                raise
            self._batch = batch.under(self._batch)
            if not self._failing:
                log.error("used quota and log-ins cannot be stored, trying again: %s", _one_line(error))
            self._failing = True
            return False
        self._failing = False
        return True

    async def close(self, patience_seconds: float) -> None:
        """Write a last time, for so long at most."""
        try:
            async with asyncio.timeout(patience_seconds):
                await self.flush()
        except TimeoutError:
            log.error("%d facts about quota and log-ins were not stored in time", self.waiting)
        self._thread.shutdown(wait=False, cancel_futures=True)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
