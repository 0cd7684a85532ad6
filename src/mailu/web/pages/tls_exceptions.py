"""Destinations that are sent to with less encryption, until a day."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from starlette.responses import Response
from wtforms import DateField, SelectField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]

from mailu.directory import changes
from mailu.directory.changes.tls_exceptions import MOST_DAYS, USUAL_DAYS
from mailu.directory.models import TlsException, today
from mailu.web.forms import PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.lists import TLS_EXCEPTIONS, shown_list
from mailu.web.permission import GLOBAL_ADMIN
from mailu.web.routes import Pages
from mailu.web.visit import Visit

pages = Pages()


class ExceptionForm(PageForm):
    """One more exception, or another end for one that there is."""

    name = StringField(
        lazy("Destination"),
        [Required()],
        description=lazy("A domain that mail is sent to, or the host that it is passed to."),
        render_kw=attributes(autocapitalize="none", spellcheck="false", maxlength="255"),
    )
    level = SelectField(
        lazy("What is enough"),
        choices=[
            SelectChoice("may", lazy("encrypted where it is offered")),
            SelectChoice("encrypt", lazy("encrypted, whoever answers")),
            SelectChoice("none", lazy("plain text")),
        ],
    )
    last_day = DateField(lazy("Last day"))
    comment = StringField(lazy("Reason"), [Required()], render_kw=attributes(maxlength="255"))


@pages.form("tls_exceptions", "{admin}/tls-exceptions", GLOBAL_ADMIN)
def tls_exceptions(visit: Visit) -> Response:
    """The exceptions, and a form for one more."""
    if visit.posted and (name := visit.fields.get("remove", "")):
        with visit.store.session() as session:
            changes.end_tls_exception(session, name, actor=visit.actor)
        visit.tell("good", _("%(name)s is off the list.", name=name))
        return visit.lead_to(visit.here)
    form = ExceptionForm.read(visit, last_day=today() + timedelta(days=USUAL_DAYS))
    form.last_day.description = _("At most %(days)s days from now.", days=MOST_DAYS)
    if form.accepted:
        with form.refusals():
            fields = dict(form.data)
            with visit.store.session() as session:
                changes.allow_tls_exception(session, fields.pop("name"), actor=visit.actor, **fields)
            visit.tell("good", _("Saved. It counts within a second."))
            return visit.lead_to(visit.here)
    with visit.store.read() as session:
        page = shown_list(visit, session, select(TlsException), TLS_EXCEPTIONS, sort="name")
        return visit.render(
            "server/tls_exceptions.html",
            status=form.status,
            title=_("Exceptions from encryption"),
            form=form,
            page=page,
            today=today(),
        )
