"""What is counted of a day's mail: plain values, for those too who do not open the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

SERVER = ""
"""Stands for the whole server, where a domain could stand."""
KINDS = ("received", "sent", "refused", "junk")
"""What is counted; see ``models.MailCount``."""
KEPT_DAYS = 400


@dataclass(frozen=True, slots=True)
class DayCounts:
    """The messages of one day."""

    day: date
    received: int = 0
    sent: int = 0
    refused: int = 0
    junk: int = 0
