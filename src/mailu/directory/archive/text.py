"""Writing documents: YAML for people, section by section with a blank line between, or JSON for programs.

A writer of its own, since PyYAML's takes minutes for a hundred thousand users, and its C half cannot indent lists.
It writes block style only: what reads without quotes is left without, texts of several lines are literal blocks, and
all else stands in double quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import yaml

Sections = Iterable[tuple[str, Iterable[Mapping[str, Any]]]]
"""Name of a section and its entries, in order."""

_BARE = re.compile(r"[A-Za-z0-9$/+(_~.\u00a1-\u0236][-A-Za-z0-9$/+(_~.@=,;!?*%^()<>\u00a1-\u0236 ]*\Z")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def yaml_text(sections: Sections) -> Iterator[str]:
    """The document in pieces, each of whole lines."""
    first = True
    for name, entries in sections:
        yield ("" if first else "\n") + f"{name}:"
        empty = True
        for entry in entries:
            yield ("\n" if empty else "") + "".join(f"{line}\n" for line in _item(_mapping(entry), "  "))
            empty = False
        if empty:
            yield " []\n"
        first = False


def json_text(sections: Sections) -> Iterator[str]:
    """The document on one line without blanks, in pieces."""
    yield "{"
    comma = ""
    for name, entries in sections:
        yield f'{comma}"{name}":['
        inner = ""
        for entry in entries:
            yield inner + json.dumps(entry, ensure_ascii=False, separators=(",", ":"), default=_text_of)
            inner = ","
        yield "]"
        comma = ","
    yield "}\n"


def _mapping(entry: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, value in entry.items():
        lines += _pair(_scalar(key), value)
    return lines


def _pair(key: str, value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        if not value:
            return [f"{key}: []"]
        return [f"{key}:", *(line for item in value for line in _item(_any(item), "  "))]
    if isinstance(value, Mapping):
        return [f"{key}:", *(f"  {line}" for line in _mapping(value))] if value else [f"{key}: {{}}"]
    if isinstance(value, str) and (block := _block(value)):
        return [f"{key}: {block[0]}", *(f"  {line}" if line else "" for line in block[1:])]
    return [f"{key}: {_scalar(value)}"]


def _any(value: Any) -> list[str]:
    return _mapping(value) if isinstance(value, Mapping) and value else [_scalar(value)]


def _item(lines: list[str], indent: str) -> list[str]:
    return [f"{indent}- {lines[0]}", *(f"{indent}  {line}" if line else "" for line in lines[1:])]


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return _string(value)
        case _:
            return _string(_text_of(value))


def _text_of(value: Any) -> str:
    """Days as ``2030-12-31``, moments in RFC 3339."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot stand in a document")


@lru_cache(maxsize=4096)
def _string(text: str) -> str:
    return text if _reads_bare(text) else _quoted(text)


def _reads_bare(text: str) -> bool:
    """Whether *text* without quotes is this very text to every reader of YAML 1.1 and 1.2."""
    if not _BARE.match(text) or text.endswith(" ") or text in ("y", "Y", "n", "N"):
        return False
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(text[0], [])
    return not any(pattern.match(text) for _, pattern in resolvers) and not _NUMBER.match(text)


_NUMBER = re.compile(r"[-+.]?[0-9][-+0-9._eExXoObBa-fA-F]*\Z")
"""More than YAML 1.1 takes for a number, since YAML 1.2 takes ``1e5`` for one."""


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable() and character != "\ufeff":
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _block(text: str) -> list[str] | None:
    """The indicator and the lines of a literal block; None for a text that is better off in quotes."""
    lines = text.split("\n")
    if len(lines) < 2 or not lines[0] or not all(_fits_block(line) for line in lines):
        return None
    ends = len(lines) - len(text.rstrip("\n").split("\n"))
    if ends == 0:
        return ["|-", *lines]
    return None if ends > 1 else ["|", *lines[:-1]]


def _fits_block(line: str) -> bool:
    return line.isprintable() and "\ufeff" not in line and line == line.strip()
