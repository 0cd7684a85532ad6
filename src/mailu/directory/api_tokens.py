"""Tokens of the API: made, found, listed, withdrawn. The secret is shown once; what is stored is its digest."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from mailu.directory.changes import Actor, NotFound, get_domain, note, values
from mailu.directory.models import ApiToken

PREFIX = "mailu_"
_USE_WRITTEN_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ApiTokenEntry:
    """A token that may be used now. *domains* None: all of them."""

    id: int
    comment: str
    read_only: bool
    domains: frozenset[str] | None
    last_used: datetime | None


def create_api_token(
    session: Session,
    *,
    comment: str,
    actor: Actor,
    domains: Iterable[str] = (),
    read_only: bool = False,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """Add a token and return it with its secret, which cannot be had again. Raises NotFound and Invalid."""
    secret = PREFIX + secrets.token_hex(24)
    names = tuple(sorted({get_domain(session, name).name for name in domains}))
    token = ApiToken(digest=_digest(secret), domains=names, read_only=read_only, expires_at=expires_at)
    token.comment = values.text(255)("comment", comment)
    session.add(token)
    session.flush()
    shown = {"comment": token.comment, "domains": names, "read_only": read_only, "expires_at": expires_at}
    note(session, actor, "api_token.create", str(token.id), shown)
    return token, secret


def delete_api_token(session: Session, token_id: int, *, actor: Actor) -> None:
    """Withdraw a token at once. Raises NotFound."""
    token = session.get(ApiToken, token_id)
    if token is None:
        raise NotFound("API token", token_id)
    session.delete(token)
    session.flush()
    note(session, actor, "api_token.delete", str(token_id), {"comment": token.comment})


def find_api_token(session: Session, secret: str, *, now: datetime) -> ApiTokenEntry | None:
    """Return the token whose secret this is; None for one that does not exist or has expired."""
    token = session.scalars(select(ApiToken).where(ApiToken.digest == _digest(secret))).first()
    if token is None or (token.expires_at is not None and token.expires_at <= now):
        return None
    domains = frozenset(token.domains) or None
    return ApiTokenEntry(token.id, token.comment, token.read_only, domains, token.last_used)


def touch_api_token(session: Session, entry: ApiTokenEntry, *, now: datetime) -> None:
    """Remember that a token was used; written down once a minute at most."""
    if entry.last_used is None or now - entry.last_used >= _USE_WRITTEN_AFTER:
        session.execute(update(ApiToken).where(ApiToken.id == entry.id).values(last_used=now))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()
