"""Domains: the list, making, changing and deleting them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import Response
from wtforms import BooleanField, PasswordField, StringField

from mailu.directory import changes
from mailu.directory.models import Alternative, Domain, Manager, User
from mailu.directory.roles import may_manage_domain
from mailu.identity.dkim import remove_keys
from mailu.web.counts import counts_of
from mailu.web.forms import CountField, PageForm, Required, SizeField, attributes, lazy
from mailu.web.language import _
from mailu.web.lists import DOMAINS, shown_list
from mailu.web.permission import GLOBAL_ADMIN, MANAGER, MANAGES_DOMAIN
from mailu.web.routes import Pages
from mailu.web.visit import Visit

pages = Pages()


class DomainForm(PageForm):
    """What can be said of a domain."""

    max_users = CountField(lazy("Most mailboxes"), description=lazy("Empty: no limit."), default=-1)
    max_aliases = CountField(lazy("Most aliases"), description=lazy("Empty: no limit."), default=-1)
    max_quota_bytes = SizeField(
        lazy("Largest mailbox (GB)"), description=lazy("What one mailbox may be given at most. 0: no limit.")
    )
    signup_enabled = BooleanField(lazy("People can sign up by themselves"))
    anonmail_enabled = BooleanField(lazy("People here can make anonymous aliases"))
    comment = StringField(lazy("Comment"), render_kw=attributes(maxlength="255"))


class NewDomainForm(DomainForm):
    """The same and the name."""

    name = StringField(
        lazy("Domain name"), [Required()], description=lazy("For example: example.com"),
        render_kw=attributes(autocapitalize="none", spellcheck="false", autofocus="autofocus"),
    )  # fmt: skip
    groups = (
        ("", ("name", "comment")),
        (lazy("Limits"), ("max_users", "max_aliases", "max_quota_bytes")),
        (lazy("What people may do"), ("signup_enabled", "anonmail_enabled")),
    )


def domain_of(visit: Visit) -> str:
    """The domain that a page is about, which exists. Raises NotFound."""
    with visit.store.read() as session:
        return changes.get_domain(session, visit.parameters["domain"]).name


def part_of(visit: Visit, domain: str, tab: str) -> dict[str, Any]:
    """What the pages of one domain have in common: the title, the way back, the row of *tab*s."""
    return {"title": domain, "domain": domain, "tab": tab, "crumbs": [(_("Domains"), visit.url("domains"))]}


@pages.show("domains", "{admin}/domain", MANAGER)
def domains(visit: Visit) -> Response:
    """The domains that the visitor looks after."""
    statement = select(Domain)
    if not visit.person.global_admin:
        statement = statement.where(Domain.name.in_(visit.person.manages))
    with visit.store.read() as session:
        page = shown_list(visit, session, statement, DOMAINS, sort="name")
        names = [domain.name for domain in page.items]
        rows = session.execute(
            select(Alternative.domain_name, Alternative.name).where(Alternative.domain_name.in_(names))
        )
        others: dict[str, list[str]] = {}
        for owner, name in rows:
            others.setdefault(owner, []).append(name)
        return visit.render("admin/domains.html", title=_("Domains"), page=page, counts=counts_of(visit), others=others)


@pages.form("domain_create", "{admin}/domain/create", GLOBAL_ADMIN)
def create(visit: Visit) -> Response:
    """A new domain."""
    form = NewDomainForm.read(visit)
    if form.accepted:
        with form.refusals():
            fields: dict[str, Any] = dict(form.data)
            with visit.store.session() as session:
                domain = changes.create_domain(session, fields.pop("name"), actor=visit.actor, **fields).name
            visit.tell("good", _("%(domain)s is here. Now its DNS records have to be made.", domain=domain))
            return visit.go("domain", domain=domain)
    crumbs = [(_("Domains"), visit.url("domains"))]
    return visit.render(
        "form.html", status=form.status, title=_("New domain"), form=form, crumbs=crumbs, cancel=visit.url("domains")
    )


@pages.form("domain_edit", "{admin}/domain/edit/{domain}", GLOBAL_ADMIN)
def edit(visit: Visit) -> Response:
    """Change a domain."""
    name = domain_of(visit)
    with visit.store.read() as session:
        form = DomainForm.read(visit, changes.get_domain(session, name))
    if form.accepted:
        with form.refusals():
            with visit.store.session() as session:
                changes.update_domain(session, name, actor=visit.actor, **form.data)
            visit.tell("good", _("Saved."))
            return visit.go("domains")
    return visit.render("admin/domain_form.html", status=form.status, form=form, **part_of(visit, name, "domain_edit"))


class SmartHostForm(PageForm):
    """Who takes the mail that a domain sends, and the log-in there."""

    relayhost = StringField(
        lazy("Smart host"),
        description=lazy("host:port, such as smtp.example.com:587. Empty: as for the whole server."),
        render_kw=attributes(autocapitalize="none", spellcheck="false", maxlength="255"),
    )
    relayuser = StringField(
        lazy("User name"),
        description=lazy("Empty: no log-in."),
        render_kw=attributes(autocomplete="off", maxlength="255"),
    )
    relaypassword = PasswordField(
        lazy("Password"),
        description=lazy("Empty: as it is."),
        render_kw=attributes(autocomplete="new-password", maxlength="255"),
    )


@pages.form("domain_smart_host", "{admin}/domain/smart-host/{domain}", GLOBAL_ADMIN)
def smart_host(visit: Visit) -> Response:
    """The smart host of a domain. Its password is never shown; an empty one stays."""
    name = domain_of(visit)
    with visit.store.read() as session:
        form = SmartHostForm.read(visit, changes.get_domain(session, name))
    if form.accepted:
        with form.refusals():
            fields = {field: value for field, value in form.data.items() if value or field != "relaypassword"}
            with visit.store.session() as session:
                changes.update_domain(session, name, actor=visit.actor, **fields)
            visit.tell("good", _("Saved. It counts within a second."))
            return visit.go("domain_smart_host", domain=name)
    return visit.render(
        "admin/smart_host.html", status=form.status, form=form, **part_of(visit, name, "domain_smart_host")
    )


@pages.form("domain_delete", "{admin}/domain/delete/{domain}", GLOBAL_ADMIN)
def delete(visit: Visit) -> Response:
    """Delete a domain, after its name was typed."""
    name, form = domain_of(visit), ConfirmNameForm.read(visit)
    if form.accepted:
        if (form.name.data or "").strip().lower() == name:
            days = visit.settings.retention_days
            with visit.store.session() as session:
                changes.delete_domain(session, name, actor=visit.actor, retention_days=days)
            remove_keys(visit.control.places.dkim, name)  # type: ignore[arg-type]
            visit.tell("good", _("%(domain)s is deleted.", domain=name))
            return visit.go("domains")
        form.complain("name", _("This is not the name of the domain."))
    users = counts_of(visit).users.get(name, 0)
    return visit.render(
        "admin/domain_delete.html", status=form.status, title=_("Delete domain"), form=form, domain=name, users=users
    )


class ConfirmNameForm(PageForm):
    """Typing the name is the second step."""

    name = StringField(lazy("Type the domain's name to go on"), [Required()], render_kw=attributes(autocomplete="off"))


# Other names


class AlternativeForm(PageForm):
    """Another name."""

    name = StringField(
        lazy("Domain name"), [Required()], render_kw=attributes(autocapitalize="none", spellcheck="false")
    )


@pages.form("alternatives", "{admin}/alternative/list/{domain}", GLOBAL_ADMIN)
def alternatives(visit: Visit) -> Response:
    """Other names of a domain, and a line for one more."""
    name, form = domain_of(visit), AlternativeForm.read(visit)
    if form.accepted:
        with form.refusals():
            with visit.store.session() as session:
                changes.create_alternative(session, form.name.data, name, actor=visit.actor)
            visit.tell("good", _("Saved."))
            return visit.go("alternatives", domain=name)
    with visit.store.read() as session:
        found = session.scalars(select(Alternative).where(Alternative.domain_name == name).limit(500)).all()
        return visit.render(
            "admin/alternatives.html",
            status=form.status,
            form=form,
            found=found,
            **part_of(visit, name, "alternatives"),
        )


@pages.show("alternative_create", "{admin}/alternative/create/{domain}", GLOBAL_ADMIN)
async def old_new_alternative(visit: Visit) -> Response:
    """Where a new one was made long ago."""
    return visit.go("alternatives", domain=visit.parameters["domain"])


@pages.form("alternative_delete", "{admin}/alternative/delete/{domain}", GLOBAL_ADMIN)
def delete_alternative(visit: Visit) -> Response:
    """Take another name away."""
    with visit.store.read() as session:
        found = session.get(Alternative, visit.parameters["domain"])
        if found is None:
            raise changes.NotFound("alternative", visit.parameters["domain"])
        name, owner = found.name, found.domain_name
    if visit.posted:
        with visit.store.session() as session:
            changes.delete_alternative(session, name, actor=visit.actor)
        visit.tell("good", _("%(domain)s is deleted.", domain=name))
        return visit.go("alternatives", domain=owner)
    text = _("Delete %(name)s? Mail to it is refused from then on.", name=name)
    back = visit.url("alternatives", domain=owner)
    return visit.render("confirm.html", title=_("Delete other name"), text=text, back=back, button=_("Delete"))


# Managers, and who may make anonymous aliases


class PersonForm(PageForm):
    """One user."""

    email = StringField(lazy("E-mail address"), [Required()], render_kw=attributes(type="email", autocapitalize="none"))


@pages.form("managers", "{admin}/manager/list/{domain}", MANAGES_DOMAIN)
def managers(visit: Visit) -> Response:
    """Who looks after a domain, and a line for one more."""
    name, form = domain_of(visit), PersonForm.read(visit)
    if form.accepted:
        with form.refusals(name="email"):
            _require_own(visit, form.email.data)
            with visit.store.session() as session:
                changes.add_manager(session, name, form.email.data, actor=visit.actor)
            visit.tell("good", _("Saved."))
            return visit.go("managers", domain=name)
    with visit.store.read() as session:
        query = select(Manager.user_email).where(Manager.domain_name == name).order_by(Manager.user_email)
        found = list(session.scalars(query.limit(500)))
    return visit.render(
        "admin/managers.html", status=form.status, form=form, found=found, **part_of(visit, name, "managers")
    )


@pages.show("manager_create", "{admin}/manager/create/{domain}", MANAGES_DOMAIN)
async def old_new_manager(visit: Visit) -> Response:
    """Where a new one was made long ago."""
    return visit.go("managers", domain=visit.parameters["domain"])


def _require_own(visit: Visit, email: str) -> None:
    """A manager appoints people of the domains that they look after, nobody else."""
    if not may_manage_domain(visit.person, (email or "").strip().rpartition("@")[2].lower()):
        raise changes.Invalid("email", _("Only people of domains that you look after can be chosen."))


@pages.form("manager_delete", "{admin}/manager/delete/{domain}/{email:path}", MANAGES_DOMAIN)
def remove_manager(visit: Visit) -> Response:
    """Somebody stops looking after a domain."""
    name, email = domain_of(visit), visit.parameters["email"]
    if visit.posted:
        with visit.store.session() as session:
            changes.remove_manager(session, name, email, actor=visit.actor)
        visit.tell("good", _("Saved."))
        return visit.go("domains" if email == visit.person.email else "managers", domain=name)
    text = _("Shall %(address)s no longer look after %(domain)s?", address=email, domain=name)
    back = visit.url("managers", domain=name)
    return visit.render("confirm.html", title=_("Remove manager"), text=text, back=back, button=_("Remove"))


def exists(visit: Visit, email: str) -> bool:
    """Whether there is such a user."""
    with visit.store.read() as session:
        return session.get(User, email) is not None
