"""Pages for people who come by themselves: signing up for a mailbox, and registering a domain of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from wtforms import PasswordField, StringField

from mailu.address import AddressError, DomainName, parse_domain
from mailu.auth.newcomers import Newcomers
from mailu.auth.passwords import hash_password
from mailu.directory import changes
from mailu.directory.changes import Actor
from mailu.directory.new_users import usual_fields
from mailu.identity.dns_answers import DnsUnknown
from mailu.web import captcha, mailing
from mailu.web.counts import counts_of, open_domains
from mailu.web.forms import NEW_PASSWORD, PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.pages.account import agreed
from mailu.web.permission import ANYONE
from mailu.web.policy import content_policy
from mailu.web.routes import Pages
from mailu.web.visit import Refusal, Visit

pages = Pages()

_MOST_DOMAINS = 500
_NAME = attributes(autocapitalize="none", spellcheck="false", autocomplete="username", maxlength="64")


class SignUpForm(PageForm):
    """A name and a password."""

    localpart = StringField(lazy("Name before the @"), [Required()], render_kw={**_NAME, "autofocus": "autofocus"})
    pw = PasswordField(
        lazy("Password"), [Required()], render_kw=NEW_PASSWORD, description=lazy("At least 8 characters.")
    )
    pw2 = PasswordField(lazy("Password again"), [Required()], render_kw=NEW_PASSWORD)


class OwnDomainForm(PageForm):
    """A domain, for somebody who is signed in."""

    name = StringField(
        lazy("Domain name"), [Required()], description=lazy("For example: example.com"),
        render_kw=attributes(autocapitalize="none", spellcheck="false", autofocus="autofocus"),
    )  # fmt: skip


class RegisterForm(OwnDomainForm):
    """A domain and the mailbox that manages it."""

    localpart = StringField(
        lazy("Name before the @"), [Required()], default="admin", render_kw=_NAME,
        description=lazy("Your own mailbox, which manages the domain."),
    )  # fmt: skip
    pw = PasswordField(
        lazy("Password"), [Required()], render_kw=NEW_PASSWORD, description=lazy("At least 8 characters.")
    )
    pw2 = PasswordField(lazy("Password again"), [Required()], render_kw=NEW_PASSWORD)


# Signing up


@pages.show("sign_up", "{admin}/user/signup", ANYONE)
def sign_up(visit: Visit) -> Response:
    """The domains that have room for one more."""
    found = open_domains(visit.snapshot)
    if not found:
        raise Refusal(404)
    counts = counts_of(visit).users
    entries = visit.snapshot.domains
    free = [name for name in found if not 0 <= entries[name].max_users <= counts.get(name, 0)]
    if len(free) == 1:
        return visit.go("sign_up_in", domain=free[0])
    return visit.render("sign_on/sign_up.html", title=_("Sign up"), domains=free[:_MOST_DOMAINS])


@pages.form("sign_up_in", "{admin}/user/signup/{domain}", ANYONE)
async def sign_up_in(visit: Visit) -> Response:
    """A mailbox for whoever asks, in a domain that lets them."""
    try:
        domain = parse_domain(visit.parameters["domain"])
    except AddressError:
        raise Refusal(404) from None
    if domain not in open_domains(visit.snapshot):
        raise Refusal(404)
    form = SignUpForm.read(visit)
    made = await _make(visit, form, lambda: _sign_up(visit, domain, form))
    if made is not None:
        visit.tell("good", _("%(address)s is yours. Sign in for the first time.", address=made))
        return visit.go("login")
    return await run_in_threadpool(_shown, visit, form, _("Sign up"), _("Sign up"), suffix=f"@{domain}")


def _sign_up(visit: Visit, domain: str, form: Any) -> str:
    changes.check_password(form.pw.data)
    settings = visit.settings
    reserved = [name for name in (settings.postmaster, settings.dmarc_rua, settings.dmarc_ruf) if name]
    hashed = hash_password(form.pw.data)
    with visit.store.session() as session:
        usual = usual_fields(settings, changes.get_domain(session, domain).max_quota_bytes)
        return changes.sign_up(
            session, form.localpart.data, domain, password_hash=hashed, actor=_actor(visit), reserved=reserved,
            delimiters=settings.recipient_delimiter, **usual,
        ).email  # fmt: skip


# Registering a domain


@pages.form("domain_register", "{admin}/domain/signup", ANYONE)
async def register(visit: Visit) -> Response:
    """A domain for whoever leads its mail here. Who is signed in manages it; others get a mailbox in it that does."""
    if not visit.settings.domain_registration:
        raise Refusal(404)
    form = (RegisterForm if visit.signed_in is None else OwnDomainForm).read(visit)
    made = await _make(visit, form, lambda: _register(visit, form))
    if made is not None and visit.signed_in is not None:
        visit.tell("good", _("%(domain)s is here. Now its DNS records have to be made.", domain=made))
        return visit.go("domain", domain=made)
    if made is not None:
        visit.tell("good", _("%(address)s is yours. Sign in for the first time.", address=made))
        return visit.go("login")
    lead = _("First let the domain's MX record name %(host)s, so that we see that it is yours.",
             host=visit.settings.hostname)  # fmt: skip
    return await run_in_threadpool(_shown, visit, form, _("Register a domain"), _("Register"), lead=lead)


def _register(visit: Visit, form: Any) -> str:
    """Make the domain; returns its name, or the address of its new manager."""
    settings, person = visit.settings, visit.signed_in
    try:
        name = parse_domain(form.name.data)
    except AddressError as error:
        raise changes.Invalid("name", str(error)) from None
    if person is None:
        changes.check_password(form.pw.data)
    _require_mail_comes_here(visit, name)
    hashed = hash_password(form.pw.data) if person is None else ""
    managed = visit.snapshot.domains if person and person.global_admin else (person.manages if person else ())
    with visit.store.session() as session:
        domain = changes.register_domain(
            session, name, actor=_actor(visit), ceiling_bytes=settings.default_quota, managed=managed
        )
        if person is not None:
            changes.add_manager(session, domain.name, person.email, actor=_actor(visit))
            return domain.name
        usual = usual_fields(settings, domain.max_quota_bytes)
        return changes.settle_in(
            session, domain, form.localpart.data, password_hash=hashed, actor=_actor(visit), **usual
        ).email


def _require_mail_comes_here(visit: Visit, name: DomainName) -> None:
    from mailu.identity.authoritative import own_resolver
    from mailu.identity.mail_exchanger import leads_here  # here: a DNS library that little else on the pages needs

    host = visit.settings.hostname
    try:
        found = leads_here(name, visit.settings.hostnames, own_resolver(visit.control.places))
    except DnsUnknown:
        raise changes.Invalid("name", _("The DNS of this domain does not answer. Please try again later.")) from None
    if not found:
        raise changes.Invalid("name", _("The domain's MX record does not name %(host)s.", host=host))


# What both have in common


async def _make(visit: Visit, form: Any, make: Callable[[], str]) -> str | None:
    """Do what *form* asks for, if it was sent and nothing stands against it; returns what *make* does."""
    if not form.accepted or ("pw" in form and not agreed(form)) or not await _is_human(visit, form):
        return None
    newcomers = Newcomers(visit.control.limits, visit.settings.signup_ratelimit)
    place = await newcomers.take(visit.client_ip)
    if place is None:
        form.complain("", _("From your network enough was made for now. Please try again tomorrow."))
        return None
    made = await run_in_threadpool(_refused_or_made, form, make)
    if made is None:
        await newcomers.give_back(place)
    elif visit.settings.welcome and "@" in made:
        message = mailing.system_message(visit.settings, visit.settings.welcome_subject, visit.settings.welcome_body)
        mailing.send_later(visit.settings, message, [made])
    return made


def _refused_or_made(form: Any, make: Callable[[], str]) -> str | None:
    with form.refusals(email="localpart", password="pw"):  # noqa: S106 - the name of a field
        return make()
    return None


async def _is_human(visit: Visit, form: Any) -> bool:
    if not captcha.is_wanted(visit.settings):
        return True
    try:
        if await captcha.is_human(visit.settings, visit.fields.get(captcha.FIELD, ""), visit.client_ip):
            return True
        form.complain("", _("Please solve the riddle that tells people from programs."))
    except captcha.CaptchaAway:
        form.complain("", _("It cannot be found out right now that you are no program. Please try again later."))
    return False


def _shown(visit: Visit, form: Any, title: str, button: str, **values: Any) -> Response:
    wanted = captcha.is_wanted(visit.settings)
    response = visit.render(
        "sign_on/join.html", title=title, form=form, status=form.status, submit=button,
        site_key=visit.settings.recaptcha_public_key if wanted else None, **values,
    )  # fmt: skip
    if wanted:
        response.headers["Content-Security-Policy"] = captcha.allowed_by(content_policy(visit.settings))
    return response


def _actor(visit: Visit) -> Actor:
    return visit.actor if visit.signed_in is not None else Actor("somebody new", f"web {visit.client_ip}")
