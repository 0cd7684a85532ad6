"""Who calls the API, and what they may do.

``API_TOKEN`` may do everything. Tokens made in the administration may be narrower: some domains only, reading only,
until a day. A request without a token is answered 401, one with a wrong token 403; wrong ones are counted as wrong
passwords are, so who guesses is answered 429, and programs that have used the right one before do not suffer for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPBearer
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mailu.auth.admission import Limited
from mailu.auth.assembly import build_bearer_judge
from mailu.auth.bearer import BearerJudge
from mailu.control import ControlPlane
from mailu.directory.api_tokens import ApiTokenEntry, find_api_token, touch_api_token
from mailu.directory.changes import Actor
from mailu.directory.roles import person

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="Mailu API"'}


def control_of(request: Request) -> ControlPlane:
    """The parts of the process that serves this request."""
    control: ControlPlane = request.app.state.control
    return control


Control = Annotated[ControlPlane, Depends(control_of)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. *domains* None means all; *may_write* false means that every change is refused."""

    name: str
    origin: str
    may_write: bool = True
    domains: frozenset[str] | None = None

    @property
    def actor(self) -> Actor:
        """As the audit trail names them."""
        return Actor(self.name, self.origin)

    def require_all(self) -> None:
        """Refuse with 403 what concerns the whole server when the token is for some domains only."""
        if self.domains is not None:
            raise HTTPException(403, "this token is for some domains only, and this concerns the whole server")

    def require(self, domain: str) -> None:
        """Refuse with 403 what concerns a domain that the token is not for."""
        if self.domains is not None and domain not in self.domains:
            raise HTTPException(403, f"this token is not for the domain {domain}")

    def require_address(self, address: str) -> None:
        """The same for the domain of an address in canonical form."""
        self.require(address.rpartition("@")[2])

    def require_rank(self, session: Session, address: str) -> None:
        """Refuse with 403 to act for somebody who could do more than the token: a global administrator, or one who
        looks after a domain that it is not for. Whoever can set their password could do all that they can."""
        if self.domains is None:
            return
        whom = person(session, address)
        if whom is not None and (whom.global_admin or not whom.manages <= self.domains):
            raise HTTPException(403, f"this token may do less than {address}, so it cannot act for them")


_BEARER = HTTPBearer(auto_error=False, description="API_TOKEN, or a token made in the administration")


async def caller_of(request: Request, _documented: Annotated[object, Security(_BEARER)] = None) -> Caller:
    """Who calls; ends the request with 401, 403 or 429."""
    token = _given_token(request)
    if not token:
        raise HTTPException(401, "send your token in the header Authorization: Bearer <token>", _CHALLENGE)
    judge: BearerJudge = request.app.state.bearer
    client_ip = client_address(request)
    decision = await judge.decide(token, client_ip)
    origin = f"api {client_ip}"
    match decision:
        case Limited():
            raise HTTPException(429, "too many wrong tokens; try again later", wait(decision.retry_after_seconds))
        case "wrong":
            raise HTTPException(403, "this token is wrong, withdrawn or expired")
        case "operator":
            return Caller("API_TOKEN", origin)
        case entry:
            return Caller(f"API token {entry.id} ({entry.comment})", origin, not entry.read_only, entry.domains)


def client_address(request: Request) -> str:
    """The client's address, as the web server before us tells it."""
    return request.client.host if request.client else ""


def wait(seconds: int) -> dict[str, str]:
    """The header that says when it is worth another try."""
    return {"Retry-After": str(max(1, seconds))}


def writer(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
    """A caller who may change something; 403 for tokens that only read."""
    if not caller.may_write:
        raise HTTPException(403, "this token may only read")
    return caller


Reader = Annotated[Caller, Depends(caller_of)]
Writer = Annotated[Caller, Depends(writer)]


def _given_token(request: Request) -> str:
    header = request.headers.get("authorization", "").strip()
    scheme, blank, rest = header.partition(" ")
    return rest.strip() if blank and scheme.lower() == "bearer" else header


def bearer_judge(control: ControlPlane) -> BearerJudge:
    """The judge of tokens for this process."""

    async def look_up(secret: str) -> ApiTokenEntry | None:
        return await asyncio.to_thread(_look_up, control, secret)

    return build_bearer_judge(control.settings, control.limits, look_up)


def _look_up(control: ControlPlane, token: str) -> ApiTokenEntry | None:
    now = datetime.now(UTC)
    with control.store.read() as session:
        entry = find_api_token(session, token, now=now)
    if entry is not None:
        with control.store.bookkeeping() as session:
            touch_api_token(session, entry, now=now)
    return entry
