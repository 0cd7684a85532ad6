"""The inputs that are kept, one file a target: one input a line, bytes that do not print written as in Python.

Lines above the first blank line were chosen by people or were a crash once, with a ``#`` line that says what it was;
those below it were found by fuzzing because they reach code of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
KEPT_INPUTS = 150
KEPT_BYTES = 400


def read(name: str) -> list[bytes]:
    """All inputs of a target."""
    return [unescape(line) for line in _lines(name) if line and not line.startswith("#")]


def add(name: str, found: Iterable[bytes]) -> int:
    """Keep what is short enough and not there yet, the shortest first; returns how many were added."""
    known = set(read(name))
    room = KEPT_INPUTS - len(known)
    fresh = sorted({data for data in found if 0 < len(data) <= KEPT_BYTES} - known, key=lambda data: (len(data), data))
    fresh = fresh[: max(0, room)]
    lines = _lines(name)
    if "" not in lines:
        lines.append("")
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.txt").write_text("\n".join([*lines, *(escape(data) for data in fresh)]) + "\n")
    return len(fresh)


def escape(data: bytes) -> str:
    """One line of printable ASCII that does not begin with ``#``."""
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in data)
    if text[:1] in ("#", " ") or text[-1:] == " ":
        text = f"\\x{data[0]:02x}" + text[1:] if text[:1] in ("#", " ") else text
        text = text[:-1] + "\\x20" if text[-1:] == " " else text
    return text


def unescape(line: str) -> bytes:
    """The bytes of one line."""
    return line.encode("ascii").decode("unicode_escape").encode("latin-1")


def _lines(name: str) -> list[str]:
    try:
        return (FOLDER / f"{name}.txt").read_text("ascii").splitlines()
    except FileNotFoundError:
        return []
