"""Signing on and off: one place for the pages, the webmail and the filter's own pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from wtforms import PasswordField, StringField

from mailu.auth import devices
from mailu.auth.attempt import Accepted, Decision, LoginAttempt, Reason, Refused, TryLater
from mailu.auth.passwords import hash_password
from mailu.directory import changes
from mailu.directory.changes import ChangeError
from mailu.directory.snapshot import UserEntry
from mailu.web.counts import open_domains
from mailu.web.forms import NEW_PASSWORD, OWN_PASSWORD, PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.permission import ANYONE, SIGNED_IN
from mailu.web.proxied import proxied_user
from mailu.web.routes import Pages
from mailu.web.safe import local_target
from mailu.web.visit import Visit

pages = Pages()

_ROUNDCUBE = ("roundcube_sessauth", "roundcube_sessid", "smsession")
_SHORTEST = 8
_PENDING_SECONDS = 600


class SignOnForm(PageForm):
    """Address and password, under the names that password managers and scripts know."""

    email = StringField(
        lazy("E-mail address"),
        [Required()],
        render_kw=attributes(type="email", autocomplete="username", autofocus="autofocus", spellcheck="false"),
    )
    pw = PasswordField(lazy("Password"), [Required()], render_kw=OWN_PASSWORD)


class NewPasswordForm(PageForm):
    """What somebody fills in who has to choose a new password."""

    oldpw = PasswordField(lazy("Current password"), [Required()], render_kw=OWN_PASSWORD)
    pw = PasswordField(
        lazy("New password"), [Required()], render_kw=NEW_PASSWORD, description=lazy("At least 8 characters.")
    )
    pw2 = PasswordField(lazy("New password again"), [Required()], render_kw=NEW_PASSWORD)


@pages.form("login", "/sso/login", ANYONE)
async def login(visit: Visit) -> Response:
    """Sign on, and go on to where the visitor wanted to be."""
    if visit.signed_in is not None and not visit.posted:
        return visit.lead_to(wanted(visit))
    if user := await proxied_user(visit):
        return await begin_session(visit, user, wanted(visit))
    form = SignOnForm.read(visit)
    if form.accepted:
        decision = await decide(visit, form.email.data, form.pw.data)
        if isinstance(decision, Accepted):
            return await _accepted(visit, decision, form.pw.data)
        form.complain("", explained(decision))
    return await run_in_threadpool(_form_page, visit, form)


def _form_page(visit: Visit, form: Any) -> Response:
    choices = [] if visit.query("url") and "homepage" not in visit.request.query_params else _choices(visit)
    return visit.render(
        "sign_on/login.html",
        title=_("Sign in"),
        status=form.status,
        form=form,
        choices=choices,
        may_sign_up=bool(open_domains(visit.snapshot)),
        insecure=visit.settings.has_tls and not visit.secure,
    )


def _choices(visit: Visit) -> list[tuple[str, str]]:
    """The buttons: name and label."""
    settings = visit.settings
    found = [("submitWebmail", _("Sign in to the webmail"))] if settings.webmail else []
    if settings.admin:
        found.append(("submitAdmin", _("Sign in to the settings")))
    return found if len(found) > 1 else []


async def _accepted(visit: Visit, decision: Accepted, password: str) -> Response:
    entry = visit.snapshot.users[decision.email]
    if len(password) < _SHORTEST:
        visit.tell("warn", _("Your password is short. Please choose one of at least 8 characters."))
    if decision.email in visit.snapshot.second_factors:
        return _ask_for_more(visit, entry)
    return await begin_session(visit, entry, wanted(visit))


@dataclass(frozen=True, slots=True)
class Pending:
    """Somebody who gave the right password, and has to prove a second factor."""

    email: str
    target: str


def _ask_for_more(visit: Visit, entry: UserEntry) -> Response:
    """Lead on to the second step. What is known travels in a sealed cookie, which opens nothing by itself."""
    response = visit.go("second_step")
    value = [entry.email, visit.seals.mark("password", entry.password), wanted(visit)]
    sealed = visit.seals.seal("pending", value, seconds=_PENDING_SECONDS)
    visit.cookies.put(response, visit.cookies.pending, sealed, seconds=_PENDING_SECONDS)
    return response


def pending_of(visit: Visit) -> Pending | None:
    """Who is between the steps; None when nobody is, or the account has changed since."""
    value = visit.seals.open("pending", visit.request.cookies.get(visit.cookies.pending, ""))
    if not isinstance(value, list) or len(value) != 3:
        return None
    entry = visit.snapshot.users.get(value[0])
    if entry is None or not entry.enabled or not visit.seals.is_mark("password", entry.password, value[1]):
        return None
    return Pending(entry.email, value[2])


async def begin_session(visit: Visit, entry: UserEntry, target: str) -> Response:
    """Begin a session of *entry*, under a name that nobody knew before, and go on."""
    visit.new_session = await visit.control.sessions.create(
        entry, client_ip=visit.client_ip, user_agent=visit.request.headers.get("user-agent", "")
    )
    if visit.session is not None:
        await visit.control.sessions.end(visit.session)
    response = visit.go("pw_change", url=target) if entry.change_pw_next_login else visit.lead_to(target)
    _remember_device(visit, response, entry.email)
    if visit.cookies.pending in visit.request.cookies:
        visit.cookies.drop(response, visit.cookies.pending)
    return response


def wanted(visit: Visit) -> str:
    """Where the visitor wants to be: the address they came from, or what the button says."""
    settings = visit.settings
    given = visit.request.query_params.get("url")
    if given and (target := local_target(given, visit.request.headers.get("host", ""))):
        return target
    admin = visit.url("home") if settings.admin else ""
    webmail = f"{settings.web_webmail.rstrip('/')}/" if settings.webmail else ""
    if "submitWebmail" in visit.fields and webmail:
        return webmail
    if "submitAdmin" in visit.fields and admin:
        return admin
    return admin or webmail or "/"


async def decide(visit: Visit, login_name: str, password: str) -> Decision:
    """Have the judge decide about what was typed."""
    port = visit.request.headers.get("x-real-port", "")
    attempt = LoginAttempt(
        login=login_name.strip(),
        password=password.encode("utf-8", "surrogatepass"),
        protocol="web",
        client_ip=visit.client_ip,
        client_port=int(port) if port.isdecimal() and len(port) < 6 else 0,
        local_port=443 if visit.secure else 80,
        tls=visit.secure,
        device=visit.request.cookies.get(devices.COOKIE_NAME),
    )
    return await visit.control.judge.decide(attempt)


def explained(decision: Refused | TryLater) -> str:
    """What to tell somebody who was not let in."""
    if isinstance(decision, TryLater):
        return _("Nobody can be signed in right now. Please try again in a moment.")
    match decision.reason:
        case Reason.RATE_LIMITED:
            return explained_wait(decision.retry_after_seconds)
        case Reason.ACCOUNT_DISABLED:
            return _("This account is switched off. Please ask your administrator.")
        case _:
            return _("The address or the password is wrong.")


def explained_wait(seconds: int) -> str:
    """What to tell somebody who guessed too often."""
    return _("Too many wrong passwords. Please try again in %(minutes)s min.", minutes=max(1, -(-seconds // 60)))


def _remember_device(visit: Visit, response: Response, email: str) -> None:
    """A browser that signed on once is not kept out when others guess at the account."""
    value = devices.new_cookie(email, visit.settings.derive_key("DEVICE_COOKIE_KEY"))
    response.set_cookie(
        devices.COOKIE_NAME,
        value,
        max_age=devices.MAX_AGE_SECONDS,
        path="/sso/login",
        secure=visit.cookies.secure,
        httponly=True,
        samesite="lax",
    )


# A new password before anything else


@pages.form("pw_change", "/sso/pw_change", SIGNED_IN, while_forced=True)
async def change_forced(visit: Visit) -> Response:
    """Choose a new password, because somebody else knows the old one."""
    form = NewPasswordForm.read(visit)
    if form.accepted and _agrees(form):
        decision = await decide(visit, visit.person.email, form.oldpw.data)
        if isinstance(decision, Accepted):
            if await change_own_password(visit, form, form.pw.data):
                visit.tell("good", _("Your new password works from now on."))
                return visit.lead_to(wanted(visit))
        elif isinstance(decision, Refused) and decision.reason is Reason.BAD_CREDENTIALS:
            form.complain("oldpw", _("This is not your current password."))
        else:
            form.complain("", explained(decision))
    return await run_in_threadpool(
        visit.render, "sign_on/pw_change.html", title=_("Choose a new password"), status=form.status, form=form
    )


def _agrees(form: Any) -> bool:
    if form.pw.data != form.pw2.data:
        form.complain("pw2", _("The two are not the same."))
    elif form.pw.data == form.oldpw.data:
        form.complain("pw", _("This is the password that you have now."))
    else:
        return True
    return False


async def change_own_password(visit: Visit, form: Any, password: str) -> bool:
    """Give the visitor another password; their other sessions end. False: *form* says what is wrong with it."""
    assert visit.session is not None
    try:
        changes.check_password(password)
        hashed = await run_in_threadpool(hash_password, password)
        await run_in_threadpool(_store_password, visit, hashed)
    except ChangeError as error:
        form.refuse(error, {"password": "pw"})
        return False
    email = visit.person.email
    await visit.until(lambda snapshot: email in snapshot.users and snapshot.users[email].password == hashed)
    entry = visit.snapshot.users[email]._replace(password=hashed)
    await visit.control.sessions.rebind(visit.session, entry)
    await visit.control.sessions.end_all(email, keep=visit.session)
    return True


def _store_password(visit: Visit, hashed: str) -> None:
    with visit.store.session() as session:
        changes.set_password(session, visit.person.email, password_hash=hashed, actor=visit.actor)


# Signing off


@pages.form("logout", "/sso/logout", ANYONE, while_forced=True)
async def logout(visit: Visit) -> Response:
    """End the session. A link on another site cannot do that: then the visitor is asked first."""
    if not visit.posted and visit.request.headers.get("sec-fetch-site") == "cross-site":
        return await run_in_threadpool(visit.render, "sign_on/logout.html", title=_("Sign out"))
    if visit.session is not None:
        await visit.control.sessions.end(visit.session)
    visit.dropped_session = visit.request.cookies.get(visit.cookies.session) is not None
    visit.session = None
    target = visit.settings.proxy_auth_logout_url
    if target is None:
        visit.tell("good", _("You are signed out."))
    response = visit.lead_to(target or visit.url("login"))
    for name in _ROUNDCUBE:
        response.delete_cookie(name, path=f"{visit.settings.web_webmail.rstrip('/')}/", secure=visit.cookies.secure)
    return response
