"""What became of each thing that was found at the source, item by item, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["kept", "translated", "copied", "unchanged", "explained", "warning", "refused"]
"""kept: taken as it is; translated: taken in another form; copied: so many files or rows were taken; unchanged: it was
here already; explained: not taken, and why; warning: taken, and something should be looked at; refused: it has to be
put right first, and nothing at all is changed until then."""

OUTCOMES: tuple[Outcome, ...] = ("kept", "translated", "copied", "unchanged", "explained", "warning", "refused")
AREAS = ("settings", "directory", "keys", "mail", "overrides", "certificates", "webmail", "dav", "filter", "other")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was found."""

    area: str
    name: str
    outcome: Outcome
    text: str
    """A sentence or less; never holds a secret."""
    count: int = 1
    """Files, messages or rows that are meant."""


@dataclass
class Report:
    """All items, in the order in which they were looked at."""

    items: list[Item] = field(default_factory=list)
    pending: set[str] = field(default_factory=set)
    """Areas in which something here is to be written. None: everything is here already."""

    def add(self, area: str, name: str, outcome: Outcome, text: str, count: int = 1) -> None:
        """Note one thing."""
        assert area in AREAS, area
        self.items.append(Item(area, name, outcome, text, count))

    @property
    def refused(self) -> list[Item]:
        """What has to be put right first."""
        return [item for item in self.items if item.outcome == "refused"]

    def will_change(self, area: str) -> None:
        """Note that something here is to be written."""
        assert area in AREAS, area
        self.pending.add(area)

    def by_area(self) -> Iterator[tuple[str, list[Item]]]:
        """The items of each area that has some."""
        for area in AREAS:
            if found := [item for item in self.items if item.area == area]:
                yield area, found

    def counts(self) -> dict[str, int]:
        """How many items have each outcome."""
        found = Counter(item.outcome for item in self.items)
        return {outcome: found[outcome] for outcome in OUTCOMES}

    def to_json(self) -> list[dict[str, Any]]:
        """For programs."""
        return [
            {"area": item.area, "name": item.name, "outcome": item.outcome, "text": item.text, "count": item.count}
            for item in self.items
        ]
