"""Telling the postmaster by mail that a certificate ends, whatever the flavour. Run by the agent that hosts SMTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mailu.deploy import aside
from mailu.deploy.situation import Situation
from mailu.identity.expiry import Ending, endings, untold
from mailu.identity.issuing.state import load_state, state_file

log = logging.getLogger("mailu.agent")


def told_file(situation: Situation) -> Path:
    """What was told already. It belongs to the certificates: those who copy them bring it along."""
    return situation.places.certs / ".told.json"


def tell(situation: Situation, now: datetime | None = None) -> int:
    """Queue one message about everything that was not told yet; returns how many certificates it names.

    Raises nothing: what Postfix does not take, or what could not be looked at, is told the next time.
    """
    when = now or datetime.now(UTC)
    file = told_file(situation)
    told = _read(file)
    served = [*situation.certificates, *situation.rsa_certificates, *situation.web_certificates]
    try:
        found = aside.ask(endings, served, situation.contents, when)
    except OSError as error:
        log.warning("whether certificates end could not be found out: %s", error)
        return 0
    news = untold(found, told)
    if not news:
        return 0
    first = min(news, key=lambda one: one.ends)
    left = "has ended" if first.days == 0 else f"ends on {first.ends:%d %B %Y}"
    lines = [one.sentence(when) for one in sorted(news, key=lambda one: one.ends)]
    from mailu.daemons.postfix.post import NotSent, tell_postmaster  # here: certificates end seldom

    try:
        tell_postmaster(
            situation.settings,
            f"The certificate of {first.name} {left}",
            "\n".join([*lines, "", *_what_to_do(situation, news), ""]),
        )
    except NotSent as error:
        log.warning("certificates end and nobody could be told: %s", error)
        return 0
    kept = {one.mark: told.get(one.mark, when.isoformat(timespec="seconds")) for one in found}
    scratch = file.with_suffix(".new")
    scratch.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    scratch.replace(file)
    return len(news)


def _what_to_do(situation: Situation, news: Sequence[Ending]) -> list[str]:
    settings, certs = situation.settings, situation.places.certs
    names = {one.name for one in news}
    if settings.tls_flavor != "letsencrypt":
        places = " and ".join(sorted({str(one.chain) for one in news}))
        return [f"Put a new certificate into {places} and its key beside it; nothing has to be restarted."]
    state = load_state(state_file(certs))
    reasons = [
        f"{name}: {state.of(name).reason}. {state.of(name).advice}" for name in sorted(names) if state.of(name).reason
    ]
    return reasons or ["It should have been renewed by itself; `mailu certificates` says why it was not."]


def _read(file: Path) -> dict[str, str]:
    try:
        return {str(key): str(value) for key, value in json.loads(file.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}
