"""Anonymous aliases: addresses that people make for themselves, one for each site, and switch off when they leak."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import Response
from wtforms import SelectField, StringField

from mailu.address import parse_address
from mailu.directory import changes
from mailu.directory.anonymous import create_anonymous_alias
from mailu.directory.changes import Invalid
from mailu.directory.models import Alias
from mailu.directory.roles import anonymous_alias_domains
from mailu.web.forms import PageForm, attributes, lazy
from mailu.web.language import _
from mailu.web.lists import ALIASES, shown_list
from mailu.web.permission import OWNS_ALIAS, USES_ANONYMOUS
from mailu.web.routes import Pages
from mailu.web.visit import Refusal, Visit

pages = Pages()


class AnonymousForm(PageForm):
    """For which site."""

    hostname = StringField(
        lazy("For which site?"), description=lazy("For example: shop.example.com. Only you see it."),
        render_kw=attributes(maxlength="255", autocapitalize="none", spellcheck="false"),
    )  # fmt: skip
    comment = StringField(lazy("Note"), render_kw=attributes(maxlength="255"))
    domain = SelectField(lazy("Domain"), validate_choice=False)


@pages.show("anonymous", "{admin}/anonalias/list", USES_ANONYMOUS)
def own(visit: Visit) -> Response:
    """The visitor's anonymous aliases."""
    with visit.store.read() as session:
        statement = select(Alias).where(Alias.owner_email == visit.person.email)
        page = shown_list(visit, session, statement, ALIASES, sort="email")
        more = bool(anonymous_alias_domains(session, visit.person))
        return visit.render("account/anonymous.html", title=_("Anonymous aliases"), page=page, more=more)


@pages.form("anonymous_create", "{admin}/anonalias/create", USES_ANONYMOUS)
def create(visit: Visit) -> Response:
    """A new one: the name is made here."""
    with visit.store.read() as session:
        allowed = anonymous_alias_domains(session, visit.person)
    if not allowed:
        raise Refusal(403)
    form = AnonymousForm.read(visit, None, domain=_usual(visit, allowed))
    form.domain.choices = allowed
    if form.accepted:
        with form.refusals():
            if form.domain.data not in allowed:
                raise Invalid("domain", "this is needed")
            email = _make(visit, form)
            visit.tell("good", _("%(address)s is here.", address=email))
            return visit.go("anonymous")
    return visit.render(
        "form.html", status=form.status, title=_("New anonymous alias"), form=form, cancel=visit.url("anonymous"),
        crumbs=[(_("Anonymous aliases"), visit.url("anonymous"))], submit=_("Make one"),
    )  # fmt: skip


def _usual(visit: Visit, allowed: list[str]) -> str:
    return visit.person.domain if visit.person.domain in allowed else allowed[0]


def _make(visit: Visit, form: Any) -> str:
    """Make an alias under a name that is free."""
    with visit.store.session() as session:
        return create_anonymous_alias(
            session,
            visit.person,
            site=(form.hostname.data or "").strip(),
            note=form.comment.data,
            tries=visit.settings.anonmail_max_retries,
            actor=visit.actor,
            domain=form.domain.data,
        ).email


@pages.action("anonymous_enable", "{admin}/anonalias/enable/{email:path}", OWNS_ALIAS)
def enable(visit: Visit) -> Response:
    """Let mail through again."""
    return _switch(visit, disabled=False)


@pages.action("anonymous_disable", "{admin}/anonalias/disable/{email:path}", OWNS_ALIAS)
def disable(visit: Visit) -> Response:
    """Refuse mail to it."""
    return _switch(visit, disabled=True)


def _switch(visit: Visit, *, disabled: bool) -> Response:
    email = str(parse_address(visit.parameters["email"]))
    with visit.store.session() as session:
        changes.update_alias(session, email, disabled=disabled, actor=visit.actor)
    text = _("%(address)s is switched off.") if disabled else _("%(address)s is switched on.")
    other = "anonymous_enable" if disabled else "anonymous_disable"
    visit.tell("good", text % {"address": email}, undo=visit.url(other, email=email))
    return visit.go("anonymous")


@pages.form("anonymous_delete", "{admin}/anonalias/delete/{email:path}", OWNS_ALIAS)
def delete(visit: Visit) -> Response:
    """Delete one, after asking."""
    email = str(parse_address(visit.parameters["email"]))
    if visit.posted:
        with visit.store.session() as session:
            changes.delete_alias(session, email, actor=visit.actor)
        visit.tell("good", _("%(address)s is deleted.", address=email))
        return visit.go("anonymous")
    text = _("Delete %(name)s? Mail to it is refused from then on.", name=email)
    back = visit.url("anonymous")
    return visit.render("confirm.html", title=_("Delete alias"), text=text, back=back, button=_("Delete"))
