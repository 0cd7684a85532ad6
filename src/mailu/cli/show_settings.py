"""Which settings hold, where each comes from, and which are not in force yet."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.surroundings import Surroundings, surroundings

if TYPE_CHECKING:
    from mailu.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("settings")(show_settings)


def show_settings(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Only these variables.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that have their default.")] = False,
    secrets: Annotated[bool, typer.Option("--secrets", help="Show secret values too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the settings: value, where it comes from, and whether the running services have it already."""
    here = surroundings(context)
    rows = _rows(here, names or [], everything=everything, secrets=secrets)
    if as_json:
        print_json({"settings": rows, "warnings": list(here.settings.warnings)})
        return
    if names and len(names) == 1:
        print(rows[0]["value"])
        return
    print_table(
        ("Name", "Value", "From", ""),
        (
            (row["name"], row["value"], row["source"], "" if row["in_force"] in {True, None} else "not applied yet")
            for row in rows
        ),
        empty="Every setting has its default.",
    )
    for warning in here.settings.warnings:
        print(f"Warning: {warning}", file=sys.stderr)


def _rows(here: Surroundings, names: list[str], *, everything: bool, secrets: bool) -> list[dict[str, Any]]:
    from mailu.settings import BY_NAME, VARIABLES
    from mailu.settings.load import nearest

    wanted = [name.upper() for name in names]
    for name in wanted:
        if name not in BY_NAME:
            near = nearest(name)
            raise CommandError(f"{name} is not a setting" + (f"; did you mean {near}?" if near else ""))
    settings, sources, running = here.settings, here.loaded.sources, running_settings(here)
    return [
        {
            "name": variable.name,
            "value": settings.text_of(variable) if secrets else settings.shown(variable),
            "source": sources.get(variable.name, "default"),
            "in_force": None if running is None else running.text_of(variable) == settings.text_of(variable),
        }
        for variable in VARIABLES
        if (variable.name in wanted if wanted else everything or variable.name in sources)
    ]


def running_settings(here: Surroundings) -> Settings | None:
    """The settings that the running services were given last; None when none is there, or may not be read."""
    from mailu.deploy.python_room import SETTINGS_FILE
    from mailu.settings import Settings

    file = here.places.service("directory") / "etc" / SETTINGS_FILE
    try:
        return Settings.from_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        return None
