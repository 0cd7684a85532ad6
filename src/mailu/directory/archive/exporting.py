"""From the directory to the entries of a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mailu.directory.archive.attributes import (
    API_TOKEN,
    DOMAIN,
    FETCH,
    HIDDEN,
    KINDS,
    SENDER_LISTS,
    TLS_EXCEPTION,
    TOKEN,
    USER,
    Kind,
    Record,
    shown_address,
    shown_domain,
    shown_sender,
)
from mailu.directory.archive.state import State
from mailu.directory.archive.tools import Tools

_PARTS = {
    "domain": ("alternatives", "dkim_key", "dkim_keys", *SENDER_LISTS),
    "user": ("manager_of", "domain_accesses", "tokens", "fetches", *SENDER_LISTS),
    "alias": (),
    "relay": (),
    "sender": (),
    "tls_exception": (),
    "api_token": (),
}


_SELDOM = frozenset({API_TOKEN.section, TLS_EXCEPTION.section})
"""Sections that are left out where there is nothing in them."""


class BadFilter(ValueError):
    """A filter names nothing that an export has."""

    def __init__(self, given: str) -> None:
        super().__init__(f"Invalid filter: {given!r}; expected a section ({', '.join(KINDS)}) or section.attribute")
        self.given = given


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is shown."""

    full: bool = False
    """Also what has its default, and facts: dates, used quota, last log-ins."""
    secrets: bool = False
    dns: bool = False
    """Also what DNS has to say about each domain; this is not read when it is imported."""
    filters: Sequence[str] = ()
    """Sections, or ``section.attribute``; such an attribute is shown whatever it is. None: everything."""

    @property
    def needs_facts(self) -> bool:
        """Whether dates and the like have to be read."""
        return self.full or any(
            name in KINDS[section].attributes and KINDS[section].attributes[name].fact
            for section, names in _chosen(self.filters).items()
            for name in names
        )


def export_sections(state: State, tools: Tools, options: ExportOptions) -> list[tuple[str, Iterator[dict[str, Any]]]]:
    """The sections that are asked for, with their entries in the order of names. Raises BadFilter."""
    chosen = _chosen(options.filters)
    return [
        (section, _Exporter(KINDS[section], tools, options, frozenset(names)).entries(state))
        for section, names in chosen.items()
        if options.filters or section not in _SELDOM or state.section(section)
    ]


def _chosen(filters: Sequence[str]) -> dict[str, set[str]]:
    """Sections in their order, each with the attributes that are asked for (none: all)."""
    if not filters:
        return {section: set() for section in KINDS}
    found: dict[str, set[str]] = {}
    whole = set()
    for given in filters:
        section, _, name = given.partition(".")
        if section not in KINDS or (name and name not in _names(KINDS[section])) or given.endswith("."):
            raise BadFilter(given)
        found.setdefault(section, set()).update({name} if name else ())
        whole |= {section} if not name else set()
    return {section: set() if section in whole else found[section] for section in KINDS if section in found}


def _names(kind: Kind) -> set[str]:
    readable = kind.passed_over - {"owned_aliases", "managers"}
    return {kind.key, *kind.attributes, *_PARTS[kind.section], *readable}


@dataclass(frozen=True, slots=True)
class _Exporter:
    kind: Kind
    tools: Tools
    options: ExportOptions
    only: frozenset[str]

    def entries(self, state: State) -> Iterator[dict[str, Any]]:
        shows: dict[str, Callable[[str], str | int]] = {
            "email": shown_address,
            "sender": shown_sender,
            "name": shown_domain,
            "id": int,
        }
        show = shows[self.kind.key]
        things = state.section(self.kind.section).items()
        for name, record in sorted(things, key=lambda each: int(each[0]) if show is int else each[0]):
            yield self._entry(name, show(name), record)

    def _entry(self, name: str, shown: str | int, record: Record) -> dict[str, Any]:
        found: dict[str, Any] = self._columns(self.kind, record)
        if self.kind is USER and self._wants("home") and (self.options.full or self._asked("home")):
            found["home"] = record.get("home", name)
        if self.kind is DOMAIN:
            self._put(found, "alternatives", _named(record.get("alternatives", {}), "name"))
            self._add_keys(name, found)
            if self.options.dns or any(each.startswith(("dns_", "dkim_public")) for each in self.only):
                found.update({key: value for key, value in self.tools.dns(name).items() if self._wants(key)})
        if self.kind is USER:
            self._put(found, "manager_of", [shown_domain(each) for each in record.get("manager_of", ())])
            self._put(found, "domain_accesses", _named(record.get("domain_accesses", {}), "domain"))
            for kind in (TOKEN, FETCH):
                self._put(found, kind.section, [self._part(kind, each) for each in record.get(kind.section, ())])
        if self.kind in (DOMAIN, USER):
            for each in SENDER_LISTS:
                self._put(found, each, _named(record.get(each, {}), "sender", shown_sender))
        return {self.kind.key: shown, **dict(sorted(found.items()))}

    def _columns(self, kind: Kind, record: Record) -> dict[str, Any]:
        """Attributes that are wanted and differ from their defaults, or all of them."""
        found = {}
        for name, attribute in kind.attributes.items():
            if name not in record and not self.options.full and not self._asked(name):
                continue
            if not self._wants(name):
                continue
            value = record.get(name, attribute.default)
            hidden = attribute.secret and not self.options.secrets and not self._asked(name)
            found[name] = HIDDEN if hidden and value is not None else _shown(attribute.show, value)
        return found

    def _part(self, kind: Kind, record: Record) -> dict[str, Any]:
        found = {}
        for name, attribute in kind.attributes.items():
            if name in record or self.options.full:
                value = record.get(name, attribute.default)
                hidden = attribute.secret and not self.options.secrets
                found[name] = HIDDEN if hidden else _shown(attribute.show, value)
        return {"id": record["id"], **dict(sorted(found.items()))}

    def _add_keys(self, domain: str, found: dict[str, Any]) -> None:
        if not self._wants("dkim_key") and not self._wants("dkim_keys"):
            return
        main = self.tools.keys.main_selector
        others = []
        for key in sorted(self.tools.keys.of(domain)):
            is_main = key.selector == main and key.state == "active"
            name = "dkim_key" if is_main else "dkim_keys"
            shown = key.private_pem if self.options.secrets or self._asked(name) else HIDDEN
            if is_main:
                if self._wants("dkim_key"):
                    found["dkim_key"] = shown
            else:
                others.append({"selector": key.selector, "state": key.state, "private_key": shown})
        if others and self._wants("dkim_keys"):
            found["dkim_keys"] = others

    def _put(self, found: dict[str, Any], name: str, value: Any) -> None:
        if self._wants(name) and (value or self.options.full or self._asked(name)):
            found[name] = value

    def _wants(self, name: str) -> bool:
        return not self.only or name in self.only

    def _asked(self, name: str) -> bool:
        return name in self.only


def _shown(show: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else show(value)


def _named(names: dict[str, str], key: str, show: Callable[[str], str] = shown_domain) -> list[Any]:
    """Names, of domains if *show* says nothing else; those with a comment as mappings."""
    return [{key: show(name), "comment": comment} if comment else show(name) for name, comment in sorted(names.items())]
