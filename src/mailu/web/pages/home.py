"""The first page: how full the mailbox is, what is on, where to go from here."""

from __future__ import annotations

from starlette.responses import Response

from mailu.directory.models import User
from mailu.web.language import _
from mailu.web.pages.statistics import charts_of
from mailu.web.permission import ANYONE, SIGNED_IN
from mailu.web.routes import Pages
from mailu.web.visit import Refusal, Visit

pages = Pages()

_FEW = 2
"""Mailboxes of a server that is new."""


@pages.show("home", "{admin}/", SIGNED_IN)
def home(visit: Visit) -> Response:
    """What is worth knowing at first sight."""
    with visit.store.read() as session:
        user = session.get(User, visit.person.email)
        if user is None:
            raise Refusal(404)
        charts = charts_of(visit) if visit.person.global_admin else None
        return visit.render("home.html", title=_("Overview"), user=user, steps=_first_steps(visit), charts=charts)


def _first_steps(visit: Visit) -> list[tuple[str, str, str, bool]]:
    """What a new server still needs: title, why, address, whether it is done. Empty once people use it."""
    snapshot = visit.snapshot
    if not visit.person.global_admin or len(snapshot.users) > _FEW:
        return []
    domain = next(iter(sorted(snapshot.domains)), visit.settings.domain)
    return [
        (_("Add a domain"), _("The part of your addresses behind the @."),
         visit.url("domain_create"), bool(snapshot.domains)),
        (_("Make its DNS records"), _("So that others find this server and trust its mail."),
         visit.url("domain", domain=domain), False),
        (_("Make a mailbox"), _("For you or the first person who gets mail here."),
         visit.url("user_create", domain=domain), len(snapshot.users) > 1),
        (_("Set up a mail program"), _("Or use the webmail, which needs nothing."), visit.url("client"), False),
    ]  # fmt: skip


@pages.show("old_ui", "{admin}/ui/{rest:path}", ANYONE)
async def old_address(visit: Visit) -> Response:
    """Where the pages were long ago."""
    return visit.go("home")


@pages.show("old_antispam", "{admin}/webui_antispam", SIGNED_IN)
async def old_antispam(visit: Visit) -> Response:
    """The filter's own pages had a frame of ours around them."""
    return visit.lead_to(f"{visit.settings.web_admin}/antispam/")


@pages.show("webmail", "{admin}/webmail", ANYONE)
async def webmail(visit: Visit) -> Response:
    """A short way to the webmail."""
    if not visit.settings.webmail:
        raise Refusal(404)
    return visit.lead_to(f"{visit.settings.web_webmail.rstrip('/')}/")
