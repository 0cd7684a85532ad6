"""``/domain`` and ``/alternative``: domains, their other names, their managers and DKIM keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mailu.address import DomainName, parse_address, parse_domain
from mailu.api.access import Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import ALTERNATIVES, DOMAINS, USERS
from mailu.api.paging import Paged, listed
from mailu.api.schemas import (
    AlternativeCreate,
    DomainCreate,
    DomainUpdate,
    ManagerCreate,
    alternative_object,
    domain_object,
    user_object,
)
from mailu.api.shapes import AlternativeObject, DomainObject, Done, Managers, UserObject
from mailu.control import ControlPlane
from mailu.directory import changes
from mailu.directory.models import Alternative, Domain, Manager, User
from mailu.identity.dkim_staging import StagedKeys
from mailu.identity.dns_records import Purpose, records

router = APIRouter(tags=["domain"])


@router.get("/domain", response_model=list[DomainObject])
def list_domains(request: Request, control: Control, caller: Reader, page: Paged) -> OneLine:
    """All domains."""
    statement = select(Domain)
    if caller.domains is not None:
        statement = statement.where(Domain.name.in_(caller.domains))
    with control.store.read() as session:
        names = None if page else _Names.of_all(session)
        return listed(
            request, session, statement, DOMAINS, page, lambda domain: _whole(control, session, caller, domain, names)
        )


@router.post("/domain")
def create_domain(control: Control, caller: Writer, body: DomainCreate) -> Done:
    """Create a domain."""
    caller.require_all()
    fields = body.given()
    name, alternatives = fields.pop("name"), fields.pop("alternatives", [])
    with control.store.session() as session:
        domain = changes.create_domain(session, name, actor=caller.actor, **fields)
        for alternative in alternatives:
            changes.create_alternative(session, alternative, domain.name, actor=caller.actor)
        return done(f"Domain {domain.name} has been created")


@router.get("/domain/{domain}", response_model=DomainObject)
def get_domain(control: Control, caller: Reader, domain: str) -> OneLine:
    """One domain."""
    name = _allowed(caller, domain)
    with control.store.read() as session:
        return OneLine(_whole(control, session, caller, changes.get_domain(session, name)))


@router.patch("/domain/{domain}")
def update_domain(control: Control, caller: Writer, domain: str, body: DomainUpdate) -> Done:
    """Change a domain. Names in ``alternatives`` are added; those that are there already stay."""
    name, fields = _allowed(caller, domain), body.given()
    if body.names_smart_host:
        caller.require_all()
    wanted = [parse_domain(other) for other in fields.pop("alternatives", [])]
    with control.store.session() as session:
        changes.update_domain(session, name, actor=caller.actor, **fields)
        for other in wanted:
            if other not in _alternatives(session, name):
                changes.create_alternative(session, other, name, actor=caller.actor)
    return done(f"Domain {name} has been updated")


@router.delete("/domain/{domain}")
def delete_domain(control: Control, caller: Writer, domain: str) -> Done:
    """Delete a domain with its users, aliases and DKIM keys. The mail is kept for RETENTION_DAYS."""
    caller.require_all()
    name = parse_domain(domain)
    with StagedKeys(control.places.dkim) as keys:
        keys.drop(name)
        with control.store.session() as session:
            changes.delete_domain(session, name, actor=caller.actor, retention_days=control.settings.retention_days)
        keys.commit()
    return done(f"Domain {name} has been deleted")


@router.get("/domain/{domain}/manager", response_model=Managers)
def list_managers(control: Control, caller: Reader, domain: str) -> OneLine:
    """Who looks after a domain."""
    name = _allowed(caller, domain)
    with control.store.read() as session:
        return OneLine({"managers": _managers(session, changes.get_domain(session, name).name)})


@router.post("/domain/{domain}/manager")
def add_manager(control: Control, caller: Writer, domain: str, body: ManagerCreate) -> Done:
    """Let a user look after a domain."""
    name, email = _allowed(caller, domain), parse_address(body.user_email)
    caller.require_address(str(email))
    with control.store.session() as session:
        changes.add_manager(session, name, str(email), actor=caller.actor)
    return done(f"User {email} has been added as manager of the domain {name}")


@router.get("/domain/{domain}/manager/{email:path}")
def get_manager(control: Control, caller: Reader, domain: str, email: str) -> Done:
    """Whether a user looks after a domain: 200 or 404."""
    name, address = _allowed(caller, domain), parse_address(email)
    with control.store.read() as session:
        if str(address) not in _managers(session, changes.get_domain(session, name).name):
            raise HTTPException(404, f"User {address} is not a manager of the domain {name}")
    return done(f"User {address} is a manager of the domain {name}")


@router.delete("/domain/{domain}/manager/{email:path}")
def remove_manager(control: Control, caller: Writer, domain: str, email: str) -> Done:
    """End a user's looking after a domain."""
    name, address = _allowed(caller, domain), parse_address(email)
    with control.store.session() as session:
        changes.remove_manager(session, name, str(address), actor=caller.actor)
    return done(f"User {address} has been removed as manager of the domain {name}")


@router.get("/domain/{domain}/users", response_model=list[UserObject])
def list_domain_users(request: Request, control: Control, caller: Reader, domain: str, page: Paged) -> OneLine:
    """The users of a domain."""
    name = _allowed(caller, domain)
    with control.store.read() as session:
        statement = select(User).where(User.domain_name == changes.get_domain(session, name).name)
        return listed(request, session, statement, USERS, page, user_object)


@router.get("/alternative", tags=["alternative"], response_model=list[AlternativeObject])
def list_alternatives(request: Request, control: Control, caller: Reader, page: Paged) -> OneLine:
    """All alternative names."""
    statement = select(Alternative)
    if caller.domains is not None:
        statement = statement.where(Alternative.domain_name.in_(caller.domains))
    with control.store.read() as session:
        return listed(request, session, statement, ALTERNATIVES, page, alternative_object)


@router.post("/alternative", tags=["alternative"])
def create_alternative(control: Control, caller: Writer, body: AlternativeCreate) -> Done:
    """Give a domain another name."""
    domain = _allowed(caller, body.domain)
    with control.store.session() as session:
        alternative = changes.create_alternative(session, body.name, domain, actor=caller.actor)
        return done(f"Alternative {alternative.name} for domain {domain} has been created")


@router.get("/alternative/{name}", tags=["alternative"], response_model=AlternativeObject)
def get_alternative(control: Control, caller: Reader, name: str) -> OneLine:
    """One alternative name."""
    with control.store.read() as session:
        return OneLine(alternative_object(_alternative(session, caller, name)))


@router.delete("/alternative/{name}", tags=["alternative"])
def delete_alternative(control: Control, caller: Writer, name: str) -> Done:
    """Take an alternative name away."""
    with control.store.session() as session:
        found = _alternative(session, caller, name)
        changes.delete_alternative(session, found.name, actor=caller.actor)
        return done(f"Alternative {found.name} has been deleted")


def _allowed(caller: Reader, domain: str) -> DomainName:
    name = parse_domain(domain)
    caller.require(name)
    return name


def _alternative(session: Session, caller: Reader, name: str) -> Alternative:
    found = session.get(Alternative, parse_domain(name))
    if found is None:
        raise changes.NotFound("alternative", name)
    caller.require(found.domain_name)
    return found


def _alternatives(session: Session, domain: str) -> set[str]:
    return set(session.scalars(select(Alternative.name).where(Alternative.domain_name == domain)))


def _managers(session: Session, domain: str) -> list[str]:
    query = select(Manager.user_email).where(Manager.domain_name == domain).order_by(Manager.user_email)
    return list(session.scalars(query))


@dataclass(frozen=True, slots=True)
class _Names:
    """Other names and managers of all domains, so that a list of all asks for them once."""

    alternatives: dict[str, list[str]]
    managers: dict[str, list[str]]

    @classmethod
    def of_all(cls, session: Session) -> _Names:
        names = cls({}, {})
        for domain, name in session.execute(select(Alternative.domain_name, Alternative.name)):
            names.alternatives.setdefault(domain, []).append(name)
        for domain, email in session.execute(select(Manager.domain_name, Manager.user_email)):
            names.managers.setdefault(domain, []).append(email)
        return names


def _whole(
    control: ControlPlane, session: Session, caller: Reader, domain: Domain, names: _Names | None = None
) -> dict[str, Any]:
    """A domain with its managers and the DNS records that it needs; the fields of records it has none of are null."""
    if names is None:
        alternatives, managers = list(_alternatives(session, domain.name)), _managers(session, domain.name)
    else:
        alternatives, managers = names.alternatives.get(domain.name, []), sorted(names.managers.get(domain.name, []))
    lines: dict[Purpose, list[str]] = {}
    for record in records(control.domain_facts(domain.name)):
        lines.setdefault(record.purpose, []).append(record.line())

    def one(purpose: Purpose) -> str | None:
        return lines[purpose][0] if purpose in lines else None

    return {
        **domain_object(domain, alternatives, smart_host=caller.domains is None),
        "managers": managers,
        "dns_autoconfig": lines.get(Purpose.CLIENTS, []),
        "dns_mx": one(Purpose.MX),
        "dns_spf": one(Purpose.SPF),
        "dns_dkim": one(Purpose.DKIM),
        "dns_dmarc": one(Purpose.DMARC),
        "dns_dmarc_report": one(Purpose.DMARC_REPORT),
        "dns_tlsa": lines.get(Purpose.TLSA) or None,
    }
