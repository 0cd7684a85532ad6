"""The second factor: setting it up, signing on with it, recovering from its loss; and links to a new password."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from wtforms import PasswordField, StringField

from mailu.address import parse_address
from mailu.auth.admission import Limited, Question
from mailu.auth.passwords import hash_password
from mailu.auth.second_factor import Secrets, new_secret, set_up_address, step_of
from mailu.directory import changes, second_factors
from mailu.directory.changes import Actor
from mailu.web import webauthn_border as passkeys
from mailu.web.forms import NEW_PASSWORD, PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.pages.account import agreed
from mailu.web.pages.client import qr_code
from mailu.web.pages.sign_on import begin_session, explained_wait, pending_of
from mailu.web.permission import ACTS_FOR, ANYONE, SIGNED_IN
from mailu.web.routes import Pages
from mailu.web.second_step import must_have_second_factor
from mailu.web.visit import Refusal, Visit

pages = Pages()

_LINK_HOURS = 24
_SET_UP_SECONDS = 900


class CodeForm(PageForm):
    """A code of six digits, or a recovery code."""

    code = StringField(
        lazy("Code"), [Required()],
        render_kw=attributes(autocomplete="one-time-code", inputmode="text", autofocus="autofocus", spellcheck="false",
                             maxlength="20"),
    )  # fmt: skip


def _secrets(visit: Visit) -> Secrets:
    return Secrets(visit.settings.derive_key("SECOND_FACTOR_KEY"))


# Signing on with it


@pages.form("second_step", "/sso/second", ANYONE)
async def second_step(visit: Visit) -> Response:
    """What comes after the right password: a code, a recovery code or a passkey."""
    pending = pending_of(visit)
    if pending is None:
        return visit.go("login")
    email = pending.email
    form = CodeForm.read(visit)
    answer = visit.fields.get("answer", "")
    if visit.posted and (answer or form.validate()):
        if waiting := await _guarded(visit, email, answer or form.code.data):
            form.complain("" if answer else "code", waiting)
        else:
            return await begin_session(visit, visit.snapshot.users[email], pending.target)
    return await run_in_threadpool(_second_page, visit, form, email)


async def _guarded(visit: Visit, email: str, given: str) -> str:
    """Check what was given, within the limits on guessing. Empty when it is right, else what to tell."""
    limits = visit.control.limits
    question = Question(f"second factor of {email}"[:255], True, visit.client_ip, visit.seals.mark("guess", given)[:16])
    ticket = await limits.admit(question)
    if isinstance(ticket, Limited):
        return explained_wait(ticket.retry_after_seconds)
    try:
        if await run_in_threadpool(_is_right, visit, email, given):
            await limits.succeeded(ticket)
            return ""
        await limits.failed(ticket)
        return _("This code is wrong or was used before.")
    finally:
        limits.release(ticket)


def _is_right(visit: Visit, email: str, given: str) -> bool:
    if given.startswith("{"):
        return _is_right_passkey(visit, email, given)
    with visit.store.session() as session:
        stored = second_factors.totp_of(session, email)
        secret = _secrets(visit).decrypt(stored[0]) if stored else None
        if stored and secret and (step := step_of(secret, given, after=stored[1])):
            return second_factors.spend_step(session, email, step)
        return second_factors.spend_recovery_code(session, email, given)


def _is_right_passkey(visit: Visit, email: str, answer: str) -> bool:
    challenge = visit.seals.open(f"prove {email}", visit.fields.get("challenge", ""))
    try:
        name = passkeys.named_credential(answer)
        with visit.store.session() as session:
            passkey = second_factors.find_passkey(session, email, name)
            if passkey is None or not isinstance(challenge, str):
                return False
            uses = passkeys.proven_uses(
                visit.settings, answer, challenge, public_key=passkey.public_key, uses=passkey.uses
            )
            second_factors.use_passkey(session, passkey.id, uses=uses, at=datetime.now(UTC))
    except passkeys.BadPasskey:
        return False
    return True


def _second_page(visit: Visit, form: Any, email: str) -> Response:
    with visit.store.read() as session:
        known = [passkey.credential for passkey in second_factors.passkeys_of(session, email)]
        coded = second_factors.has_totp(session, email)
    options, sealed = "", ""
    if known:
        options, challenge = passkeys.sign_on_options(visit.settings, known)
        sealed = visit.seals.seal(f"prove {email}", challenge, seconds=300)
    return visit.render(
        "sign_on/second.html", title=_("One more step"), status=form.status, form=form, options=options, sealed=sealed,
        coded=coded,
    )  # fmt: skip


# Setting it up


@pages.show("second_factor", "{admin}/user/second", SIGNED_IN, while_forced=True)
def overview(visit: Visit) -> Response:
    """What there is, and what can be added."""
    email = visit.person.email
    with visit.store.read() as session:
        known = second_factors.passkeys_of(session, email)
        options, challenge = passkeys.registration_options(
            visit.settings, email, [passkey.credential for passkey in known]
        )
        return visit.render(
            "account/second_factor.html",
            title=_("Second factor"),
            crumbs=[(_("Password and security"), visit.url("security"))],
            coded=second_factors.has_totp(session, email),
            passkeys=known,
            codes_left=second_factors.recovery_codes_left(session, email),
            forced=must_have_second_factor(visit),
            options=options,
            sealed=visit.seals.seal(f"create {email}", challenge, seconds=_SET_UP_SECONDS),
        )


@pages.form("totp", "{admin}/user/second/codes", SIGNED_IN, while_forced=True)
def set_up_codes(visit: Visit) -> Response:
    """Scan, then prove with the first code. The new secret travels sealed and encrypted in the form."""
    email, form = visit.person.email, CodeForm.read(visit)
    encrypted = visit.seals.open(f"totp {email}", visit.fields.get("secret", "")) if visit.posted else None
    secret = _secrets(visit).decrypt(encrypted) if isinstance(encrypted, str) else None
    if secret is None:
        secret = new_secret()
        encrypted = _secrets(visit).encrypt(secret)
    elif form.accepted:
        if step := step_of(secret, form.code.data):
            return _codes_page(visit, encrypted=str(encrypted), step=step)
        form.complain("code", _("This code is wrong or was used before."))
    return visit.render(
        "account/totp.html", title=_("One-time codes"), status=form.status, form=form, secret=secret,
        code=qr_code(set_up_address(secret, email, visit.settings.sitename)),
        sealed=visit.seals.seal(f"totp {email}", encrypted, seconds=_SET_UP_SECONDS),
        crumbs=[(_("Second factor"), visit.url("second_factor"))],
    )  # fmt: skip


def _codes_page(visit: Visit, *, encrypted: str = "", step: int = 0, always: bool = False) -> Response:
    """Store what was proven, and show recovery codes where there are none yet."""
    email = visit.person.email
    with visit.store.session() as session:
        if encrypted:
            second_factors.set_totp(session, email, encrypted=encrypted, step=step, actor=visit.actor)
        left = second_factors.recovery_codes_left(session, email)
        codes = second_factors.new_recovery_codes(session, email, actor=visit.actor) if always or not left else []
    visit.tell("good", _("Saved. Mail programs need app passwords from now on."))
    if not codes:
        return visit.go("second_factor")
    return visit.render("account/recovery.html", title=_("Recovery codes"), codes=codes)


@pages.action("recovery_codes", "{admin}/user/second/recovery", SIGNED_IN, while_forced=True)
def recovery_codes(visit: Visit) -> Response:
    """New recovery codes; the old ones are void."""
    if visit.person.email not in visit.snapshot.second_factors:
        raise Refusal(409)
    return _codes_page(visit, always=True)


@pages.action("passkey_add", "{admin}/user/second/passkey", SIGNED_IN, while_forced=True)
def add_passkey(visit: Visit) -> Response:
    """Store the passkey that the browser made."""
    email = visit.person.email
    challenge = visit.seals.open(f"create {email}", visit.fields.get("challenge", ""))
    try:
        made = passkeys.registered(visit.settings, visit.fields.get("answer", ""), str(challenge or ""))
    except passkeys.BadPasskey:
        visit.tell("bad", _("The passkey was not accepted. Please try again."))
        return visit.go("second_factor")
    with visit.store.session() as session:
        second_factors.add_passkey(
            session, email, credential=made.credential, public_key=made.public_key, uses=made.uses,
            comment=visit.fields.get("comment", "").strip()[:255] or _("Passkey"), actor=visit.actor,
        )  # fmt: skip
    return _codes_page(visit)


@pages.action("second_remove", "{admin}/user/second/remove", SIGNED_IN)
def remove(visit: Visit) -> Response:
    """Take one-time codes or a passkey away."""
    number = visit.fields.get("passkey", "")
    with visit.store.session() as session:
        if number.isdecimal() and len(number) < 10:
            second_factors.delete_passkey(session, visit.person.email, int(number), actor=visit.actor)
        else:
            second_factors.delete_totp(session, visit.person.email, actor=visit.actor)
    visit.tell("good", _("Removed."))
    return visit.go("second_factor")


# For somebody else


@pages.form("user_reset", "{admin}/user/reset/{email:path}", ACTS_FOR)
def reset(visit: Visit) -> Response:
    """Make a link by which somebody chooses a new password, or take their second factor away."""
    email = str(parse_address(visit.parameters["email"]))
    if email == visit.person.email:
        return visit.go("security")
    link = ""
    if visit.posted and visit.fields.get("do") == "second":
        with visit.store.session() as session:
            second_factors.delete_all(session, email, actor=visit.actor)
        visit.tell("good", _("The second factor is removed. The password alone signs in."))
        return visit.go("user_reset", email=email)
    if visit.posted:
        until = datetime.now(UTC) + timedelta(hours=_LINK_HOURS)
        with visit.store.session() as session:
            secret = second_factors.create_reset_link(session, email, expires_at=until, actor=visit.actor)
        scheme = "https" if visit.settings.has_tls else "http"
        link = f"{scheme}://{visit.settings.hostname}{visit.url('new_password')}#{secret}"
    domain = email.rpartition("@")[2]
    return visit.render(
        "admin/reset.html", title=_("Lost password"), email=email, link=link, hours=_LINK_HOURS,
        second=email in visit.snapshot.second_factors,
        crumbs=[(domain, visit.url("users", domain=domain)), (email, visit.url("user_edit", email=email))],
    )  # fmt: skip


class ChosenForm(PageForm):
    """The secret of a link, and a new password, twice."""

    secret = StringField(
        lazy("Code of the link"), [Required()], description=lazy("What stands behind the # of the link."),
        render_kw=attributes(autocomplete="off", autocapitalize="none", spellcheck="false", maxlength="100",
                             data_fragment=""),
    )  # fmt: skip
    pw = PasswordField(
        lazy("New password"), [Required()], render_kw=NEW_PASSWORD, description=lazy("At least 8 characters.")
    )
    pw2 = PasswordField(lazy("New password again"), [Required()], render_kw=NEW_PASSWORD)


@pages.form("new_password", "/sso/reset", ANYONE)
def new_password(visit: Visit) -> Response:
    """Where such a link leads.

    Its secret stands behind the ``#``, which browsers send to nobody (RFC 3986 s3.5), so no log and no proxy holds it.
    A script puts it into the form; without scripts people copy it.
    """
    form = ChosenForm.read(visit)
    if form.accepted and agreed(form):
        with form.refusals(password="pw"):  # noqa: S106 - the name of a field
            if _choose(visit, form.secret.data.strip().rpartition("#")[2], form.pw.data):
                visit.tell("good", _("Your new password works from now on."))
                return visit.go("login")
            form.complain("", _("This link was used or is too old. Please ask for a new one."))
    return visit.render(
        "form.html", title=_("Choose a new password"), form=form, status=form.status, submit=_("Change password")
    )


def _choose(visit: Visit, secret: str, password: str) -> bool:
    """Use the link up, and give its owner *password*. False: the link is void. Raises Invalid for the password."""
    with visit.store.read() as session:
        email = second_factors.find_reset_link(session, secret, now=datetime.now(UTC))
    if email is None:
        return False
    changes.check_password(password)
    hashed, actor = hash_password(password), Actor(email, f"web {visit.client_ip}")
    with visit.store.session() as session:
        if not second_factors.spend_reset_link(session, secret):
            return False
        changes.set_password(session, email, password_hash=hashed, actor=actor)
    return True
