"""Read a ``mailu.env`` file: text in, names and values with their line numbers out.

The format is that of Docker Compose's ``env_file``, without substitution: nothing here is ever evaluated by a shell
and a ``$`` stays a ``$``. Source: https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/
("Env file syntax").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$"}
_SUBSTITUTION = re.compile(r"\$(?:\{|[A-Za-z_])")
_MAX_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Entry:
    """One assignment: the value as it is meant, and the line (from 1) that it begins on."""

    name: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What a file says: the last entry of each name, and everything in it that should be looked at."""

    entries: dict[str, Entry]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, str]:
        """Names and values only."""
        return {name: entry.value for name, entry in self.entries.items()}


class _Unreadable(Exception):
    """One assignment cannot be read; the text says what was expected."""


def read_env_file(path: Path) -> EnvFile:
    """Read and parse *path*. Raises OSError when it cannot be read; bytes that are not UTF-8 are a problem."""
    content = path.read_bytes()
    try:
        return parse_env(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return EnvFile({}, (f"line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8",))


def parse_env(text: str) -> EnvFile:
    """Parse the text of an env file.

    Lines are ``NAME=value``; blank lines and lines that begin with ``#`` are skipped, ``export`` before a name is
    let through. An unquoted value ends at the line's end or before a blank and ``#``. ``'single'`` quotes keep
    everything; in ``"double"`` quotes ``\\n \\r \\t \\\\ \\" \\$`` are escapes. Quoted values may span lines.
    A line that is neither is a problem, and the lines around it still count. When a name is given twice the last
    one holds, as in Compose, and a warning says so.
    """
    entries: dict[str, Entry] = {}
    problems: list[str] = []
    warnings: list[str] = []
    for item in _assignments(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")):
        if isinstance(item, str):
            problems.append(item)
            continue
        entry, raw = item
        if earlier := entries.get(entry.name):
            warnings.append(f"line {entry.line}: {entry.name} was given on line {earlier.line} already; this one holds")
        if not raw.startswith("'") and _SUBSTITUTION.search(entry.value):
            warnings.append(f"line {entry.line}: the $ in {entry.name} is kept as it is, nothing is substituted")
        entries[entry.name] = entry
    return EnvFile(entries, tuple(problems), tuple(warnings))


def _assignments(text: str) -> Iterator[tuple[Entry, str] | str]:
    """Yield ``(entry, raw value)`` for each assignment, or a sentence for what is none."""
    position, line = 0, 1
    while position < len(text):
        end = _line_end(text, position)
        start_line = line
        stripped = text[position:end].strip()
        if stripped and not stripped.startswith("#"):
            match = _ASSIGNMENT.match(text, position, end)
            if not match:
                yield f"line {start_line}: expected NAME=value, found {_short(stripped)}"
            else:
                try:
                    value, end = _value(text, match.end(), end)
                    yield Entry(match["name"], value, start_line), text[match.end() : end]
                except _Unreadable as error:
                    yield f"line {start_line}: {match['name']}: {error}"
        line += text.count("\n", position, end) + 1
        position = end + 1


def _value(text: str, start: int, line_end: int) -> tuple[str, int]:
    """Read the value at *start*; return it and the end of the last line that it takes."""
    quote = text[start : start + 1]
    if quote not in {"'", '"'}:
        return _unquoted(text[start:line_end]), line_end
    value, after = _quoted(text, start + 1, quote)
    end = _line_end(text, after)
    rest = text[after:end].strip()
    if rest and not rest.startswith("#"):
        raise _Unreadable(f"unexpected {_short(rest)} after the closing quote")
    return value, end


def _unquoted(raw: str) -> str:
    if raw.startswith("#"):
        return ""
    return re.split(r"[ \t]+#", raw, maxsplit=1)[0].strip()


def _quoted(text: str, start: int, quote: str) -> tuple[str, int]:
    """Return the text up to the closing *quote* and the position behind it."""
    parts: list[str] = []
    position = start
    while position < len(text):
        character = text[position]
        if character == quote:
            return "".join(parts), position + 1
        if character == "\\" and quote == '"' and (escaped := _ESCAPES.get(text[position + 1 : position + 2])):
            parts.append(escaped)
            position += 2
            continue
        parts.append(character)
        position += 1
    raise _Unreadable(f"the closing {quote} is missing")


def quote_value(value: str) -> str:
    """Write *value* so that ``parse_env`` reads it back, with quotes only where they are needed."""
    plain = value == value.strip() and not re.search(r"""[\r\n]|^["'#]|[ \t]#|\$""", value)
    if plain:
        return value
    if "'" not in value and "\r" not in value:
        return f"'{value}'"
    escapes = {character: "\\" + letter for letter, character in _ESCAPES.items()}
    return '"' + "".join(escapes.get(character, character) for character in value) + '"'


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _short(text: str) -> str:
    """What to show of a line that was not understood; never what stands behind an equals sign, it may be a secret."""
    visible = text.partition("=")[0]
    return repr(visible if len(visible) <= _MAX_SHOWN else visible[:_MAX_SHOWN] + "…")
