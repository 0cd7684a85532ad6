"""What nginx asks before it passes a request on (auth_request): may this browser in, and who is it?

nginx lets nobody outside reach these addresses. ``admin`` guards the filter's own pages, ``user`` the webmail, and
``basic`` calendars and contacts. Somebody who first has to choose a new password, or to sign on with a second factor,
is in none of them yet.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mailu.auth.attempt import Accepted, LoginAttempt, Reason, Refused, TryLater
from mailu.auth.sessions import Session
from mailu.control import ControlPlane
from mailu.directory.roles import person
from mailu.directory.snapshot import UserEntry
from mailu.web.cookies import cookie_names
from mailu.web.second_step import must_have

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Mailu", charset="UTF-8"'}
_RETRY_SECONDS = 60


def routes(control: ControlPlane) -> list[Route]:
    """The addresses that nginx asks at."""
    answers = {"admin": _admin, "user": _user, "basic": _basic}
    return [Route(f"/internal/auth/{name}", _bound(control, answer)) for name, answer in answers.items()]


def _bound(
    control: ControlPlane, answer: Callable[[ControlPlane, Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await answer(control, request)

    return endpoint


async def _admin(control: ControlPlane, request: Request) -> Response:
    """200 for a global administrator's session, else 403."""
    found = await _who(control, request)
    return Response(status_code=200 if found and found[1].global_admin else 403)


async def _user(control: ControlPlane, request: Request) -> Response:
    """200 with the user's name and the token that opens the mail server while the session lasts; else 403."""
    found = await _who(control, request)
    if found is None:
        return Response(status_code=403)
    session, entry = found
    return Response(headers={"X-User": _header(entry.email), "X-User-Token": session.webmail_token})


async def _who(control: ControlPlane, request: Request) -> tuple[Session, UserEntry] | None:
    cookie = request.cookies.get(cookie_names(control.settings).session)
    users = control.snapshot().users
    session = await control.sessions.load(cookie, users.get) if cookie else None
    if session is None:
        return None
    entry = users[session.email]
    return None if entry.change_pw_next_login or _lacks_second_factor(control, entry) else (session, entry)


def _lacks_second_factor(control: ControlPlane, entry: UserEntry) -> bool:
    snapshot = control.snapshot()
    who = person(snapshot, entry.email)
    if who is None or entry.email in snapshot.second_factors:
        return False
    return must_have(control.settings, who)


async def _basic(control: ControlPlane, request: Request) -> Response:
    """200 with the user's name for right credentials (RFC 7617), else 401; 503 when nobody knows."""
    given = _credentials(request.headers.get("authorization", ""))
    if given is None:
        return Response(status_code=401, headers=_CHALLENGE)
    login, password = given
    decision = await control.judge.decide(_attempt(request, login, password))
    match decision:
        case Accepted():
            return Response(headers={"X-User": _header(decision.email)})
        case Refused(reason=Reason.RATE_LIMITED):
            wait = str(decision.retry_after_seconds or _RETRY_SECONDS)
            return Response(status_code=401, headers={**_CHALLENGE, "Retry-After": wait})
        case TryLater():
            return Response(status_code=503, headers={"Retry-After": str(_RETRY_SECONDS)})
        case _:
            return Response(status_code=401, headers=_CHALLENGE)


def _attempt(request: Request, login: str, password: bytes) -> LoginAttempt:
    port = request.headers.get("x-real-port", "")
    return LoginAttempt(
        login=login,
        password=password,
        protocol="dav",
        client_ip=request.client.host if request.client else "",
        client_port=int(port) if port.isdecimal() and len(port) < 6 else 0,
        local_port=443,
        tls=request.url.scheme == "https",
    )


def _credentials(header: str) -> tuple[str, bytes] | None:
    scheme, _blank, text = header.partition(" ")
    if scheme.lower() != "basic" or len(text) > 4096:
        return None
    try:
        login, colon, password = base64.b64decode(text.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (login.decode("utf-8", "surrogateescape"), password) if colon else None


def _header(email: str) -> str:
    """An address as a header's value: octets of UTF-8, which Starlette encodes as Latin-1."""
    return email.encode().decode("latin-1")
