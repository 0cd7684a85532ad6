"""The operator's ``postfix.master``: services of master.cf, replaced, added, or given one parameter more.

Two forms of line, those of postconf(1): ``service/type = whole entry`` (-Me) and ``service/type/parameter = value``
(-Pe). ``smtp``, ``submission`` and ``submissions`` (or 25, 587, 465) with type ``inet`` stand for our listeners,
whatever addresses those have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailu.daemons.room import OverrideError

SOURCE = "overrides/postfix/postfix.master"
ALIASES = {"smtp": 25, "25": 25, "submission": 587, "587": 587, "submissions": 465, "smtps": 465, "465": 465}
TYPES = frozenset({"inet", "unix", "fifo", "pass", "unix-dgram"})
_FIELDS = 8
_GONE = {
    "10025": "users send through submission/inet and submissions/inet now",
    "2525": "Postfix delivers to the mailboxes itself",
}
_LINE = re.compile(r"([^\s/=]+)/([a-z-]+)(?:/([A-Za-z0-9_]+))?\s*=\s*(.*)")

Key = tuple[str, str]


@dataclass(slots=True)
class Entry:
    """One service: the comment lines before it, the line of its fields and arguments, its ``-o`` lines."""

    before: list[str]
    key: Key | None
    lines: list[str] = field(default_factory=list)


def apply(master_cf: str, override: str, listeners: Mapping[int, Sequence[Key]]) -> str:
    """Return *master_cf* with the lines of *override* worked in.

    *listeners* says which entries a port has. Raises OverrideError with the line for what cannot be used.
    """
    entries = parse(master_cf)
    for number, line in enumerate(override.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        where = f"{SOURCE} line {number}"
        if match is None:
            raise OverrideError(f"{where}: expected service/type = entry, or service/type/parameter = value")
        keys = _keys(match[1], match[2], listeners, where)
        if match[3]:
            _set_parameter(entries, keys, match[3], match[4], where)
        else:
            _replace(entries, keys, match[4], where)
    return write(entries)


def parse(text: str) -> list[Entry]:
    """Take a master.cf apart. What follows the last service has no key."""
    entries: list[Entry] = []
    waiting: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            waiting.append(line)
        elif line[0] in " \t" and entries:
            entries[-1].lines += [*waiting, line]
            waiting = []
        else:
            name, kind = line.split()[:2]
            entries.append(Entry(before=waiting, key=(name, kind), lines=[line]))
            waiting = []
    if waiting:
        entries.append(Entry(before=waiting, key=None))
    return entries


def write(entries: Sequence[Entry]) -> str:
    """The text of a master.cf."""
    return "".join(f"{line}\n" for entry in entries for line in (*entry.before, *entry.lines))


def _keys(name: str, kind: str, listeners: Mapping[int, Sequence[Key]], where: str) -> list[Key]:
    if kind not in TYPES:
        raise OverrideError(f"{where}: {kind!r} is no type of service; expected one of {', '.join(sorted(TYPES))}")
    if kind != "inet":
        return [(name, kind)]
    if name in _GONE:
        raise OverrideError(f"{where}: there is no listener {name}: {_GONE[name]}")
    port = ALIASES.get(name)
    if port is None:
        return [(name, kind)]
    keys = list(listeners.get(port, ()))
    if not keys:
        raise OverrideError(f"{where}: port {port} is not open; add it to PORTS first")
    return keys


def _set_parameter(entries: list[Entry], keys: Sequence[Key], name: str, value: str, where: str) -> None:
    for key in keys:
        entry = _find(entries, key)
        if entry is None:
            raise OverrideError(f"{where}: there is no service {key[0]}/{key[1]}")
        kept = [line for line in entry.lines if not re.match(rf"\s+-o\s+{{?\s*{name}\s*=", line)]
        entry.lines = [*kept, f"  -o {{ {name} = {value} }}"]


def _replace(entries: list[Entry], keys: Sequence[Key], text: str, where: str) -> None:
    fields = text.split(None, _FIELDS)
    if len(fields) < _FIELDS:
        raise OverrideError(f"{where}: an entry has at least {_FIELDS} fields (master(5)), this one has {len(fields)}")
    if fields[4] == "y":
        raise OverrideError(f"{where}: services cannot run in a chroot here, their sockets are outside; write n")
    for key in keys:
        lines = [" ".join([*key, *fields[2:]])]
        entry = _find(entries, key)
        if entry is None:
            entries.append(Entry(before=["", f"# From {SOURCE}"], key=key, lines=lines))
        else:
            entry.before, entry.lines = [*entry.before, f"# Replaced by {SOURCE}"], lines


def _find(entries: Sequence[Entry], key: Key) -> Entry | None:
    return next((entry for entry in entries if entry.key == key), None)
