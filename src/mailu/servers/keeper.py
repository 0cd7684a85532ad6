"""Keeping the newest snapshot of the directory at hand, and the last one when the database is gone.

The database is asked several times a second whether anything changed, in a thread of its own, so that a slow or dead
database never holds up an answer. A snapshot is built there too and swapped in whole.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from mailu.directory.snapshot import NotReady as NotReady
from mailu.directory.snapshot import Snapshot
from mailu.directory.store import NoSchema, Store
from mailu.memory import give_back

log = logging.getLogger("mailu.servers.keeper")

POLL_SECONDS = 0.25
RETRY_SECONDS = 1.0
SWITCH_SECONDS = 0.0005
"""How long the building thread may hold the interpreter before a look-up gets its turn. Python's default of 5 ms
would add that to each look-up while a large directory is loaded."""


class SnapshotKeeper:
    """Holds the snapshot that every answer is made from.

    *version* and *load* are called in one thread, never at the same time; both may raise anything.
    """

    def __init__(
        self,
        *,
        version: Callable[[], int],
        load: Callable[[], Snapshot],
        poll_seconds: float = POLL_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._version = version
        self._load = load
        self._poll_seconds = poll_seconds
        self._retry_seconds = retry_seconds
        self._snapshot: Snapshot | None = None
        self._seen: int | None = None
        self._told = False
        """It was logged that the database does not answer."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="snapshot")
        self.changed: list[Callable[[Snapshot], None]] = []
        """Called on the loop after each swap."""
        self.database_answers = False
        self.load_seconds = 0.0
        self.loads = 0

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot. Raises NotReady before the first one."""
        if self._snapshot is None:
            raise NotReady("the directory has not been read yet")
        return self._snapshot

    @property
    def ready(self) -> bool:
        """Whether there is a snapshot."""
        return self._snapshot is not None

    async def run(self) -> None:
        """Follow the database until cancelled."""
        sys.setswitchinterval(SWITCH_SECONDS)
        loop = asyncio.get_running_loop()
        try:
            while True:
                answered = await self._follow(loop)
                await asyncio.sleep(self._poll_seconds if answered else self._retry_seconds)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _follow(self, loop: asyncio.AbstractEventLoop) -> bool:
        try:
            fresh = await loop.run_in_executor(self._thread, self._fresh)
        except Exception as error:
            self._lost(error)
            return False
        if not self.database_answers:
            log.info("the database answers")
            self.database_answers = True
        if fresh is not None:
            self._swap(loop, fresh)
        return True

    def _fresh(self) -> Snapshot | None:
        """Return a new snapshot when the database changed since the last one. Runs in the thread."""
        version = self._version()
        if version == self._seen:
            return None
        started = time.perf_counter()
        # The collector would walk every row of the new snapshot, with the interpreter held, and find nothing. What is
        # garbage now goes first; what is left after loading is set aside for good.
        gc.collect()
        gc.disable()
        try:
            snapshot = self._load()
            gc.freeze()
        finally:
            gc.enable()
        self._seen = version
        self.load_seconds = time.perf_counter() - started
        return snapshot

    def _swap(self, loop: asyncio.AbstractEventLoop, fresh: Snapshot) -> None:
        old, self._snapshot = self._snapshot, fresh
        self.loads += 1
        log.log(
            logging.INFO if old is None else logging.DEBUG,
            "the directory was read: %d mailboxes, %d aliases, %d domains in %.0f ms",
            len(fresh.users),
            len(fresh.aliases),
            len(fresh.domains),
            self.load_seconds * 1000,
        )
        for callback in self.changed:
            callback(fresh)
        if old is None:
            loop.run_in_executor(self._thread, give_back)  # of what starting took
        last_reference, old = [old], None
        loop.run_in_executor(self._thread, _let_go, last_reference)

    def _lost(self, error: Exception) -> None:
        if self.database_answers or not self._told:
            state = "answering from what was read last" if self._snapshot else "every answer is 'try later'"
            log.error("the database does not answer (%s); %s", " ".join(str(error).split())[:300], state)
        self._told, self.database_answers = True, False


def _let_go(old: list[Snapshot | None]) -> None:
    """Drop the last reference to a snapshot in the thread. Freeing 100,000 rows holds the interpreter for about 10 ms,
    wherever it happens; on the loop it would come on top of the answers that wait there.
    """
    old.clear()


class UpgradedVersion:
    """The version of the store's data; at first, and after the tables were gone, its schema is brought up to date."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._upgraded = False

    def __call__(self) -> int:
        """As ``Store.data_version``; raises what that and ``Store.upgrade`` raise."""
        if not self._upgraded:
            self._store.upgrade()
            self._upgraded = True
        try:
            return self._store.data_version()
        except NoSchema:
            self._upgraded = False
            raise
