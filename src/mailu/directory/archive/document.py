"""Reading a configuration document, YAML or JSON, into lists, mappings and plain values.

YAML is read event by event, so that a hundred thousand users need no tree of nodes beside the values themselves.
What a careless or hostile document could do is refused: keys that stand twice, endless nesting, values that repeat
each other into the millions, tags that make objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from mailu.directory.archive.errors import ArchiveError, Problem

SECTIONS = ("domain", "user", "alias", "relay", "sender", "tls_exception", "api_token")
MAX_DEPTH = 12
MAX_ALIASES = 1000
"""Uses of YAML anchors; each may stand for a whole list, so that thousands of thousands would take all memory."""

_OLD_SECTIONS = frozenset({"domains", "users", "aliases", "managers"})
_CORE = "tag:yaml.org,2002:"
_SCALARS = frozenset({"null", "bool", "int", "float", "timestamp", "str"})


@dataclass(frozen=True, slots=True)
class Document:
    """What a text says: the entries of each section, and the text, in which places are looked up for errors."""

    sections: Mapping[str, list[Any]]
    text: str

    def with_lines(self, error: ArchiveError) -> ArchiveError:
        """*error* with the line of each place."""
        wanted = {problem.path for problem in error.problems if problem.line is None}
        return error.at_lines(_lines_of(self.text, wanted))


def read_document(text: str | bytes) -> Document:
    """Read YAML or JSON. Raises ArchiveError with line and column where it is neither, or no document of ours."""
    plain = _decoded(text)
    content = _read_json(plain) if plain.lstrip().startswith("{") else _read_yaml(plain)
    return Document(_sections(content), plain)


def document_of(content: Mapping[str, Any]) -> Document:
    """As ``read_document``, of mappings and lists that are there already. Raises ArchiveError."""
    return Document(_sections(content), "")


def _decoded(text: str | bytes) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ArchiveError([Problem("", f"byte {error.start} is not UTF-8; expected a text in UTF-8", line)]) from None


def _sections(content: Any) -> dict[str, list[Any]]:
    expected = f"expected a mapping with {', '.join(SECTIONS)}"
    if content is None:
        raise ArchiveError([Problem("", f"the document is empty; {expected}")])
    if not isinstance(content, Mapping):
        raise ArchiveError([Problem("", f"the document is no mapping; {expected}")])
    problems = []
    for name, entries in content.items():
        if name not in SECTIONS:
            old = name in _OLD_SECTIONS
            hint = "; this is the old format, which `mailu config-update` reads" if old else ""
            problems.append(Problem(str(name), f"there is no such section; {expected}{hint}"))
        elif entries is not None and not isinstance(entries, list):
            problems.append(Problem(name, "a list is needed"))
    if problems:
        raise ArchiveError(problems)
    return {name: content.get(name) or [] for name in SECTIONS if name in content}


# JSON


def _read_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique_pairs, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        reason = f"this is not JSON: {error.msg}, column {error.colno}"
        raise ArchiveError([Problem("", reason, error.lineno)]) from None
    except RecursionError:
        raise ArchiveError([Problem("", "the document is nested too deeply")]) from None


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ArchiveError([Problem(twice, "this key stands twice in one mapping")])
    return found


def _no_constant(name: str) -> Any:
    raise ArchiveError([Problem("", f"{name} is no JSON value")])


# YAML


def _read_yaml(text: str) -> Any:
    loader = yaml.CSafeLoader(text)
    try:
        return _Builder(loader).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = f"this is not YAML: {error.problem or error.context}" + (f", column {mark.column + 1}" if mark else "")
        raise ArchiveError([Problem("", reason, mark.line + 1 if mark else None)]) from None
    except yaml.YAMLError as error:
        raise ArchiveError([Problem("", f"this is not YAML: {' '.join(str(error).split())}")]) from None
    finally:
        loader.dispose()


class _Builder:
    """Builds values out of the events of a YAML parser."""

    def __init__(self, loader: Any, on_place: Callable[[str, int], None] | None = None) -> None:
        """*on_place* is told the path and the line of every value; it costs time, so it is for errors only."""
        self._next = loader.get_event
        self._anchors: dict[str, Any] = {}
        self._aliases = 0
        self._on_place = on_place

    def document(self) -> Any:
        self._next()  # the start of the stream
        event = self._next()
        if isinstance(event, StreamEndEvent):
            return None
        assert isinstance(event, DocumentStartEvent)
        content = self._value(self._next(), "", 0)
        self._next()  # the end of the document
        last = self._next()
        if not isinstance(last, StreamEndEvent):
            raise _wrong("there is more than one document; expected one", last)
        return content

    def _value(self, event: Any, path: str, depth: int) -> Any:
        if self._on_place:
            self._on_place(path, event.start_mark.line + 1)
        kind = type(event)
        if kind is ScalarEvent:
            value = _scalar(event)
        elif kind is MappingStartEvent:
            value = self._mapping(event, path, depth + 1)
        elif kind is SequenceStartEvent:
            value = self._sequence(event, path, depth + 1)
        elif kind is AliasEvent:
            return self._alias(event)
        else:
            raise _wrong("a value is needed", event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _mapping(self, start: Any, path: str, depth: int) -> dict[Any, Any]:
        _check_collection(start, "map", depth)
        found: dict[Any, Any] = {}
        while type(event := self._next()) is not MappingEndEvent:
            if type(event) is not ScalarEvent:
                raise _wrong("a key is needed here: one word", event)
            key = _scalar(event)
            if key in found:
                raise _wrong(f"the key {key!r} stands twice in one mapping", event)
            found[key] = self._value(self._next(), f"{path}.{key}" if path else str(key), depth)
        return found

    def _sequence(self, start: Any, path: str, depth: int) -> list[Any]:
        _check_collection(start, "seq", depth)
        found: list[Any] = []
        while type(event := self._next()) is not SequenceEndEvent:
            found.append(self._value(event, f"{path}[{len(found)}]" if self._on_place else path, depth))
        return found

    def _alias(self, event: Any) -> Any:
        self._aliases += 1
        if event.anchor not in self._anchors:
            raise _wrong(f"nothing is called &{event.anchor} before this", event)
        if self._aliases > MAX_ALIASES:
            raise _wrong(f"there are more than {MAX_ALIASES} references to anchors", event)
        return self._anchors[event.anchor]


def _check_collection(start: Any, kind: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _wrong("the document is nested too deeply", start)
    if start.tag not in (None, "!", f"{_CORE}{kind}"):
        raise _wrong(f"the tag {start.tag} is not for here", start)


def _scalar(event: Any) -> Any:
    if event.tag is None and event.implicit[0]:
        return _plain(event.value)
    if event.tag in (None, "!"):
        return event.value
    kind = event.tag.removeprefix(_CORE)
    if kind not in _SCALARS:
        raise _wrong(f"the tag {event.tag} is not for here", event)
    return event.value if kind == "str" else _constructed(event.tag, event.value)


@lru_cache(maxsize=4096)
def _plain(text: str) -> Any:
    """The value of a scalar without quotes. The same few words fill a document, so they are remembered."""
    for tag, pattern in _resolvers(text[:1]):
        if pattern.match(text):
            return text if tag.endswith((":merge", ":value", ":yaml")) else _constructed(tag, text)
    return text


def _resolvers(first: str) -> list[Any]:
    found: list[Any] = yaml.SafeLoader.yaml_implicit_resolvers.get(first, [])
    return found


def _constructed(tag: str, text: str) -> Any:
    node = yaml.ScalarNode(tag, text)
    try:
        return yaml.SafeLoader.yaml_constructors[tag](_constructor, node)
    except (ValueError, KeyError):  # 2026-02-31
        return text


_constructor = yaml.SafeLoader("")


def _wrong(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _lines_of(text: str, wanted: set[str]) -> dict[str, int]:
    """The lines of some places, found by reading the text once more. The nearest place above stands for what is not
    there, such as a key that is missing. JSON on one line has no lines worth telling."""
    known: dict[str, int] = {}
    places = {prefix for path in wanted for prefix in _prefixes(path)}

    def on_place(path: str, line: int) -> None:
        if path in places:
            known[path] = line

    if not wanted or text.count("\n") < 2:
        return {}
    loader = yaml.CSafeLoader(text)
    try:
        _Builder(loader, on_place).document()
    except yaml.YAMLError:
        return {}
    finally:
        loader.dispose()
    return {path: line for path in wanted if (line := next((known[p] for p in _prefixes(path) if p in known), 0))}


def _prefixes(path: str) -> list[str]:
    """*path* and all places around it, the nearest first, without the document itself."""
    found = []
    while path:
        found.append(path)
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return found
