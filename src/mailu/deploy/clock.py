"""Noticing that somebody set the clock back: two daemons do not get over it by themselves for minutes, or for days.

Dovecot's processes end when time goes backwards, and for three minutes its master starts no new ones of a kind of which
none is idle. Postfix writes the time of the next attempt into a message's file, by the clock that was ahead, and leaves
the message alone until then.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LEAST_SECONDS = 30.0
"""What a clock is corrected by without harm."""


class Clock:
    """Compares the time of day with the time since the machine was started, which nobody sets."""

    def __init__(self, *, day: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._day, self._steady = day, steady
        self._offset = day() - steady()

    def set_back(self) -> float:
        """By how many seconds the clock was set back since the last question; 0.0 where it was not, or by little."""
        before, self._offset = self._offset, self._day() - self._steady()
        seconds = before - self._offset
        return seconds if seconds >= LEAST_SECONDS else 0.0
