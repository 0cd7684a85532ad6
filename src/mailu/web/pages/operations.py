"""Running the server: services, certificates, the mail queue, blocked log-ins, the audit trail, keys for the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from wtforms import BooleanField, DateField, StringField
from wtforms.validators import Optional as Maybe

from mailu import operations
from mailu.auth import in_force
from mailu.directory import changes
from mailu.directory.api_tokens import create_api_token, delete_api_token
from mailu.directory.changes import note
from mailu.directory.models import ApiToken, Audit
from mailu.identity.pairs import is_self_signed_pair
from mailu.web.counts import counts_of
from mailu.web.forms import LinesField, PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.lists import AUDIT, shown_list
from mailu.web.permission import GLOBAL_ADMIN
from mailu.web.render import shown_moment
from mailu.web.routes import Pages
from mailu.web.visit import Refusal, Visit

pages = Pages()

_SOON_DAYS = 14


# Services and certificates


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is in a certificate file, for people."""

    names: str
    issuer: str
    ends: datetime
    self_signed: bool

    @property
    def days(self) -> int:
        """Left until it expires."""
        return (self.ends - datetime.now(UTC)).days

    @property
    def is_short(self) -> bool:
        return self.days < _SOON_DAYS


@pages.show("status", "{admin}/status", GLOBAL_ADMIN)
def status(visit: Visit) -> Response:
    """How every service is, what the settings warn of, when certificates end."""
    try:
        told = operations.ask(visit.control.places, "status")
    except (operations.Unreachable, operations.NotDone):
        told = {"services": None, "settings_problems": [], "warnings": []}
    counts = counts_of(visit)
    return visit.render(
        "server/status.html",
        title=_("Services"),
        services=told["services"],
        since=_moment(visit),
        warnings=[*told["settings_problems"], *told["warnings"]],
        certificates=certificates(visit),
        people=counts.all_users,
        domains=len(visit.snapshot.domains),
    )


def _moment(visit: Visit) -> Callable[[str], str]:
    """Shows the agents' times, which are texts."""

    def shown(text: str) -> str:
        try:
            return shown_moment(datetime.fromisoformat(text), visit)
        except ValueError:
            return text

    return shown


def certificates(visit: Visit) -> list[Certificate]:
    """The certificates in force, as far as the control plane can read them."""
    # here: it brings a large library along, for this page alone
    from mailu.identity.placed import kept_chains, placed_pairs

    places, settings = visit.control.places, visit.settings
    placed = placed_pairs(places.certs, settings.tls_cert_filename, settings.tls_keypair_filename)
    found = kept_chains(places.certs) or [pair.chain for pair in placed]
    found += places.certs.glob("self-signed/*cert*.pem")
    return [certificate for path in found if (certificate := _certificate(path)) is not None]


def _certificate(path: Path) -> Certificate | None:
    from cryptography import x509

    from mailu.identity.certificates import CertificateError, read_chain

    try:
        leaf = read_chain(path)[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (CertificateError, OSError, IndexError, x509.ExtensionNotFound):
        return None
    shown = ", ".join(names.get_values_for_type(x509.DNSName))
    return Certificate(shown, leaf.issuer.rfc4514_string(), leaf.not_valid_after_utc, is_self_signed_pair(path))


# The mail queue


@pages.show("queue", "{admin}/queue", GLOBAL_ADMIN)
def queue(visit: Visit) -> Response:
    """What waits, and why."""
    try:
        told, trouble = operations.ask(visit.control.places, "queue"), ""
    except operations.Unreachable:
        told, trouble = {"messages": [], "count": 0}, _("The queue is on another machine. There, mailu queue shows it.")
    except operations.NotDone as error:
        told, trouble = {"messages": [], "count": 0}, str(error)
    return visit.render(
        "server/queue.html", title=_("Mail queue"), messages_waiting=told["messages"], count=told["count"],
        trouble=trouble,
    )  # fmt: skip


@pages.action("queue_change", "{admin}/queue/change", GLOBAL_ADMIN)
def change_queue(visit: Visit) -> Response:
    """Try the ticked messages again, or delete them after asking."""
    what, ids = visit.fields.get("do", ""), visit.fields.getlist("id")
    if what not in ("retry", "retry-all", "delete"):
        raise Refusal(400)
    if not ids and what != "retry-all":
        visit.tell("info", _("Tick some messages first."))
        return visit.go("queue")
    if what == "delete" and "sure" not in visit.fields:
        hidden = [("do", "delete"), ("sure", "yes"), *(("id", queue_id) for queue_id in ids)]
        text = _("Delete %(number)s messages? Neither sender nor recipient is told.", number=len(ids))
        return visit.render(
            "confirm.html", title=_("Delete mail"), text=text, hidden=hidden, back=visit.url("queue"),
            button=_("Delete"), action=visit.url("queue_change"),
        )  # fmt: skip
    _change_queue(visit, what, [] if what == "retry-all" else ids)
    return visit.go("queue")


def _change_queue(visit: Visit, what: str, ids: Sequence[str]) -> None:
    try:
        operations.ask(visit.control.places, "queue-delete" if what == "delete" else "queue-retry", ids=list(ids))
    except (operations.Unreachable, operations.NotDone) as error:
        visit.tell("bad", str(error))
        return
    with visit.store.session() as session:
        note(session, visit.actor, f"queue.{what}", "", {"ids": list(ids)})
    visit.tell("good", _("Deleted.") if what == "delete" else _("Delivery is being tried now."))


# Blocked log-ins


@pages.show("limits", "{admin}/limits", GLOBAL_ADMIN)
async def limits(visit: Visit) -> Response:
    """Who is slowed down after too many wrong passwords."""
    found = await in_force.list_in_force(visit.control.limits)
    return await run_in_threadpool(
        visit.render, "server/limits.html", title=_("Blocked log-ins"), found=found[:500],
        shared=getattr(visit.control.limits.counters, "is_shared", False),
    )  # fmt: skip


@pages.action("limits_clear", "{admin}/limits/clear", GLOBAL_ADMIN)
async def clear_limits(visit: Visit) -> Response:
    """Let somebody, or everybody, go."""
    account, origin = visit.fields.get("account") or None, visit.fields.get("origin") or None
    try:
        await in_force.clear(visit.control.limits, account=account, address=origin)
    except ValueError:
        # A device's number is no address: let the account go as a whole.
        await in_force.clear(visit.control.limits, account=account)
    await run_in_threadpool(_note_cleared, visit, account, origin)
    visit.tell("good", _("They can sign in again."))
    return visit.go("limits")


def _note_cleared(visit: Visit, account: str | None, origin: str | None) -> None:
    with visit.store.session() as session:
        note(session, visit.actor, "limits.clear", account or "", {"origin": origin})


# The audit trail


@pages.show("audit", "{admin}/audit", GLOBAL_ADMIN)
def audit(visit: Visit) -> Response:
    """Who changed what, the newest first."""
    with visit.store.read() as session:
        page = shown_list(visit, session, select(Audit), AUDIT, sort="id", descending=True)
        return visit.render("server/audit.html", title=_("Audit trail"), page=page)


# Keys for the API


class ApiTokenForm(PageForm):
    """What a program may do."""

    comment = StringField(
        lazy("What is it for?"), [Required()], render_kw=attributes(maxlength="255", autofocus="autofocus")
    )
    read_only = BooleanField(lazy("May only read"))
    domains = LinesField(
        lazy("Only these domains"), description=lazy("One a line. Empty: everything."), render_kw=attributes(rows="3")
    )
    until = DateField(lazy("Works until"), [Maybe()], description=lazy("Empty: until it is deleted."))


@pages.show("api_tokens", "{admin}/api", GLOBAL_ADMIN)
def api_tokens(visit: Visit) -> Response:
    """The keys that there are."""
    with visit.store.read() as session:
        found = session.scalars(select(ApiToken).order_by(ApiToken.id).limit(500)).all()
        return visit.render("server/api_tokens.html", title=_("API keys"), tokens=found, now=datetime.now(UTC))


@pages.form("api_token_create", "{admin}/api/create", GLOBAL_ADMIN)
def create_token(visit: Visit) -> Response:
    """A new key, shown once."""
    form = ApiTokenForm.read(visit)
    if form.accepted:
        with form.refusals(name="domains"):
            with visit.store.session() as session:
                _token, secret = create_api_token(session, actor=visit.actor, **_token_fields(form))
            return visit.render(
                "server/new_api_token.html", title=_("Your new API key"), secret=secret, back=visit.url("api_tokens")
            )
    return visit.render(
        "form.html", status=form.status, title=_("New API key"), form=form, cancel=visit.url("api_tokens"),
        crumbs=[(_("API keys"), visit.url("api_tokens"))],
    )  # fmt: skip


def _token_fields(form: Any) -> dict[str, Any]:
    until = form.until.data
    return {
        "comment": form.comment.data,
        "read_only": form.read_only.data,
        "domains": form.domains.data,
        "expires_at": datetime.combine(until, time.max, UTC) if until else None,
    }


@pages.form("api_token_delete", "{admin}/api/delete/{id:int}", GLOBAL_ADMIN)
def delete_token(visit: Visit) -> Response:
    """Withdraw a key, after asking."""
    number = int(visit.parameters["id"])
    with visit.store.read() as session:
        token = session.get(ApiToken, number)
        if token is None:
            raise changes.NotFound("API token", number)
        comment = token.comment
    if visit.posted:
        with visit.store.session() as session:
            delete_api_token(session, number, actor=visit.actor)
        visit.tell("good", _("The key is deleted."))
        return visit.go("api_tokens")
    text = _("Delete the key “%(name)s”? What uses it stops working.", name=comment or number)
    return visit.render(
        "confirm.html", title=_("Delete API key"), text=text, back=visit.url("api_tokens"), button=_("Delete")
    )
