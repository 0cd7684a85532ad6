"""People who come by themselves: signing up in a domain that lets them, and registering a domain of their own.

Nobody who signs up may become somebody else by it. So what is refused is more than what is taken: addresses that other
people's mail went to before (aliases, patterns, mailboxes deleted lately), what looks like somebody's address with a
detail, and names by which a domain is administered. Certificates are issued to who reads ``admin@`` (CA/Browser Forum
Baseline Requirements s3.2.2.4.4), and complaints go to ``abuse@`` (RFC 2142).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailu.directory.changes import values
from mailu.directory.changes.domains import create_domain
from mailu.directory.changes.errors import Conflict, Invalid, NotFound
from mailu.directory.changes.journal import Actor
from mailu.directory.changes.names import get_domain
from mailu.directory.changes.rights import add_manager
from mailu.directory.changes.users import UserFields, create_user
from mailu.directory.models import Alias, Alternative, Domain, Relay, Retired, User
from mailu.directory.wildcards import matches

RESERVED = frozenset({
    "abuse", "admin", "administrator", "autoconfig", "autodiscover", "bounce", "bounces", "daemon", "dmarc", "ftp",
    "help", "hostmaster", "info", "ipmaster", "list", "list-request", "mail", "mailer-daemon", "mailerdaemon", "mailu",
    "majordomo", "marketing", "news", "no-reply", "nobody", "noc", "noreply", "operator", "owner", "postmaster",
    "registrar", "root", "sales", "security", "ssladmin", "ssladministrator", "sslwebmaster", "support", "sysadmin",
    "tls-reports", "tlsrpt", "usenet", "uucp", "webmaster", "www",
})  # fmt: skip
"""Localparts that nobody gets by asking."""

FIRST_USERS = FIRST_ALIASES = 10
"""What a domain that somebody registered may hold until an administrator says otherwise."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


def sign_up(
    session: Session,
    localpart: str,
    domain: str,
    *,
    password_hash: str,
    actor: Actor,
    delimiters: str = "",
    reserved: Collection[str] = (),
    **fields: Unpack[UserFields],
) -> User:
    """Make a mailbox for somebody who asked for it, in a domain that lets them.

    *delimiters*: RECIPIENT_DELIMITER; *reserved*: further localparts that are not given away. Whoever it is has to
    choose another password at the first sign-in, as everybody for whom a mailbox was made. Raises NotFound for a domain
    that does not let people sign up, Invalid, Conflict, LimitReached.
    """
    place = get_domain(session, domain)
    if not place.signup_enabled:
        raise NotFound("domain with a sign-up", place.name)
    name = localpart.strip().lower()
    check_name(name, delimiters, reserved)
    email = f"{name}@{place.name}"
    _require_unused(session, email, name, place.name)
    fields["change_pw_next_login"] = True
    return create_user(session, email, password_hash=password_hash, actor=actor, **fields)


def check_name(name: str, delimiters: str, reserved: Collection[str]) -> None:
    """Raise Invalid for a localpart that is not given to people who ask for it."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise Invalid("localpart", "letters, digits, dots, hyphens and underscores, up to 64, are possible")
    if any(letter in name for letter in delimiters):
        raise Invalid("localpart", f"none of {delimiters} can be in it, because a detail follows these")
    if name in RESERVED or name in {other.lower() for other in reserved}:
        raise Invalid("localpart", "this name is reserved")


def _require_unused(session: Session, email: str, name: str, domain: str) -> None:
    """Raise Conflict where mail to *email* leads somewhere, or did until lately."""
    patterns = select(Alias.localpart).where(Alias.domain_name == domain, Alias.wildcard)
    if any(matches(pattern.lower(), name) for pattern in session.scalars(patterns)):
        raise Conflict(email, "alias")
    if session.scalar(select(Retired.id).where(Retired.email == email).limit(1)) is not None:
        raise Conflict(email, "deleted mailbox")


def register_domain(
    session: Session, name: str, *, actor: Actor, ceiling_bytes: int, managed: Collection[str] = ()
) -> Domain:
    """Make a domain for somebody whose DNS leads its mail here, which the caller has made sure of.

    It holds ten mailboxes and ten aliases, none larger than *ceiling_bytes*. A domain below one that is here is only
    for who manages that one (*managed*): a wildcard in DNS leads every name below it here. Raises Invalid, Conflict.
    """
    canonical = values.domain_name("name", name)
    parents = [canonical.split(".", count)[-1] for count in range(1, canonical.count(".") + 1)]
    for parent in parents:
        taken = any(session.get(table, parent) is not None for table in (Domain, Alternative, Relay))
        if taken and parent not in managed:
            raise Invalid("name", f"it is below {parent}, which somebody else looks after")
    return create_domain(
        session, canonical, actor=actor, max_users=FIRST_USERS, max_aliases=FIRST_ALIASES, max_quota_bytes=ceiling_bytes
    )


def settle_in(
    session: Session, domain: Domain, localpart: str, *, password_hash: str, actor: Actor, **fields: Unpack[UserFields]
) -> User:
    """Make the first mailbox of a registered domain, and have it manage the domain. Raises Invalid and Conflict."""
    name = str(values.address("localpart", f"{localpart.strip()}@{domain.name}"))
    user = create_user(session, name, password_hash=password_hash, actor=actor, **fields)
    add_manager(session, domain.name, user.email, actor=actor)
    return user
