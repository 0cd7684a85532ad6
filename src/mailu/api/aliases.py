"""``/alias``: addresses that stand for others."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import select
from starlette.requests import Request

from mailu.address import parse_address, parse_domain
from mailu.api.access import Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import ALIASES
from mailu.api.paging import Paged, listed
from mailu.api.schemas import AliasCreate, AliasUpdate, alias_object
from mailu.api.shapes import AliasObject, Done
from mailu.directory import changes
from mailu.directory.models import Alias

router = APIRouter(tags=["alias"])


@router.get("/alias", response_model=list[AliasObject])
def list_aliases(request: Request, control: Control, caller: Reader, page: Paged) -> OneLine:
    """All aliases."""
    statement = select(Alias)
    if caller.domains is not None:
        statement = statement.where(Alias.domain_name.in_(caller.domains))
    with control.store.read() as session:
        return listed(request, session, statement, ALIASES, page, alias_object)


@router.post("/alias")
def create_alias(control: Control, caller: Writer, body: AliasCreate) -> Done:
    """Create an alias."""
    fields = body.given()
    email, destination = parse_address(fields.pop("email")), fields.pop("destination", [])
    caller.require_address(str(email))
    with control.store.session() as session:
        changes.create_alias(session, str(email), destination=destination, actor=caller.actor, **fields)
    return done(f"Alias {email} to destination {destination} has been created")


@router.get("/alias/destination/{domain}", response_model=list[AliasObject])
def list_domain_aliases(request: Request, control: Control, caller: Reader, domain: str, page: Paged) -> OneLine:
    """The aliases of a domain."""
    name = parse_domain(domain)
    caller.require(name)
    with control.store.read() as session:
        statement = select(Alias).where(Alias.domain_name == changes.get_domain(session, name).name)
        return listed(request, session, statement, ALIASES, page, alias_object)


@router.get("/alias/{email:path}", response_model=AliasObject)
def get_alias(control: Control, caller: Reader, email: str) -> OneLine:
    """One alias."""
    address = str(parse_address(email))
    caller.require_address(address)
    with control.store.read() as session:
        alias = session.get(Alias, address)
        if alias is None:
            raise changes.NotFound("alias", address)
        return OneLine(alias_object(alias))


@router.patch("/alias/{email:path}")
def update_alias(control: Control, caller: Writer, email: str, body: AliasUpdate) -> Done:
    """Change an alias."""
    address = str(parse_address(email))
    caller.require_address(address)
    with control.store.session() as session:
        changes.update_alias(session, address, actor=caller.actor, **body.given())
    return done(f"Alias {address} has been updated")


@router.delete("/alias/{email:path}")
def delete_alias(control: Control, caller: Writer, email: str) -> Done:
    """Delete an alias."""
    address = str(parse_address(email))
    caller.require_address(address)
    with control.store.session() as session:
        changes.delete_alias(session, address, actor=caller.actor)
    return done(f"Alias {address} has been deleted")
