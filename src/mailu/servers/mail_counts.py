"""What agents tell the directory about mail that came, went or was refused: ``POST /mail-counts``."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date

from mailu.address import AddressError, parse_domain
from mailu.directory.day_counts import KINDS, SERVER
from mailu.directory.mail_counts import Key
from mailu.directory.snapshot import Snapshot

MOST_AT_ONCE = 2**31


class UnreadableReport(ValueError):
    """What came is no report; the text says what was expected."""


def parse_report(snapshot: Snapshot, body: bytes) -> Counter[Key]:
    """Numbers to add, of a JSON list of ``[day, kind, domain, number]``. Raises UnreadableReport.

    Each counts for the server; for its domain too, if that is one of ours, under its main name.
    """
    try:
        rows = [
            (date.fromisoformat(day), str(kind), str(name), int(number)) for day, kind, name, number in json.loads(body)
        ]
    except (ValueError, TypeError):
        raise UnreadableReport("expected a list of [day, kind, domain, number]") from None
    found: Counter[Key] = Counter()
    for day, kind, name, number in rows:
        if kind not in KINDS or not 0 <= number <= MOST_AT_ONCE:
            raise UnreadableReport(f"{number} messages counted as {kind[:20]!r}; there are {', '.join(KINDS)}")
        found[day, SERVER, kind] += number
        if domain := _own_domain(snapshot, name):
            found[day, domain, kind] += number
    return found


def _own_domain(snapshot: Snapshot, name: str) -> str | None:
    try:
        domain = parse_domain(name)
    except AddressError:
        return None
    main = snapshot.alternatives.get(domain, domain)
    return main if main in snapshot.domains else None
