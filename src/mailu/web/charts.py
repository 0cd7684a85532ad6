"""Small charts as SVG, made on the server: how much mail there was, day by day or week by week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from babel.dates import format_skeleton

from mailu.directory.day_counts import KINDS, DayCounts
from mailu.web.language import _, current
from mailu.web.render import shown_number

HEIGHT = 48
"""Of the drawing, in the units of its view box."""
SLOT = 10
"""Width for each bar, the gap to the next one included."""
GAP = 2
LOWEST = 1.5
"""Height of a bar that stands for little beside the highest: what is there has to be seen."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One day or week."""

    left: int
    height: float
    """From the ground; 0 for nothing."""
    words: str
    """When and how much, for who points at it."""

    @property
    def top(self) -> float:
        return round(HEIGHT - self.height, 2)


@dataclass(frozen=True, slots=True)
class Chart:
    """The bars of one kind of number."""

    height: ClassVar[int] = HEIGHT
    slot: ClassVar[int] = SLOT
    bar_width: ClassVar[int] = SLOT - GAP

    kind: str
    title: str
    total: int
    most: int
    bars: tuple[Bar, ...]
    summary: str
    """The whole in one sentence, for who does not see it."""

    @property
    def width(self) -> int:
        return SLOT * len(self.bars) - GAP


@dataclass(frozen=True, slots=True)
class Charts:
    """The charts of one span of time, and the same as a table."""

    charts: tuple[Chart, ...]
    rows: tuple[tuple[str, DayCounts], ...]
    """What each bar stands for and its numbers, the latest first."""
    ends: tuple[str, str]
    """The first and the last day."""
    elsewhere: tuple[str, ...] = ()
    """Settings that lead mail past those who count it."""

    @property
    def empty(self) -> bool:
        return not any(chart.total for chart in self.charts)


def mail_charts(days: Sequence[DayCounts], *, days_a_bar: int = 1, elsewhere: tuple[str, ...] = ()) -> Charts:
    """Charts of *days*, of which there is at least one, so many of them to a bar."""
    groups = [days[start : start + days_a_bar] for start in range(0, len(days), days_a_bar)]
    spans = [_sum(group) for group in groups]
    names = [_span(group[0].day, group[-1].day) for group in groups]
    ends = _day(days[0].day), _day(days[-1].day)
    charts = tuple(
        _chart(kind, title, names, [getattr(span, kind) for span in spans], ends) for kind, title in _titles()
    )
    return Charts(charts, tuple(reversed(list(zip(names, spans, strict=True)))), ends, elsewhere)


def _titles() -> list[tuple[str, str]]:
    titles = {"received": _("Received"), "sent": _("Sent"), "refused": _("Refused"), "junk": _("Into Junk")}
    return [(kind, titles[kind]) for kind in KINDS]


def _sum(group: Sequence[DayCounts]) -> DayCounts:
    return DayCounts(group[0].day, **{kind: sum(getattr(day, kind) for day in group) for kind in KINDS})


def _chart(kind: str, title: str, names: Sequence[str], numbers: Sequence[int], ends: tuple[str, str]) -> Chart:
    most = max(numbers)
    bars = tuple(
        Bar(number * SLOT, _height(count, most), f"{name}: {shown_number(count)}")
        for number, (name, count) in enumerate(zip(names, numbers, strict=True))
    )
    summary = _("%(total)s from %(first)s to %(last)s.", total=shown_number(sum(numbers)), first=ends[0], last=ends[1])
    return Chart(kind, title, sum(numbers), most, bars, summary)


def _height(count: int, most: int) -> float:
    return round(max(LOWEST, HEIGHT * count / most), 2) if count else 0.0


def _span(first: date, last: date) -> str:
    if first == last:
        return _day(first)
    return f"{_day(first)} – {_day(last)}"


def _day(day: date) -> str:
    """Without the year, as short as the language has it."""
    return str(format_skeleton("MMMd", day, locale=current().locale))
