"""``/audit`` and ``/retired``: who changed what, and deleted mailboxes that can be had back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from sqlalchemy import or_, select
from sqlalchemy.orm import Session
from starlette.requests import Request

from mailu.api.access import Caller, Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import AUDIT, RETIRED
from mailu.api.paging import PRINTABLE, Paged, listed
from mailu.api.schemas import COUNT, audit_object, retired_object
from mailu.api.shapes import AuditRow, Done, RetiredObject
from mailu.directory import changes
from mailu.directory.listing import PageRequest
from mailu.directory.models import Audit, Retired

router = APIRouter()
_LAST = 100
"""Rows of the trail that are shown when no page is asked for: the whole may be years."""


def _filter(description: str) -> Any:
    return Query(max_length=255, pattern=PRINTABLE, description=description)


@router.get("/audit", tags=["audit"], response_model=list[AuditRow])
def list_audit(
    request: Request,
    control: Control,
    caller: Reader,
    page: Paged,
    subject: Annotated[
        str | None, Query(max_length=255, pattern=PRINTABLE, description="only what was done to this one")
    ] = None,
    actor: Annotated[str | None, Query(max_length=255, pattern=PRINTABLE, description="only what this one did")] = None,
) -> OneLine:
    """The audit trail: who, from where, did what. Without paging, the last 100 rows, the newest first."""
    caller.require_all()
    statement = select(Audit)
    if subject is not None:
        statement = statement.where(Audit.subject == subject)
    if actor is not None:
        statement = statement.where(Audit.actor == actor)
    wanted = page or PageRequest(limit=_LAST, sort="id", descending=True)
    with control.store.read() as session:
        return listed(request, session, statement, AUDIT, wanted, audit_object)


@router.get("/retired", tags=["retired"], response_model=list[RetiredObject])
def list_retired(request: Request, control: Control, caller: Reader, page: Paged) -> OneLine:
    """Deleted mailboxes whose mail is still there."""
    statement = select(Retired)
    if caller.domains is not None:
        theirs = (Retired.email.endswith(f"@{domain}", autoescape=True) for domain in sorted(caller.domains))
        statement = statement.where(or_(*theirs))
    with control.store.read() as session:
        return listed(request, session, statement, RETIRED, page, retired_object)


@router.post("/retired/{retired_id}/restore", tags=["retired"])
def restore(control: Control, caller: Writer, retired_id: Annotated[int, Path(ge=0, le=COUNT)]) -> Done:
    """Bring a deleted mailbox back: mail, settings, password, tokens and rights."""
    with control.store.session() as session:
        retired = _find(session, caller, retired_id)
        changes.restore_user(session, retired.email, retired_id=retired_id, actor=caller.actor)
        email = retired.email
    return done(f"User {email} has been restored")


def _find(session: Session, caller: Caller, retired_id: int) -> Retired:
    retired = session.get(Retired, retired_id)
    if retired is None:
        raise changes.NotFound("deleted mailbox", retired_id)
    caller.require_address(retired.email)
    if retired.record["user"].get("global_admin"):
        caller.require_all()
    return retired
