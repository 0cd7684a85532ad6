"""Accounts elsewhere whose mail is fetched.

Host, user name, password and folders end up in the configuration of another program, so nothing that ends a line there
may be in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, Unpack

from sqlalchemy.orm import Session

from mailu.directory.changes import values
from mailu.directory.changes.errors import Invalid, NotFound
from mailu.directory.changes.journal import Actor, note
from mailu.directory.changes.names import get_user
from mailu.directory.models import Fetch


class FetchFields(TypedDict, total=False):
    """What can be set of a fetched account; see ``models.Fetch``."""

    protocol: str
    host: str
    port: int
    tls: bool
    username: str
    password: str
    keep: bool
    scan: bool
    invisible: bool
    folders: str | list[str] | tuple[str, ...]
    comment: str


def _host(field: str, value: str) -> str:
    host: str = values.required(values.text(255))(field, value)
    if any(character.isspace() for character in host):
        raise Invalid(field, "the name of a host has no blanks")
    return host


RULES: Mapping[str, values.Rule] = {
    "protocol": values.one_of("imap", "pop3"),
    "host": _host,
    "port": values.number(0, 65535),
    "tls": values.flag,
    "username": values.required(values.text(255)),
    "password": values.required(values.text(255)),
    "keep": values.flag,
    "scan": values.flag,
    "invisible": values.flag,
    "folders": values.words,
    "comment": values.text(255),
}

_NEEDED = ("protocol", "host", "port", "username", "password")


def create_fetch(session: Session, email: str, *, actor: Actor, **fields: Unpack[FetchFields]) -> Fetch:
    """Add an account to fetch from; protocol, host, port, username and password are needed.

    Raises NotFound and Invalid.
    """
    user = get_user(session, email)
    for name in _NEEDED:
        if name not in fields:
            raise Invalid(name, "this is needed")
    fetch = Fetch(user_email=user.email, folders=())
    values.apply(fetch, fields, RULES)
    session.add(fetch)
    session.flush()
    note(session, actor, "fetch.create", user.email, {"id": fetch.id, **fields})
    return fetch


def update_fetch(session: Session, fetch_id: int, *, actor: Actor, **fields: Unpack[FetchFields]) -> Fetch:
    """Change a fetched account. Raises NotFound and Invalid."""
    fetch = _get(session, fetch_id)
    changed = values.apply(fetch, fields, RULES)
    if changed:
        note(session, actor, "fetch.update", fetch.user_email, {"id": fetch.id, **changed})
    return fetch


def delete_fetch(session: Session, fetch_id: int, *, actor: Actor) -> None:
    """Stop fetching from an account. Raises NotFound."""
    fetch = _get(session, fetch_id)
    session.delete(fetch)
    session.flush()
    note(session, actor, "fetch.delete", fetch.user_email, {"id": fetch.id, "host": fetch.host})


def _get(session: Session, fetch_id: int) -> Fetch:
    fetch = session.get(Fetch, fetch_id)
    if fetch is None:
        raise NotFound("fetched account", fetch_id)
    return fetch
