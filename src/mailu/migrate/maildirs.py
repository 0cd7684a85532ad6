"""What the files of a Maildir mean: which are taken over, and what a message is called.

Taken: the messages with their flags in their names, ``dovecot-uidlist`` (UIDs and UIDVALIDITY), ``dovecot-keywords``,
``subscriptions``, Sieve scripts and the link to the active one; and Dovecot's indexes, because only they know the
change numbers (CONDSTORE) by which clients tell what they have seen: without them every client would look through every
folder again. Dovecot makes an index that it cannot use anew. Not taken: compiled scripts, locks, unfinished messages,
and search indexes, which another program has made.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from mailu.migrate.trees import Entries

_SEARCH = ("xapian-indexes", "fts-flatcurve", "lucene-indexes")
_INDEX = re.compile(r"dovecot\.(?:list\.)?index(?:\.|\Z)|dovecot\.mailbox\.log|dovecot-uidvalidity")
_MESSAGE_FOLDERS = ("cur", "new")


def is_left(path: str) -> bool:
    """Whether a path below the home of a mailbox is not taken over."""
    parts = path.split("/")
    name = parts[-1]
    if any(part in _SEARCH for part in parts):
        return True
    if len(parts) > 1 and parts[-2] == "tmp":
        return True
    return name.endswith((".svbin", ".lock")) or (name.endswith(".tmp") and name.startswith("dovecot"))


def is_index(path: str) -> bool:
    """Whether Dovecot writes this file by itself, also when nobody has changed anything."""
    name = path.rpartition("/")[2]
    return _INDEX.match(name) is not None or is_left(path) or name.startswith(".dovecot.lda-dupes")


def unique_name(path: str) -> str:
    """What a message is called in its folder whatever its flags: the name up to ``:``."""
    return path.rpartition("/")[2].partition(":")[0]


def messages(paths: Iterator[str]) -> dict[tuple[str, str], str]:
    """The messages among *paths*: (folder, unique name) to path. The inbox is the empty folder."""
    found = {}
    for path in paths:
        above, _, _name = path.rpartition("/")
        folder, _, kind = above.rpartition("/")
        if kind in _MESSAGE_FOLDERS and (not folder or folder.startswith(".")):
            found[folder, unique_name(path)] = path
    return found


def count_messages(entries: Entries) -> int:
    """How many messages there are."""
    return len(messages(iter(entries.files)))


def name_for_another(path: str) -> str:
    """The path, below its folder, under which a message joins a folder that lives on: without keywords, whose letters
    mean something else there, and in ``cur`` when it has flags."""
    name = path.rpartition("/")[2]
    unique, colon, flags = name.partition(":2,")
    kept = "".join(flag for flag in flags if flag.isupper())
    if not colon or not kept:
        return f"new/{unique}"
    return f"cur/{unique}:2,{kept}"


def contained_link(home: str, path: str, target: str) -> str | None:
    """What the link *path* to *target*, in the folder *home* below ``mail/``, has to say here: a relative path inside
    the home; None when it leads elsewhere.

    Containers saw the home as ``/mail/HOME``, which links to scripts may name in full.
    """
    above = posixpath.dirname(path)
    inside = target
    if target.startswith("/"):
        marker = f"/mail/{home}/"
        if marker not in target:
            return None
        inside = posixpath.relpath(target.partition(marker)[2], above or ".")
    resolved = posixpath.normpath(posixpath.join(above, inside))
    return None if resolved.startswith("../") or resolved == ".." else inside
