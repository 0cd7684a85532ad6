"""Domains, their other names, and relayed domains."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypedDict, TypeVar, Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailu.directory.changes import values
from mailu.directory.changes.errors import Invalid, NotFound
from mailu.directory.changes.journal import Actor, note
from mailu.directory.changes.names import get_domain, require_free_domain
from mailu.directory.changes.retiring import DEFAULT_RETENTION_DAYS, retire
from mailu.directory.mail_counts import forget_mail_counts
from mailu.directory.models import Alias, Alternative, Domain, Relay, User
from mailu.directory.relay_recipients import RECIPIENT_MODES


class DomainFields(TypedDict, total=False):
    """What can be set of a domain; see ``models.Domain``."""

    max_users: int
    max_aliases: int
    max_quota_bytes: int
    signup_enabled: bool
    anonmail_enabled: bool
    mta_sts: str
    relayhost: str | None
    relayuser: str | None
    relaypassword: str | None
    comment: str


RULES = {
    "max_users": values.count_limit,
    "max_aliases": values.count_limit,
    "max_quota_bytes": values.size,
    "signup_enabled": values.flag,
    "anonmail_enabled": values.flag,
    "mta_sts": values.one_of("off", "testing", "enforce", "none"),
    "relayhost": values.optional(values.smart_host),
    "relayuser": values.optional(values.smart_host_user),
    "relaypassword": values.optional(values.text(255)),
    "comment": values.text(255),
}


def create_domain(session: Session, name: str, *, actor: Actor, **fields: Unpack[DomainFields]) -> Domain:
    """Add a domain. Raises Invalid, and Conflict if the name is a domain, an alternative or a relay already."""
    canonical = values.domain_name("name", name)
    require_free_domain(session, canonical)
    domain = Domain(name=canonical)
    values.apply(domain, fields, RULES)
    check_smart_host(domain.relayhost, domain.relayuser, domain.relaypassword)
    session.add(domain)
    session.flush()
    note(session, actor, "domain.create", canonical, fields)
    return domain


def update_domain(session: Session, name: str, *, actor: Actor, **fields: Unpack[DomainFields]) -> Domain:
    """Change a domain. A lower limit does not touch what is there. Raises NotFound and Invalid."""
    domain = get_domain(session, name)
    changed = values.apply(domain, fields, RULES)
    if "relayuser" in changed and not domain.relayuser and "relaypassword" not in changed:
        domain.relaypassword = None  # nobody can see it, so nobody would miss it or take it away
    check_smart_host(domain.relayhost, domain.relayuser, domain.relaypassword)
    if changed:
        note(session, actor, "domain.update", domain.name, changed)
    return domain


def check_smart_host(host: str | None, user: str | None, password: str | None) -> None:
    """Raise Invalid where a user name, its password and a host to log in to are not there together."""
    for field, value, needed_by in (
        ("relayhost", host, user),
        ("relayuser", user, password),
        ("relaypassword", password, user),
    ):
        if needed_by and not value:
            raise Invalid(field, "this is needed")


def delete_domain(session: Session, name: str, *, actor: Actor, retention_days: int = DEFAULT_RETENTION_DAYS) -> None:
    """Delete a domain with all that is in it; its users are retired, so their mail stays for *retention_days*.

    DKIM keys are files and are the caller's to put away. Raises NotFound.
    """
    domain = get_domain(session, name)
    for user in session.scalars(select(User).where(User.domain_name == domain.name)).all():
        retire(session, user, actor=actor, retention_days=retention_days)
    for table in (Alias, Alternative):
        for row in session.scalars(select(table).where(table.domain_name == domain.name)).all():
            session.delete(row)
    session.flush()
    forget_mail_counts(session, domain.name)
    session.delete(domain)
    session.flush()
    session.expire_all()
    note(session, actor, "domain.delete", domain.name)


def create_alternative(session: Session, name: str, domain: str, *, actor: Actor, comment: str = "") -> Alternative:
    """Add another *name* of *domain*. Raises NotFound, Invalid and Conflict."""
    canonical = values.domain_name("name", name)
    main = get_domain(session, domain)
    require_free_domain(session, canonical)
    alternative = Alternative(name=canonical, domain_name=main.name, comment=values.text(255)("comment", comment))
    session.add(alternative)
    session.flush()
    note(session, actor, "alternative.create", canonical, {"domain": main.name})
    return alternative


def delete_alternative(session: Session, name: str, *, actor: Actor) -> None:
    """Take another name of a domain away. Raises NotFound."""
    alternative = _get(session, Alternative, "alternative", name)
    session.delete(alternative)
    session.flush()
    note(session, actor, "alternative.delete", alternative.name, {"domain": alternative.domain_name})


class RelayFields(TypedDict, total=False):
    """What can be set of a relayed domain; ``smtp`` is in the notation of ``relay_target``, ``recipients`` is one of
    ``relay_recipients``, and those listed are localparts, or addresses in the domain.
    """

    smtp: str | None
    recipients: str
    listed_recipients: Collection[str]
    comment: str


RELAY_RULES = {
    "smtp": values.relay_target,
    "recipients": values.one_of(*RECIPIENT_MODES),
    "listed_recipients": values.localparts,
    "comment": values.text(255),
}


def create_relay(session: Session, name: str, *, actor: Actor, **fields: Unpack[RelayFields]) -> Relay:
    """Add a relayed domain. Raises Invalid and Conflict."""
    canonical = values.domain_name("name", name)
    require_free_domain(session, canonical)
    relay = Relay(name=canonical, smtp="")
    values.apply(relay, fields, _relay_rules(canonical))
    session.add(relay)
    session.flush()
    note(session, actor, "relay.create", canonical, fields)
    return relay


def update_relay(session: Session, name: str, *, actor: Actor, **fields: Unpack[RelayFields]) -> Relay:
    """Change a relayed domain. Raises NotFound and Invalid."""
    relay = _get(session, Relay, "relay", name)
    changed = values.apply(relay, fields, _relay_rules(relay.name))
    if changed:
        note(session, actor, "relay.update", relay.name, changed)
    return relay


def delete_relay(session: Session, name: str, *, actor: Actor) -> None:
    """Stop relaying a domain. Raises NotFound."""
    relay = _get(session, Relay, "relay", name)
    session.delete(relay)
    session.flush()
    note(session, actor, "relay.delete", relay.name)


def _relay_rules(name: str) -> dict[str, values.Rule]:
    return {**RELAY_RULES, "listed_recipients": values.localparts_in(name)}


_Named = TypeVar("_Named", Alternative, Relay)


def _get(session: Session, table: type[_Named], kind: str, name: str) -> _Named:
    canonical = values.domain_name("name", name)
    row = session.get(table, canonical)
    if row is None:
        raise NotFound(kind, canonical)
    return row
