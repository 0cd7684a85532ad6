"""App passwords. The secret is made and hashed by ``mailu.auth.tokens``; here only its hash arrives."""

from __future__ import annotations

from typing import TypedDict, Unpack

from sqlalchemy import update
from sqlalchemy.orm import Session

from mailu.directory.changes import values
from mailu.directory.changes.errors import NotFound
from mailu.directory.changes.journal import SYSTEM, Actor, note
from mailu.directory.changes.names import get_user
from mailu.directory.models import Token


class TokenFields(TypedDict, total=False):
    """What can be set of a token: what it is for, and the networks it may be used from (none: anywhere)."""

    comment: str
    ip: str | list[str] | tuple[str, ...]


RULES = {"comment": values.text(255), "ip": values.networks}


def create_token(
    session: Session, email: str, *, password_hash: str, actor: Actor, **fields: Unpack[TokenFields]
) -> Token:
    """Add an app password for a user. Raises NotFound and Invalid."""
    user = get_user(session, email)
    token = Token(user_email=user.email, password=values.password_hash("password", password_hash), ip=())
    values.apply(token, fields, RULES)
    session.add(token)
    session.flush()
    note(session, actor, "token.create", user.email, {"id": token.id, **fields})
    return token


def update_token(session: Session, token_id: int, *, actor: Actor, **fields: Unpack[TokenFields]) -> Token:
    """Change what a token is for or where it may be used from. Raises NotFound and Invalid."""
    token = _get(session, token_id)
    changed = values.apply(token, fields, RULES)
    if changed:
        note(session, actor, "token.update", token.user_email, {"id": token.id, **changed})
    return token


def delete_token(session: Session, token_id: int, *, actor: Actor) -> None:
    """Delete a token: whatever uses it is shut out. Raises NotFound."""
    token = _get(session, token_id)
    session.delete(token)
    session.flush()
    note(session, actor, "token.delete", token.user_email, {"id": token.id, "comment": token.comment})


def upgrade_token_hash(session: Session, token_id: int, *, old_hash: str, new_hash: str) -> bool:
    """Put another hash of the *same* token in the place of *old_hash*; False if it is not there any more."""
    checked = values.password_hash("password", new_hash)
    statement = update(Token).where(Token.id == token_id, Token.password == old_hash).values(password=checked)
    if session.execute(statement).rowcount != 1:  # type: ignore[attr-defined]
        return False
    note(session, SYSTEM, "token.rehash", str(token_id))
    return True


def _get(session: Session, token_id: int) -> Token:
    token = session.get(Token, token_id)
    if token is None:
        raise NotFound("token", token_id)
    return token
