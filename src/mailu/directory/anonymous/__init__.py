"""Anonymous aliases: addresses that their owner makes for one site, and can switch off when they leak."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailu.directory import changes
from mailu.directory.anonymous.names import new_localpart, site_label
from mailu.directory.changes import Actor, ChangeError, Conflict
from mailu.directory.models import Alias
from mailu.directory.roles import Person, anonymous_alias_domains
from mailu.directory.wildcards import WildcardIndex

__all__ = ["NoDomain", "NoFreeName", "create_anonymous_alias", "new_localpart", "site_label"]


class NoDomain(ChangeError):
    """The person may make anonymous aliases nowhere."""

    def __init__(self, email: str) -> None:
        super().__init__(f"{email} may not make anonymous aliases in any domain.")


class NoFreeName(ChangeError):
    """Every name that was tried is taken."""

    def __init__(self, tries: int) -> None:
        super().__init__(f"No free name was found in {tries} tries; try again.")


def create_anonymous_alias(
    session: Session, who: Person, *, site: str, note: str | None, tries: int, actor: Actor, domain: str | None = None
) -> Alias:
    """Make an alias for *who*, in *domain* or in one of the domains that they may use, by chance.

    The name is made from *site*; a name that an address or a wildcard alias has is passed over. Without a *note* the
    comment says the site. Raises NoDomain, NoFreeName and Invalid.
    """
    allowed = anonymous_alias_domains(session, who)
    usable = [name for name in allowed if domain in (None, name)]
    if not usable:
        raise NoDomain(who.email)
    comment = note if note is not None else f"Website: {site}" if site else ""
    for _ in range(tries):
        chosen = secrets.choice(usable)
        localpart = new_localpart(site)
        if _is_covered(session, chosen, localpart):
            continue
        try:
            return changes.create_alias(
                session,
                f"{localpart}@{chosen}",
                destination=[who.email],
                owner=who.email,
                actor=actor,
                comment=comment,
                hostname=site[:255] or None,
            )
        except Conflict:
            continue
    raise NoFreeName(tries)


def _is_covered(session: Session, domain: str, localpart: str) -> bool:
    """Whether mail for that name goes somewhere already, by a wildcard alias. A catch-all takes what nobody has, so it
    covers nothing: otherwise no domain with one could have anonymous aliases."""
    patterns: Sequence[str] = session.scalars(
        select(Alias.localpart).where(Alias.domain_name == domain, Alias.wildcard.is_(True))
    ).all()
    index = WildcardIndex([(pattern, pattern) for pattern in patterns if pattern.strip("%")])
    return index.find(localpart) is not None
