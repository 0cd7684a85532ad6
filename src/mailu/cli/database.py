"""The database's schema, with the words of Alembic."""

from __future__ import annotations

from typing import Annotated

import typer

from mailu.cli.output import JsonOption, print_json
from mailu.cli.surroundings import surroundings
from mailu.cli.words import HELP_OPTIONS


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(
        help="The database's schema. Services bring it up to date when they start.",
        context_settings={"help_option_names": HELP_OPTIONS},
        no_args_is_help=True,
    )
    group.command("upgrade")(upgrade)
    group.command("downgrade")(downgrade)
    group.command("current")(current)
    group.command("history")(history)
    app.add_typer(group, name="db")


def upgrade(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(help="Only the newest revision can be asked for.")] = "head",
) -> None:
    """Bring the schema up to date."""
    from mailu.cli.failures import CommandError

    if revision not in {"head", "heads"}:
        raise CommandError(f"{revision} cannot be upgraded to; expected head, the newest revision")
    store = surroundings(context).store
    store.upgrade()
    print(f"The schema is at revision {store.revision()}.")


def downgrade(
    context: typer.Context, revision: Annotated[str, typer.Argument(help="A revision, or base for no tables at all.")]
) -> None:
    """Take the schema back. What newer columns hold is lost: make a copy first."""
    store = surroundings(context).store
    store.downgrade(revision)
    print(f"The schema is at revision {store.revision() or 'base'}.")


def current(context: typer.Context, as_json: JsonOption = False) -> None:
    """Say which revision the schema is at, and which is the newest."""
    from mailu.directory.schema import revisions

    store = surroundings(context).store
    found, newest = store.revision(), revisions()[-1]
    if as_json:
        print_json({"revision": found, "newest": newest, "up_to_date": found == newest})
    else:
        print(f"{found or 'no tables yet'}{' (newest)' if found == newest else f'; the newest is {newest}'}")


def history(as_json: JsonOption = False) -> None:
    """List all revisions, the oldest first."""
    from mailu.directory.schema import revisions

    found = revisions()
    if as_json:
        print_json(found)
    else:
        print("\n".join(found))
