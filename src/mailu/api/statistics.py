"""``/statistics``: how much mail there was, day by day."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException

from mailu.address import parse_domain
from mailu.api.access import Control, Reader
from mailu.api.answers import OneLine
from mailu.directory import changes
from mailu.directory.day_counts import KEPT_DAYS, SERVER, DayCounts
from mailu.directory.mail_counts import counts_of_days
from mailu.directory.models import today

router = APIRouter(tags=["statistics"])
_USUAL_DAYS = 30


@router.get("/statistics", response_model=list[DayCounts])
def mail_statistics(
    control: Control,
    caller: Reader,
    first: Annotated[
        date | None, Query(alias="from", description="first day; without it, 29 days before the last")
    ] = None,
    last: Annotated[date | None, Query(alias="to", description="last day; without it, today (UTC)")] = None,
    domain: Annotated[
        str | None, Query(max_length=255, description="of this domain; without it, of the server")
    ] = None,
) -> OneLine:
    """Messages a day, the oldest day first: received into mailboxes here, sent to other servers, refused for good, and
    filed into Junk of what was received. They are kept for 400 days. Where services of mail run on other machines, the
    header ``Mailu-Not-Counted`` names the settings that say so: what passes there may be missing."""
    name = parse_domain(domain) if domain is not None else SERVER
    if domain is None:
        caller.require_all()
    else:
        caller.require(name)
    until = last or today()
    since = first or until - timedelta(min(_USUAL_DAYS - 1, (until - date.min).days))
    if not 0 <= (until - since).days < KEPT_DAYS:
        raise HTTPException(400, f"from {since} to {until} is no span of 1 to {KEPT_DAYS} days")
    with control.store.read() as session:
        if name:
            changes.get_domain(session, name)
        found = [asdict(day) for day in counts_of_days(session, first=since, last=until, domain=name)]
    elsewhere = ", ".join(control.settings.counted_elsewhere)
    return OneLine(found, headers={"Mailu-Not-Counted": elsewhere} if elsewhere else None)
