"""Verifying passwords without doing the same work twice.

Mail programs log in all day with the same password. What was verified is remembered for minutes, as a keyed MAC over
account, stored hash and password: the memory holds no password, the key dies with the process, and because the stored
hash is part of it a changed password is forgotten at once. Wrong passwords are remembered in the same way, so a program
that repeats an old password for ever costs one hash an hour. A password that is being verified already is not verified
a second time for the nine other connections that the same program opens.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mailu.auth import passwords
from mailu.auth.pool import FairPool, Turn

RIGHT_SECONDS = 600
WRONG_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password was right, and the hash that ought to replace an outdated one (None: none)."""

    right: bool
    replacement: str | None = None


class _Memory:
    """MACs until they expire, at most *size* of them; the oldest go first."""

    def __init__(self, seconds: float, size: int, clock: Callable[[], float]) -> None:
        self._seconds, self._size, self._clock = seconds, size, clock
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def __contains__(self, mac: bytes) -> bool:
        return self._until.get(mac, 0.0) > self._clock()

    def add(self, mac: bytes) -> None:
        self._until.pop(mac, None)
        self._until[mac] = self._clock() + self._seconds
        if len(self._until) > self._size:
            self._until.popitem(last=False)


class Verifier:
    """Verifies passwords in *pool* and remembers the outcome. Used from one event loop."""

    def __init__(self, pool: FairPool, *, remember: int = 50_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._key = secrets.token_bytes(32)
        self._right = _Memory(RIGHT_SECONDS, remember, clock)
        self._wrong = _Memory(WRONG_SECONDS, remember, clock)
        self._under_way: dict[bytes, asyncio.Task[Verdict]] = {}

    def recall(self, account: str, stored: str, password: bytes) -> bool | None:
        """Say whether *password* is right, as far as it is remembered; None where it is not."""
        mac = self._mac(account, stored, password)
        return True if mac in self._right else False if mac in self._wrong else None

    async def verify(self, account: str, stored: str, password: bytes, turn: Turn, *, upgrade: bool = True) -> Verdict:
        """Verify *password* against *stored*, from memory or in a thread. Raises PoolFull.

        With *upgrade* the verdict carries a new hash where *stored* is outdated and the password right.
        """
        mac = self._mac(account, stored, password)
        if mac in self._right or mac in self._wrong:
            return Verdict(mac in self._right)
        task = self._under_way.get(mac)
        if task is None:
            task = asyncio.create_task(self._work(account, stored, password, turn, upgrade))
            self._under_way[mac] = task
            task.add_done_callback(partial(self._ended, mac))
        return await asyncio.shield(task)

    def close(self) -> None:
        """End the threads, after what they are at."""
        self._pool.close()

    async def _work(self, account: str, stored: str, password: bytes, turn: Turn, upgrade: bool) -> Verdict:
        verdict = await self._pool.run(turn, lambda: _verify(password, stored, upgrade=upgrade))
        memory = self._right if verdict.right else self._wrong
        memory.add(self._mac(account, stored, password))
        if verdict.replacement:
            memory.add(self._mac(account, verdict.replacement, password))
        return verdict

    def _ended(self, mac: bytes, task: asyncio.Task[Verdict]) -> None:
        del self._under_way[mac]
        if not task.cancelled():
            task.exception()  # those who asked have got it; asyncio complains where they all have gone

    def _mac(self, account: str, stored: str, password: bytes) -> bytes:
        mac = hashlib.blake2b(key=self._key, digest_size=32)
        for part in (account.encode(errors="surrogateescape"), stored.encode(), password):
            mac.update(len(part).to_bytes(8, "big"))
            mac.update(part)
        return mac.digest()


def _verify(password: bytes, stored: str, *, upgrade: bool) -> Verdict:
    if not passwords.verify(password, stored):
        return Verdict(right=False)
    if not upgrade or not passwords.needs_rehash(stored):
        return Verdict(right=True)
    return Verdict(right=True, replacement=passwords.hash_password(password))
