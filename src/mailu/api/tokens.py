"""``/token`` and ``/tokenuser``: app passwords."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Path
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request

from mailu.address import parse_address
from mailu.api.access import Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import TOKENS
from mailu.api.paging import Paged, listed
from mailu.api.schemas import COUNT, TokenCreate, TokenUpdate, token_in_list, token_object
from mailu.api.shapes import Done, NewToken, TokenObject
from mailu.auth.tokens import hash_token, new_token
from mailu.control import ControlPlane
from mailu.directory import changes
from mailu.directory.models import Token, User

router = APIRouter(tags=["token"])
TokenId = Annotated[int, Path(ge=0, le=COUNT)]


@router.get("/token", response_model=list[TokenObject])
def list_tokens(request: Request, control: Control, caller: Reader, page: Paged) -> OneLine:
    """All app tokens. Their ids are texts in this list, as they always were."""
    statement = select(Token)
    if caller.domains is not None:
        owners = select(User.email).where(User.domain_name.in_(caller.domains))
        statement = statement.where(Token.user_email.in_(owners))
    with control.store.read() as session:
        return listed(request, session, statement, TOKENS, page, lambda t: {**token_in_list(t), "id": str(t.id)})


@router.post("/token", response_model=NewToken)
def create_token(control: Control, caller: Writer, body: TokenCreate) -> OneLine:
    """Make an app token. The answer is the only place where its secret is ever shown."""
    return _create(control, caller, body.email, body.fields())


@router.get("/tokenuser/{email:path}", response_model=list[TokenObject])
def list_user_tokens(request: Request, control: Control, caller: Reader, email: str, page: Paged) -> OneLine:
    """The app tokens of a user."""
    address = str(parse_address(email))
    caller.require_address(address)
    with control.store.read() as session:
        statement = select(Token).where(Token.user_email == changes.get_user(session, address).email)
        return listed(request, session, statement, TOKENS, page, token_in_list)


@router.post("/tokenuser/{email:path}", response_model=NewToken)
def create_user_token(control: Control, caller: Writer, email: str, body: TokenUpdate) -> OneLine:
    """Make an app token for a user. The answer is the only place where its secret is ever shown."""
    return _create(control, caller, email, body.fields())


@router.get("/token/{token_id}", response_model=TokenObject)
def get_token(control: Control, caller: Reader, token_id: TokenId) -> OneLine:
    """One app token."""
    with control.store.read() as session:
        return OneLine(token_object(_find(session, caller, token_id)))


@router.patch("/token/{token_id}")
def update_token(control: Control, caller: Writer, token_id: TokenId, body: TokenUpdate) -> Done:
    """Change an app token's comment and networks."""
    with _named_as_here(), control.store.session() as session:
        caller.require_rank(session, _find(session, caller, token_id).user_email)
        changes.update_token(session, token_id, actor=caller.actor, **body.fields())
    return done(f"Token with id {token_id} has been updated")


@router.delete("/token/{token_id}")
def delete_token(control: Control, caller: Writer, token_id: TokenId) -> Done:
    """Withdraw an app token."""
    with control.store.session() as session:
        caller.require_rank(session, _find(session, caller, token_id).user_email)
        changes.delete_token(session, token_id, actor=caller.actor)
    return done(f"Token with id {token_id} has been deleted")


def _create(control: ControlPlane, caller: Writer, email: str, fields: dict[str, Any]) -> OneLine:
    address, secret = str(parse_address(email)), new_token()
    caller.require_address(address)
    hashed = hash_token(secret)
    with _named_as_here(), control.store.session() as session:
        caller.require_rank(session, address)
        token = changes.create_token(session, address, password_hash=hashed, actor=caller.actor, **fields)
        session.flush()
        return OneLine({**token_object(token), "token": secret})


@contextmanager
def _named_as_here() -> Iterator[None]:
    """Call the networks as clients do."""
    try:
        yield
    except changes.Invalid as error:
        raise changes.Invalid("AuthorizedIP" if error.field == "ip" else error.field, error.reason) from None


def _find(session: Session, caller: Reader, token_id: int) -> Token:
    token = session.get(Token, token_id)
    if token is None:
        raise changes.NotFound("token", token_id)
    caller.require_address(token.user_email)
    return token
