"""One name, one thing: addresses are users' or aliases', domain names are domains', alternatives' or relays'."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailu.address import EmailAddress
from mailu.directory.changes.errors import Conflict, Invalid, LimitReached, NotFound
from mailu.directory.changes.values import address, domain_name
from mailu.directory.models import Alias, Alternative, Domain, Relay, User


def require_free_domain(session: Session, name: str) -> None:
    """Raise Conflict if *name* is a domain, another name of one, or a relayed domain."""
    for table, kind in ((Domain, "domain"), (Alternative, "alternative"), (Relay, "relay")):
        if session.get(table, name) is not None:
            raise Conflict(name, kind)


def require_free_address(session: Session, email: str) -> None:
    """Raise Conflict if *email* is a user's or an alias."""
    for table, kind in ((User, "user"), (Alias, "alias")):
        if session.get(table, email) is not None:
            raise Conflict(email, kind)


def domain_of(session: Session, parsed: EmailAddress) -> Domain:
    """The domain that a new address is to be in. Raises NotFound, or Invalid where it is another name of one."""
    alternative = session.get(Alternative, parsed.domain)
    if alternative is not None:
        reason = f"{parsed.domain} is another name of {alternative.domain_name}; make the address there"
        raise Invalid("email", reason)
    return get_domain(session, parsed.domain)


def get_domain(session: Session, name: str) -> Domain:
    """The domain *name*, however it is written. Raises NotFound and Invalid."""
    canonical = domain_name("name", name)
    domain = session.get(Domain, canonical)
    if domain is None:
        raise NotFound("domain", canonical)
    return domain


def get_user(session: Session, email: str) -> User:
    """The user *email*, however it is written. Raises NotFound and Invalid."""
    canonical = str(address("email", email))
    user = session.get(User, canonical)
    if user is None:
        raise NotFound("user", canonical)
    return user


def require_room(session: Session, domain: Domain, limit: str) -> None:
    """Raise LimitReached if *domain* has as many users (``max_users``) or aliases (``max_aliases``) as it may."""
    table, maximum = (User, domain.max_users) if limit == "max_users" else (Alias, domain.max_aliases)
    if maximum < 0:
        return
    used = session.scalar(select(func.count()).select_from(table).where(table.domain_name == domain.name))
    if (used or 0) >= maximum:
        raise LimitReached(domain.name, limit, maximum)
