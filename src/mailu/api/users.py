"""``/user``: mailboxes and the people who log in to them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import select
from starlette.requests import Request

from mailu.address import parse_address
from mailu.api.access import Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import USERS
from mailu.api.paging import Paged, listed
from mailu.api.schemas import UserCreate, UserUpdate, user_object
from mailu.api.shapes import Done, UserObject
from mailu.auth.passwords import hash_password
from mailu.directory import changes
from mailu.directory.models import User
from mailu.directory.new_users import usual_fields

router = APIRouter(tags=["user"])


@router.get("/user", response_model=list[UserObject])
def list_users(request: Request, control: Control, caller: Reader, page: Paged) -> OneLine:
    """All users."""
    statement = select(User)
    if caller.domains is not None:
        statement = statement.where(User.domain_name.in_(caller.domains))
    with control.store.read() as session:
        return listed(request, session, statement, USERS, page, user_object)


@router.post("/user")
def create_user(control: Control, caller: Writer, body: UserCreate) -> Done:
    """Create a user."""
    fields = body.given()
    email, password = parse_address(fields.pop("email")), fields.pop("raw_password")
    caller.require_address(str(email))
    _check_rights(caller, fields)
    hashed = _chosen(password)
    with control.store.session() as session:
        ceiling = changes.get_domain(session, email.domain).max_quota_bytes
        fields = {**usual_fields(control.settings, ceiling), **fields}
        changes.create_user(session, str(email), password_hash=hashed, actor=caller.actor, **fields)
    return done(f"User {email} has been created")


@router.get("/user/{email:path}", response_model=UserObject)
def get_user(control: Control, caller: Reader, email: str) -> OneLine:
    """One user."""
    address = parse_address(email)
    caller.require_address(str(address))
    with control.store.read() as session:
        return OneLine(user_object(changes.get_user(session, str(address))))


@router.patch("/user/{email:path}")
def update_user(control: Control, caller: Writer, email: str, body: UserUpdate) -> Done:
    """Change a user."""
    address, fields = parse_address(email), body.given()
    caller.require_address(str(address))
    _check_rights(caller, fields)
    password = fields.pop("raw_password", None)
    hashed = _chosen(password) if password is not None else None
    with control.store.session() as session:
        caller.require_rank(session, str(address))
        user = changes.update_user(session, str(address), actor=caller.actor, **fields)
        if hashed is not None:
            forced = user.change_pw_next_login
            changes.set_password(
                session, str(address), password_hash=hashed, actor=caller.actor, change_pw_next_login=forced
            )
    return done(f"User {address} has been updated")


@router.delete("/user/{email:path}")
def delete_user(control: Control, caller: Writer, email: str) -> Done:
    """Delete a user. The mail is kept for RETENTION_DAYS."""
    address = parse_address(email)
    caller.require_address(str(address))
    with control.store.session() as session:
        caller.require_rank(session, str(address))
        days = control.settings.retention_days
        changes.delete_user(session, str(address), actor=caller.actor, retention_days=days)
    return done(f"User {address} has been deleted")


def _chosen(password: str) -> str:
    """The hash of a password that may be chosen. Raises Invalid with the name that the field has here."""
    try:
        changes.check_password(password)
    except changes.Invalid as error:
        raise changes.Invalid("raw_password", error.reason) from None
    return hash_password(password)


def _check_rights(caller: Writer, fields: dict[str, Any]) -> None:
    """A token for some domains makes nobody an administrator of the whole server."""
    if fields.get("global_admin"):
        caller.require_all()
