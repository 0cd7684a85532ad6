"""Senders who are let in or kept out: one page a list, for a mailbox, a domain or the server."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import Response
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]

from mailu.directory import changes
from mailu.directory.models import ListedSender
from mailu.directory.sender_lists import SERVER
from mailu.web.forms import PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.lists import SENDERS, shown_list
from mailu.web.pages.account import titled, whom
from mailu.web.pages.domains import domain_of, part_of
from mailu.web.permission import ACTS_FOR, GLOBAL_ADMIN, MANAGES_DOMAIN, SIGNED_IN
from mailu.web.routes import Pages
from mailu.web.visit import Refusal, Visit

pages = Pages()


class SenderForm(PageForm):
    """One more on the list."""

    name = StringField(
        lazy("Address or domain"),
        [Required()],
        render_kw=attributes(autocapitalize="none", spellcheck="false", autocomplete="off", maxlength="255"),
    )
    verdict = SelectField(
        lazy("Their mail"), choices=[SelectChoice("deny", lazy("is refused")), SelectChoice("allow", lazy("is let in"))]
    )
    comment = StringField(lazy("Comment"), render_kw=attributes(maxlength="255"))


@pages.form("senders", "{admin}/senders", SIGNED_IN)
def own_senders(visit: Visit) -> Response:
    """The visitor's own list."""
    return _page(visit, visit.person.email, title=_("Blocked and allowed senders"), crumbs=[])


@pages.form("user_senders", "{admin}/senders/user/{email:path}", ACTS_FOR)
def senders_of(visit: Visit) -> Response:
    """Somebody's list."""
    return _page(visit, whom(visit), **titled(visit, _("Blocked and allowed senders")))


@pages.form("domain_senders", "{admin}/senders/domain/{domain}", MANAGES_DOMAIN)
def domain_senders(visit: Visit) -> Response:
    """The list of a domain, for everybody in it."""
    name = domain_of(visit)
    return _page(visit, name, **part_of(visit, name, "domain_senders"))


@pages.form("server_senders", "{admin}/senders/server", GLOBAL_ADMIN)
def server_senders(visit: Visit) -> Response:
    """The list of the whole server."""
    return _page(visit, SERVER, title=_("Blocked and allowed senders"), crumbs=[])


def _page(visit: Visit, owner: str, **shown: Any) -> Response:
    if visit.posted and (number := visit.fields.get("remove", "")):
        return _remove(visit, owner, number)
    form = SenderForm.read(visit)
    if form.accepted:
        with form.refusals(sender="name"):
            with visit.store.session() as session:
                changes.set_sender(
                    session, owner, form.name.data, form.verdict.data, actor=visit.actor, comment=form.comment.data
                )
            visit.tell("good", _("Saved. It counts within a second."))
            return visit.lead_to(visit.here)
    with visit.store.read() as session:
        page = shown_list(visit, session, select(ListedSender).where(changes.on_list(owner)), SENDERS, sort="sender")
        return visit.render("account/senders.html", status=form.status, form=form, page=page, owner=owner, **shown)


def _remove(visit: Visit, owner: str, number: str) -> Response:
    with visit.store.session() as session:
        entry = session.get(ListedSender, int(number)) if number.isdecimal() and len(number) < 10 else None
        if entry is None or entry.owner != owner:
            raise Refusal(404)
        sender = entry.sender
        changes.unlist_sender(session, entry.id, actor=visit.actor)
    visit.tell("good", _("%(name)s is off the list.", name=sender))
    return visit.lead_to(visit.here)
