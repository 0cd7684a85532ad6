"""What people decide about their own mailbox, and managers for them: settings, automatic reply, password, sessions."""

from __future__ import annotations

from datetime import date
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from wtforms import BooleanField, DateField, IntegerField, PasswordField, StringField, TextAreaField
from wtforms.validators import Optional as Maybe

from mailu.address import parse_address
from mailu.auth.attempt import Accepted, Reason, Refused
from mailu.auth.passwords import hash_password
from mailu.directory import changes
from mailu.directory.models import ALWAYS
from mailu.web.forms import NEW_PASSWORD, OWN_PASSWORD, LinesField, PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.pages.sign_on import change_own_password, decide, explained
from mailu.web.permission import ACTS_FOR, SIGNED_IN
from mailu.web.routes import Pages
from mailu.web.visit import Visit

pages = Pages()


def whom(visit: Visit) -> str:
    """The address of the user a page is about: the one in its path, else the visitor."""
    given = visit.parameters.get("email")
    return str(parse_address(given)) if given else visit.person.email


def titled(visit: Visit, title: str) -> dict[str, Any]:
    """Title and crumbs of a page that may be about somebody else."""
    email = whom(visit)
    if email == visit.person.email:
        return {"title": title, "crumbs": []}
    domain = email.rpartition("@")[2]
    crumbs = [(domain, visit.url("users", domain=domain)), (email, visit.url("user_edit", email=email))]
    return {"title": title, "crumbs": crumbs}


# Settings


class SettingsForm(PageForm):
    """Name, spam, forwarding."""

    displayed_name = StringField(
        lazy("Displayed name"),
        description=lazy("Shown on these pages, and the sender's name of automatic replies."),
        render_kw=attributes(autocomplete="name", maxlength="160"),
    )
    spam_enabled = BooleanField(lazy("Put spam into the folder Junk"))
    spam_mark_as_read = BooleanField(lazy("Mark it as read there"))
    spam_threshold = IntegerField(
        lazy("Tolerance"),
        description=lazy("Percent. Lower finds more spam, and more mail that is none."),
        render_kw=attributes(type="number", min="0", max="100"),
    )
    forward_enabled = BooleanField(lazy("Forward my mail"))
    forward_keep = BooleanField(lazy("Keep a copy here"))
    forward_destination = LinesField(
        lazy("Forward to"), description=lazy("E-mail addresses, one a line."), render_kw=attributes(rows="3")
    )
    groups = (
        (lazy("About you"), ("displayed_name",)),
        (lazy("Spam"), ("spam_enabled", "spam_mark_as_read", "spam_threshold")),
        (lazy("Forwarding"), ("forward_enabled", "forward_keep", "forward_destination")),
    )


@pages.form("settings", "{admin}/user/settings", SIGNED_IN)
def own_settings(visit: Visit) -> Response:
    """The visitor's own settings."""
    return _settings(visit)


@pages.form("user_settings", "{admin}/user/usersettings/{email:path}", ACTS_FOR)
def settings_of(visit: Visit) -> Response:
    """Somebody's settings."""
    return _settings(visit)


def _settings(visit: Visit) -> Response:
    email = whom(visit)
    with visit.store.read() as session:
        user = changes.get_user(session, email)
        form = SettingsForm.read(visit, user)
    if form.accepted:
        with form.refusals():
            _update(visit, email, form.data)
            visit.tell("good", _("Saved."))
            return visit.lead_to(visit.here)
    return visit.render("form.html", status=form.status, form=form, **titled(visit, _("Settings")))


def _update(visit: Visit, email: str, fields: dict[str, Any]) -> None:
    with visit.store.session() as session:
        changes.update_user(session, email, actor=visit.actor, **fields)


# Automatic reply


class ReplyForm(PageForm):
    """An answer to everybody who writes, for a while."""

    reply_enabled = BooleanField(lazy("Answer mail automatically"))
    reply_subject = StringField(lazy("Subject"), render_kw=attributes(maxlength="255"))
    reply_body = TextAreaField(lazy("Text"), render_kw=attributes(rows="8"))
    first = DateField(lazy("First day"), [Maybe()], description=lazy("Empty: from now on."))
    last = DateField(lazy("Last day"), [Maybe()], description=lazy("Empty: until you switch it off."))


@pages.form("reply", "{admin}/user/reply", SIGNED_IN)
def own_reply(visit: Visit) -> Response:
    """The visitor's automatic reply."""
    return _reply(visit)


@pages.form("user_reply", "{admin}/user/reply/{email:path}", ACTS_FOR)
def reply_of(visit: Visit) -> Response:
    """Somebody's automatic reply."""
    return _reply(visit)


def _reply(visit: Visit) -> Response:
    email = whom(visit)
    with visit.store.read() as session:
        user = changes.get_user(session, email)
        form = ReplyForm.read(visit, user, first=_set(user.reply_startdate, 0), last=_set(user.reply_enddate, 1))
    if form.accepted:
        with form.refusals(reply_startdate="first", reply_enddate="last"):
            if form.reply_enabled.data and not (form.reply_body.data or "").strip():
                raise changes.Invalid("reply_body", "this is needed")
            _update(visit, email, _reply_fields(form))
            visit.tell("good", _reply_told(form))
            return visit.lead_to(visit.here)
    return visit.render("form.html", status=form.status, form=form, **titled(visit, _("Automatic reply")))


def _set(day: date, end: int) -> date | None:
    return None if day == ALWAYS[end] else day


def _reply_fields(form: Any) -> dict[str, Any]:
    return {
        "reply_enabled": form.reply_enabled.data,
        "reply_subject": form.reply_subject.data,
        "reply_body": form.reply_body.data,
        "reply_startdate": form.first.data or ALWAYS[0],
        "reply_enddate": form.last.data or ALWAYS[1],
    }


def _reply_told(form: Any) -> str:
    if form.reply_enabled.data:
        return _("Saved. Who writes is answered automatically.")
    return _("Saved. Nobody is answered automatically.")


# Password


class PasswordForm(PageForm):
    """One's own new password."""

    oldpw = PasswordField(lazy("Current password"), [Required()], render_kw=OWN_PASSWORD)
    pw = PasswordField(
        lazy("New password"), [Required()], render_kw=NEW_PASSWORD, description=lazy("At least 8 characters.")
    )
    pw2 = PasswordField(lazy("New password again"), [Required()], render_kw=NEW_PASSWORD)


class PasswordForForm(PageForm):
    """A new password for somebody else."""

    pw = PasswordField(
        lazy("New password"), [Required()], render_kw=NEW_PASSWORD, description=lazy("At least 8 characters.")
    )
    pw2 = PasswordField(lazy("New password again"), [Required()], render_kw=NEW_PASSWORD)
    change_pw_next_login = BooleanField(lazy("Has to choose another one at the next sign-in"))


def agreed(form: Any) -> bool:
    """Whether the new password was typed twice alike."""
    if form.pw.data == form.pw2.data:
        return True
    form.complain("pw2", _("The two are not the same."))
    return False


@pages.form("password", "{admin}/user/password", SIGNED_IN)
async def own_password(visit: Visit) -> Response:
    """Change the visitor's password."""
    form = PasswordForm.read(visit)
    if form.accepted and agreed(form):
        decision = await decide(visit, visit.person.email, form.oldpw.data)
        if isinstance(decision, Accepted):
            if await change_own_password(visit, form, form.pw.data):
                visit.tell("good", _("Your new password works from now on. Your other sessions have ended."))
                return visit.go("security")
        elif isinstance(decision, Refused) and decision.reason is Reason.BAD_CREDENTIALS:
            form.complain("oldpw", _("This is not your current password."))
        else:
            form.complain("", explained(decision))
    crumbs = [(_("Password and security"), visit.url("security"))]
    return await run_in_threadpool(
        visit.render, "form.html", status=form.status, form=form, title=_("Change password"), crumbs=crumbs
    )


@pages.form("user_password", "{admin}/user/password/{email:path}", ACTS_FOR)
async def password_of(visit: Visit) -> Response:
    """Give somebody else a password. Nobody changes their own here, where the old one is not asked for."""
    if whom(visit) == visit.person.email:
        return visit.go("password")
    return await run_in_threadpool(_password_of, visit)


def _password_of(visit: Visit) -> Response:
    email = whom(visit)
    form = PasswordForForm.read(visit, None, change_pw_next_login=True)
    if form.accepted and agreed(form):
        with form.refusals(password="pw"):  # noqa: S106 - the name of a field
            changes.check_password(form.pw.data)
            hashed = hash_password(form.pw.data)
            forced = form.change_pw_next_login.data
            with visit.store.session() as session:
                changes.set_password(
                    session, email, password_hash=hashed, actor=visit.actor, change_pw_next_login=forced
                )
            visit.tell("good", _("%(address)s has a new password; all sessions have ended.", address=email))
            return visit.go("user_edit", email=email)
    return visit.render("form.html", status=form.status, form=form, **titled(visit, _("New password")))


# Sessions


@pages.show("security", "{admin}/user/security", SIGNED_IN)
async def own_security(visit: Visit) -> Response:
    """The visitor's password and sessions."""
    return await _sessions(visit, visit.person.email)


@pages.show("user_sessions", "{admin}/user/sessions/{email:path}", ACTS_FOR)
async def sessions_of(visit: Visit) -> Response:
    """Somebody's sessions."""
    return await _sessions(visit, whom(visit))


async def _sessions(visit: Visit, email: str) -> Response:
    found = await visit.control.sessions.of(email)
    own = email == visit.person.email
    return await run_in_threadpool(
        visit.render,
        "account/sessions.html",
        sessions=found,
        email=email,
        own=own,
        current=visit.session.handle if visit.session else "",
        secured=email in visit.snapshot.second_factors,
        **titled(visit, _("Password and security") if own else _("Sessions")),
    )


@pages.action("session_end", "{admin}/user/session/end/{email:path}", ACTS_FOR)
async def end_session(visit: Visit) -> Response:
    """End one session, or all but the visitor's own."""
    email, handle = whom(visit), visit.fields.get("session", "")
    if handle:
        await visit.control.sessions.end_one(email, handle)
        visit.tell("good", _("The session has ended."))
    else:
        await visit.control.sessions.end_all(email, keep=visit.session)
        visit.tell("good", _("The other sessions have ended."))
    if email == visit.person.email:
        return visit.go("security")
    return visit.go("user_sessions", email=email)
