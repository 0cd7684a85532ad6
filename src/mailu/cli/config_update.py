"""The old YAML on standard input, for scripts that keep users in a file of their own."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mailu.cli.failures import CommandError
from mailu.cli.surroundings import surroundings


def add_to(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("config-update")(config_update)


def config_update(
    context: typer.Context,
    verbose: Annotated[str, typer.Option("-v", "--verbose", metavar="VALUE", help="1: also what was right.")] = "",
    delete_objects: Annotated[
        str, typer.Option("-d", "--delete-objects", metavar="VALUE", help="1: delete what is not in the file.")
    ] = "",
) -> None:
    """Make domains, users, aliases and managers what a file on standard input says (the old YAML format).

    Everything is done, or, when anything is wrong, nothing.
    """
    from mailu.directory import old_yaml

    document = _read(sys.stdin.buffer.read())
    here = surroundings(context)
    with here.store.session() as session:
        lines = old_yaml.apply(
            session, document, actor=here.actor, verbose=_is_on(verbose), delete_objects=_is_on(delete_objects)
        )
    for line in lines:
        print(line)


def _read(text: bytes) -> object:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CommandError(f"standard input is not YAML: {' '.join(str(error).split())}") from None


def _is_on(value: str) -> bool:
    """These options always took a value; everything but a clear "no" counts."""
    return value.strip().lower() not in {"", "0", "no", "false", "off"}
