"""``/domain/{domain}/dns``, ``zone`` and ``dkim``: what the world has to be shown, and the keys that sign."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy import select
from starlette.requests import Request

from mailu.address import DomainName, parse_domain
from mailu.api.access import Caller, Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import DKIM_KEYS, DNS_RECORDS, DNS_STATUS
from mailu.api.paging import Paged, listed_plain
from mailu.api.schemas import DkimCreate, DkimUpdate
from mailu.api.shapes import DkimKey, DnsRecord, Done, NewDkimKey
from mailu.control import ControlPlane
from mailu.directory import changes
from mailu.directory.changes import Actor
from mailu.directory.models import Alternative
from mailu.dns_comparison import compared
from mailu.identity import dkim
from mailu.identity.dkim import Selector, SigningKey
from mailu.identity.dkim_staging import STATES, StagedKeys, generated_pem
from mailu.identity.dns_check import Comparison
from mailu.identity.dns_records import Record, records, zone_text

router = APIRouter(tags=["dns"])
SelectorName = Annotated[str, Path(max_length=63)]


@router.get("/domain/{domain}/dns", response_model=list[DnsRecord])
def list_records(request: Request, control: Control, caller: Reader, domain: str, page: Paged) -> OneLine:
    """The DNS records that a domain and its other names need."""
    found = _records(control, _existing(control, caller, domain))
    rows = [
        {
            "record": each.name,
            "type": each.type,
            "ttl": each.ttl_seconds,
            "value": each.value,
            "purpose": str(each.purpose),
        }
        for each in found
    ]
    return listed_plain(request, rows, DNS_RECORDS, page)


@router.get("/domain/{domain}/dns/status", response_model=list[Comparison])
def compare(request: Request, control: Control, caller: Reader, domain: str, page: Paged) -> OneLine:
    """What the domain's own name servers say beside what they should: ok, missing, wrong or unknown, and what that
    does. Asks them now, which takes seconds."""
    name = _existing(control, caller, domain)
    return listed_plain(request, [comparison.to_json() for comparison in compared(control, name)], DNS_STATUS, page)


@router.get(
    "/domain/{domain}/zone",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def get_zone(control: Control, caller: Reader, domain: str) -> Response:
    """The same as text to be included in a zone file."""
    return PlainTextResponse(zone_text(_records(control, _existing(control, caller, domain))))


@router.get("/domain/{domain}/dkim", response_model=list[DkimKey])
def list_keys(request: Request, control: Control, caller: Reader, domain: str, page: Paged) -> OneLine:
    """The DKIM keys of a domain: their selectors, states and DNS records, never the keys themselves."""
    name = _existing(control, caller, domain)
    keys = [_shown(name, key) for key in dkim.load_keys(control.places.dkim, name, STATES)]
    return listed_plain(request, keys, DKIM_KEYS, page)


@router.post("/domain/{domain}/dkim", response_model=NewDkimKey)
def generate_key(control: Control, caller: Writer, domain: str, body: DkimCreate | None = None) -> OneLine:
    """Make a new DKIM key.

    Without a body it takes the place of the one that signs now, at once, as it always did: then the DNS record has to
    be changed as quickly. With a ``selector`` that is new, the key waits (``pending``) until it is made ``active``.
    """
    name, folder = _existing(control, caller, domain), control.places.dkim
    wanted = body or DkimCreate()
    if wanted.selector is not None:
        key = dkim.add_key(folder, name, Selector(wanted.selector, wanted.algorithm))
        _note(control, caller.actor, "dkim.create", name, {"selector": key.selector, "state": key.state})
        return OneLine({**done(f"Key {key.selector} of {name} has been created"), **_shown(name, key)})
    selector = control.settings.dkim_selector
    with StagedKeys(folder) as staged:
        staged.put(name, selector, "active", generated_pem(wanted.algorithm))
        _note(control, caller.actor, "dkim.replace", name, {"selector": selector})
        staged.commit()
    return OneLine(done(f"A new key of {name} has been created"))


@router.patch("/domain/{domain}/dkim/{selector}")
def change_key(control: Control, caller: Writer, domain: str, selector: SelectorName, body: DkimUpdate) -> Done:
    """Make a key active, pending or retired."""
    name = _existing(control, caller, domain)
    _require_key(control, name, selector)
    dkim.change_state(control.places.dkim, name, selector, body.state)
    _note(control, caller.actor, "dkim.update", name, {"selector": selector, "state": body.state})
    return done(f"Key {selector} of {name} is {body.state}")


@router.delete("/domain/{domain}/dkim/{selector}")
def delete_key(control: Control, caller: Writer, domain: str, selector: SelectorName) -> Done:
    """Delete a key for good."""
    name = _existing(control, caller, domain)
    _require_key(control, name, selector)
    with StagedKeys(control.places.dkim) as staged:
        staged.drop(name, selector)
        _note(control, caller.actor, "dkim.delete", name, {"selector": selector})
        staged.commit()
    return done(f"Key {selector} of {name} has been deleted")


def _existing(control: ControlPlane, caller: Caller, domain: str) -> DomainName:
    name = parse_domain(domain)
    caller.require(name)
    with control.store.read() as session:
        return DomainName(changes.get_domain(session, name).name)


def _records(control: ControlPlane, name: DomainName) -> list[Record]:
    with control.store.read() as session:
        others = session.scalars(select(Alternative.name).where(Alternative.domain_name == name))
        alternatives = sorted(others)
    found = records(control.domain_facts(name))
    for alternative in alternatives:
        found += records(control.domain_facts(alternative, alternative_of=name))
    return found


def _require_key(control: ControlPlane, name: DomainName, selector: str) -> None:
    if all(key.selector != selector for key in dkim.load_keys(control.places.dkim, name, STATES)):
        raise changes.NotFound("DKIM key", f"{selector} of {name}")


def _shown(name: DomainName, key: SigningKey) -> dict[str, str]:
    record = f"{key.selector}._domainkey.{name}"
    return {
        "selector": key.selector,
        "algorithm": key.algorithm,
        "state": key.state,
        "record": record,
        "value": key.record,
    }


def _note(control: ControlPlane, actor: Actor, action: str, subject: str, detail: dict[str, Any]) -> None:
    with control.store.session() as session:
        changes.note(session, actor, action, subject, detail)
