"""App tokens and fetched accounts of a user, as a document lists them.

One with an ``id`` that the user has is that one. Any other is looked for by its content, so that a file without ids
can be read again and again, and is new where there is none like it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mailu.directory.archive.attributes import FETCH, HIDDEN, PRUNE, TOKEN, Attribute, Kind, Record
from mailu.directory.archive.errors import Problems
from mailu.directory.archive.hashes import wanted_hash
from mailu.directory.archive.lists import merged
from mailu.directory.archive.tools import Hashing
from mailu.directory.archive.unknown import unknown_attribute
from mailu.directory.changes import Invalid

_NEEDED = {"fetches": ("protocol", "host", "port", "username", "password"), "tokens": ("password",)}
_MAX_ID = 2**31 - 1


@dataclass(slots=True)
class Belongings:
    """Reads the tokens or the fetched accounts of one user."""

    kind: Kind
    present: Sequence[Record]
    hashing: Hashing
    problems: Problems
    update: bool
    _left: dict[int, Record] = field(init=False)
    """What is there and was not named yet."""
    _named: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = {record["id"]: record for record in self.present}

    def read(self, given: Any, path: str) -> tuple[Record, ...]:
        """What is to be there: records with the ``id`` of what is there, or the wanted one, or None."""
        if not isinstance(given, list):
            self.problems.add(path, "a list is needed")
            return tuple(self.present)
        kept = self.update
        for number, entry in enumerate(given):
            place = f"{path}[{number}]"
            if entry == PRUNE:
                kept = False
            elif not isinstance(entry, Mapping):
                self.problems.add(place, "a mapping is needed")
            elif "-id" in entry:
                if entry["-id"] is None:
                    kept = False
                else:
                    self._remove(entry, place)
            else:
                self._named.append(self._record(entry, place))
        others = list(self._left.values()) if kept else []
        return tuple(sorted([*others, *self._named], key=lambda record: (record["id"] is None, record["id"] or 0)))

    def _remove(self, entry: Mapping[str, Any], place: str) -> None:
        if not self.update:
            self.problems.add(place, "only an update takes things away; leave out what is not to be there")
        elif self._left.pop(entry["-id"], None) is None:
            self.problems.add(f"{place}.-id", f"the user has none with the id {entry['-id']}")

    def _record(self, entry: Mapping[str, Any], place: str) -> Record:
        number = entry.get("id")
        is_number = isinstance(number, int) and not isinstance(number, bool)
        if number is not None and not (is_number and 0 < number <= _MAX_ID):
            self.problems.add(f"{place}.id", f"a whole number from 1 to {_MAX_ID} is needed")
            number = None
        known = self._left.get(number) if number is not None else None
        base = dict(known) if known is not None and self.update else {}
        record = self._filled(entry, base, place)
        if known is None:
            known = self._like(record, entry)
        self._set_secret(record, entry, known, place)
        for name in _NEEDED[self.kind.section]:
            if record.get(name) is None and name != "password":
                self.problems.add(f"{place}.{name}", "this is needed")
        if known is None:
            return {**record, "id": number}
        del self._left[known["id"]]
        return {**_without_facts(self.kind, record), "id": known["id"]}

    def _filled(self, entry: Mapping[str, Any], base: Record, place: str) -> Record:
        for name, value in entry.items():
            if name in ("id", "password", "hash_password"):
                continue
            attribute = self.kind.attributes.get(str(name).removeprefix("-"))
            if attribute is None:
                self.problems.add(f"{place}.{name}", unknown_attribute(str(name), [*self.kind.attributes, "id"]))
                continue
            with self.problems.at(f"{place}.{name}"):
                self._set(base, attribute, value, is_reset=str(name).startswith("-"))
        return base

    def _set(self, record: Record, attribute: Attribute, value: Any, *, is_reset: bool) -> None:
        if is_reset and value is not None:
            raise Invalid(attribute.name, f"-{attribute.name}: null resets it; a value has no meaning here")
        if value is None:
            checked = attribute.default
        elif attribute.merges:
            checked = merged(attribute, record.get(attribute.name, ()), value, update=self.update)
        else:
            checked = attribute.rule(attribute.name, value)
        record.pop(attribute.name, None)
        if checked != attribute.default:
            record[attribute.name] = checked

    def _like(self, record: Record, entry: Mapping[str, Any]) -> Record | None:
        """The one that is there with the same content, the secret included where it was given."""
        content = _content(self.kind, record)
        for other in self._left.values():
            if _content(self.kind, other) == content and self._same_secret(entry, other):
                return other
        return None

    def _same_secret(self, entry: Mapping[str, Any], other: Record) -> bool:
        given = entry.get("password")
        if given is None or given == HIDDEN:
            return True
        if not isinstance(given, str):
            return False
        if entry.get("hash_password") is True and self.kind is TOKEN:
            return self.hashing.verify(given.encode(errors="replace"), other["password"])
        stored: str = other["password"]
        return stored in (given, self.hashing.without_prefix(given))

    def _set_secret(self, record: Record, entry: Mapping[str, Any], known: Record | None, place: str) -> None:
        present = known["password"] if known is not None else None
        with self.problems.within(place):
            if self.kind is TOKEN:
                record["password"] = wanted_hash(entry, present, self.hashing, self.hashing.hash_token)
                return
            given = entry.get("password")
            if given is None or given == HIDDEN:
                if present is None:
                    raise Invalid("password", "this is needed: the password at the other server, not hidden")
                record["password"] = present
            else:
                record["password"] = FETCH.attributes["password"].rule("password", given)


def _content(kind: Kind, record: Record) -> Record:
    return {name: value for name, value in _without_facts(kind, record).items() if name not in ("id", "password")}


def _without_facts(kind: Kind, record: Record) -> Record:
    return {
        name: value for name, value in record.items() if name not in kind.attributes or not kind.attributes[name].fact
    }
