"""Who looks after a domain, and who may make anonymous aliases in it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailu.directory.changes.errors import Conflict, NotFound
from mailu.directory.changes.journal import Actor, note
from mailu.directory.changes.names import get_domain, get_user
from mailu.directory.models import DomainAccess, Manager


def add_manager(session: Session, domain: str, email: str, *, actor: Actor) -> None:
    """Let a user look after a domain. Raises NotFound, and Conflict if it is so already."""
    name, user = get_domain(session, domain).name, get_user(session, email).email
    if session.get(Manager, (name, user)) is not None:
        raise Conflict(user, f"manager of {name}")
    session.add(Manager(domain_name=name, user_email=user))
    session.flush()
    note(session, actor, "manager.add", name, {"user": user})


def remove_manager(session: Session, domain: str, email: str, *, actor: Actor) -> None:
    """End a user's looking after a domain. Raises NotFound."""
    name, user = get_domain(session, domain).name, get_user(session, email).email
    manager = session.get(Manager, (name, user))
    if manager is None:
        raise NotFound("manager", f"{user} of {name}")
    session.delete(manager)
    session.flush()
    note(session, actor, "manager.remove", name, {"user": user})


def grant_access(session: Session, domain: str, email: str, *, actor: Actor, comment: str = "") -> DomainAccess:
    """Let a user make anonymous aliases in a domain. Raises NotFound, and Conflict if it is so already."""
    name, user = get_domain(session, domain).name, get_user(session, email).email
    if _access(session, name, user) is not None:
        raise Conflict(user, f"user of anonymous aliases in {name}")
    access = DomainAccess(domain_name=name, user_email=user, comment=comment)
    session.add(access)
    session.flush()
    note(session, actor, "access.grant", name, {"user": user})
    return access


def revoke_access(session: Session, domain: str, email: str, *, actor: Actor) -> None:
    """Take that right away; aliases that were made stay. Raises NotFound."""
    name, user = get_domain(session, domain).name, get_user(session, email).email
    access = _access(session, name, user)
    if access is None:
        raise NotFound("grant", f"of {user} in {name}")
    session.delete(access)
    session.flush()
    note(session, actor, "access.revoke", name, {"user": user})


def _access(session: Session, domain: str, email: str) -> DomainAccess | None:
    query = select(DomainAccess).where(DomainAccess.domain_name == domain, DomainAccess.user_email == email)
    return session.scalars(query).first()
