"""The form of our services' logs: one event, one line, on standard output."""

from __future__ import annotations

import logging
import sys


class OneLine(logging.Formatter):
    """``LEVEL: message`` on one line, tracebacks too; the agent puts the time in front."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; line ends inside become `` | ``, so that nobody's input makes a line of its own."""
        return " | ".join(super().format(record).splitlines())


def set_up_logging(level: str) -> None:
    """Send all logging to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(OneLine())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for talkative in ("alembic", "httpx", "httpcore"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
