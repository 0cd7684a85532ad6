"""The mailboxes of a domain: the list, making, changing and deleting them, one by one or several at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from wtforms import BooleanField, PasswordField, StringField

from mailu.address import parse_address
from mailu.auth.passwords import hash_password
from mailu.directory import changes
from mailu.directory.changes import Invalid
from mailu.directory.models import Retired, User, today
from mailu.directory.new_users import usual_quota
from mailu.directory.roles import Person, may_act_for, person
from mailu.web import mailing
from mailu.web.counts import counts_of
from mailu.web.forms import NEW_PASSWORD, PageForm, Required, SizeField, attributes, lazy
from mailu.web.language import _
from mailu.web.lists import RETIRED, USERS, shown_list
from mailu.web.pages.account import agreed
from mailu.web.pages.domains import domain_of, part_of
from mailu.web.permission import MANAGES_ADDRESS, MANAGES_DOMAIN, MANAGES_USER
from mailu.web.routes import Pages
from mailu.web.visit import Refusal, Visit

pages = Pages()

_TICKED = 100
_LONGEST_UNDO = 1900


class UserForm(PageForm):
    """What managers decide about a mailbox."""

    displayed_name = StringField(lazy("Displayed name"), render_kw=attributes(maxlength="160", autocomplete="off"))
    comment = StringField(lazy("Comment"), render_kw=attributes(maxlength="255"))
    enabled = BooleanField(
        lazy("Switched on"), default=True, description=lazy("Off: nobody signs in, and mail is refused.")
    )
    quota_bytes = SizeField(lazy("Size (GB)"), description=lazy("0: no limit."))
    enable_imap = BooleanField(lazy("May use IMAP"), default=True)
    enable_pop = BooleanField(lazy("May use POP3"), default=True)
    allow_spoofing = BooleanField(lazy("May send as any address of the domain"))
    message_ratelimit = StringField(
        lazy("Sending limit"),
        description=lazy("Such as 200/day. Empty: as everybody."),
        render_kw=attributes(maxlength="80"),
    )
    groups = (
        ("", ("localpart", "displayed_name", "comment", "enabled")),
        (lazy("Password"), ("pw", "pw2", "change_pw_next_login")),
        (lazy("Limits"), ("quota_bytes", "message_ratelimit")),
        (lazy("What they may do"), ("enable_imap", "enable_pop", "allow_spoofing")),
    )


class NewUserForm(UserForm):
    """The same with a name and a password."""

    localpart = StringField(
        lazy("Name before the @"), [Required()],
        render_kw=attributes(autocapitalize="none", spellcheck="false", autocomplete="off", maxlength="64",
                             autofocus="autofocus"),
    )  # fmt: skip
    pw = PasswordField(
        lazy("Password"), [Required()], render_kw=NEW_PASSWORD, description=lazy("At least 8 characters.")
    )
    pw2 = PasswordField(lazy("Password again"), [Required()], render_kw=NEW_PASSWORD)
    change_pw_next_login = BooleanField(lazy("Has to choose another one at the next sign-in"), default=True)


def _read(form_class: type[UserForm], visit: Visit, obj: object = None, **values: Any) -> Any:
    """A form without what only global administrators decide, where the visitor is none."""
    form = form_class.read(visit, obj, **values)
    if not visit.person.global_admin:
        del form.message_ratelimit
    return form


@pages.show("users", "{admin}/user/list/{domain}", MANAGES_DOMAIN)
def users(visit: Visit) -> Response:
    """The mailboxes of a domain."""
    name = domain_of(visit)
    with visit.store.read() as session:
        page = shown_list(visit, session, select(User).where(User.domain_name == name), USERS, sort="email")
        domain = changes.get_domain(session, name)
        count = counts_of(visit).users.get(name, 0)
        return visit.render(
            "admin/users.html", page=page, count=count, most=domain.max_users, **part_of(visit, name, "users")
        )


@pages.form("user_create", "{admin}/user/create/{domain}", MANAGES_DOMAIN)
async def create(visit: Visit) -> Response:
    """A new mailbox."""
    response, made = await run_in_threadpool(_create, visit)
    if made and visit.settings.welcome:
        message = mailing.system_message(visit.settings, visit.settings.welcome_subject, visit.settings.welcome_body)
        mailing.send_later(visit.settings, message, [made])
    return response


def _create(visit: Visit) -> tuple[Response, str | None]:
    name = domain_of(visit)
    with visit.store.read() as session:
        ceiling = changes.get_domain(session, name).max_quota_bytes
    form = _read(NewUserForm, visit, None, quota_bytes=usual_quota(visit.settings.default_quota, ceiling))
    if form.accepted and agreed(form):
        with form.refusals(email="localpart", name="localpart", password="pw"):  # noqa: S106
            email = _store(visit, name, form)
            visit.tell("good", _("%(address)s is here.", address=email))
            return visit.go("users", domain=name), email
    shown: dict[str, Any] = {"title": _("New mailbox"), "crumbs": [(name, visit.url("users", domain=name))]}
    response = visit.render(
        "admin/user_new.html", status=form.status, form=form, domain=name, cancel=visit.url("users", domain=name),
        **shown,
    )  # fmt: skip
    return response, None


def _store(visit: Visit, domain: str, form: Any) -> str:
    fields: dict[str, Any] = dict(form.data)
    localpart, password = fields.pop("localpart").strip(), fields.pop("pw")
    del fields["pw2"]
    if "@" in localpart:
        raise Invalid("email", _("Only what stands before the @ belongs here."))
    changes.check_password(password)
    hashed = hash_password(password)
    fields["spam_threshold"] = visit.settings.default_spam_threshold
    with visit.store.session() as session:
        email = f"{localpart}@{domain}"
        return changes.create_user(session, email, password_hash=hashed, actor=visit.actor, **fields).email


@pages.form("user_edit", "{admin}/user/edit/{email:path}", MANAGES_USER)
def edit(visit: Visit) -> Response:
    """Change a mailbox."""
    with visit.store.read() as session:
        user = changes.get_user(session, visit.parameters["email"])
        email, domain = user.email, user.domain_name
        form = _read(UserForm, visit, user)
        last_login, used = user.last_login, user.quota_bytes_used
    if form.accepted:
        with form.refusals():
            if email == visit.person.email and not form.enabled.data:
                raise Invalid("enabled", _("You cannot switch yourself off."))
            with visit.store.session() as session:
                changes.update_user(session, email, actor=visit.actor, **form.data)
            visit.tell("good", _("Saved."))
            return visit.go("users", domain=domain)
    return visit.render(
        "admin/user_edit.html", status=form.status, title=email, form=form, email=email, tab="user_edit",
        last_login=last_login, used=used, crumbs=[(domain, visit.url("users", domain=domain))],
        cancel=visit.url("users", domain=domain),
    )  # fmt: skip


@pages.form("user_delete", "{admin}/user/delete/{email:path}", MANAGES_USER)
def delete(visit: Visit) -> Response:
    """Delete a mailbox; its mail stays for a while, so this can be undone."""
    with visit.store.read() as session:
        user = changes.get_user(session, visit.parameters["email"])
        email, domain, used = user.email, user.domain_name, user.quota_bytes_used
    _refuse_self(visit, email)
    days = visit.settings.retention_days
    if visit.posted:
        with visit.store.session() as session:
            changes.delete_user(session, email, actor=visit.actor, retention_days=days)
        undo = visit.url("user_restore", email=email) if days else ""
        visit.tell("good", _("%(address)s is deleted.", address=email), undo=undo)
        return visit.go("users", domain=domain)
    until = today() + timedelta(days=days)
    return visit.render(
        "admin/user_delete.html", title=_("Delete mailbox"), email=email, used=used, until=until,
        back=visit.url("user_edit", email=email),
    )  # fmt: skip


def _refuse_self(visit: Visit, email: str) -> None:
    if email == visit.person.email:
        raise Refusal(409, _("You cannot delete or switch off yourself."))


# Deleted ones


@pages.show("deleted", "{admin}/user/deleted/{domain}", MANAGES_DOMAIN)
def deleted(visit: Visit) -> Response:
    """Mailboxes that were deleted and can still be restored."""
    name = domain_of(visit)
    with visit.store.read() as session:
        statement = select(Retired).where(Retired.email.endswith(f"@{name}", autoescape=True))
        page = shown_list(visit, session, statement, RETIRED, sort="id", descending=True)
        return visit.render("admin/deleted.html", page=page, **part_of(visit, name, "deleted"))


@pages.action("user_restore", "{admin}/user/restore/{email:path}", MANAGES_ADDRESS)
def restore(visit: Visit) -> Response:
    """Bring a deleted mailbox back. With it come its rights, which must not be more than the visitor's own."""
    number = visit.fields.get("id", "")
    with visit.store.session() as session:
        email = str(parse_address(visit.parameters["email"]))
        kept = changes.retired_mailboxes(session, email)
        chosen = next((row for row in kept if number in ("", str(row.id))), None)
        if chosen is None:
            raise changes.NotFound("deleted mailbox", email)
        if not may_act_for(visit.person, _before(chosen)):
            raise Refusal(403)
        changes.restore_user(session, email, actor=visit.actor, retired_id=chosen.id)
    visit.tell("good", _("%(address)s is back.", address=email))
    return visit.go("users", domain=email.rpartition("@")[2])


def _before(retired: Retired) -> Person:
    """Who somebody was when they were deleted."""
    record, domain = retired.record, retired.email.rpartition("@")[2]
    return Person(retired.email, domain, bool(record["user"].get("global_admin")), frozenset(record["managed"]))


# Several at once


@pages.action("users_bulk", "{admin}/user/bulk/{domain}", MANAGES_DOMAIN)
def bulk(visit: Visit) -> Response:
    """Switch several mailboxes on or off, or delete them after asking."""
    name, what = domain_of(visit), visit.fields.get("do") or visit.query("do")
    asked = visit.query("emails").split(",") if visit.query("emails") else visit.fields.getlist("email")
    emails = list(dict.fromkeys(asked))[:_TICKED]
    if not emails:
        visit.tell("info", _("Tick some mailboxes first."))
        return visit.go("users", domain=name)
    if what == "delete" and "sure" not in visit.fields:
        return _ask(visit, name, emails)
    with visit.store.session() as session:
        done = [email for email in emails if _may(visit, session, name, email) and _do(visit, session, what, email)]
    _tell(visit, name, what, done, len(emails) - len(done))
    return visit.go("users", domain=name)


def _may(visit: Visit, session: Session, domain: str, email: str) -> bool:
    whom = person(session, email)
    return (
        whom is not None
        and whom.domain == domain
        and whom.email != visit.person.email
        and may_act_for(visit.person, whom)
    )


def _do(visit: Visit, session: Session, what: str, email: str) -> bool:
    match what:
        case "on" | "off":
            changes.update_user(session, email, actor=visit.actor, enabled=what == "on")
        case "delete":
            days = visit.settings.retention_days
            changes.delete_user(session, email, actor=visit.actor, retention_days=days)
        case _:
            raise Refusal(400)
    return True


def _ask(visit: Visit, domain: str, emails: list[str]) -> Response:
    hidden = [("do", "delete"), ("sure", "yes"), *(("email", email) for email in emails)]
    until = today() + timedelta(days=visit.settings.retention_days)
    return visit.render(
        "admin/users_delete.html", title=_("Delete mailboxes"), emails=emails, hidden=hidden, until=until,
        action=visit.url("users_bulk", domain=domain), back=visit.url("users", domain=domain),
    )  # fmt: skip


def _tell(visit: Visit, domain: str, what: str, done: list[str], refused: int) -> None:
    number = len(done)
    if done:
        text = {
            "on": _("Switched on: %(number)s.", number=number),
            "off": _("Switched off: %(number)s.", number=number),
            "delete": _("Deleted: %(number)s.", number=number),
        }[what]
        back = visit.url("users_bulk", domain=domain, do="on", emails=",".join(done)) if what == "off" else ""
        visit.tell("good", text, undo=back if len(back) < _LONGEST_UNDO else "")
    if refused:
        visit.tell("warn", _("Left alone, because you may not or they are gone: %(number)s.", number=refused))
