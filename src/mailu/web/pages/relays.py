"""Relayed domains: mail that is accepted here and passed on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import Response
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]

from mailu.address import parse_domain
from mailu.directory import changes
from mailu.directory.models import Relay
from mailu.directory.relay_recipients import ANY, ASK, LISTED
from mailu.web.forms import LinesField, PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.lists import RELAYS, shown_list
from mailu.web.permission import GLOBAL_ADMIN
from mailu.web.routes import Pages
from mailu.web.visit import Visit

pages = Pages()


class RelayForm(PageForm):
    """Where the mail goes."""

    smtp = StringField(
        lazy("Goes to"),
        description=lazy("host, host:port, mx:host or lmtp:host. Empty: where the DNS of the domain says."),
        render_kw=attributes(autocapitalize="none", spellcheck="false", maxlength="255"),
    )
    recipients = SelectField(
        lazy("Mail is taken for"),
        choices=[
            SelectChoice(ASK, lazy("those whom the target server knows")),
            SelectChoice(LISTED, lazy("those listed below")),
            SelectChoice(ANY, lazy("everybody")),
        ],
        description=lazy(
            "The target server is asked while the sender waits; when it is away, mail comes in for those whom it knew. "
            "With everybody, what it refuses comes back to senders that may be forged."
        ),
    )
    listed_recipients = LinesField(
        lazy("Listed recipients"),
        description=lazy("One a line: the addresses that exist, or their parts before the @."),
        render_kw=attributes(rows="6", autocapitalize="none", spellcheck="false"),
    )
    comment = StringField(lazy("Comment"), render_kw=attributes(maxlength="255"))


class NewRelayForm(RelayForm):
    """The same with a name."""

    name = StringField(
        lazy("Domain name"), [Required()], render_kw=attributes(autocapitalize="none", spellcheck="false")
    )
    groups = (("", ("name", "smtp", "recipients", "listed_recipients", "comment")),)


@pages.show("relays", "{admin}/relay", GLOBAL_ADMIN)
def relays(visit: Visit) -> Response:
    """All relayed domains."""
    with visit.store.read() as session:
        page = shown_list(visit, session, select(Relay), RELAYS, sort="name")
        return visit.render("admin/relays.html", title=_("Relayed domains"), page=page)


@pages.form("relay_create", "{admin}/relay/create", GLOBAL_ADMIN)
def create(visit: Visit) -> Response:
    """A new relayed domain."""
    form = NewRelayForm.read(visit)
    if form.accepted:
        with form.refusals():
            with visit.store.session() as session:
                fields: dict[str, Any] = dict(form.data)
                changes.create_relay(session, fields.pop("name"), actor=visit.actor, **fields)
            visit.tell("good", _("Saved."))
            return visit.go("relays")
    return _page(visit, _("New relayed domain"), form)


@pages.form("relay_edit", "{admin}/relay/edit/{domain}", GLOBAL_ADMIN)
def edit(visit: Visit) -> Response:
    """Change a relayed domain."""
    relay = _find(visit)
    form = RelayForm.read(visit, relay)
    if form.accepted:
        with form.refusals():
            with visit.store.session() as session:
                changes.update_relay(session, relay.name, actor=visit.actor, **form.data)
            visit.tell("good", _("Saved."))
            return visit.go("relays")
    return _page(visit, relay.name, form)


@pages.form("relay_delete", "{admin}/relay/delete/{domain}", GLOBAL_ADMIN)
def delete(visit: Visit) -> Response:
    """Stop relaying, after asking."""
    name = _find(visit).name
    if visit.posted:
        with visit.store.session() as session:
            changes.delete_relay(session, name, actor=visit.actor)
        visit.tell("good", _("%(domain)s is deleted.", domain=name))
        return visit.go("relays")
    text = _("Delete %(name)s? Mail to it is refused from then on.", name=name)
    return visit.render(
        "confirm.html", title=_("Delete relayed domain"), text=text, back=visit.url("relays"), button=_("Delete")
    )


def _find(visit: Visit) -> Relay:
    with visit.store.read() as session:
        name = parse_domain(visit.parameters["domain"])
        relay = session.get(Relay, name)
        if relay is None:
            raise changes.NotFound("relay", name)
        session.expunge(relay)
        return relay


def _page(visit: Visit, title: str, form: RelayForm) -> Response:
    crumbs = [(_("Relayed domains"), visit.url("relays"))]
    return visit.render(
        "form.html", status=form.status, title=title, form=form, crumbs=crumbs, cancel=visit.url("relays")
    )
