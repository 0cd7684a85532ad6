"""``/tlsexception``: destinations that are sent to with less encryption, until a day."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import select
from starlette.requests import Request

from mailu.api.access import Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import TLS_EXCEPTIONS
from mailu.api.paging import Paged, listed
from mailu.api.schemas import TlsExceptionCreate, TlsExceptionUpdate, tls_exception_object
from mailu.api.shapes import Done, TlsExceptionObject
from mailu.directory import changes
from mailu.directory.models import TlsException

router = APIRouter(tags=["tlsexception"])


@router.get("/tlsexception", response_model=list[TlsExceptionObject])
def list_exceptions(request: Request, control: Control, caller: Reader, page: Paged) -> OneLine:
    """All exceptions."""
    caller.require_all()
    with control.store.read() as session:
        return listed(request, session, select(TlsException), TLS_EXCEPTIONS, page, tls_exception_object)


@router.post("/tlsexception")
def create_exception(control: Control, caller: Writer, body: TlsExceptionCreate) -> Done:
    """Make an exception, or change the one there is. It ends by itself, after two weeks if no day is given."""
    caller.require_all()
    fields = body.given()
    with control.store.session() as session:
        entry = changes.allow_tls_exception(session, fields.pop("name"), actor=caller.actor, **fields)
        return done(f"TLS exception for {entry.name} until {entry.last_day} has been made")


@router.get("/tlsexception/{name}", response_model=TlsExceptionObject)
def get_exception(control: Control, caller: Reader, name: str) -> OneLine:
    """One exception."""
    caller.require_all()
    with control.store.read() as session:
        return OneLine(tls_exception_object(changes.get_tls_exception(session, name)))


@router.patch("/tlsexception/{name}")
def update_exception(control: Control, caller: Writer, name: str, body: TlsExceptionUpdate) -> Done:
    """Change an exception."""
    caller.require_all()
    with control.store.session() as session:
        entry = changes.get_tls_exception(session, name)
        changes.allow_tls_exception(session, entry.name, actor=caller.actor, **body.given())
        return done(f"TLS exception for {entry.name} has been updated")


@router.delete("/tlsexception/{name}")
def delete_exception(control: Control, caller: Writer, name: str) -> Done:
    """End an exception."""
    caller.require_all()
    with control.store.session() as session:
        changes.end_tls_exception(session, name, actor=caller.actor)
    return done(f"TLS exception for {name} has been deleted")
