"""``/relay``: domains whose mail is accepted and passed on."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import select
from starlette.requests import Request

from mailu.address import parse_domain
from mailu.api.access import Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import RELAYS
from mailu.api.paging import Paged, listed
from mailu.api.schemas import RelayCreate, RelayUpdate
from mailu.api.shapes import Done, RelayObject
from mailu.directory import changes
from mailu.directory.models import Relay

router = APIRouter(tags=["relay"])


@router.get("/relay", response_model=list[RelayObject])
def list_relays(request: Request, control: Control, caller: Reader, page: Paged) -> OneLine:
    """All relayed domains."""
    caller.require_all()
    with control.store.read() as session:
        return listed(request, session, select(Relay), RELAYS, page, Relay.shown)


@router.post("/relay")
def create_relay(control: Control, caller: Writer, body: RelayCreate) -> Done:
    """Relay a domain."""
    caller.require_all()
    fields = body.given()
    with control.store.session() as session:
        relay = changes.create_relay(session, fields.pop("name"), actor=caller.actor, **fields)
        return done(f"Relayed domain {relay.name} has been created")


@router.get("/relay/{name}", response_model=RelayObject)
def get_relay(control: Control, caller: Reader, name: str) -> OneLine:
    """One relayed domain."""
    caller.require_all()
    with control.store.read() as session:
        relay = session.get(Relay, parse_domain(name))
        if relay is None:
            raise changes.NotFound("relayed domain", name)
        return OneLine(relay.shown())


@router.patch("/relay/{name}")
def update_relay(control: Control, caller: Writer, name: str, body: RelayUpdate) -> Done:
    """Change a relayed domain."""
    caller.require_all()
    domain = parse_domain(name)
    with control.store.session() as session:
        changes.update_relay(session, domain, actor=caller.actor, **body.given())
    return done(f"Relayed domain {domain} has been updated")


@router.delete("/relay/{name}")
def delete_relay(control: Control, caller: Writer, name: str) -> Done:
    """Relay a domain no more."""
    caller.require_all()
    domain = parse_domain(name)
    with control.store.session() as session:
        changes.delete_relay(session, domain, actor=caller.actor)
    return done(f"Relayed domain {domain} has been deleted")
