"""From a document to what the directory is to be: every value checked, secrets that were left out filled in.

A replacing import begins with nothing, an update with what is there. Things are known by their names, so a mailbox
that a replacing import names again is the mailbox that it was: its mail, tokens with the same content and last log-in
stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mailu.directory.archive.attributes import (
    ALIAS,
    API_TOKEN,
    DOMAIN,
    FETCH,
    HIDDEN,
    KINDS,
    SENDER,
    SENDER_LISTS,
    TLS_EXCEPTION,
    TOKEN,
    USER,
    Attribute,
    Kind,
    Record,
    token_digest,
)
from mailu.directory.archive.belongings import Belongings
from mailu.directory.archive.document import Document
from mailu.directory.archive.errors import Problems
from mailu.directory.archive.hashes import LEFT_OUT, wanted_hash
from mailu.directory.archive.lists import merged, merged_names
from mailu.directory.archive.signing import KeyChange, KeyReader
from mailu.directory.archive.state import State
from mailu.directory.archive.tools import Tools
from mailu.directory.archive.unknown import unknown_attribute
from mailu.directory.changes import Invalid, values
from mailu.directory.changes.senders import checked_sender
from mailu.directory.sender_lists import ALLOW, DENY, SERVER

_SPECIAL = {
    "domain": frozenset({"alternatives", "dkim_key", "dkim_keys", "domain_accesses", *SENDER_LISTS}),
    "user": frozenset({"hash_password", "manager_of", "domain_accesses", "tokens", "fetches", *SENDER_LISTS}),
    "alias": frozenset({"note"}),
    "relay": frozenset[str](),
    "sender": frozenset[str](),
    "tls_exception": frozenset[str](),
    "api_token": frozenset({"digest"}),
}


@dataclass(slots=True)
class Wanted:
    """What a document asks for."""

    state: State
    places: dict[str, dict[str, str]]
    """Where each thing is named, by section and name; what an update does not name is not in here."""
    keys: list[KeyChange]
    notices: list[str]


def read_wanted(document: Document, current: State, tools: Tools, *, update: bool) -> Wanted:
    """Raises ArchiveError with everything that is wrong with single values."""
    return _Reader(current, tools, update).read(document)


@dataclass(slots=True)
class _Reader:
    current: State
    tools: Tools
    update: bool
    problems: Problems = field(default_factory=Problems)
    notices: list[str] = field(default_factory=list)
    places: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in KINDS})
    wanted: State = field(default_factory=State)
    _deleted: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in KINDS})
    _pruned: set[str] = field(default_factory=set)
    _grant_numbers: dict[int, str] = field(default_factory=dict)
    """Numbers that an export of an earlier Mailu gives to grants, and the domain each is for."""

    def read(self, document: Document) -> Wanted:
        keys = KeyReader(self.tools.keys, self.problems)
        for name, kind in KINDS.items():
            present = self.current.section(name)
            # Documents of earlier versions have no keys to the API in them, and must not take those away.
            is_silent = kind is API_TOKEN and name not in document.sections
            setattr(self.wanted, name, dict(present) if self.update or is_silent else {})
            for number, entry in enumerate(document.sections.get(name, ())):
                self._entry(kind, entry, f"{name}[{number}]", keys)
            if name in self._pruned:
                self._delete(name, present.keys() - self.places[name].keys())
        if self.update:
            self._delete_what_hangs_on_it()
        self.problems.raise_if_any()
        return Wanted(self.wanted, self.places, keys.changes, self.notices)

    def _entry(self, kind: Kind, entry: Any, place: str, keys: KeyReader) -> None:
        if not isinstance(entry, Mapping):
            self.problems.add(place, f"a mapping with {kind.key} is needed")
            return
        if f"-{kind.key}" in entry:
            self._removal(kind, entry, place)
            return
        name = self._name(kind, entry.get(kind.key), f"{place}.{kind.key}", entry.get("verdict"))
        if name is None:
            return
        if name in self.places[kind.section]:
            self.problems.add(f"{place}.{kind.key}", f"{name} is named already, at {self.places[kind.section][name]}")
            return
        self.places[kind.section][name] = place
        present = self.current.section(kind.section).get(name)
        record: Record = dict(present) if present is not None and self.update else {}
        for key, value in entry.items():
            self._attribute(kind, record, str(key), value, place, present)
        self._whole(kind, name, record, present, entry, place, keys)
        self.wanted.section(kind.section)[name] = record

    def _name(self, kind: Kind, given: Any, place: str, verdict: Any = None) -> str | None:
        if given is None:
            self.problems.add(place, "this is needed: it says which one is meant")
            return None
        with self.problems.at(place):
            if kind.key == "id":
                return str(values.number(1, 2**31 - 1)("id", given))
            if kind.key == "email":
                return str(values.address("email", given))
            if kind is SENDER:
                return checked_sender("sender", given, owner=SERVER, verdict=verdict)
            return values.domain_name("name", given)
        return None

    def _removal(self, kind: Kind, entry: Mapping[str, Any], place: str) -> None:
        given, path = entry[f"-{kind.key}"], f"{place}.-{kind.key}"
        if not self.update:
            self.problems.add(path, "only an update deletes by name; a replacing import deletes what is not named")
        elif len(entry) > 1:
            self.problems.add(place, f"nothing can stand beside -{kind.key}")
        elif given is None:
            self._pruned.add(kind.section)
        elif (name := self._name(kind, given, path)) is not None:
            if name not in self.current.section(kind.section):
                self.problems.add(path, f"there is no {kind.section} {name} to delete")
            elif name in self.places[kind.section]:
                self.problems.add(path, f"{name} is named at {self.places[kind.section][name]}")
            else:
                self._delete(kind.section, {name})
                self.places[kind.section][name] = place

    def _delete(self, section: str, names: set[str]) -> None:
        for name in names:
            self.wanted.section(section).pop(name, None)
            self._deleted[section].add(name)

    def _attribute(
        self, kind: Kind, record: Record, key: str, value: Any, place: str, present: Record | None = None
    ) -> None:
        bare = key.removeprefix("-")
        if key == "-password" and kind is USER:
            self.problems.add(f"{place}.{key}", "a password cannot be reset; give another one")
            return
        if bare in _SPECIAL[kind.section] or bare in (kind.key, "password") or bare in kind.passed_over:
            if key.startswith("-"):
                record.pop(bare, None)
            return
        attribute = kind.attributes.get(bare)
        if attribute is None:
            self.problems.add(f"{place}.{key}", unknown_attribute(key, [*kind.attributes, *_SPECIAL[kind.section]]))
            return
        with self.problems.at(f"{place}.{key}"):
            if key.startswith("-") and value is not None:
                raise Invalid(bare, f"{key}: null resets it; a value has no meaning here")
            if attribute.secret and value == HIDDEN:
                value = self._hidden(bare, present)
            self._set(record, attribute, value)

    def _hidden(self, name: str, present: Record | None) -> Any:
        """The secret that is there, which the document does not show."""
        if present is None or name not in present:
            raise Invalid(name, LEFT_OUT)
        return present[name]

    def _set(self, record: Record, attribute: Attribute, value: Any) -> None:
        if value is None:
            checked = attribute.default
        elif attribute.merges:
            checked = merged(attribute, record.get(attribute.name, ()), value, update=self.update)
        else:
            checked = attribute.rule(attribute.name, value)
        record.pop(attribute.name, None)
        if checked != attribute.default:
            record[attribute.name] = checked

    def _whole(
        self,
        kind: Kind,
        name: str,
        record: Record,
        present: Record | None,
        entry: Mapping[str, Any],
        place: str,
        keys: KeyReader,
    ) -> None:
        """What takes more than one attribute to say."""
        if kind in (DOMAIN, USER):
            self._sender_lists(name, record, entry, place)
        elif kind is SENDER and record.get("verdict") is None:
            self.problems.add(f"{place}.verdict", f"this is needed: {ALLOW} or {DENY}")
        elif kind is TLS_EXCEPTION:
            for each in ("level", "last_day", "comment"):
                if not record.get(each):
                    self.problems.add(f"{place}.{each}", "this is needed")
        if kind is DOMAIN:
            self._domain(record, entry, place)
            keys.read(name, entry, place)
        elif kind is USER:
            self._user(name, record, present, entry, place)
        elif kind is API_TOKEN:
            self._api_token(name, record, present, entry, place)
        elif kind is ALIAS and entry.get("note") and "comment" not in entry:
            self._attribute(kind, record, "comment", entry["note"], place)
        if present is not None:
            self._leave_facts(kind, name, record, present)

    def _sender_lists(self, owner: str, record: Record, entry: Mapping[str, Any], place: str) -> None:
        for name, verdict in SENDER_LISTS.items():
            if name in entry:

                def rule(field: str, value: Any, verdict: str = verdict) -> str:
                    return checked_sender(field, value, owner=owner, verdict=verdict)

                before, path = record.get(name, {}), f"{place}.{name}"
                found = merged_names(before, entry[name], path, "sender", self.problems, update=self.update, rule=rule)
                _set_or_drop(record, name, found)

    def _domain(self, record: Record, entry: Mapping[str, Any], place: str) -> None:
        if "alternatives" in entry:
            path, before = f"{place}.alternatives", record.get("alternatives", {})
            names = merged_names(before, entry["alternatives"], path, "name", self.problems, update=self.update)
            _set_or_drop(record, "alternatives", names)
        for number in entry.get("domain_accesses") or ():
            if isinstance(number, int):
                self._grant_numbers[number] = str(entry.get("name"))

    def _user(self, name: str, record: Record, present: Record | None, entry: Mapping[str, Any], place: str) -> None:
        hashing = self.tools.hashing
        with self.problems.within(place):
            stored = present["password"] if present is not None else None
            record["password"] = wanted_hash(entry, stored, hashing, hashing.hash_password)
        self._rights(record, entry, place)
        for kind in (TOKEN, FETCH):
            before = present.get(kind.section, ()) if present is not None else ()
            if entry.get(kind.section) is not None:
                reader = Belongings(kind, before, hashing, self.problems, self.update)
                _set_or_drop(record, kind.section, reader.read(entry[kind.section], f"{place}.{kind.section}"))

    def _api_token(
        self, number: str, record: Record, present: Record | None, entry: Mapping[str, Any], place: str
    ) -> None:
        """The secret itself is nowhere; who has it goes on using it when its digest comes along."""
        given = entry.get("digest")
        with self.problems.at(f"{place}.digest"):
            if given is not None and given != HIDDEN:
                record["digest"] = token_digest("digest", given)
            elif present is not None:
                record["digest"] = present["digest"]
            else:
                raise Invalid("digest", f"this is needed, and not hidden: there is no key {number} here that has one")
        for domain in record.get("domains", ()):
            if domain not in self.wanted.domain:
                self.notices.append(f"{place}: there is no domain {domain}")

    def _rights(self, record: Record, entry: Mapping[str, Any], place: str) -> None:
        if "manager_of" in entry:
            before = dict.fromkeys(record.get("manager_of", ()), "")
            path = f"{place}.manager_of"
            names = merged_names(before, entry["manager_of"], path, "name", self.problems, update=self.update)
            _set_or_drop(record, "manager_of", tuple(sorted(names)))
        if "domain_accesses" in entry:
            path, granted = f"{place}.domain_accesses", self._named_grants(entry["domain_accesses"], place)
            before = record.get("domain_accesses", {})
            names = merged_names(before, granted, path, "domain", self.problems, update=self.update)
            _set_or_drop(record, "domain_accesses", names)

    def _named_grants(self, given: Any, place: str) -> Any:
        """An earlier Mailu wrote numbers of rows, both here and at the domain, so that they can be put together."""
        if not isinstance(given, list):
            return given
        names = []
        for item in given:
            if not isinstance(item, int) or isinstance(item, bool):
                names.append(item)
            elif item in self._grant_numbers:
                names.append(self._grant_numbers[item])
            else:
                self.notices.append(f"{place}.domain_accesses: no domain of the document has the grant {item}")
        return names

    def _leave_facts(self, kind: Kind, name: str, record: Record, present: Record) -> None:
        """Facts of what is there stay as they are, whatever the document remembers of them."""
        home = record.get("home")
        if kind is USER and home is not None and home != present.get("home", name):
            self.notices.append(f"{name}: its mail stays in {present.get('home', name)}, the document says {home}")
        for attribute in kind.attributes.values():
            if attribute.fact:
                record.pop(attribute.name, None)
        if "home" in present:
            record["home"] = present["home"]

    def _delete_what_hangs_on_it(self) -> None:
        """Mailboxes and aliases go with their domain, owned aliases with their owner, unless they are named here."""
        for section in ("user", "alias"):
            for name in list(self.wanted.section(section)):
                domain = name.rpartition("@")[2]
                if domain in self._deleted["domain"] and name not in self.places[section]:
                    self._delete(section, {name})
        for name, alias in list(self.wanted.alias.items()):
            if alias.get("owner_email") in self._deleted["user"] and name not in self.places["alias"]:
                self._delete("alias", {name})
        if self._deleted["domain"]:
            for email, record in self.wanted.user.items():
                self._drop_rights(email, record)

    def _drop_rights(self, email: str, record: Record) -> None:
        """Rights in a domain that goes, go with it; those that the document itself asks for are looked at later."""
        gone = self._deleted["domain"]
        before = self.current.user.get(email, {})
        for name in ("manager_of", "domain_accesses"):
            if gone.isdisjoint(record.get(name, ())):
                continue
            changed = dict(record)
            dropped = gone & set(before.get(name, ()))
            if name == "manager_of":
                _set_or_drop(changed, name, tuple(domain for domain in record[name] if domain not in dropped))
            else:
                kept = {domain: note for domain, note in record[name].items() if domain not in dropped}
                _set_or_drop(changed, name, kept)
            self.wanted.user[email] = record = changed


def _set_or_drop(record: Record, name: str, value: Any) -> None:
    record.pop(name, None)
    if value:
        record[name] = value
