"""What a page asks of its visitor before it does anything. Each page states one of these.

The rules about rights themselves are those of ``mailu.directory.roles``. Who is not signed in is led to the sign-on;
who lacks the right is told so (403), also where the thing does not exist, so that nobody learns from us what exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from mailu.address import AddressError, parse_address, parse_domain
from mailu.directory.models import Alias, Fetch, Token
from mailu.directory.roles import Person, anonymous_alias_domains, may_act_for, may_manage_domain, person

Parameters = Mapping[str, str]
Check = Callable[[Person, Parameters, Session], bool]


class Missing(Exception):
    """The thing does not exist, and the visitor would be allowed to know it: 404."""


@dataclass(frozen=True, slots=True)
class Permission:
    """*check* says whether somebody who is signed in may; None: everybody who is signed in."""

    name: str
    check: Check | None = None
    signed_in: bool = True
    asks_database: bool = False


def _address(parameters: Parameters) -> str:
    try:
        return str(parse_address(parameters["email"]))
    except AddressError:
        raise Missing from None


def _domain(parameters: Parameters) -> str:
    try:
        return parse_domain(parameters["domain"])
    except AddressError:
        raise Missing from None


def _is_admin(who: Person, parameters: Parameters, session: Session) -> bool:
    return who.global_admin


def _is_manager(who: Person, parameters: Parameters, session: Session) -> bool:
    return who.global_admin or bool(who.manages)


def _manages_domain(who: Person, parameters: Parameters, session: Session) -> bool:
    return may_manage_domain(who, _domain(parameters))


def _manages_address(who: Person, parameters: Parameters, session: Session) -> bool:
    return may_manage_domain(who, _address(parameters).rpartition("@")[2])


def _acts_for(who: Person, parameters: Parameters, session: Session) -> bool:
    return _for_address(who, _address(parameters), session)


def _for_address(who: Person, email: str, session: Session) -> bool:
    whom = person(session, email)
    if whom is None:
        if may_manage_domain(who, email.rpartition("@")[2]):
            raise Missing
        return False
    return may_act_for(who, whom)


def _manages_user(who: Person, parameters: Parameters, session: Session) -> bool:
    """Everybody acts for themselves, but nobody raises their own quota by that: the domain has to be theirs too."""
    return _manages_address(who, parameters, session) and _acts_for(who, parameters, session)


def _owns_token(who: Person, parameters: Parameters, session: Session) -> bool:
    return _owner_of(who, session.get(Token, int(parameters["id"])), session)


def _owns_fetch(who: Person, parameters: Parameters, session: Session) -> bool:
    return _owner_of(who, session.get(Fetch, int(parameters["id"])), session)


def _owner_of(who: Person, row: Token | Fetch | None, session: Session) -> bool:
    if row is None:
        if who.global_admin:
            raise Missing
        return False
    return _for_address(who, row.user_email, session)


def _owns_alias(who: Person, parameters: Parameters, session: Session) -> bool:
    alias = session.get(Alias, _address(parameters))
    return alias is not None and alias.owner_email == who.email


def _has_anonymous_domains(who: Person, parameters: Parameters, session: Session) -> bool:
    return bool(anonymous_alias_domains(session, who)) or _has_aliases(who, session)


def _has_aliases(who: Person, session: Session) -> bool:
    return session.query(Alias.email).filter(Alias.owner_email == who.email).first() is not None


ANYONE = Permission("anyone", signed_in=False)
SIGNED_IN = Permission("signed in")
GLOBAL_ADMIN = Permission("global administrator", _is_admin)
MANAGER = Permission("manager of any domain", _is_manager)
MANAGES_DOMAIN = Permission("manager of the domain", _manages_domain)
MANAGES_ADDRESS = Permission("manager of the address's domain", _manages_address)
ACTS_FOR = Permission("the user, or who may act for them", _acts_for, asks_database=True)
MANAGES_USER = Permission("manager who may act for the user", _manages_user, asks_database=True)
OWNS_TOKEN = Permission("may act for the token's owner", _owns_token, asks_database=True)
OWNS_FETCH = Permission("may act for the fetched account's owner", _owns_fetch, asks_database=True)
OWNS_ALIAS = Permission("owner of the anonymous alias", _owns_alias, asks_database=True)
USES_ANONYMOUS = Permission("may use anonymous aliases", _has_anonymous_domains, asks_database=True)
