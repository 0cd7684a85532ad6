"""DKIM keys for Rspamd, in the shape of HashiCorp Vault's answers, and the keys of new domains.

Rspamd's ``dkim_signing`` with ``use_vault`` asks ``<url>/v1/dkim/<domain>`` for each domain that it signs for. An
alternative name signs with the keys of its domain. Keys are files; they are read again when their folder changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mailu.address import DomainName
from mailu.directory.matching import canonical_domain
from mailu.directory.snapshot import Snapshot
from mailu.identity.dkim import DkimKeyError, Selector, ensure_keys, load_keys, selectors_in
from mailu.servers.keeper import NotReady

log = logging.getLogger("mailu.servers.signing")

RETRY_SECONDS = 300.0


class SigningKeys:
    """Reads and makes keys in a thread of its own."""

    def __init__(self, folder: Path, selectors: tuple[Selector, ...]) -> None:
        self._folder = folder
        self._selectors = selectors
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="signing")
        self._read: dict[DomainName, list[dict[str, str]]] = {}
        self._folder_state: tuple[int, int] | None = None
        self._provided: set[str] = set()
        """Domains that have been seen to have keys."""
        self._wake = asyncio.Event()

    async def vault_answer(self, snapshot: Snapshot, domain: str) -> bytes | None:
        """The keys to sign mail of *domain* with, as JSON; None where it is not ours or has no key.

        Raises DkimKeyError or OSError for keys that are there and cannot be used.
        """
        owner = canonical_domain(snapshot, domain)
        if owner is None:
            return None
        state = self._state()
        if state != self._folder_state:
            self._read, self._folder_state = {}, state
        keys = self._read.get(owner)
        if keys is None:
            keys = await asyncio.get_running_loop().run_in_executor(self._thread, self._load, owner)
            self._read[owner] = keys
        if not keys:
            return None
        return json.dumps({"data": {"selectors": [{**key, "domain": domain} for key in keys]}}).encode()

    def _state(self) -> tuple[int, int]:
        status = self._folder.stat()
        return status.st_ino, status.st_mtime_ns

    def _load(self, domain: DomainName) -> list[dict[str, str]]:
        return [
            {"selector": key.selector, "alg": key.algorithm, "key": key.rspamd_key}
            for key in load_keys(self._folder, domain)
        ]

    def snapshot_changed(self, _snapshot: Snapshot) -> None:
        """Have a look soon whether a domain is new."""
        self._wake.set()

    async def run(self, snapshot: Callable[[], Snapshot]) -> None:
        """See that every domain has keys, until cancelled: after each change, and now and then after a failure."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), RETRY_SECONDS)
            self._wake.clear()
            with contextlib.suppress(NotReady):
                await self._provide(snapshot())

    async def _provide(self, snapshot: Snapshot) -> None:
        loop = asyncio.get_running_loop()
        self._provided &= set(snapshot.domains)
        for domain in [name for name in snapshot.domains if name not in self._provided]:
            try:
                await loop.run_in_executor(self._thread, self._ensure, DomainName(domain))
            except (DkimKeyError, OSError) as error:
                log.error("no signing keys for %s: %s", domain, error)
                continue
            self._provided.add(domain)

    def _ensure(self, domain: DomainName) -> None:
        # Whether a key that is there can be used shows when mail is signed; reading all of them would only delay that.
        if not selectors_in(self._folder, domain):
            self._folder.mkdir(parents=True, exist_ok=True)
            ensure_keys(self._folder, domain, self._selectors)
            log.info("signing keys were made for %s", domain)

    def close(self) -> None:
        """Make no more keys."""
        self._thread.shutdown(wait=False, cancel_futures=True)
