"""Watching DKIM rotations in the directory process: new keys sign once their records are seen, old ones go in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mailu.address import DomainName
from mailu.directory.snapshot import Snapshot
from mailu.identity import rotation
from mailu.identity.dkim import DkimKeyError, SigningKey, load_keys
from mailu.identity.dns_answers import DnsUnknown
from mailu.identity.rotation import Step, Verdict
from mailu.places import Places
from mailu.servers.keeper import NotReady
from mailu.settings import Settings

if TYPE_CHECKING:
    from mailu.identity.authoritative import Dns

log = logging.getLogger("mailu.servers.rotation")

ROUND_SECONDS = 300.0


class Rotations:
    """Goes round all domains. Everything that waits for DNS runs in a thread."""

    def __init__(self, settings: Settings, places: Places, *, dns: Callable[[], Dns] | None = None) -> None:
        self._folder: Path = places.dkim
        self._base = settings.dkim_selector
        self._every = timedelta(days=settings.dkim_rotation_days)
        self._keep = rotation.keep_for(settings.queue_lifetime)
        self._dns = dns or (lambda: _own_dns(places))

    async def run(self, snapshot: Callable[[], Snapshot]) -> None:
        """Look after all domains every five minutes, until cancelled."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                names = names_of(snapshot())
            except NotReady:
                continue
            await asyncio.to_thread(self.round, names)

    def round(self, names: Mapping[DomainName, list[DomainName]]) -> list[Step]:
        """One round. *names*: each domain with all its names, itself first. A domain that fails stops no other."""
        steps: list[Step] = []
        dns = cache(self._dns)
        for domain, all_names in names.items():
            try:
                steps += self._care_for(domain, all_names, dns)
            except (DkimKeyError, OSError) as error:
                log.error("the signing keys of %s cannot be rotated: %s", domain, error)
        for step in steps:
            log.info("%s", step)
        return steps

    def _care_for(self, domain: DomainName, names: list[DomainName], dns: Callable[[], Dns]) -> list[Step]:
        def is_seen(key: SigningKey) -> Verdict:
            return seen(dns(), self._folder, names, key)

        steps = rotation.advance(self._folder, domain, seen=is_seen, keep=self._keep)
        if self._every and rotation.is_due(self._folder, domain, self._every):
            steps += rotation.begin(self._folder, domain, self._base)
        return steps


def _own_dns(places: Places) -> Dns:
    from mailu.identity.authoritative import Dns, own_resolver  # here: a library that is needed while a key waits

    return Dns(own_resolver(places))


def seen(dns: Dns, folder: Path, names: list[DomainName], key: SigningKey) -> Verdict:
    """Whether every name server answers with the record of *key*, for each of *names*."""

    def ask(name: str) -> list[str] | None:
        try:
            return list(dns.look(name, "TXT").common)
        except DnsUnknown:
            return None

    signing = [one.selector for one in load_keys(folder, names[0])]
    return rotation.verdict(key, names, ask, signing=signing)


def names_of(snapshot: Snapshot) -> dict[DomainName, list[DomainName]]:
    """Every domain with its other names."""
    found = {DomainName(name): [DomainName(name)] for name in snapshot.domains}
    for other, domain in snapshot.alternatives.items():
        if domain in found:
            found[DomainName(domain)].append(DomainName(other))
    return found
