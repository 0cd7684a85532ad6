"""Looking whether DNS still says what it should, and telling the postmaster once about what changed.

``python -m mailu.servers.dns_watch`` looks once: the directory starts it every day. Environment: ``MAILU_SETTINGS``.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from mailu.address import DomainName
from mailu.control import domain_facts
from mailu.directory.renewal import SnapshotLoader
from mailu.directory.snapshot import Snapshot
from mailu.directory.store import NoSchema, open_store
from mailu.identity.authoritative import Dns, own_resolver
from mailu.identity.dns_check import Comparison, check_domain, check_host, drift
from mailu.identity.egress import look_for_unnamed, public_addresses
from mailu.places import Places
from mailu.servers.logs import set_up_logging
from mailu.servers.rotation import names_of
from mailu.settings import Settings

log = logging.getLogger("mailu.servers.dns")

MOST_TOLD = 100


class DnsWatch:
    """Compares everything. The first round only notes what is wrong: a new server has no records yet."""

    def __init__(
        self,
        settings: Settings,
        places: Places,
        *,
        dns: Callable[[], Dns] | None = None,
        tell: Callable[[Settings, str, str], None] | None = None,
    ) -> None:
        self._settings, self._places = settings, places
        self._dns = dns or (lambda: Dns(own_resolver(places)))
        self._tell = tell

    @property
    def file(self) -> Path:
        """Marks of what was wrong the last time."""
        return self._places.data / "dns-problems.json"

    def round(self, names: Mapping[DomainName, list[DomainName]], known: Snapshot | None = None) -> list[Comparison]:
        """Compare, tell about what is newly wrong, remember. Returns what was told."""
        before = self._remembered()
        fresh, marks = drift(before or [], self._compare(names, known))
        if before is not None and fresh:
            from mailu.daemons.postfix.post import NotSent, tell_postmaster  # here: it brings all templates along

            try:
                (self._tell or tell_postmaster)(self._settings, f"DNS changed: {fresh[0].name}", _text(fresh))
            except NotSent as error:
                log.warning("DNS changed and nobody could be told: %s", error)
                return []
        scratch = self.file.with_suffix(".new")
        scratch.write_text(json.dumps(marks), encoding="utf-8")
        scratch.replace(self.file)
        return fresh if before is not None else []

    def _compare(self, names: Mapping[DomainName, list[DomainName]], known: Snapshot | None) -> list[Comparison]:
        dns = self._dns()
        public = public_addresses(self._settings)
        leaving = () if self._settings.relayhost else public
        look_for_unnamed(self._settings, self._places, dns.look)
        found: list[Comparison] = []
        for domain, all_names in names.items():
            for name in all_names:
                of = None if name == domain else domain
                facts = domain_facts(self._settings, self._places, name, alternative_of=of, known=known)
                found += check_domain(facts, dns.look, egress=leaving)
        for host in self._settings.hostnames:
            found += check_host(host, dns.look, public=public)
        return found

    def _remembered(self) -> list[str] | None:
        """None when there was no round before."""
        try:
            return [str(one) for one in json.loads(self.file.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError):
            return None


def _text(fresh: Sequence[Comparison]) -> str:
    lines = ["Since the last look DNS no longer says what it should:", ""]
    for one in fresh[:MOST_TOLD]:
        lines += [
            f"{one.name} {one.type}: {one.why}",
            f"  expected: {' | '.join(one.expected) or 'something else'}",
            f"  found: {' | '.join(one.found) or 'nothing'}",
            "",
        ]
    return "\n".join([*lines, "`mailu dns DOMAIN` shows all of it.", ""])


def main() -> int:
    """Look once. Returns 75 (EX_TEMPFAIL) when the database does not answer or what was found cannot be kept."""
    settings = Settings.from_json(Path(os.environ["MAILU_SETTINGS"]).read_text(encoding="utf-8"))
    set_up_logging(settings.log_level)
    store = open_store(settings.database_uri)
    try:
        known = SnapshotLoader(store, delimiters=settings.recipient_delimiter)()
        DnsWatch(settings, Places(settings.root)).round(names_of(known), known)
    except (SQLAlchemyError, sqlite3.Error, NoSchema, OSError) as error:
        log.error("DNS could not be compared: %s", error)
        return os.EX_TEMPFAIL
    finally:
        store.close()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
