"""``/session/{email}``: where somebody is signed in on the web, and signing them out."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mailu.address import parse_address
from mailu.api.access import Caller, Control, Reader, Writer, wait
from mailu.api.answers import OneLine, done
from mailu.api.lists import SESSIONS
from mailu.api.paging import Paged, listed_plain
from mailu.api.shapes import Done
from mailu.auth.sessions import SessionInfo, SessionsAway
from mailu.control import ControlPlane
from mailu.directory import changes

router = APIRouter(tags=["session"])


@router.get("/session/{email:path}", response_model=list[SessionInfo])
async def list_sessions(request: Request, control: Control, caller: Reader, email: str, page: Paged) -> OneLine:
    """The sessions of a user: since when, from where, with which browser."""
    address = await asyncio.to_thread(_existing, control, caller, email)
    try:
        found = [asdict(each) for each in await control.sessions.of(address)]
    except SessionsAway:
        raise HTTPException(503, "sessions cannot be read right now", wait(5)) from None
    return listed_plain(request, found, SESSIONS, page)


@router.delete("/session/{email:path}")
async def end_sessions(control: Control, caller: Writer, email: str) -> Done:
    """Sign a user out everywhere on the web."""
    address = await asyncio.to_thread(_existing, control, caller, email)
    try:
        ended = await control.sessions.end_all(address)
    except SessionsAway:
        raise HTTPException(503, "sessions cannot be ended right now", wait(5)) from None
    await asyncio.to_thread(_note, control, caller, address)
    return done(f"{ended} sessions of {address} have been ended")


def _existing(control: ControlPlane, caller: Caller, email: str) -> str:
    address = str(parse_address(email))
    caller.require_address(address)
    with control.store.read() as session:
        caller.require_rank(session, address)
        return changes.get_user(session, address).email


def _note(control: ControlPlane, caller: Caller, address: str) -> None:
    with control.store.session() as session:
        changes.note(session, caller.actor, "session.end", address)
