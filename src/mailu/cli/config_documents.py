"""What the configuration commands share: reading a document, colours, telling differences."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailu.cli.failures import CommandError
from mailu.cli.output import print_table, printable
from mailu.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from mailu.configuration import Configuration
    from mailu.directory.archive import ArchiveError, Change, Document, Plan

SourceArgument = Annotated[str, typer.Argument(metavar="[FILE|-]", help="YAML or JSON; - or nothing: standard input.")]
UpdateOption = Annotated[
    bool,
    typer.Option(
        "-u", "--update", help="Change what the document names and leave the rest. Otherwise the rest is deleted."
    ),
]
SecretsOption = Annotated[bool, typer.Option("-s", "--secrets", help="Show secrets and hashes.")]
ColorOption = Annotated[bool, typer.Option("-c", "--color", help="Use colours also where the output is no terminal.")]
Row = tuple[str, str, str, str, str, str]


def configuration(here: Surroundings) -> Configuration:
    """The configuration of this root. The store is opened first: it gives up root's rights."""
    from mailu.configuration import Configuration

    store = here.store
    return Configuration(here.settings, store)


def read_source(source: str) -> Document:
    """The document in a file, or on standard input. Raises CommandError and ArchiveError."""
    from mailu.directory.archive import read_document

    return read_document(_octets(source))


def _octets(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except FileNotFoundError:
        raise CommandError(f"{source} is not there; expected a file with the configuration") from None
    except OSError as error:
        raise CommandError(f"{source} cannot be read: {error.strerror}") from None


def problems_of(error: ArchiveError) -> list[str]:
    """What is wrong with a document, one line each."""
    lines = [printable(str(problem)) for problem in error.problems]
    if error.more:
        lines.append(f"there may be more than these {len(error.problems)}; reading stopped here")
    return lines


def summary(plan: Plan) -> list[str]:
    """How many of each kind are created, modified and deleted."""
    from mailu.directory.archive import Verb

    words = {Verb.CREATE: "created", Verb.UPDATE: "modified", Verb.DELETE: "deleted"}
    return [
        f"{name.replace('_', ' ').capitalize()}: "
        + ", ".join(f"{number} {words[verb]}" for verb, number in sorted(found.items()))
        for name, found in plan.counts().items()
    ]


def print_differences(plan: Plan, *, secrets: bool) -> None:
    """Print a plan as a table: one line for each attribute that changes."""
    print_table(
        ("", "Section", "Name", "Attribute", "Before", "After"), _rows(plan, secrets), empty="Nothing would change."
    )


def change_lines(plan: Plan, *, secrets: bool, values: bool) -> Iterator[str]:
    """A plan as sentences; with *values* also what each attribute was and is."""
    from mailu.directory.archive import Verb

    verbs = {Verb.CREATE: "Created", Verb.UPDATE: "Modified", Verb.DELETE: "Deleted"}
    for change in plan.changes:
        fields = list(change.fields(secrets=secrets))
        told = f": {', '.join(name for name, *_ in fields)}" if fields and change.verb is not Verb.DELETE else ""
        yield printable(f"{verbs[change.verb]} {change.section} {change.name}{told}")
        if values and change.verb is not Verb.DELETE:
            for name, before, after in fields:
                yield printable(f"    {name}: {_value(before)} -> {_value(after)}")
    for key in plan.keys:
        yield f"{'Removed' if key.key is None else 'Stored'} the DKIM key {key.selector} of {key.domain}"


def _rows(plan: Plan, secrets: bool) -> Iterator[Row]:
    for change in plan.changes:
        yield from _rows_of(change, secrets)
    for key in plan.keys:
        verb, after = ("delete", "") if key.key is None else ("update", key.key.state)
        yield (verb, "domain", key.domain, f"DKIM key {key.selector}", "", after)


def _rows_of(change: Change, secrets: bool) -> Iterator[Row]:
    from mailu.directory.archive import Verb

    verb, section, name = str(change.verb), change.section, change.name
    fields = list(change.fields(secrets=secrets)) if change.verb is not Verb.DELETE else []
    if not fields:
        yield (verb, section, name, "", "", "")
    for attribute, before, after in fields:
        yield (verb, section, name, attribute, _value(before), _value(after))


def _value(value: Any) -> str:
    """A value in a table; None is the default and stands for itself."""
    match value:
        case None:
            return "(default)"
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(_value(item) for item in value) or "(none)"
        case dict():
            return " ".join(f"{name}={_value(item)}" for name, item in value.items())
        case _:
            return str(value) or "(empty)"


def wants_color(asked: bool) -> bool:
    """Colours for a terminal, and for whoever asks for them."""
    return asked or sys.stdout.isatty()


def colored(text: str, *, as_json: bool) -> str:
    """YAML or JSON with the colours of a terminal."""
    from pygments import highlight
    from pygments.formatters import TerminalFormatter
    from pygments.lexers import JsonLexer, YamlLexer

    lexer = JsonLexer(stripnl=False) if as_json else YamlLexer(stripnl=False)
    shown: str = highlight(text, lexer, TerminalFormatter())
    return shown
