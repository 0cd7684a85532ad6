"""``config-export``: domains, people, aliases and relays as YAML or JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from mailu.cli.config_documents import ColorOption, SecretsOption, colored, configuration, wants_color
from mailu.cli.failures import CommandError
from mailu.cli.surroundings import surroundings


def add_to(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("config-export")(config_export)


def config_export(
    context: typer.Context,
    filters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILTER]...", help="Sections (user) or attributes (domain.dns_mx); none: everything."),
    ] = None,
    full: Annotated[bool, typer.Option("-f", "--full", help="Also defaults, dates and used quota.")] = False,
    secrets: SecretsOption = False,
    dns: Annotated[bool, typer.Option("-d", "--dns", help="Also the DNS records of each domain.")] = False,
    color: ColorOption = False,
    output_file: Annotated[
        str | None, typer.Option("-o", "--output-file", metavar="FILE", help="Write to a file that only you can read.")
    ] = None,
    as_json: Annotated[bool, typer.Option("-j", "--json", help="One line of JSON.")] = False,
) -> None:
    """Print the configuration: domains, users, aliases and relays. Secrets and hashes are hidden unless asked for."""
    from mailu.directory.archive import BadFilter, ExportOptions

    target = _open(output_file) if output_file not in (None, "-") else None
    here = surroundings(context)
    options = ExportOptions(full=full, secrets=secrets, dns=dns, filters=filters or ())
    try:
        pieces = configuration(here).export(options, as_json=as_json)
        if target is not None:
            _write(target, pieces)
        elif wants_color(color):
            sys.stdout.write(colored("".join(pieces), as_json=as_json))
        else:
            sys.stdout.writelines(pieces)
    except BadFilter as error:
        raise CommandError(str(error)) from None


def _open(name: str) -> int:
    """Open the file before rights are given up, so that root may write where only root can. Nobody else reads it."""
    path = Path(name)
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.fchmod(number, 0o600)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None
    return number


def _write(number: int, pieces: Iterable[str]) -> None:
    with os.fdopen(number, "w", encoding="utf-8") as stream:
        stream.writelines(pieces)
        stream.flush()
        os.fsync(stream.fileno())
