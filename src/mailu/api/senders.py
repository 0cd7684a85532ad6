"""``/sender``: who is let in or kept out, on the lists of mailboxes, domains and the server."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy import or_, select
from sqlalchemy.orm import Session
from starlette.requests import Request

from mailu.address import parse_address, parse_domain
from mailu.api.access import Caller, Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import SENDERS
from mailu.api.paging import Paged, listed
from mailu.api.schemas import COUNT, SenderCreate, SenderUpdate, sender_object
from mailu.api.shapes import Done, SenderObject
from mailu.directory import changes
from mailu.directory.models import ListedSender, User
from mailu.directory.sender_lists import SERVER

router = APIRouter(tags=["sender"])
SenderId = Annotated[int, Path(ge=0, le=COUNT)]


@router.get("/sender", response_model=list[SenderObject])
def list_senders(
    request: Request,
    control: Control,
    caller: Reader,
    page: Paged,
    owner: Annotated[
        str | None, Query(max_length=255, description="only this list: an address, a domain; empty: the server's")
    ] = None,
) -> OneLine:
    """Listed senders, of every list that the token reaches, or of one."""
    statement = select(ListedSender)
    if owner is not None:
        canonical = _canonical(owner)
        _require(caller, canonical)
        statement = statement.where(changes.on_list(canonical))
    elif caller.domains is not None:
        people = select(User.email).where(User.domain_name.in_(caller.domains))
        mine = ListedSender.domain_name.in_(caller.domains)
        statement = statement.where(or_(mine, ListedSender.user_email.in_(people)))
    with control.store.read() as session:
        return listed(request, session, statement, SENDERS, page, sender_object)


@router.post("/sender", response_model=SenderObject)
def create_sender(control: Control, caller: Writer, body: SenderCreate) -> OneLine:
    """Put a sender on a list. The answer holds its id."""
    owner = _canonical(body.owner)
    _require(caller, owner)
    with control.store.session() as session:
        _require_rank(session, caller, owner)
        entry = changes.list_sender(session, owner, body.sender, body.verdict, actor=caller.actor, comment=body.comment)
        return OneLine(sender_object(entry))


@router.get("/sender/{sender_id}", response_model=SenderObject)
def get_sender(control: Control, caller: Reader, sender_id: SenderId) -> OneLine:
    """One listed sender."""
    with control.store.read() as session:
        return OneLine(sender_object(_find(session, caller, sender_id)))


@router.patch("/sender/{sender_id}")
def update_sender(control: Control, caller: Writer, sender_id: SenderId, body: SenderUpdate) -> Done:
    """Change what is said of a listed sender."""
    with control.store.session() as session:
        _require_rank(session, caller, _find(session, caller, sender_id).owner)
        changes.update_sender(session, sender_id, actor=caller.actor, **body.given())
    return done(f"Listed sender {sender_id} has been updated")


@router.delete("/sender/{sender_id}")
def delete_sender(control: Control, caller: Writer, sender_id: SenderId) -> Done:
    """Take a sender off its list."""
    with control.store.session() as session:
        _require_rank(session, caller, _find(session, caller, sender_id).owner)
        changes.unlist_sender(session, sender_id, actor=caller.actor)
    return done(f"Listed sender {sender_id} has been deleted")


def _canonical(owner: str) -> str:
    """Whose list is meant. Raises AddressError."""
    if not owner.strip():
        return SERVER
    return str(parse_address(owner)) if "@" in owner else parse_domain(owner)


def _require(caller: Caller, owner: str) -> None:
    """Refuse with 403 a list that the token does not reach."""
    if "@" in owner:
        caller.require_address(owner)
    elif owner:
        caller.require(owner)
    else:
        caller.require_all()


def _require_rank(session: Session, caller: Caller, owner: str) -> None:
    if "@" in owner:
        caller.require_rank(session, owner)


def _find(session: Session, caller: Caller, number: int) -> ListedSender:
    entry = changes.get_sender(session, number)
    _require(caller, entry.owner)
    return entry
