"""Folders that are taken over whole: calendars, webmail, certificates. And the rules for a second run, mail included.

A folder that nobody has used here since is made like the source again; one that is in use here is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mailu.migrate.ownership import Owner
from mailu.migrate.record import Record
from mailu.migrate.trees import LINK, Difference, Entries, Mark, Skip, difference, entries_of, make_alike, nothing

MendLink = Callable[[str, str], str | None]
"""Path of a link and what it says, to what it has to say here; None when it leads out and is not taken."""


def as_it_is(_path: str, target: str) -> str | None:
    """Mends nothing."""
    return target


class Condition(Enum):
    """How a folder stands at the new place."""

    FREE = "free"
    """Nothing is there."""
    OURS = "ours"
    """An earlier run has made it, and nobody has changed it since."""
    IN_USE = "in use"
    """An earlier run has made it, and it was changed here since."""
    FOREIGN = "foreign"
    """Something is there that no run has made."""


@dataclass(frozen=True, slots=True)
class Part:
    """One folder to be taken over."""

    name: str
    """Path of the target below the new root; by it the folder is remembered."""
    source: Path
    target: Path
    owner: Owner
    skip: Skip = nothing
    is_scratch: Skip = nothing
    """Files that programs make again and that do not tell whether somebody has used the folder."""
    mend_link: MendLink = as_it_is


@dataclass(frozen=True, slots=True)
class Look:
    """What was found out about one folder, before anything is done."""

    part: Part
    condition: Condition
    wanted: Entries
    todo: Difference
    dropped: tuple[str, ...] = ()
    """Links that lead out, and are not taken."""


def look_at(part: Part, record: Record) -> Look:
    """Compare both sides. Reads only; raises OSError where something cannot be read."""
    wanted = entries_of(part.source, part.skip)
    dropped = _mend_links(part, wanted)
    present = entries_of(part.target, part.skip)
    return Look(part, _condition(part, present, record), wanted, difference(wanted, present), dropped)


def _mend_links(part: Part, wanted: Entries) -> tuple[str, ...]:
    dropped = []
    for path, (kind, size, when) in list(wanted.files.items()):
        if not kind.startswith(LINK):
            continue
        target = part.mend_link(path, kind.removeprefix(LINK))
        if target is None:
            del wanted.files[path]
            dropped.append(path)
        else:
            wanted.files[path] = (f"{LINK}{target}", size, when)
    return tuple(dropped)


def _condition(part: Part, present: Entries, record: Record) -> Condition:
    if not present.files and not present.folders:
        return Condition.FREE
    if record.is_new:
        return Condition.FOREIGN if present.files else Condition.FREE
    manifest = record.manifest(part.name)
    if manifest is None or _telling(manifest, part) == _telling(present.files, part):
        return Condition.OURS
    return Condition.IN_USE


def _telling(files: Mapping[str, Mark], part: Part) -> dict[str, Mark]:
    return {path: mark for path, mark in files.items() if not part.is_scratch(path)}


def take(look: Look, record: Record) -> list[str]:
    """Make the target like the source. Returns what was gone before it could be copied."""
    gone = make_alike(look.part.source, look.part.target, look.wanted, look.todo, look.part.owner)
    kept = {path: mark for path, mark in look.wanted.files.items() if path not in gone}
    record.keep_manifest(look.part.name, kept)
    return gone
