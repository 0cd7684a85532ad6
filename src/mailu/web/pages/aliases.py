"""Aliases of a domain: addresses that stand for others."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import JSONResponse, Response
from wtforms import BooleanField, StringField

from mailu.address import parse_address
from mailu.directory import changes
from mailu.directory.changes import Invalid
from mailu.directory.models import Alias, DomainAccess
from mailu.web.counts import counts_of
from mailu.web.forms import LinesField, PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.lists import ALIASES, shown_list
from mailu.web.pages.domains import PersonForm, domain_of, part_of
from mailu.web.permission import MANAGES_ADDRESS, MANAGES_DOMAIN
from mailu.web.routes import Pages
from mailu.web.visit import Visit

pages = Pages()


class AliasForm(PageForm):
    """Where mail goes."""

    destination = LinesField(
        lazy("Goes to"), [Required()], description=lazy("E-mail addresses, one a line."),
        render_kw=attributes(rows="4", spellcheck="false"),
    )  # fmt: skip
    wildcard = BooleanField(
        lazy("Is a pattern"), description=lazy("% stands for any characters, _ for one. % alone catches everything.")
    )
    disabled = BooleanField(lazy("Switched off"))
    comment = StringField(lazy("Comment"), render_kw=attributes(maxlength="255"))


class NewAliasForm(AliasForm):
    """The same with a name."""

    localpart = StringField(
        lazy("Name before the @"), [Required()],
        render_kw=attributes(autocapitalize="none", spellcheck="false", maxlength="64", autofocus="autofocus"),
    )  # fmt: skip
    groups = (("", ("localpart", "wildcard", "destination", "comment", "disabled")),)


@pages.show("aliases", "{admin}/alias/list/{domain}", MANAGES_DOMAIN)
def aliases(visit: Visit) -> Response:
    """The aliases of a domain, those that people made for themselves among them."""
    name = domain_of(visit)
    with visit.store.read() as session:
        page = shown_list(visit, session, select(Alias).where(Alias.domain_name == name), ALIASES, sort="email")
        most, count = changes.get_domain(session, name).max_aliases, counts_of(visit).aliases.get(name, 0)
        return visit.render("admin/aliases.html", page=page, count=count, most=most, **part_of(visit, name, "aliases"))


@pages.form("alias_create", "{admin}/alias/create/{domain}", MANAGES_DOMAIN)
def create(visit: Visit) -> Response:
    """A new alias."""
    name, form = domain_of(visit), NewAliasForm.read(visit)
    if form.accepted:
        with form.refusals(email="localpart", name="localpart"):
            fields: dict[str, Any] = dict(form.data)
            localpart = fields.pop("localpart").strip()
            if "@" in localpart:
                raise Invalid("email", _("Only what stands before the @ belongs here."))
            with visit.store.session() as session:
                email = changes.create_alias(session, f"{localpart}@{name}", actor=visit.actor, **fields).email
            visit.tell("good", _("%(address)s is here.", address=email))
            return visit.go("aliases", domain=name)
    return visit.render(
        "form.html", status=form.status, title=_("New alias"), form=form, cancel=visit.url("aliases", domain=name),
        crumbs=[(name, visit.url("aliases", domain=name))],
    )  # fmt: skip


def _find(visit: Visit) -> Alias:
    with visit.store.read() as session:
        address = str(parse_address(visit.parameters["email"]))
        alias = session.get(Alias, address)
        if alias is None:
            raise changes.NotFound("alias", address)
        session.expunge(alias)
        return alias


@pages.form("alias_edit", "{admin}/alias/edit/{email:path}", MANAGES_ADDRESS)
def edit(visit: Visit) -> Response:
    """Change an alias."""
    alias = _find(visit)
    form, back = AliasForm.read(visit, alias), visit.url("aliases", domain=alias.domain_name)
    if form.accepted:
        with form.refusals():
            with visit.store.session() as session:
                changes.update_alias(session, alias.email, actor=visit.actor, **form.data)
            visit.tell("good", _("Saved."))
            return visit.lead_to(back)
    crumbs = [(alias.domain_name, back)]
    return visit.render("form.html", status=form.status, title=alias.email, form=form, cancel=back, crumbs=crumbs)


@pages.form("alias_delete", "{admin}/alias/delete/{email:path}", MANAGES_ADDRESS)
def delete(visit: Visit) -> Response:
    """Delete an alias, after asking."""
    alias = _find(visit)
    back = visit.url("aliases", domain=alias.domain_name)
    if visit.posted:
        with visit.store.session() as session:
            changes.delete_alias(session, alias.email, actor=visit.actor)
        visit.tell("good", _("%(address)s is deleted.", address=alias.email))
        return visit.lead_to(back)
    text = _("Delete %(name)s? Mail to it is refused from then on.", name=alias.email)
    return visit.render("confirm.html", title=_("Delete alias"), text=text, back=back, button=_("Delete"))


# Who may make anonymous aliases in the domain


@pages.form("grants", "{admin}/domain/access/list/{domain}", MANAGES_DOMAIN)
def grants(visit: Visit) -> Response:
    """People who may make anonymous aliases, and a line for one more."""
    name, form = domain_of(visit), PersonForm.read(visit)
    if form.accepted:
        with form.refusals(name="email"):
            with visit.store.session() as session:
                changes.grant_access(session, name, form.email.data, actor=visit.actor)
            visit.tell("good", _("Saved."))
            return visit.go("grants", domain=name)
    with visit.store.read() as session:
        query = select(DomainAccess).where(DomainAccess.domain_name == name).order_by(DomainAccess.user_email)
        found = [access.user_email for access in session.scalars(query.limit(500))]
        everybody = changes.get_domain(session, name).anonmail_enabled
    return visit.render(
        "admin/grants.html", status=form.status, form=form, found=found, everybody=everybody,
        **part_of(visit, name, "grants"),
    )  # fmt: skip


@pages.program("grant_create", "{admin}/domain/access/create/{domain}", MANAGES_DOMAIN)
def grant_by_program(visit: Visit) -> Response:
    """The same for programs: ``{"user": address}`` is answered 201 with ``{"id", "user_email"}``. The API is newer."""
    name = domain_of(visit)
    if not visit.posted:
        return visit.go("grants", domain=name)
    try:
        with visit.store.session() as session:
            access = changes.grant_access(session, name, str(visit.sent.get("user", "")), actor=visit.actor)
            made = {"id": access.id, "user_email": access.user_email}
    except changes.ChangeError as error:
        status = 404 if isinstance(error, changes.NotFound) else 409 if isinstance(error, changes.Conflict) else 400
        return JSONResponse({"error": str(error)}, status_code=status)
    return JSONResponse(made, status_code=201)


@pages.form("grant_delete", "{admin}/domain/access/delete/{domain}/{email:path}", MANAGES_DOMAIN)
def revoke(visit: Visit) -> Response:
    """Take the right away."""
    name, email = domain_of(visit), visit.parameters["email"]
    if visit.posted:
        with visit.store.session() as session:
            changes.revoke_access(session, name, email, actor=visit.actor)
        visit.tell("good", _("Saved."))
        return visit.go("grants", domain=name)
    text = _("Shall %(address)s make no more anonymous aliases here? Those that are there stay.", address=email)
    back = visit.url("grants", domain=name)
    return visit.render("confirm.html", title=_("Remove"), text=text, back=back, button=_("Remove"))
