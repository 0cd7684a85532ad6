"""Aliases, also those that users make for themselves."""

from __future__ import annotations

from typing import TypedDict, Unpack

from sqlalchemy.orm import Session

from mailu.directory.changes import values
from mailu.directory.changes.errors import Invalid, NotFound
from mailu.directory.changes.journal import Actor, note
from mailu.directory.changes.names import domain_of, get_user, require_free_address, require_room
from mailu.directory.models import Alias


class AliasFields(TypedDict, total=False):
    """What can be set of an alias; see ``models.Alias``."""

    destination: str | list[str] | tuple[str, ...]
    wildcard: bool
    disabled: bool
    comment: str
    hostname: str | None


RULES = {
    "destination": values.required(values.addresses),
    "wildcard": values.flag,
    "disabled": values.flag,
    "comment": values.text(255),
    "hostname": values.optional(values.text(255)),
}


def create_alias(
    session: Session,
    email: str,
    *,
    destination: str | list[str] | tuple[str, ...],
    actor: Actor,
    owner: str | None = None,
    enforce_limits: bool = True,
    **fields: Unpack[_OtherAliasFields],
) -> Alias:
    """Add an alias in an existing domain. One with an *owner*, a user's address, is anonymous.

    Anonymous aliases are not refused for ``max_aliases``, but they count. Raises NotFound (the domain, the owner),
    Invalid, Conflict, LimitReached.
    """
    parsed = values.address("email", email)
    domain = domain_of(session, parsed)
    require_free_address(session, str(parsed))
    owner_email = get_user(session, owner).email if owner is not None else None
    if enforce_limits and owner_email is None:
        require_room(session, domain, "max_aliases")
    alias = Alias(email=str(parsed), localpart=parsed.localpart, domain_name=domain.name, owner_email=owner_email)
    given: AliasFields = {"destination": destination, **fields}
    values.apply(alias, given, RULES)
    _check_whole(alias)
    session.add(alias)
    session.flush()
    note(session, actor, "alias.create", alias.email, {"owner": owner_email, **given})
    return alias


class _OtherAliasFields(TypedDict, total=False):
    wildcard: bool
    disabled: bool
    comment: str
    hostname: str | None


def update_alias(session: Session, email: str, *, actor: Actor, **fields: Unpack[AliasFields]) -> Alias:
    """Change an alias. Raises NotFound and Invalid."""
    alias = _get(session, email)
    with session.no_autoflush:
        changed = values.apply(alias, fields, RULES)
        try:
            _check_whole(alias)
        except Invalid:
            for name, (before, _) in changed.items():
                setattr(alias, name, before)
            raise
    if changed:
        note(session, actor, "alias.update", alias.email, changed)
    return alias


def delete_alias(session: Session, email: str, *, actor: Actor) -> None:
    """Delete an alias. Raises NotFound."""
    alias = _get(session, email)
    session.delete(alias)
    session.flush()
    note(session, actor, "alias.delete", alias.email, {"destination": alias.destination})


def _get(session: Session, email: str) -> Alias:
    canonical = str(values.address("email", email))
    alias = session.get(Alias, canonical)
    if alias is None:
        raise NotFound("alias", canonical)
    return alias


def check_destination(email: str, wildcard: bool, destination: tuple[str, ...]) -> None:
    """Raise Invalid for an alias for itself alone, which would refuse all its mail.

    Longer loops cannot be told while they are being built.
    """
    if not wildcard and destination == (email,):
        raise Invalid("destination", "an alias cannot stand for itself")


def _check_whole(alias: Alias) -> None:
    check_destination(alias.email, alias.wildcard, alias.destination)
