"""Certificates: which are served, until when, why one is missing; asking for a new one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.surroundings import Surroundings, surroundings
from mailu.cli.words import HELP_OPTIONS

_PAUSE_SECONDS = 0.5
_GOOD_PAIR = "Put a good certificate and its key there; nothing has to be restarted."
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A host name, as `mailu certificates` shows it.")]
WaitOption = Annotated[int, typer.Option("--wait", metavar="SECONDS", help="How long to wait for the outcome.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(
        help="Certificates: what is served, until when, what is wrong; renew one now.",
        context_settings={"help_option_names": HELP_OPTIONS},
        invoke_without_command=True,
    )
    group.callback()(certificates)
    group.command("renew")(renew)
    group.command("replace")(replace)
    app.add_typer(group, name="certificates")


@dataclass(frozen=True, slots=True)
class Shown:
    """One name, for people and programs. *state*: ok, warning (it works), or problem (clients will complain)."""

    name: str
    state: str
    expires_at: datetime | None
    chain: str
    reason: str
    advice: str
    next_try_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        """With moments in RFC 3339."""
        return {
            "name": self.name,
            "state": self.state,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "chain": self.chain,
            "reason": self.reason,
            "advice": self.advice,
            "next_try_at": self.next_try_at.isoformat() if self.next_try_at else None,
        }


def certificates(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show for every name which certificate is served, until when, and what is wrong with it."""
    if context.invoked_subcommand is not None:
        return
    found = overview(surroundings(context))
    if as_json:
        print_json([one.to_json() for one in found])
    else:
        print_table(
            ("Name", "State", "Until", "Why", "What to do", "Next try"),
            (
                (one.name, one.state, _day(one.expires_at), one.reason, one.advice, _minute(one.next_try_at))
                for one in found
            ),
            empty="TLS is switched off (TLS_FLAVOR=notls).",
        )
    if any(one.state == "problem" for one in found):
        raise typer.Exit(1)


def overview(here: Surroundings, now: datetime | None = None) -> list[Shown]:
    """Every name that is served, or should be."""
    from mailu.deploy.ground import certificates_in_force
    from mailu.identity.certificates import parse_chain
    from mailu.identity.issuing.state import load_state, state_file
    from mailu.identity.pairs import Pair, is_self_signed_pair

    if not here.settings.has_tls:
        return []
    when = now or datetime.now(UTC)
    served = certificates_in_force(here.places, here.settings)
    state = load_state(state_file(here.places.certs))
    shown = []
    for name, chain, key in (*served.certificates, *served.web):
        problems = [text for about, text in served.problems if about == name]
        refused = [text for about, text in served.refused if about == name]
        issued = state.of(name)
        stands_in = is_self_signed_pair(chain)
        leaf = parse_chain(served.contents[Pair(chain, key)].chain, chain)[0]
        ends = None if stands_in else leaf.not_valid_after_utc
        bad = stands_in or (ends is not None and ends <= when) or bool(problems)
        reason = issued.reason or "; ".join([*problems, *refused, *issued.notes])
        advice = issued.advice or (_GOOD_PAIR if refused else "")
        level = "problem" if bad else "warning" if reason else "ok"
        shown.append(Shown(name, level, ends, str(chain), reason, advice, issued.next_try_at))
    known = {one.name for one in shown}
    for one in state.names.values():
        if one.name not in known and one.phase == "failed":
            shown.append(Shown(one.name, "warning", one.expires_at, "", one.reason, one.advice, one.next_try_at))
    return shown


def renew(context: typer.Context, name: NameArgument, wait: WaitOption = 120) -> None:
    """Have the certificate of NAME renewed now; its key stays, and TLSA records with it."""
    _ask(surroundings(context), name, "renew", wait)


def replace(context: typer.Context, name: NameArgument, wait: WaitOption = 120) -> None:
    """Have NAME get a new key and certificate, and the one before revoked. Change TLSA records of the key after it."""
    _ask(surroundings(context), name, "replace", wait)


def _ask(here: Surroundings, name: str, what: str, wait: int) -> None:
    from mailu.identity.issuing.state import load_state, request_folder, state_file

    if here.settings.tls_flavor != "letsencrypt":
        raise CommandError("certificates are put into ROOT/certs by hand here (TLS_FLAVOR); there is nobody to ask")
    file = state_file(here.places.certs)
    before = load_state(file)
    if name not in before.names:
        raise CommandError(f"{name} is not one of {', '.join(before.names) or 'the names known so far'}")
    folder = request_folder(here.places.certs)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    asked, tried_at = folder / name, before.of(name).tried_at
    asked.write_text(what, encoding="ascii")
    end = time.monotonic() + wait
    while (waits := asked.exists()) or load_state(file).of(name).tried_at == tried_at:
        if time.monotonic() > end:
            raise CommandError(
                f"nothing has happened in {wait} s; does the service `certificates` run? See `mailu status`"
            )
        if waits:
            # What ends before our request is taken up was under way already, and is not what was asked for.
            tried_at = load_state(file).of(name).tried_at
        time.sleep(_PAUSE_SECONDS)
    now = load_state(file).of(name)
    if now.phase != "ok":
        raise CommandError(f"{name}: {now.reason}. {now.advice} Next try at {_minute(now.next_try_at)} UTC")
    print(f"{name} has a new certificate, good until {_day(now.expires_at)}.")
    for note in now.notes:
        print(note)


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
