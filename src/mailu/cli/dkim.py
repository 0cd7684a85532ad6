"""Signing keys: which there are, and changing them without a failed signature."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.surroundings import Surroundings, surroundings
from mailu.cli.words import HELP_OPTIONS

if TYPE_CHECKING:
    from mailu.address import DomainName
    from mailu.identity.rotation import Step

DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN")]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(
        help="Signing keys (DKIM): list them, change them for new ones.",
        context_settings={"help_option_names": HELP_OPTIONS},
        no_args_is_help=True,
    )
    group.command("list")(list_keys)
    group.command("rotate")(rotate)
    group.command("advance")(advance)
    group.command("cancel")(cancel)
    app.add_typer(group, name="dkim")


def list_keys(context: typer.Context, domain: DomainArgument, as_json: JsonOption = False) -> None:
    """List the keys of DOMAIN with their state and DNS record: those that sign, those that wait, those that retired."""
    from mailu.identity import rotation

    here = surroundings(context)
    name = _domain(here, domain)
    rows = [
        {
            "selector": one.key.selector,
            "algorithm": one.key.algorithm,
            "state": one.key.state,
            "since": one.since.isoformat(timespec="seconds"),
            "withdrawn_at": one.leaves_at.isoformat(timespec="seconds") if one.leaves_at else None,
            "record_name": f"{one.key.selector}._domainkey.{name}",
            "record": one.key.record,
        }
        for one in rotation.keys(here.places.dkim, name, keep=rotation.keep_for(here.settings.queue_lifetime))
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("State", "Algorithm", "Since", "Withdrawn at", "Record", "Text"),
        (
            (row["state"], row["algorithm"], row["since"], row["withdrawn_at"], row["record_name"], row["record"])
            for row in rows
        ),
        empty=f"{name} has no keys; the directory makes them while it runs.",
    )


def rotate(context: typer.Context, domain: DomainArgument) -> None:
    """Make new keys for DOMAIN. They sign by themselves once every name server answers with their records."""
    from mailu.identity import rotation
    from mailu.identity.dkim import DkimKeyError

    here = surroundings(context)
    name = _domain(here, domain)
    try:
        steps = rotation.begin(here.places.dkim, name, here.settings.dkim_selector)
        _tell(here, name, steps)
        for key in rotation.published(here.places.dkim, name):
            if key.state == "pending":
                print(f'{key.selector}._domainkey.{name}. 600 IN TXT "{key.record}"')
    except DkimKeyError as error:
        raise CommandError(str(error)) from None


def advance(
    context: typer.Context,
    domain: DomainArgument,
    force: Annotated[bool, typer.Option("--force", help="Do not look whether the records are in DNS.")] = False,
) -> None:
    """Look now whether the new keys of DOMAIN may sign. What runs does so every five minutes by itself."""
    from mailu.identity import rotation
    from mailu.identity.authoritative import Dns, own_resolver
    from mailu.identity.dkim import DkimKeyError
    from mailu.servers.rotation import names_of, seen

    here = surroundings(context)
    name = _domain(here, domain)
    names = names_of(here.snapshot())[name]
    dns = Dns(own_resolver(here.places))
    keep = rotation.keep_for(here.settings.queue_lifetime)
    try:
        if force:
            steps = rotation.activate(here.places.dkim, name)
        else:
            look = partial(seen, dns, here.places.dkim, names)
            steps = rotation.advance(here.places.dkim, name, seen=look, keep=keep)
    except DkimKeyError as error:
        raise CommandError(str(error)) from None
    _tell(here, name, steps)
    if not steps:
        waiting = [key.selector for key in rotation.published(here.places.dkim, name) if key.state == "pending"]
        print(f"Nothing is due{f'; not every name server answers with {waiting}' if waiting else ''}.")


def cancel(context: typer.Context, domain: DomainArgument) -> None:
    """Delete the new keys of DOMAIN that do not sign yet."""
    from mailu.identity import rotation

    here = surroundings(context)
    name = _domain(here, domain)
    steps = rotation.cancel(here.places.dkim, name)
    _tell(here, name, steps)
    if not steps:
        print(f"No key of {name} waits.")


def _domain(here: Surroundings, text: str) -> DomainName:
    from mailu.address import DomainName
    from mailu.directory.changes import get_domain

    # Opening the store gives up root's rights: keys belong to the control plane's user.
    with here.store.read() as session:
        return DomainName(get_domain(session, text).name)


def _tell(here: Surroundings, domain: DomainName, steps: list[Step]) -> None:
    from mailu.directory.changes import note

    if not steps:
        return
    with here.store.session() as session:
        note(session, here.actor, "dkim.rotate", domain, {step.selector: step.what for step in steps})
    for step in steps:
        text = str(step)
        print(f"{text[0].upper()}{text[1:]}.")
