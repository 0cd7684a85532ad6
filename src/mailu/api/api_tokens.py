"""``/apitoken``: keys to this API with fewer rights: some domains, reading only, until a day."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy import select
from starlette.requests import Request

from mailu.api.access import Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import API_TOKENS
from mailu.api.paging import Paged, listed
from mailu.api.schemas import COUNT, ApiTokenCreate, api_token_object
from mailu.api.shapes import ApiTokenObject, Done, NewApiToken
from mailu.directory import changes
from mailu.directory.api_tokens import create_api_token, delete_api_token
from mailu.directory.models import ApiToken

router = APIRouter(tags=["apitoken"])
TokenId = Annotated[int, Path(ge=0, le=COUNT)]


@router.get("/apitoken", response_model=list[ApiTokenObject])
def list_api_tokens(request: Request, control: Control, caller: Reader, page: Paged) -> OneLine:
    """All keys, with when each was used last. The secrets cannot be had again."""
    caller.require_all()
    with control.store.read() as session:
        return listed(request, session, select(ApiToken), API_TOKENS, page, api_token_object)


@router.post("/apitoken", response_model=NewApiToken)
def make_api_token(control: Control, caller: Writer, body: ApiTokenCreate) -> OneLine:
    """Make a key. The answer is the only place where its secret is ever shown."""
    caller.require_all()
    fields = body.given()
    fields.setdefault("comment", "")
    with control.store.session() as session:
        token, secret = create_api_token(session, actor=caller.actor, **fields)
        return OneLine({**api_token_object(token), "token": secret})


@router.get("/apitoken/{token_id}", response_model=ApiTokenObject)
def get_api_token(control: Control, caller: Reader, token_id: TokenId) -> OneLine:
    """One key."""
    caller.require_all()
    with control.store.read() as session:
        token = session.get(ApiToken, token_id)
        if token is None:
            raise changes.NotFound("API token", token_id)
        return OneLine(api_token_object(token))


@router.delete("/apitoken/{token_id}")
def withdraw_api_token(control: Control, caller: Writer, token_id: TokenId) -> Done:
    """Withdraw a key at once."""
    caller.require_all()
    with control.store.session() as session:
        delete_api_token(session, token_id, actor=caller.actor)
    return done(f"API token {token_id} has been withdrawn")
