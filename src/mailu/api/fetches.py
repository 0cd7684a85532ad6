"""``/fetch``: accounts elsewhere whose mail is fetched. Their passwords go in and never come out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request

from mailu.address import parse_address
from mailu.api.access import Caller, Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import FETCHES
from mailu.api.paging import Paged, listed
from mailu.api.schemas import COUNT, FetchCreate, FetchUpdate, fetch_object
from mailu.api.shapes import Done, FetchObject
from mailu.directory import changes
from mailu.directory.models import Fetch, User

router = APIRouter(tags=["fetch"])
FetchId = Annotated[int, Path(ge=0, le=COUNT)]


@router.get("/fetch", response_model=list[FetchObject])
def list_fetches(
    request: Request,
    control: Control,
    caller: Reader,
    page: Paged,
    user: Annotated[str | None, Query(description="only those of this user")] = None,
) -> OneLine:
    """Fetched accounts, with when each was looked at last and what went wrong."""
    statement = select(Fetch)
    if caller.domains is not None:
        statement = statement.where(
            Fetch.user_email.in_(select(User.email).where(User.domain_name.in_(caller.domains)))
        )
    if user is not None:
        address = str(parse_address(user))
        caller.require_address(address)
        statement = statement.where(Fetch.user_email == address)
    with control.store.read() as session:
        return listed(request, session, statement, FETCHES, page, fetch_object)


@router.post("/fetch", response_model=FetchObject)
def create_fetch(control: Control, caller: Writer, body: FetchCreate) -> OneLine:
    """Fetch from an account. The answer holds its id."""
    fields = body.given()
    address = str(parse_address(fields.pop("email")))
    caller.require_address(address)
    with control.store.session() as session:
        caller.require_rank(session, address)
        return OneLine(fetch_object(changes.create_fetch(session, address, actor=caller.actor, **fields)))


@router.get("/fetch/{fetch_id}", response_model=FetchObject)
def get_fetch(control: Control, caller: Reader, fetch_id: FetchId) -> OneLine:
    """One fetched account."""
    with control.store.read() as session:
        return OneLine(fetch_object(_find(session, caller, fetch_id)))


@router.patch("/fetch/{fetch_id}")
def update_fetch(control: Control, caller: Writer, fetch_id: FetchId, body: FetchUpdate) -> Done:
    """Change a fetched account."""
    with control.store.session() as session:
        caller.require_rank(session, _find(session, caller, fetch_id).user_email)
        changes.update_fetch(session, fetch_id, actor=caller.actor, **body.given())
    return done(f"Fetched account {fetch_id} has been updated")


@router.delete("/fetch/{fetch_id}")
def delete_fetch(control: Control, caller: Writer, fetch_id: FetchId) -> Done:
    """Fetch from an account no more."""
    with control.store.session() as session:
        caller.require_rank(session, _find(session, caller, fetch_id).user_email)
        changes.delete_fetch(session, fetch_id, actor=caller.actor)
    return done(f"Fetched account {fetch_id} has been deleted")


def _find(session: Session, caller: Caller, fetch_id: int) -> Fetch:
    fetch = session.get(Fetch, fetch_id)
    if fetch is None:
        raise changes.NotFound("fetched account", fetch_id)
    caller.require_address(fetch.user_email)
    return fetch
