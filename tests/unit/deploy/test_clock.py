"""A clock that is set back is noticed; one that runs, is set forward or is corrected by a little is not."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mailu.deploy.clock import Clock


@dataclass
class Times:
    day: float = 1_000_000.0
    steady: float = 50.0

    def clock(self) -> Clock:
        return Clock(day=lambda: self.day, steady=lambda: self.steady)

    def go_on(self, day: float, steady: float) -> None:
        self.day += day
        self.steady += steady


@pytest.mark.parametrize(
    ("day", "told"),
    [(1.0, 0.0), (0.0, 0.0), (-5.0, 0.0), (86_400.0, 0.0), (-29.0, 30.0), (-86_400.0, 86_401.0)],
)
def test_only_a_clock_that_is_set_back_is_told_and_once(day: float, told: float) -> None:
    times = Times()
    clock = times.clock()
    times.go_on(day, 1.0)
    assert clock.set_back() == told
    times.go_on(1.0, 1.0)
    assert clock.set_back() == 0.0
