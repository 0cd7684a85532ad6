"""``/domain/{domain}/access``: who may make anonymous aliases in a domain, beside its own people."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import select
from starlette.requests import Request

from mailu.address import parse_address, parse_domain
from mailu.api.access import Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import GRANTS
from mailu.api.paging import Paged, listed
from mailu.api.schemas import GrantCreate
from mailu.api.shapes import Done, GrantObject
from mailu.directory import changes
from mailu.directory.models import DomainAccess

router = APIRouter(tags=["access"])


@router.get("/domain/{domain}/access", response_model=list[GrantObject])
def list_grants(request: Request, control: Control, caller: Reader, domain: str, page: Paged) -> OneLine:
    """Users who may make anonymous aliases in a domain by a grant."""
    name = parse_domain(domain)
    caller.require(name)
    with control.store.read() as session:
        found = select(DomainAccess).where(DomainAccess.domain_name == changes.get_domain(session, name).name)
        return listed(
            request, session, found, GRANTS, page, lambda row: {"user_email": row.user_email, "comment": row.comment}
        )


@router.post("/domain/{domain}/access")
def grant(control: Control, caller: Writer, domain: str, body: GrantCreate) -> Done:
    """Let a user make anonymous aliases in a domain."""
    name, email = parse_domain(domain), parse_address(body.user_email)
    caller.require(name)
    caller.require_address(str(email))
    with control.store.session() as session:
        changes.grant_access(session, name, str(email), actor=caller.actor, comment=body.comment)
    return done(f"User {email} may make anonymous aliases in {name}")


@router.delete("/domain/{domain}/access/{email:path}")
def revoke(control: Control, caller: Writer, domain: str, email: str) -> Done:
    """Take that right away. Aliases that were made stay."""
    name, address = parse_domain(domain), parse_address(email)
    caller.require(name)
    with control.store.session() as session:
        changes.revoke_access(session, name, str(address), actor=caller.actor)
    return done(f"User {address} may make no more anonymous aliases in {name}")
