"""App passwords: one for each device or program, shown once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import Response
from wtforms import StringField

from mailu.auth.tokens import hash_token, new_token
from mailu.directory import changes
from mailu.directory.models import Token
from mailu.web.forms import LinesField, PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.pages.account import titled, whom
from mailu.web.permission import ACTS_FOR, OWNS_TOKEN, SIGNED_IN
from mailu.web.routes import Pages
from mailu.web.visit import Visit

pages = Pages()


class TokenForm(PageForm):
    """What the app password is for."""

    comment = StringField(
        lazy("What is it for?"), [Required()], description=lazy("For example: phone, Thunderbird on the laptop."),
        render_kw=attributes(maxlength="255"),
    )  # fmt: skip
    ip = LinesField(
        lazy("Only from these networks"),
        description=lazy("Addresses or networks such as 192.0.2.0/24, one a line. Empty: from everywhere."),
        render_kw=attributes(rows="3", spellcheck="false"),
    )


@pages.show("tokens", "{admin}/token/list", SIGNED_IN)
def own_tokens(visit: Visit) -> Response:
    """The visitor's app passwords."""
    return _list(visit)


@pages.show("user_tokens", "{admin}/token/list/{email:path}", ACTS_FOR)
def tokens_of(visit: Visit) -> Response:
    """Somebody's app passwords."""
    return _list(visit)


def _list(visit: Visit) -> Response:
    email = whom(visit)
    with visit.store.read() as session:
        found = session.scalars(select(Token).where(Token.user_email == email).order_by(Token.id).limit(500)).all()
        return visit.render("account/tokens.html", tokens=found, email=email, **titled(visit, _("App passwords")))


@pages.form("token_create", "{admin}/token/create", SIGNED_IN)
def create_own(visit: Visit) -> Response:
    """A new app password for the visitor."""
    return _create(visit)


@pages.form("user_token_create", "{admin}/token/create/{email:path}", ACTS_FOR)
def create_for(visit: Visit) -> Response:
    """A new app password for somebody."""
    return _create(visit)


def _create(visit: Visit) -> Response:
    email, form = whom(visit), TokenForm.read(visit)
    if form.accepted:
        with form.refusals():
            secret = new_token()
            fields: dict[str, Any] = {"comment": form.comment.data, "ip": form.ip.data}
            with visit.store.session() as session:
                changes.create_token(session, email, password_hash=hash_token(secret), actor=visit.actor, **fields)
            shown = titled(visit, _("Your new app password"))
            return visit.render("account/new_token.html", secret=secret, email=email, back=_back(visit), **shown)
    shown = titled(visit, _("New app password"))
    return visit.render("form.html", status=form.status, form=form, cancel=_back(visit), **shown)


@pages.form("token_delete", "{admin}/token/delete/{id:int}", OWNS_TOKEN)
def delete(visit: Visit) -> Response:
    """Withdraw an app password, after asking."""
    number = int(visit.parameters["id"])
    with visit.store.read() as session:
        token = session.get(Token, number)
        if token is None:
            raise changes.NotFound("token", number)
        owner, comment = token.user_email, token.comment
    back = visit.url("tokens") if owner == visit.person.email else visit.url("user_tokens", email=owner)
    if visit.posted:
        with visit.store.session() as session:
            changes.delete_token(session, number, actor=visit.actor)
        visit.tell("good", _("The app password is deleted. What used it can no longer sign in."))
        return visit.lead_to(back)
    text = _("Delete the app password “%(name)s”? What uses it can no longer sign in.", name=comment or number)
    return visit.render("confirm.html", title=_("Delete app password"), text=text, back=back, button=_("Delete"))


def _back(visit: Visit) -> str:
    email = whom(visit)
    return visit.url("tokens") if email == visit.person.email else visit.url("user_tokens", email=email)
