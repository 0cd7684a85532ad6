"""Whether everything that can be looked at from here is as it should be."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import typer

from mailu.cli.failures import sentences
from mailu.cli.output import JsonOption, print_json
from mailu.cli.surroundings import Surroundings, surroundings

_ACCOUNTS = ("mailu", "vmail")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. *problem*: something does not work; *warning*: it works, and could be better."""

    about: str
    state: Literal["ok", "warning", "problem"]
    text: str


def add_to(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("check")(check)


def check(context: typer.Context, as_json: JsonOption = False) -> None:
    """Look at settings, users, certificates, services and database. Ends with 1 when there is a problem."""
    here = surroundings(context)
    findings = [finding for look in _CHECKS for finding in _guarded(look, here)]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.state.capitalize():8} {finding.about}: {finding.text}")
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _guarded(look: Callable[[Surroundings], Iterator[Finding]], here: Surroundings) -> list[Finding]:
    """What *look* finds. A known failure is a finding too; the other checks go on."""
    about = look.__name__.removeprefix("_")
    try:
        return list(look(here))
    except Exception as error:
        lines = sentences(error)
        if lines is None:
            raise
        return [Finding(about, "problem", line) for line in lines]


def _settings(here: Surroundings) -> Iterator[Finding]:
    for warning in here.settings.warnings:
        yield Finding("settings", "warning", warning)
    yield Finding("settings", "ok", f"{here.source.file or 'the environment'} can be used")


def _accounts(_here: Surroundings) -> Iterator[Finding]:
    for name in _ACCOUNTS:
        try:
            pwd.getpwnam(name)
        except KeyError:
            yield Finding("accounts", "problem", f"the system user {name} is missing; `mailu up` makes it")


def _certificates(here: Surroundings) -> Iterator[Finding]:
    from mailu.identity.certificates import inspect_pair
    from mailu.identity.placed import placed_pairs

    settings, places = here.settings, here.places
    if settings.tls_flavor != "cert":
        return
    placed = placed_pairs(places.certs, settings.tls_cert_filename, settings.tls_keypair_filename)
    if not placed:
        chain = places.certs / settings.tls_cert_filename
        yield Finding("certificates", "warning", f"{chain} is not there; a self-signed certificate stands in")
    for pair in placed:
        # A folder may hold the certificate of one name only; the files that the settings name are for all.
        problems = inspect_pair(pair.chain, pair.key, settings.hostnames if len(placed) == 1 else ())
        for problem in problems:
            yield Finding("certificates", "problem" if problem.severity == "unusable" else "warning", problem.text)
        if not problems:
            yield Finding("certificates", "ok", f"{pair.chain} can be used")


def _services(here: Surroundings) -> Iterator[Finding]:
    from mailu.deploy.native import overview

    now = overview(here.places)
    if not now.running:
        yield Finding("services", "warning", f"Mailu does not run at {now.root}")
        return
    for service in now.services:
        if not service["ready"]:
            yield Finding("services", "problem", f"{service['name']}: {service['reason'] or service['state']}")
        for problem in service["problems"]:
            yield Finding("services", "problem", f"{service['name']}: {problem}")
    if now.ready:
        yield Finding("services", "ok", f"{len(now.services)} services answer")


def _database(here: Surroundings) -> Iterator[Finding]:
    from mailu.directory.schema import revisions

    found, newest = here.store.revision(), revisions()[-1]
    if found is None:
        yield Finding("database", "problem", "it has no tables yet; `mailu up` or `mailu db upgrade` makes them")
    elif found != newest:
        yield Finding("database", "problem", f"its schema is at {found}, not {newest}; run `mailu db upgrade`")
    else:
        yield Finding("database", "ok", f"it answers; schema {found}")


def _people(here: Surroundings) -> Iterator[Finding]:
    from mailu.directory.lookup import resolve
    from mailu.directory.store import NoSchema

    try:
        snapshot = here.snapshot()
    except NoSchema:
        return
    postmaster = here.settings.postmaster_address
    if not resolve(snapshot, postmaster).deliver:
        yield Finding("people", "warning", f"nobody gets mail for {postmaster}, where reports and questions go")
    if not any(user.global_admin and user.enabled for user in snapshot.users.values()):
        yield Finding("people", "warning", "there is no administrator; make one with `mailu admin`")
    yield Finding("people", "ok", f"{len(snapshot.users)} mailboxes in {len(snapshot.domains)} domains")


# In this order: the database is opened without root's rights, and what follows it has none.
_CHECKS = (_settings, _accounts, _certificates, _services, _database, _people)
