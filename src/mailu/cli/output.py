"""How commands answer: tables for people, plain lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def print_json(value: Any) -> None:
    """Print *value* as indented JSON; dates and the like as text."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows as a table on a terminal, and as tab-separated lines without a heading into a pipe.

    *empty* is said on standard error when there are no rows.
    """
    lines = [[_cell(value) for value in row] for row in rows]
    if not lines:
        print(empty, file=sys.stderr)
    elif sys.stdout.isatty():
        _draw(columns, lines)
    else:
        for line in lines:
            print("\t".join(line))


def _draw(columns: Sequence[str], lines: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*(Text(value) for value in line))
    Console().print(table)


def _cell(value: object) -> str:
    """One cell as text without control characters: what strangers can put into an address must not steer a terminal."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(item) for item in value)
    return printable(str(value))


def printable(text: str) -> str:
    """*text* on one line, with what is not printable replaced."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def readable_size(size: int) -> str:
    """A number of bytes for people: ``1.0 GB``; ``0`` stands for no limit where it is a quota."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
