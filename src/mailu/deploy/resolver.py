"""Who resolves names here: our own Unbound, the system's resolver; and does it validate DNSSEC.

Unbound needs the open DNS: some networks let only their own resolver through. So it is asked, as is the system's, for
a name that is signed for ever (the root zone's SOA) with the answer's AD bit as the proof; what answers and validates
is used, and what was found out is kept for the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path

from mailu.daemons.unbound import question
from mailu.deploy.ground import Verdict
from mailu.places import Places
from mailu.settings import Settings

QUESTION_SECONDS = 3.0
FIRST_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
SETTLED_SECONDS = 300.0
UNSETTLED_SECONDS = 30.0
RESOLV_CONF = Path("/etc/resolv.conf")


def remembered(places: Places) -> Verdict:
    """What was found out in an earlier run; the system's resolver, not trusted, when nothing was."""
    try:
        return Verdict(**json.loads(_file(places).read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError):
        return Verdict()


def remember(places: Places, verdict: Verdict) -> None:
    """Keep it for the next start."""
    with contextlib.suppress(OSError):
        _file(places).write_text(json.dumps(asdict(verdict)), encoding="ascii")


def _file(places: Places) -> Path:
    return places.run / "resolver.json"


def answers(address: str, port: int = 53) -> bool | None:
    """Ask the resolver at *address* for the SOA of the root zone.

    Returns True when it validated the answer, False when it answered without, None when it did not answer or failed.
    """
    try:
        answer = question.ask(".", question.SOA, address, port, seconds=QUESTION_SECONDS)
    except question.NoAnswer:
        return None
    return answer.validated if not answer.code and answer.records else None


def answers_from_memory(address: str, port: int) -> bool:
    """Whether the resolver at *address* answers with what it knew before, because nobody outside answers it."""
    import dns.exception  # here: the agent asks the other question only, and does without the library
    import dns.message
    import dns.query
    import dns.rdatatype
    from dns.edns import EDECode, EDEOption

    asked = dns.message.make_query(".", dns.rdatatype.SOA, want_dnssec=True)
    try:
        options = dns.query.udp(asked, address, port=port, timeout=QUESTION_SECONDS).options
    except (OSError, dns.exception.DNSException):
        return False
    return any(isinstance(one, EDEOption) and one.code == EDECode.STALE_ANSWER for one in options)


def system_resolvers(file: Path = RESOLV_CONF) -> list[str]:
    """The addresses in resolv.conf(5)."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [fields[1] for line in lines if len(fields := line.split()) > 1 and fields[0] == "nameserver"]


def judge(choice: str, own_port: int) -> Verdict:
    """Decide, by asking. *choice* is the setting RESOLVER; *own_port* 0 when our own resolver does not run.

    Our own is used when it resolves; where it does not, the system's is better than none.
    """
    own = answers("127.0.0.1", own_port) if choice != "system" and own_port else None
    if own:
        return Verdict(own_port, own_validates=True)
    found = [answers(address) for address in system_resolvers()[:3]]
    # The C library may ask any of them: they all must validate.
    system_validates = bool(found) and all(found)
    if own is not None or (choice == "unbound" and own_port):
        return Verdict(own_port, system_validates=system_validates, resolves=own is not None)
    return Verdict(0, system_validates=system_validates, resolves=any(answer is not None for answer in found))


async def verdicts(own_port: Callable[[], int], settings: Callable[[], Settings]) -> AsyncIterator[Verdict]:
    """A verdict every five minutes, more often as long as nothing validates."""
    pauses = list(FIRST_PAUSES_SECONDS)
    while True:
        verdict = await asyncio.to_thread(judge, settings().resolver, own_port())
        yield verdict
        settled = verdict.validates or settings().resolver == "system"
        await asyncio.sleep(pauses.pop(0) if pauses and not settled else _pause(settled))


def _pause(settled: bool) -> float:
    return SETTLED_SECONDS if settled else UNSETTLED_SECONDS


def describe(verdict: Verdict) -> str:
    """One sentence for the log."""
    who = "our own resolver" if verdict.port else "the system's resolver"
    return f"names are resolved by {who}, {'with' if verdict.validates else 'without'} DNSSEC validation for mail"


def warnings(verdict: Verdict, settings: Settings) -> list[str]:
    """What the operator should know."""
    if verdict.validates:
        return []
    if verdict.own_validates:
        cause = "our own resolver validates DNSSEC, but Postfix cannot be led to it on this system"
    elif settings.resolver != "system" and not verdict.port:
        cause = "our own resolver cannot reach the DNS from here and the system's does not validate DNSSEC"
    else:
        cause = "the resolver does not validate DNSSEC"
    return [f"{cause}: mail is sent without DANE"]
