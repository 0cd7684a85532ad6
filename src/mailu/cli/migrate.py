"""Taking over from an earlier Mailu."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, printable
from mailu.cli.surroundings import Surroundings, surroundings

if TYPE_CHECKING:
    from mailu.migrate.report import Item, Report
    from mailu.migrate.takeover import Target


def add_to(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("migrate")(migrate)


def migrate(
    context: typer.Context,
    given: Annotated[
        str,
        typer.Option("--from", metavar="SOURCE", help="Its root, the address of its database, or an export of it."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look and report; change nothing.")] = False,
    settings: Annotated[
        Path | None, typer.Option("--settings", metavar="FILE", help="Its mailu.env, when that is not in its root.")
    ] = None,
    database: Annotated[
        str | None, typer.Option("--database", metavar="URL", help="Its database, as it is reached from here.")
    ] = None,
    with_queue: Annotated[
        bool, typer.Option("--queue", help="The old server is stopped: mail that waits in its queue comes along.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take over an earlier Mailu: settings, domains and people, keys, mail, overrides. The source is only read.

    It can be run again, and then brings what is new. Ends with 1 when something has to be put right first; then
    nothing at all was changed.
    """
    from mailu.migrate.queue import QueueNotTaken
    from mailu.migrate.record import UnreadableRecord, load_record
    from mailu.migrate.source import NotASource, find_source
    from mailu.migrate.takeover import Takeover

    target = _target(surroundings(context))
    if not dry_run:
        _prepare_machine(target.root)
    try:
        takeover = Takeover(
            find_source(given, env_file=settings, database_uri=database),
            target,
            load_record(target.root),
            with_queue=with_queue,
        )
    except (NotASource, UnreadableRecord) as error:
        raise CommandError(str(error)) from None
    report = takeover.look()
    done = not dry_run and not report.refused
    if done:
        try:
            report = takeover.take(_tell_progress)
        except QueueNotTaken as error:
            raise CommandError(f"everything was taken over but the waiting mail: {error}; run this again") from None
    _show(report, target, as_json=as_json, done=done)
    if report.refused:
        raise typer.Exit(1)


def _target(here: Surroundings) -> Target:
    """The new root and its settings file, neither of which need be there."""
    from mailu.deploy.source import DEFAULT_ROOT, ENV_FILE
    from mailu.migrate.takeover import Target
    from mailu.settings.envfile import read_env_file

    environ = here.effective_environ
    named = environ.get("ROOT", "")
    if not named and here.env_file is not None and here.env_file.is_file():
        named = read_env_file(here.env_file).values.get("ROOT", "")
    root = Path(named or DEFAULT_ROOT).absolute()
    file = (here.env_file or root / ENV_FILE).absolute()
    return Target(root, file, environ)


def _prepare_machine(root: Path) -> None:
    """Packages and users first: the files get their owners. Nothing may run at the new root."""
    from mailu.deploy import installer
    from mailu.deploy.native import overview
    from mailu.deploy.source import Source
    from mailu.places import Places

    if os.geteuid() != 0:
        raise CommandError("mail and keys get owners of their own; run this command as root (--dry-run needs less)")
    if overview(Places(root)).running:
        raise CommandError(f"Mailu runs at {root}; stop it first with `mailu down`, or choose another --root")
    try:
        usual = Source(None, {"DOMAIN": "mailu.test", "SECRET_KEY": "not used by the installer"})
        installer.install(usual.load(), told=_tell)
    except installer.CannotInstall as error:
        raise CommandError(str(error)) from None


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _tell_progress(text: str) -> None:
    _tell(f"{text} ...")


def _show(report: Report, target: Target, *, as_json: bool, done: bool) -> None:
    outcome = _outcome(report, done=done)
    if as_json:
        print_json(
            {
                "outcome": outcome,
                "changes": sorted(report.pending),
                "counts": report.counts(),
                "items": report.to_json(),
            }
        )
        return
    for area, items in report.by_area():
        print(f"{area}")
        for item in items:
            print(f"  {item.outcome:<10} {printable(item.name)}: {printable(item.text)}")
    print(f"\n{', '.join(f'{number} {word}' for word, number in report.counts().items() if number)}")
    print(_LAST_WORDS[outcome].format(root=target.root, file=target.env_file))
    for item in _waiting(report):
        print(f"Not complete yet: {item.text}.")


def _waiting(report: Report) -> list[Item]:
    """What is said of mail that would be left behind."""
    return [item for item in report.items if item.name == "mailqueue" and item.outcome == "warning"]


def _outcome(report: Report, *, done: bool) -> str:
    if report.refused:
        return "refused"
    if not report.pending:
        return "unchanged"
    return "done" if done else "possible"


_LAST_WORDS = {
    "refused": "Nothing was changed. Put right what is refused, and run this again.",
    "unchanged": "Everything is here already; nothing was changed.",
    "possible": "Nothing was changed: this is what a run without --dry-run does.",
    "done": "Taken over into {root}. Look at {file}, then start with `mailu up`.",
}
