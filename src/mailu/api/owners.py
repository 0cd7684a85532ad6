"""Callers who are people, not programs of the operator: they act for themselves only.

They prove who they are with an app token in the header ``Authentication: <email>:<app token>`` (both parts may be
percent-encoded), as password managers send it, or with the session of a browser that is signed in. The account's
password is not taken: a password manager would have to keep it.
"""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mailu.api.access import Control, client_address, wait
from mailu.auth.attempt import Accepted, LoginAttempt, Reason, Refused
from mailu.auth.sessions import SessionsAway
from mailu.control import ControlPlane
from mailu.directory.changes import Actor
from mailu.directory.roles import Person, person

_SECURE_COOKIE = "__Host-mailu"
_PLAIN_COOKIE = "mailu"
"""How the pages call the session's cookie; the second name is for servers where TLS ends elsewhere."""


class Owner:
    """Somebody with a mailbox here."""

    def __init__(self, who: Person, origin: str) -> None:
        self.person = who
        self.actor = Actor(who.email, origin)

    @property
    def email(self) -> str:
        """The mailbox's address."""
        return self.person.email


_HEADER = APIKeyHeader(name="Authentication", auto_error=False, description="<email>:<app token>")


async def owner_of(
    request: Request, control: Control, _documented: Annotated[object, Security(_HEADER)] = None
) -> Owner:
    """Who calls; ends the request with 401, 403, 429 or 503."""
    header = request.headers.get("authentication", "").strip()
    if header:
        email = await _by_app_token(request, control, header)
    else:
        email = await _by_session(request, control)
    who = await asyncio.to_thread(_person, control, email)
    if who is None:
        raise HTTPException(403, "this account is gone or disabled")
    return Owner(who, f"api {client_address(request)}")


Self = Annotated[Owner, Depends(owner_of)]


async def _by_app_token(request: Request, control: ControlPlane, header: str) -> str:
    email, colon, token = header.partition(":")
    if not colon:
        raise HTTPException(401, "send the header Authentication: <email>:<app token>")
    attempt = LoginAttempt(
        login=unquote(email),
        password=unquote(token).encode(errors="replace"),
        protocol="api",
        client_ip=client_address(request),
        client_port=request.client.port if request.client else 0,
        local_port=443 if request.url.scheme == "https" else 80,
        tls=request.url.scheme == "https",
    )
    match await control.judge.decide(attempt):
        case Accepted(email=found):
            return found
        case Refused(reason=Reason.RATE_LIMITED, retry_after_seconds=seconds):
            raise HTTPException(429, "too many wrong tokens; try again later", wait(seconds))
        case Refused():
            raise HTTPException(403, "wrong address or app token")
        case later:
            raise HTTPException(503, later.message, wait(5))


async def _by_session(request: Request, control: ControlPlane) -> str:
    cookie = request.cookies.get(_SECURE_COOKIE if request.url.scheme == "https" else _PLAIN_COOKIE)
    if cookie:
        try:
            session = await control.sessions.load(cookie, control.snapshot().users.get)
        except SessionsAway:
            raise HTTPException(503, "sessions cannot be read right now", wait(5)) from None
        if session is not None:
            return session.email
    raise HTTPException(401, "send the header Authentication: <email>:<app token>")


def _person(control: ControlPlane, email: str) -> Person | None:
    with control.store.read() as session:
        return person(session, email)
