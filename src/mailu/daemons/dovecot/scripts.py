"""Which Sieve script of a mailbox is active: one that its owner made in the webmail or a mail program, never ours.

Dovecot keeps the active one as a link beside the folder of scripts (``sieve``, ``active`` in dovecot.conf). Only the
name that the link leads to is read, no script: what is in one is its owner's matter.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

ACTIVE = ".dovecot.sieve"
_ENDING = ".sieve"


def active_script(mail: Path, home: str) -> str | None:
    """The name of the active script of the mailbox whose home is *home* below *mail*; empty for one that was put there
    without a name. None where none is active.

    Raises ValueError for a home that leads out of *mail*.
    """
    parts = PurePosixPath(home).parts
    if not parts or ".." in parts or PurePosixPath(home).is_absolute():
        raise ValueError("this is no home of a mailbox")
    link = mail.joinpath(*parts, ACTIVE)
    try:
        return link.readlink().name.removesuffix(_ENDING)
    except FileNotFoundError:
        return None
    except OSError:
        return "" if link.is_file() else None
