"""Limits on logging in: whom they slow down now, and clearing them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mailu.cli.directory_client import ask_directory
from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.surroundings import surroundings
from mailu.cli.words import HELP_OPTIONS


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(
        help="Limits on logging in: whom they slow down now, and clearing them.",
        context_settings={"help_option_names": HELP_OPTIONS},
        no_args_is_help=True,
    )
    group.command("list")(limits_list)
    group.command("clear")(limits_clear)
    app.add_typer(group, name="limits")


def limits_list(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the accounts, networks and addresses that are slowed down now."""
    found: list[dict[str, Any]] = ask_directory(surroundings(context), "GET", "limits")["limits"]
    if as_json:
        print_json(found)
        return
    names = list(dict.fromkeys(name for limit in found for name in limit))
    print_table(
        [name.replace("_", " ").capitalize() for name in names],
        ([limit.get(name) for name in names] for limit in found),
        empty="Nobody is slowed down.",
    )


def limits_clear(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Accounts, addresses or networks.")],
) -> None:
    """Forget what was counted for accounts, addresses (192.0.2.1) or networks (192.0.2.0)."""
    here = surroundings(context)
    missed = []
    for name in names:
        cleared = ask_directory(here, "DELETE", "limits", name)["cleared"]
        if cleared:
            print(f"{name} can try again at once.")
        else:
            missed.append(name)
    if missed:
        raise CommandError(f"nothing was counted for {', '.join(missed)}; `mailu limits list` shows whom limits meet")
