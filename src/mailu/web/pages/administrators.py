"""Global administrators, and telling everybody something."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from wtforms import StringField, TextAreaField

from mailu.directory import changes
from mailu.directory.changes import note
from mailu.web import mailing
from mailu.web.counts import counts_of
from mailu.web.forms import PageForm, Required, attributes, lazy
from mailu.web.language import _
from mailu.web.pages.domains import PersonForm
from mailu.web.permission import GLOBAL_ADMIN
from mailu.web.routes import Pages
from mailu.web.visit import Refusal, Visit

pages = Pages()


@pages.form("admins", "{admin}/admin/list", GLOBAL_ADMIN)
def admins(visit: Visit) -> Response:
    """Who may do everything, and a line for one more."""
    form = PersonForm.read(visit)
    if form.accepted:
        with form.refusals(name="email"):
            with visit.store.session() as session:
                changes.update_user(session, form.email.data, global_admin=True, actor=visit.actor)
            visit.tell("good", _("Saved."))
            return visit.go("admins")
    found = counts_of(visit).admins
    return visit.render("admin/admins.html", status=form.status, title=_("Administrators"), form=form, found=found)


@pages.show("admin_create", "{admin}/admin/create", GLOBAL_ADMIN)
async def old_new_admin(visit: Visit) -> Response:
    """Where a new one was made long ago."""
    return visit.go("admins")


@pages.form("admin_delete", "{admin}/admin/delete/{email:path}", GLOBAL_ADMIN)
def demote(visit: Visit) -> Response:
    """Somebody stops being an administrator. Nobody locks themselves out, so one is always left."""
    with visit.store.read() as session:
        email = changes.get_user(session, visit.parameters["email"]).email
    if email == visit.person.email:
        raise Refusal(409, _("You cannot take this right from yourself. Another administrator can."))
    if visit.posted:
        with visit.store.session() as session:
            changes.update_user(session, email, global_admin=False, actor=visit.actor)
        visit.tell("good", _("Saved."))
        return visit.go("admins")
    text = _("Shall %(address)s no longer be an administrator? The mailbox stays.", address=email)
    return visit.render(
        "confirm.html", title=_("Remove administrator"), text=text, back=visit.url("admins"), button=_("Remove")
    )


class AnnouncementForm(PageForm):
    """A message to everybody."""

    subject = StringField(lazy("Subject"), [Required()], render_kw=attributes(maxlength="200"))
    body = TextAreaField(lazy("Text"), [Required()], render_kw=attributes(rows="10"))


@pages.form("announcement", "{admin}/announcement", GLOBAL_ADMIN)
async def announcement(visit: Visit) -> Response:
    """Write to every mailbox; the mail goes out after the page is back."""
    form = AnnouncementForm.read(visit)
    if form.accepted:
        recipients = [user.email for user in visit.snapshot.users.values() if user.enabled]
        message = mailing.system_message(visit.settings, form.subject.data, form.body.data)
        mailing.send_later(visit.settings, message, recipients)
        await run_in_threadpool(_note, visit, form.subject.data, len(recipients))
        visit.tell("good", _("The message is on its way to %(number)s mailboxes.", number=len(recipients)))
        return visit.go("announcement")
    lead = _("Goes to every mailbox that is switched on, from %(address)s.", address=visit.settings.postmaster_address)
    return await run_in_threadpool(
        visit.render, "form.html", status=form.status, title=_("Announcement"), form=form, submit=_("Send"), lead=lead
    )


def _note(visit: Visit, subject: str, number: int) -> None:
    with visit.store.session() as session:
        note(session, visit.actor, "announcement.send", "", {"subject": subject, "mailboxes": number})
