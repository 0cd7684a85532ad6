"""What a domain has to show the world: DNS records to copy, the zone file, the signing keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy import select
from starlette.responses import PlainTextResponse, Response

from mailu.address import DomainName
from mailu.directory.changes import note
from mailu.directory.models import Alternative
from mailu.dns_comparison import compared
from mailu.identity import rotation
from mailu.identity.dkim import DkimKeyError
from mailu.identity.dns_records import Purpose, Record, records, zone_text
from mailu.identity.rotation import KeyStatus, RotationUnderWay, Step
from mailu.web.language import _
from mailu.web.pages.domains import domain_of, part_of
from mailu.web.permission import MANAGES_DOMAIN
from mailu.web.routes import Pages
from mailu.web.visit import Refusal, Visit

pages = Pages()


@pages.show("domain", "{admin}/domain/details/{domain}", MANAGES_DOMAIN)
def details(visit: Visit) -> Response:
    """Every record, in the order in which people set them up, each with why."""
    name = domain_of(visit)
    groups: dict[Purpose, list[Record]] = {}
    for record in records(visit.control.domain_facts(name)):
        groups.setdefault(record.purpose, []).append(record)
    return visit.render(
        "admin/domain.html",
        **part_of(visit, name, "domain"),
        groups=[(*_words(purpose), found) for purpose, found in groups.items()],
        others=_alternatives(visit, name),
        keys=_keys(visit, name),
        states={"active": _("signs"), "pending": _("waits for its DNS record"), "retired": _("no longer signs")},
    )


def _words(purpose: Purpose) -> tuple[str, str]:
    """Heading, and what the record is good for."""
    return {
        Purpose.MX: (_("Where mail goes"), _("Other servers find us by it.")),
        Purpose.SPF: (_("Who may send"), _("Says that our server sends for this domain.")),
        Purpose.DKIM: (_("Signature"), _("The public half of the key that every message is signed with.")),
        Purpose.DMARC: (_("What to do with forgeries"), _("Asks others to refuse mail that is not signed.")),
        Purpose.DMARC_REPORT: (_("Reports"), _("Lets others send reports about this domain to the main domain.")),
        Purpose.CLIENTS: (_("Mail programs"), _("Lets programs find host names and ports by themselves.")),
        Purpose.TLSA: (_("Certificate"), _("Says which certificates are ours; needs DNSSEC.")),
        Purpose.MTA_STS: (_("Encryption"), _("Asks others to send to us encrypted only.")),
        Purpose.TLS_REPORT: (_("Reports about encryption"), _("Where others report encryption that failed.")),
        Purpose.CAA: (_("Who issues certificates"), _("Keeps others from having certificates issued.")),
    }[purpose]


def _alternatives(visit: Visit, domain: str) -> list[tuple[str, list[Record]]]:
    with visit.store.read() as session:
        query = select(Alternative.name).where(Alternative.domain_name == domain).order_by(Alternative.name).limit(50)
        names = list(session.scalars(query))
    return [(name, records(visit.control.domain_facts(name, alternative_of=domain))) for name in names]


def _keys(visit: Visit, domain: str) -> list[KeyStatus]:
    keep = rotation.keep_for(visit.settings.queue_lifetime)
    try:
        return rotation.keys(visit.control.places.dkim, DomainName(domain), keep=keep)
    except (DkimKeyError, OSError):
        return []


@pages.show("zone", "{admin}/domain/details/{domain}/zonefile", MANAGES_DOMAIN)
def zone_file(visit: Visit) -> Response:
    """All records as a zone file has them."""
    name = domain_of(visit)
    found = records(visit.control.domain_facts(name))
    for _name, more in _alternatives(visit, name):
        found = [*found, *more]
    headers = {"Content-Disposition": f'attachment; filename="{name}-zonefile.txt"'}
    return PlainTextResponse(zone_text(found), headers=headers)


@pages.show("dns_check", "{admin}/domain/details/{domain}/check", MANAGES_DOMAIN)
def check(visit: Visit) -> Response:
    """What the name servers say beside what they should. Asks them now, which takes seconds."""
    name = domain_of(visit)
    found = compared(visit.control, name)
    for other, _records in _alternatives(visit, name):
        found += compared(visit.control, other, alternative_of=name)
    verdicts = {
        "ok": ("good", _("right")),
        "missing": ("bad", _("missing")),
        "wrong": ("bad", _("wrong")),
        "unknown": ("warn", _("no answer")),
    }
    title = _("DNS of %(domain)s", domain=name)
    found.sort(key=lambda one: (not one.is_problem, not one.needed))
    return visit.render(
        "admin/dns_check.html", title=title, domain=name, tab="domain", comparisons=found, verdicts=verdicts
    )


# Other signing keys: made, published, and only then signed with (identity.rotation).


@pages.form("dkim", "{admin}/domain/genkeys/{domain}", MANAGES_DOMAIN)
def keys(visit: Visit) -> Response:
    """Begin a change of keys, end the wait for DNS, or give the change up; each after asking."""
    name, what = domain_of(visit), visit.fields.get("do") or visit.query("do") or "begin"
    if what not in _STEPS:
        raise Refusal(400)
    if visit.posted:
        _step(visit, DomainName(name), what)
        return visit.go("domain", domain=name)
    title, text, button = _asked(what, name)
    back = visit.url("domain", domain=name)
    return visit.render("confirm.html", title=title, text=text, back=back, button=button, hidden=[("do", what)])


_STEPS: Mapping[str, Callable[[Path, DomainName, str], list[Step]]] = {
    "begin": rotation.begin,
    "activate": lambda folder, domain, _base: rotation.activate(folder, domain),
    "cancel": lambda folder, domain, _base: rotation.cancel(folder, domain),
}


def _asked(what: str, domain: str) -> tuple[str, str, str]:
    """Title, question and button."""
    match what:
        case "activate":
            return (
                _("Sign now"),
                _("Sign with the new keys of %(domain)s now? Where their DNS records are not seen yet, others take our"
                  " signatures for forged.", domain=domain),
                _("Sign now"),
            )  # fmt: skip
        case "cancel":
            return (
                _("Give the change up"),
                _("Delete the new keys of %(domain)s that do not sign yet?", domain=domain),
                _("Delete"),
            )
    return (
        _("New signing keys"),
        _("Make new signing keys for %(domain)s? They sign by themselves once every name server shows their DNS"
          " records; the old ones stay valid for the mail that is under way.", domain=domain),
        _("Make new keys"),
    )  # fmt: skip


def _step(visit: Visit, domain: DomainName, what: str) -> None:
    try:
        steps = _STEPS[what](visit.control.places.dkim, domain, visit.settings.dkim_selector)
    except RotationUnderWay:
        visit.tell("info", _("New keys wait for their DNS records already."))
        return
    except DkimKeyError as error:
        raise Refusal(409, str(error)) from None
    if not steps:
        visit.tell("info", _("No key waits."))
        return
    with visit.store.session() as session:
        note(session, visit.actor, "dkim.rotate", domain, {step.selector: step.what for step in steps})
    began = any(step.what == "began" for step in steps)
    visit.tell(
        "good", _("New keys are made. Add their DNS records; the rest happens by itself.") if began else _("Saved.")
    )
