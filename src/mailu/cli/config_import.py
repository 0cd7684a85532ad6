"""``config-import`` makes the configuration what a document says; ``config-plan`` tells what that would change."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from mailu.cli.config_documents import (
    ColorOption,
    SecretsOption,
    SourceArgument,
    UpdateOption,
    change_lines,
    configuration,
    print_differences,
    problems_of,
    read_source,
    summary,
)
from mailu.cli.surroundings import surroundings

DIFFERS = 2
"""Exit code of ``config-plan --exit-code`` where something would change."""


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("config-import")(config_import)
    app.command("config-plan")(config_plan)


def config_import(
    context: typer.Context,
    source: SourceArgument = "-",
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Name each change; twice: with values.")
    ] = 0,
    secrets: SecretsOption = False,
    debug: Annotated[bool, typer.Option("-d", "--debug", help="Show where in the program an error arose.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing unless something is wrong.")] = False,
    color: ColorOption = False,
    update: UpdateOption = False,
    dry_run: Annotated[bool, typer.Option("-n", "--dry-run", help="Say what would change; change nothing.")] = False,
    as_plan: Annotated[bool, typer.Option("--plan", help="As --dry-run, with the differences as a table.")] = False,
) -> None:
    """Make domains, users, aliases and relays what a document says: all of it, or nothing when anything is wrong.

    Everything that the document does not name is deleted, unless --update is given. Mailboxes that it names keep their
    mail; the mail of deleted ones is kept for RETENTION_DAYS.
    """
    from mailu.directory.archive import ArchiveError

    here = surroundings(context)
    try:
        document = read_source(source)
        if dry_run or as_plan:
            plan = configuration(here).plan(document, update=update)
        else:
            plan = configuration(here).apply(document, actor=here.actor, update=update)
    except ArchiveError as error:
        if debug:
            raise
        _fail(error, color=color)
    for notice in plan.notices:
        print(f"Note: {notice}", file=sys.stderr)
    if quiet:
        return
    if as_plan:
        print_differences(plan, secrets=secrets)
    elif verbose:
        for line in change_lines(plan, secrets=secrets, values=verbose > 1):
            print(line)
    lines = summary(plan)
    for line in lines:
        print(line)
    if dry_run or as_plan:
        print("Nothing was changed: this was a dry run." if lines else "Nothing would change.")
    elif not lines:
        print("Nothing changed: everything was so already.")


def config_plan(
    context: typer.Context,
    source: SourceArgument = "-",
    update: UpdateOption = False,
    secrets: SecretsOption = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help=f"End with code {DIFFERS} where something would change.")
    ] = False,
    color: ColorOption = False,
    as_json: Annotated[bool, typer.Option("-j", "--json", help="Answer in JSON.")] = False,
) -> None:
    """Print what importing a document would change, as a table, and change nothing."""
    from mailu.directory.archive import ArchiveError

    here = surroundings(context)
    try:
        plan = configuration(here).plan(read_source(source), update=update)
    except ArchiveError as error:
        _fail(error, color=color)
    if as_json:
        _print_as_json(plan, secrets=secrets)
    else:
        for notice in plan.notices:
            print(f"Note: {notice}", file=sys.stderr)
        print_differences(plan, secrets=secrets)
    if exit_code and not plan.is_empty:
        raise typer.Exit(DIFFERS)


def _print_as_json(plan: object, *, secrets: bool) -> None:
    from mailu.cli.output import print_json
    from mailu.directory.archive import Plan

    assert isinstance(plan, Plan)
    changed = [
        {
            "verb": str(change.verb),
            "section": change.section,
            "name": change.name,
            "attributes": {
                name: {"before": before, "after": after} for name, before, after in change.fields(secrets=secrets)
            },
        }
        for change in plan.changes
    ]
    keys = [{"domain": key.domain, "selector": key.selector, "removed": key.key is None} for key in plan.keys]
    print_json({"changes": changed, "dkim_keys": keys, "notices": plan.notices})


def _fail(error: object, *, color: bool) -> NoReturn:
    from mailu.directory.archive import ArchiveError

    assert isinstance(error, ArchiveError)
    begin, end = ("\x1b[31m", "\x1b[0m") if color else ("", "")
    for line in problems_of(error):
        print(f"{begin}Error:{end} {line}", file=sys.stderr)
    print("Nothing was changed.", file=sys.stderr)
    raise typer.Exit(1)
