"""Finding out what is wrong: DNS beside what it should be, the whole server, and a bundle for those who help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mailu.cli.failures import CommandError, sentences
from mailu.cli.output import JsonOption, print_json, print_table, printable
from mailu.cli.surroundings import Surroundings, surroundings

if TYPE_CHECKING:
    from mailu.deploy.doctor import Finding
    from mailu.deploy.examination import Patient
    from mailu.directory.snapshot import Snapshot, TlsExceptionEntry
    from mailu.identity.authoritative import Dns
    from mailu.identity.dns_records import DomainFacts
    from mailu.settings import Settings

T = TypeVar("T")
DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN")]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("dns")(dns)
    app.command("doctor")(doctor)
    app.command("support")(support)


def dns(
    context: typer.Context,
    domain: DomainArgument,
    as_json: JsonOption = False,
    zone: Annotated[bool, typer.Option("--zone", help="Only print the records, as lines of a zone file.")] = False,
) -> None:
    """Compare what DNS says about DOMAIN with what it should say. Ends with 2 when mail suffers, 1 for less."""
    from mailu.deploy.examination import compare
    from mailu.identity.authoritative import Dns, own_resolver
    from mailu.identity.dns_records import records, zone_text

    here = surroundings(context)
    patient = patient_of(here, domain, Dns(own_resolver(here.places)))
    if zone:
        print(zone_text([record for facts in patient.facts for record in records(facts)]), end="")
        return
    found = compare(patient)
    if as_json:
        print_json([one.to_json() for one in found])
    else:
        print_table(
            ("Verdict", "Name", "Type", "Expected", "Found", "Why"),
            ((one.verdict, one.name, one.type, one.expected, one.found, one.why) for one in found),
            empty="There is nothing to compare.",
        )
    bad = [one for one in found if one.is_problem]
    if bad:
        raise typer.Exit(2 if any(one.needed for one in bad) else 1)


def doctor(context: typer.Context, as_json: JsonOption = False) -> None:
    """Look for whatever is wrong with the server. Ends with 0 when all is well, 1 for warnings, 2 for failures."""
    from mailu.deploy.doctor import exit_code

    findings = examine(surroundings(context))
    if as_json:
        print_json([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            print(printable(finding.line()))
    raise typer.Exit(exit_code(findings))


def examine(here: Surroundings) -> list[Finding]:
    """All findings. What needs root's rights comes before the database, which gives them up."""
    from mailu.deploy import doctor as judge
    from mailu.deploy import examination
    from mailu.deploy.examination import Patient
    from mailu.deploy.native import overview as services_now
    from mailu.directory.lookup import takes_all, tls_exceptions
    from mailu.directory.models import today
    from mailu.identity.authoritative import Dns, own_resolver

    source = here.source.file
    _, problems = _unless_known(lambda: here.settings)
    findings = judge.settings(problems, source)
    if problems:
        return findings
    now = services_now(here.places)
    findings += judge.services(now.running, now.services)
    before = Patient(here.settings, here.places, (), Dns(own_resolver(here.places)))
    findings += examination.machine(before)
    if any(one.check == "resolver" and one.state == "failure" for one in findings):
        before.dns.give_up()  # thirty questions would wait for an answer, one after another
    findings += _certificates(here)
    patient, problems = _unless_known(lambda: _sound_patient(here, before.dns))
    findings += judge.database(problems, len(patient.facts) if patient else 0)
    if patient is not None:
        snapshot = here.snapshot()
        findings += judge.relays(takes_all(snapshot))
        exceptions = tls_exceptions(snapshot, today())
        findings += examination.smart_hosts(patient, _smart_hosts(here.settings, snapshot, exceptions))
        findings += judge.tls_exceptions(exceptions)
    return findings + list(examination.names(patient or before))


def _unless_known(make: Callable[[], T]) -> tuple[T | None, list[str]]:
    """What *make* returns, or the sentences of a known failure."""
    try:
        return make(), []
    except Exception as error:
        lines = sentences(error)
        if lines is None:
            raise
        return None, lines


def _sound_patient(here: Surroundings, dns: Dns) -> Patient:
    """Everything about all domains. Raises what a damaged or absent database raises."""
    patient = patient_of(here, None, dns)
    if damage := here.store.damage():
        raise CommandError(f"the database is damaged: {damage}")
    return patient


def _smart_hosts(settings: Settings, snapshot: Snapshot, exceptions: Mapping[str, TlsExceptionEntry]) -> dict[str, str]:
    """The next hops that get a password, with the TLS level that the operator said for each; empty for nothing."""
    from mailu.directory.relay_target import parse_relay_target
    from mailu.servers.outbound_tls import level_said

    general = settings.outbound_tls_level
    level = general if general in ("fingerprint", "dane-only") else ""
    hosts = (host for host in snapshot.smart_hosts.values() if host.user is not None)
    found = dict.fromkeys((parse_relay_target(host.host).next_hop("") for host in hosts), level)
    if settings.relayhost is not None and settings.relayuser is not None:
        found[settings.relayhost] = "none" if general == "none" else level
    levels = {str(routed.domain): routed.treatment for routed in settings.outbound_tls_destinations}
    for next_hop in found:
        said = level_said(next_hop, exceptions, levels)
        if said is not None:
            found[next_hop] = said if isinstance(said, str) else said.level
    return found


def _certificates(here: Surroundings) -> list[Finding]:
    from datetime import UTC, datetime

    from mailu.cli.certificates import overview
    from mailu.deploy import doctor as judge

    found = []
    shown = overview(here)
    for one in shown:
        days = (one.expires_at - datetime.now(UTC)).days if one.expires_at else None
        finding = judge.certificate(one.name, one.state, one.reason, one.advice, days)
        if finding is not None:
            found.append(finding)
    return judge.all_certificates(len(shown), found)


def patient_of(here: Surroundings, domain: str | None, dns: Dns) -> Patient:
    """What is compared: *domain* with its other names, or all. Raises NotFound."""
    from mailu.deploy.examination import Patient
    from mailu.identity.egress import look_for_unnamed

    store = here.store  # from here on files are written as the user that the services run as
    assert store is not None
    look_for_unnamed(here.settings, here.places, dns.look)
    return Patient(here.settings, here.places, facts_of(here, domain), dns)


def facts_of(here: Surroundings, domain: str | None) -> list[DomainFacts]:
    """The facts of *domain* and its alternatives; of all domains for None."""
    from mailu.control import domain_facts
    from mailu.directory.changes import get_domain

    snapshot = here.snapshot()
    if domain is None:
        names = sorted(snapshot.domains)
    else:
        with here.store.read() as session:
            names = [get_domain(session, domain).name]
    found = []
    for name in names:
        found.append(domain_facts(here.settings, here.places, name, known=snapshot))
        others = sorted(other for other, owner in snapshot.alternatives.items() if owner == name)
        found += [
            domain_facts(here.settings, here.places, other, alternative_of=name, known=snapshot) for other in others
        ]
    return found


def support(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, such as support.txt.")],
    addresses: Annotated[bool, typer.Option("--addresses", help="Leave mail and network addresses in.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many log lines of each service.")] = 200,
) -> None:
    """Write what people who help need to know into FILE: versions, settings, findings, logs; no passwords or keys."""
    from mailu.deploy.support import write_bundle

    here = surroundings(context)
    if file.exists():
        raise CommandError(f"{file} is there already; choose another name")
    # The file is made before the database is opened, which gives up root's rights.
    with file.open("x", encoding="utf-8") as stream:
        file.chmod(0o600)
        write_bundle(stream, here.settings, here.places, lambda: examine(here), lines=lines, addresses=addresses)
    print(f"{file} is written. Read it before you pass it on: what people wrote into names and comments is in it.")
