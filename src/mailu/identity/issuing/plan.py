"""When the authority is asked: early enough before the end of a certificate, and after failures ever more seldom.

An authority counts: Let's Encrypt takes five failed checks an hour for a name and five equal certificates a week, and
answers nothing at all to who asks too much. Source: https://letsencrypt.org/docs/rate-limits/
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from mailu.identity.issuing.state import NameState

RENEW_AT_SHARE = 2 / 3
"""Renewed when this much of the lifetime has passed: day 60 of 90, day 4 of 6."""
LONGEST_PAUSE = timedelta(days=1)


class Failure(StrEnum):
    """Why there is no certificate; decides when it is tried again."""

    NOT_READY = "not_ready"
    """Our own web server does not answer yet, or the authority would not find it: nobody was asked."""
    REFUSED = "refused"
    """The authority looked and did not find our answer."""
    UNREACHABLE = "unreachable"
    """The authority does not answer, or has trouble of its own."""
    RATE_LIMITED = "rate_limited"
    OTHER = "other"


_FIRST_PAUSE = {
    Failure.NOT_READY: timedelta(minutes=1),
    Failure.REFUSED: timedelta(minutes=15),
    Failure.UNREACHABLE: timedelta(minutes=5),
    Failure.RATE_LIMITED: timedelta(hours=12),
    Failure.OTHER: timedelta(minutes=30),
}
_LONGEST = {Failure.NOT_READY: timedelta(minutes=15), Failure.UNREACHABLE: timedelta(hours=4)}
"""Looking ourselves costs nothing and shall be noticed soon once it is put right."""


def pause_after(failure: Failure, failures: int) -> timedelta:
    """How long to wait after the *failures*-th failure in a row (from 1): doubling, to a day at most."""
    longest = _LONGEST.get(failure, LONGEST_PAUSE)
    return min(longest, _FIRST_PAUSE[failure] * (1 << min(max(failures, 1) - 1, 10)))


def renewal_at(begins: datetime, ends: datetime) -> datetime:
    """When a certificate that is valid from *begins* to *ends* is to be renewed."""
    return begins + (ends - begins) * RENEW_AT_SHARE


def is_due(state: NameState, validity: tuple[datetime, datetime] | None, now: datetime) -> bool:
    """Whether to ask now; *validity*: first and last moment of the certificate that is there, None for none."""
    if state.next_try_at is not None and now < state.next_try_at:
        return False
    return validity is None or now >= renewal_at(*validity)


def failed(
    state: NameState,
    failure: Failure,
    reason: str,
    advice: str,
    now: datetime,
    *,
    not_before: datetime | None = None,
) -> NameState:
    """*state* after a failure. *not_before*: when the authority said that it may be asked again."""
    failures = state.failures + 1
    moment = now + pause_after(failure, failures)
    return replace(
        state,
        phase="failed",
        reason=reason,
        advice=advice,
        failure=failure.value,
        failures=failures,
        tried_at=now,
        next_try_at=max(moment, not_before) if not_before is not None else moment,
    )


def succeeded(state: NameState, expires_at: datetime, now: datetime, notes: tuple[str, ...] = ()) -> NameState:
    """*state* after a success."""
    return NameState(state.name, phase="ok", tried_at=now, expires_at=expires_at, notes=notes)
