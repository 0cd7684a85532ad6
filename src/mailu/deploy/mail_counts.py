"""Counting mail from what the daemons log, and telling the directory, which writes it down.

The agents read every line anyway, so counting costs the daemons nothing and the agents a microsecond a line. What the
directory has not taken waits here; it is lost when this process is killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from mailu.daemons.dovecot.tally import DovecotTally
from mailu.daemons.postfix.tally import PostfixTally
from mailu.daemons.room import Host
from mailu.directory_door import NoAnswer, NotServed, ask_directory

INTERVAL_SECONDS = 10.0
MOST_WAITING = 5_000
"""Different days, kinds and domains that wait to be told; above it nothing is counted for single domains."""
ROWS_AT_ONCE = 50
"""What fits into the longest body that the directory reads, whatever strangers call their domains."""
LONGEST_DOMAIN = 253
ANSWER_SECONDS = 3.0

log = logging.getLogger("mailu.agent")


class Tally(Protocol):
    """Reads the lines of one daemon."""

    def read(self, line: str) -> tuple[str, str] | None:
        """What a line counts as, and for which domain."""


TALLIES: dict[str, Callable[[], Tally]] = {"smtp": PostfixTally, "imap": DovecotTally}
"""Service to what reads its log."""

Row = tuple[str, str, str]
"""Day (UTC), kind, domain or nothing."""


class MailCounts:
    """The numbers of the services that this process hosts, until the directory has them."""

    def __init__(self, host: Callable[[], Host | None]) -> None:
        """*host* says where the directory is; None while nobody knows."""
        self._host = host
        self._counts: Counter[Row] = Counter()

    @property
    def waiting(self) -> int:
        """Messages that the directory does not know of yet."""
        return self._counts.total()

    def listener(self, service: str) -> Callable[[Iterable[str]], None] | None:
        """What to hand the lines of *service* to; None where there is nothing to count."""
        make = TALLIES.get(service)
        if make is None:
            return None
        tally = make()

        def hear(lines: Iterable[str]) -> None:
            for line in lines:
                if found := tally.read(line):
                    self._count(*found)

        return hear

    async def run(self) -> None:
        """Tell the directory every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self.tell()

    async def tell(self) -> None:
        """Tell the directory what it does not know yet; what it does not take now waits for the next time."""
        host = self._host()
        while self._counts and host is not None:
            part = {row: self._counts.pop(row) for row in list(self._counts)[:ROWS_AT_ONCE]}
            # Who is cancelled here leaves a thread behind that goes on telling: it must not be told again.
            if not await asyncio.to_thread(_told, host, part):
                self._counts.update(part)
                return

    def _count(self, kind: str, domain: str) -> None:
        row = (datetime.now(UTC).date().isoformat(), kind, domain if len(domain) <= LONGEST_DOMAIN else "")
        if row not in self._counts and len(self._counts) >= MOST_WAITING:
            row = (row[0], kind, "")
        self._counts[row] += 1


def _told(host: Host, counts: Mapping[Row, int]) -> bool:
    """Whether the directory needs not be told again."""
    body = json.dumps([[*row, number] for row, number in counts.items()], ensure_ascii=False).encode(errors="replace")
    try:
        ask_directory(
            host.directory_port, host.directory_secret, "POST", "/mail-counts", body=body, seconds=ANSWER_SECONDS
        )
    except NoAnswer:
        return False
    except NotServed as error:
        if error.status >= 500:
            return False
        log.error("mail that was counted is not taken: %s", error)
    return True
