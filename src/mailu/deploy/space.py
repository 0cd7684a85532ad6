"""Room on the file systems of a root. A full one stops mail or changes, in ways that each daemon words differently."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mailu.places import Places
from mailu.settings import Settings

LEAST_BYTES = 16 * 1024 * 1024
"""A folder with less room than this is called full: daemons write more than one file at a time."""
LEAST_INODES = 16


@dataclass(frozen=True, slots=True)
class Need:
    """A folder, how much room it needs, and what happens without."""

    folder: Path
    least_bytes: int
    consequence: str


def needs(places: Places, settings: Settings) -> list[Need]:
    """The folders in which something is lost or refused without room.

    The queue: smtpd refuses when less than 1.5 times the largest message is free (postconf(5), queue_minfree).
    """
    return [
        Need(places.mail_queue, settings.message_size_limit * 3 // 2, "new mail is refused for now (452)"),
        Need(places.mail, 0, "mail for mailboxes waits in the queue"),
        Need(places.data, 0, "nothing can be changed"),
        Need(places.run, 0, "logs are lost, and new configurations cannot be written"),
    ]


def shortages(places: Places, settings: Settings) -> dict[Path, str]:
    """One sentence for each folder whose file system is full."""
    found = {need.folder: _judge(need) for need in needs(places, settings)}
    return {folder: sentence for folder, sentence in found.items() if sentence is not None}


def _judge(need: Need) -> str | None:
    try:
        state = os.statvfs(need.folder)
    except OSError:
        return None
    size, free = state.f_blocks * state.f_frsize, state.f_bavail * state.f_frsize
    # On a file system that is small on purpose, one part in twenty is enough.
    least = max(need.least_bytes, min(LEAST_BYTES, size // 20))
    if free < least:
        found = f"{free / 1e6:.0f} MB left of {size / 1e6:.0f}"
    elif state.f_files and state.f_favail < LEAST_INODES:
        found = f"no more files can be made on it: {state.f_favail} of {state.f_files} inodes left"
    else:
        return None
    return f"the disk of {need.folder} is full ({found}): {need.consequence}"
