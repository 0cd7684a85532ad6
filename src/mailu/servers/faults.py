"""Logging what should never happen: each kind of fault once in full, then ever more rarely with a count.

A fault in a look-up meets every message; without this the log would be all that works.
"""

from __future__ import annotations

import logging
import traceback


class Faults:
    """Counts faults by where they were raised."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._seen: dict[str, int] = {}
        self.total = 0

    def report(self, doing: str, error: BaseException) -> None:
        """Log *error*, met while *doing*: the 1st, 2nd, 4th, 8th, ... of a kind, with its traceback."""
        self.total += 1
        kind = f"{type(error).__name__} at {_place(error)}"
        count = self._seen[kind] = self._seen.get(kind, 0) + 1
        if count & (count - 1) == 0:
            self._log.error("%s: %s (%d so far)", doing, kind, count, exc_info=error)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
