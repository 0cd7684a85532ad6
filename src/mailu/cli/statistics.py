"""How much mail there was, day by day."""

from __future__ import annotations

from dataclasses import asdict, astuple
from datetime import timedelta
from typing import Annotated

import typer

from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.surroundings import surroundings
from mailu.directory.day_counts import KEPT_DAYS, SERVER


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("statistics")(statistics)


def statistics(
    context: typer.Context,
    days: Annotated[int, typer.Option("-n", "--days", min=1, max=KEPT_DAYS, help="Days, today (UTC) included.")] = 30,
    domain: Annotated[str | None, typer.Option("-d", "--domain", help="Only this domain.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how many messages were received, sent, refused and filed into Junk on each day."""
    from mailu.directory.changes import get_domain
    from mailu.directory.mail_counts import counts_of_days
    from mailu.directory.models import today

    here, last = surroundings(context), today()
    if elsewhere := here.settings.counted_elsewhere:
        typer.echo(
            f"Mail services run on other machines ({', '.join(elsewhere)}): what passes there may be missing here.",
            err=True,
        )
    with here.store.read() as session:
        name = SERVER if domain is None else get_domain(session, domain).name
        found = counts_of_days(session, first=last - timedelta(days - 1), last=last, domain=name)
    if as_json:
        print_json([asdict(day) for day in found])
        return
    print_table(("Day", "Received", "Sent", "Refused", "Junk"), map(astuple, found), empty="There is no day to show.")
