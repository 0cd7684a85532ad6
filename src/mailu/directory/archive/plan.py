"""The differences between what is and what a document asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailu.directory.archive.attributes import FETCH, HIDDEN, KINDS, TOKEN, Kind, Record
from mailu.directory.archive.reading import Wanted
from mailu.directory.archive.signing import KeyChange
from mailu.directory.archive.state import State


class Verb(StrEnum):
    """What becomes of a thing."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changes."""

    verb: Verb
    section: str
    name: str
    before: Record
    after: Record

    def fields(self, *, secrets: bool = False) -> Iterator[tuple[str, Any, Any]]:
        """Name, value before and value after of each attribute that differs; None where it has its default."""
        for name in sorted(self.before.keys() | self.after.keys()):
            before, after = self.before.get(name), self.after.get(name)
            if before != after:
                hide = not secrets
                yield name, _shown(self.section, name, before, hide), _shown(self.section, name, after, hide)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that an import would do."""

    changes: tuple[Change, ...]
    keys: tuple[KeyChange, ...]
    notices: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not self.changes and not self.keys

    def counts(self) -> dict[str, dict[Verb, int]]:
        """How many of each kind are created, updated and deleted; kinds of which none are, are left out."""
        found: dict[str, Counter[Verb]] = {}
        for change in self.changes:
            found.setdefault(change.section, Counter())[change.verb] += 1
            for name, parts in _PARTS.items():
                for verb, number in parts(change).items():
                    if number:
                        found.setdefault(name, Counter())[verb] += number
        for key in self.keys:
            found.setdefault("dkim_key", Counter())[Verb.DELETE if key.key is None else Verb.UPDATE] += 1
        return {name: dict(counter) for name, counter in found.items()}


def differences(current: State, wanted: Wanted) -> Plan:
    """Return what has to be done: deletions first, so that a name that moves is free when it is needed."""
    deletions: list[Change] = []
    others: list[Change] = []
    for section in KINDS:
        before, after = current.section(section), wanted.state.section(section)
        deletions += (
            Change(Verb.DELETE, section, name, before[name], {}) for name in sorted(before.keys() - after.keys())
        )
        for name, record in after.items():
            present = before.get(name)
            if present is None:
                others.append(Change(Verb.CREATE, section, name, {}, record))
            elif present is not record and present != record:
                others.append(Change(Verb.UPDATE, section, name, present, record))
    return Plan((*deletions, *others), tuple(wanted.keys), tuple(wanted.notices))


# What belongs to users and domains, and has tables of its own.


def _of_records(section: str) -> Any:
    def count(change: Change) -> Mapping[Verb, int]:
        before = {each["id"]: each for each in change.before.get(section, ())}
        after = change.after.get(section, ())
        kept = [each for each in after if each["id"] in before and change.verb is Verb.UPDATE]
        return {
            Verb.CREATE: len(after) - len(kept),
            Verb.UPDATE: sum(before[each["id"]] != each for each in kept),
            Verb.DELETE: len(before) - len(kept),
        }

    return count


def _of_names(name: str) -> Any:
    def count(change: Change) -> Mapping[Verb, int]:
        before, after = change.before.get(name, ()), change.after.get(name, ())
        both = set(before) & set(after)
        commented = isinstance(before, dict) and isinstance(after, dict)
        return {
            Verb.CREATE: len(after) - len(both),
            Verb.UPDATE: sum(before[each] != after[each] for each in both) if commented else 0,
            Verb.DELETE: len(before) - len(both),
        }

    return count


_PARTS = {
    "alternative": _of_names("alternatives"),
    "manager": _of_names("manager_of"),
    "domain_access": _of_names("domain_accesses"),
    "allowed_sender": _of_names("allowed_senders"),
    "denied_sender": _of_names("denied_senders"),
    "token": _of_records("tokens"),
    "fetch": _of_records("fetches"),
}

_RECORDS: dict[str, Kind] = {"tokens": TOKEN, "fetches": FETCH}


def _shown(section: str, name: str, value: Any, hide: bool) -> Any:
    """A value as a document shows it, secrets only where they may be."""
    if value is None:
        return None
    if name in _RECORDS:
        return [_shown_record(_RECORDS[name], each, hide) for each in value]
    attribute = KINDS[section].attributes.get(name)
    if attribute is None:
        return list(value) if isinstance(value, tuple | dict) else value
    return HIDDEN if attribute.secret and hide else attribute.show(value)


def _shown_record(kind: Kind, record: Record, hide: bool) -> dict[str, Any]:
    shown = {}
    for name, value in record.items():
        attribute = kind.attributes.get(name)
        if attribute is None:
            shown[name] = value
        else:
            shown[name] = HIDDEN if attribute.secret and hide else attribute.show(value)
    return shown
