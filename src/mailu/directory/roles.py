"""Who may do what to whom: users, managers of domains, global administrators.

A manager looks after the domains given to them, and acts for the people in these, but never for somebody who could do
more than the manager: a global administrator, or one who looks after a domain that the manager does not. Everybody may
act for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailu.directory.models import Domain, DomainAccess, Manager, User
from mailu.directory.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Person:
    """A user, as far as rights go."""

    email: str
    domain: str
    global_admin: bool = False
    manages: frozenset[str] = frozenset()
    granted: frozenset[str] = frozenset()
    """Domains where anonymous aliases are allowed by a grant."""


def person(source: Snapshot | Session, email: str) -> Person | None:
    """The rights of the user *email*, from a snapshot or from the database; None where there is no such user."""
    if isinstance(source, Snapshot):
        entry = source.users.get(email)
        if entry is None:
            return None
        managed = source.managed_domains.get(email, frozenset())
        granted = source.granted_domains.get(email, frozenset())
        return Person(email, entry.domain_name, entry.global_admin, managed, granted)
    user = source.get(User, email)
    if user is None:
        return None
    managed = frozenset(source.scalars(select(Manager.domain_name).where(Manager.user_email == email)))
    granted = frozenset(source.scalars(select(DomainAccess.domain_name).where(DomainAccess.user_email == email)))
    return Person(email, user.domain_name, user.global_admin, managed, granted)


def may_manage_domain(who: Person, domain: str) -> bool:
    """Whether *who* may add, change and delete people and aliases of *domain*."""
    return who.global_admin or domain in who.manages


def may_act_for(who: Person, whom: Person) -> bool:
    """Whether *who* may change settings, password, tokens and fetched accounts of *whom*, or delete them."""
    if who.global_admin or who.email == whom.email:
        return True
    return whom.domain in who.manages and not whom.global_admin and whom.manages <= who.manages


def anonymous_alias_domains(source: Snapshot | Session, who: Person) -> list[str]:
    """Domains in which *who* may make anonymous aliases, sorted: every one for a global administrator, those looked
    after, those granted (also where the domain's switch is off), and the own domain where its switch is on."""
    if isinstance(source, Snapshot):
        switched = {entry.name: entry.anonmail_enabled for entry in source.domains.values()}
    else:
        rows = source.execute(select(Domain.name, Domain.anonmail_enabled))
        switched = {row.name: row.anonmail_enabled for row in rows}
    if who.global_admin:
        return sorted(switched)
    allowed = who.manages | who.granted | ({who.domain} if switched.get(who.domain) else set())
    return sorted(allowed & switched.keys())
