"""``/alias/me``, ``/alias/domains/available`` and ``/alias/random/new``: people's own anonymous aliases.

The last one stands at ``WEB_API/alias/random/new``, outside of version 1, where Bitwarden and other programs look for
it that know SimpleLogin.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request

from mailu.address import parse_address
from mailu.api.access import Control
from mailu.api.answers import OneLine, done
from mailu.api.lists import ALIASES
from mailu.api.owners import Owner, Self
from mailu.api.paging import Paged, listed
from mailu.api.schemas import OwnAliasUpdate, RandomAlias, alias_object
from mailu.api.shapes import AliasObject, Done, SimpleLoginAlias
from mailu.directory import changes
from mailu.directory.anonymous import create_anonymous_alias
from mailu.directory.models import Alias
from mailu.directory.roles import anonymous_alias_domains

router = APIRouter(tags=["own aliases"])
simplelogin = APIRouter(tags=["own aliases"])


@router.get("/alias/me", response_model=list[AliasObject])
def list_own(request: Request, control: Control, owner: Self, page: Paged) -> OneLine:
    """The anonymous aliases of the caller."""
    statement = select(Alias).where(Alias.owner_email == owner.email)
    with control.store.read() as session:
        return listed(request, session, statement, ALIASES, page, alias_object)


@router.get("/alias/domains/available", response_model=list[str])
def list_domains(control: Control, owner: Self) -> OneLine:
    """Domains in which the caller may make anonymous aliases."""
    with control.store.read() as session:
        return OneLine(anonymous_alias_domains(session, owner.person))


@router.patch("/alias/me/{email:path}")
def update_own(control: Control, owner: Self, email: str, body: OwnAliasUpdate) -> Done:
    """Change the comment of an own alias, or switch it off and on."""
    with control.store.session() as session:
        alias = _own(session, owner, email)
        changes.update_alias(session, alias.email, actor=owner.actor, **body.given())
        return done(f"Alias {alias.email} has been updated")


@router.delete("/alias/me/{email:path}")
def delete_own(control: Control, owner: Self, email: str) -> Done:
    """Delete an own alias."""
    with control.store.session() as session:
        alias = _own(session, owner, email)
        changes.delete_alias(session, alias.email, actor=owner.actor)
        return done(f"Alias {alias.email} has been deleted")


@simplelogin.post("/alias/random/new", status_code=201, response_model=SimpleLoginAlias)
def new_random(
    control: Control,
    owner: Self,
    hostname: Annotated[str, Query(max_length=2000, description="the site that it is for")] = "",
    body: Annotated[RandomAlias | None, Body()] = None,
) -> OneLine:
    """Make an anonymous alias, whose mail comes to the caller."""
    note = body.note if body is not None else None
    with control.store.session() as session:
        alias = create_anonymous_alias(
            session,
            owner.person,
            site=hostname,
            note=note,
            tries=control.settings.anonmail_max_retries,
            actor=owner.actor,
        )
        return OneLine(_as_simplelogin(alias), status_code=201)


def _own(session: Session, owner: Owner, email: str) -> Alias:
    address = str(parse_address(email))
    alias = session.get(Alias, address)
    if alias is None or alias.owner_email != owner.email:
        raise changes.NotFound("alias", address)
    return alias


def _as_simplelogin(alias: Alias) -> dict[str, Any]:
    created = datetime.combine(alias.created_at, time.min, UTC)
    return {
        "email": alias.email,
        "enabled": not alias.disabled,
        "note": alias.comment,
        "creation_date": created.strftime("%Y-%m-%d %H:%M:%S"),
        "creation_timestamp": int(created.timestamp()),
        "nb_forward": 0,
        "nb_block": 0,
        "nb_reply": 0,
    }
