"""Which certificates end soon, and whether the postmaster was told: 14, 7, 3 and 1 days before, each once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from mailu.identity.pairs import Content, Pair, is_self_signed_pair

WARN_DAYS = (14, 7, 3, 1)
_ENDED = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """A certificate in force that ends soon or has ended."""

    name: str
    chain: Path
    ends: datetime
    days: int
    """The mark that was passed, out of WARN_DAYS; 0: it has ended."""
    mark: str
    """Stands for this certificate and this mark in the memory of what was told."""

    def sentence(self, now: datetime) -> str:
        """What the postmaster is told."""
        if self.days == _ENDED:
            return f"The certificate of {self.name} ended on {self.ends:%d %B %Y %H:%M} UTC ({self.chain})."
        left = max(1, round((self.ends - now) / timedelta(days=1)))
        unit = "day" if left == 1 else "days"
        return (
            f"The certificate of {self.name} ends in {left} {unit}, on {self.ends:%d %B %Y %H:%M} UTC ({self.chain})."
        )


def endings(served: Iterable[tuple[str, Path, Path]], contents: Mapping[Pair, Content], now: datetime) -> list[Ending]:
    """The certificates that have passed one of the marks, each with the last mark it passed."""
    from mailu.identity.certificates import parse_chain  # here: the agent has others look (``aside``)

    found = []
    for name, chain, key in served:
        if is_self_signed_pair(chain):
            continue  # ours is made anew by itself
        leaf = parse_chain(contents[Pair(chain, key)].chain, chain)[0]
        days = passed_mark(leaf.not_valid_before_utc, leaf.not_valid_after_utc, now)
        if days is not None:
            found.append(Ending(name, chain, leaf.not_valid_after_utc, days, f"{name} {leaf.serial_number:x} {days}"))
    return found


def passed_mark(begins: datetime, ends: datetime, now: datetime) -> int | None:
    """The last mark passed; None before the first. A mark before the middle of a short life means nothing yet."""
    if now >= ends:
        return _ENDED
    lifetime = ends - begins
    passed = [days for days in WARN_DAYS if timedelta(days=days) <= lifetime / 2 and ends - now <= timedelta(days=days)]
    return min(passed, default=None)


def untold(found: Iterable[Ending], told: Mapping[str, str]) -> list[Ending]:
    """Those of *found* that were not told: *told* has their marks as keys."""
    return [one for one in found if one.mark not in told]
