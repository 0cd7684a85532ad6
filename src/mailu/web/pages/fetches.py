"""Accounts elsewhere whose mail is fetched."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import Response
from wtforms import BooleanField, IntegerField, PasswordField, SelectField, StringField

from mailu.directory import changes
from mailu.directory.models import Fetch
from mailu.web.forms import LinesField, PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.pages.account import titled, whom
from mailu.web.permission import ACTS_FOR, OWNS_FETCH, SIGNED_IN
from mailu.web.routes import Pages
from mailu.web.visit import Visit

pages = Pages()


def _usual_folders() -> list[str]:
    return ["INBOX", "Junk"]


class FetchForm(PageForm):
    """The account, and how it is fetched from."""

    protocol = SelectField(lazy("Protocol"), choices=["imap", "pop3"])  # type: ignore[list-item]
    host = StringField(lazy("Host name"), [Required()], render_kw=attributes(autocapitalize="none", spellcheck="false"))
    port = IntegerField(lazy("Port"), default=993, render_kw=attributes(type="number", min="1", max="65535"))
    tls = BooleanField(lazy("Use TLS"), default=True)
    username = StringField(lazy("User name"), [Required()], render_kw=attributes(autocomplete="off"))
    password = PasswordField(lazy("Password"), render_kw=attributes(autocomplete="new-password"))
    keep = BooleanField(lazy("Leave the mail there"))
    scan = BooleanField(lazy("Check it for spam"))
    invisible = BooleanField(lazy("Leave it unread there"))
    folders = LinesField(
        lazy("Folders"),
        default=_usual_folders,  # type: ignore[arg-type]
        description=lazy("One a line."),
        render_kw=attributes(rows="3"),
    )

    groups = (
        (lazy("The other account"), ("protocol", "host", "port", "tls", "username", "password")),
        (lazy("How to fetch"), ("keep", "scan", "invisible", "folders")),
    )


@pages.show("fetches", "{admin}/fetch/list", SIGNED_IN)
def own_fetches(visit: Visit) -> Response:
    """The visitor's fetched accounts."""
    return _list(visit)


@pages.show("user_fetches", "{admin}/fetch/list/{email:path}", ACTS_FOR)
def fetches_of(visit: Visit) -> Response:
    """Somebody's fetched accounts."""
    return _list(visit)


def _list(visit: Visit) -> Response:
    email = whom(visit)
    with visit.store.read() as session:
        found = session.scalars(select(Fetch).where(Fetch.user_email == email).order_by(Fetch.id).limit(200)).all()
        return visit.render("account/fetches.html", fetches=found, email=email, **titled(visit, _("Fetched accounts")))


@pages.form("fetch_create", "{admin}/fetch/create", SIGNED_IN)
def create_own(visit: Visit) -> Response:
    """A new account for the visitor."""
    return _create(visit)


@pages.form("user_fetch_create", "{admin}/fetch/create/{email:path}", ACTS_FOR)
def create_for(visit: Visit) -> Response:
    """A new account for somebody."""
    return _create(visit)


def _create(visit: Visit) -> Response:
    email, form = whom(visit), FetchForm.read(visit)
    back = _back(visit, email)
    if form.accepted:
        with form.refusals():
            with visit.store.session() as session:
                changes.create_fetch(session, email, actor=visit.actor, **_fields(form))
            visit.tell("good", _("Saved."))
            return visit.lead_to(back)
    return visit.render(
        "form.html", status=form.status, form=form, cancel=back, **titled(visit, _("New fetched account"))
    )


def _fields(form: Any) -> dict[str, Any]:
    fields = dict(form.data)
    if fields["port"] is None:
        raise changes.Invalid("port", "this is needed")
    return fields


def _back(visit: Visit, email: str) -> str:
    return visit.url("fetches") if email == visit.person.email else visit.url("user_fetches", email=email)


def _find(visit: Visit) -> Fetch:
    with visit.store.read() as session:
        fetch = session.get(Fetch, int(visit.parameters["id"]))
        if fetch is None:
            raise changes.NotFound("fetched account", visit.parameters["id"])
        session.expunge(fetch)
        return fetch


@pages.form("fetch_edit", "{admin}/fetch/edit/{id:int}", OWNS_FETCH)
def edit(visit: Visit) -> Response:
    """Change an account. Its password is never shown; an empty one stays."""
    fetch = _find(visit)
    form, back = FetchForm.read(visit, fetch), _back(visit, fetch.user_email)
    form.password.description = _("Empty: as it is.")
    if form.accepted:
        with form.refusals():
            fields = _fields(form)
            if not fields["password"]:
                del fields["password"]
            with visit.store.session() as session:
                changes.update_fetch(session, fetch.id, actor=visit.actor, **fields)
            visit.tell("good", _("Saved."))
            return visit.lead_to(back)
    crumbs = [(_("Fetched accounts"), back)]
    return visit.render("form.html", status=form.status, title=fetch.host, form=form, cancel=back, crumbs=crumbs)


@pages.form("fetch_delete", "{admin}/fetch/delete/{id:int}", OWNS_FETCH)
def delete(visit: Visit) -> Response:
    """Stop fetching, after asking."""
    fetch = _find(visit)
    back = _back(visit, fetch.user_email)
    if visit.posted:
        with visit.store.session() as session:
            changes.delete_fetch(session, fetch.id, actor=visit.actor)
        visit.tell("good", _("Saved."))
        return visit.lead_to(back)
    text = _("Stop fetching %(name)s? What was fetched stays.", name=f"{fetch.username} · {fetch.host}")
    return visit.render("confirm.html", title=_("Delete fetched account"), text=text, back=back, button=_("Delete"))
