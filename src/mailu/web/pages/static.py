"""Files that never change under one address, and the page for addresses that lead nowhere."""

from __future__ import annotations

from starlette.responses import FileResponse, Response

from mailu.web.language import LANGUAGES, _
from mailu.web.permission import ANYONE
from mailu.web.render import STATIC
from mailu.web.routes import Page, Pages
from mailu.web.safe import local_target
from mailu.web.visit import Refusal, Visit

pages = Pages()

_YEAR = 365 * 86400
_KINDS = {"style.css": "text/css", "page.js": "text/javascript", "passkey.js": "text/javascript",
          "icon.svg": "image/svg+xml"}  # fmt: skip


@pages.show("static", "/static/{name}", ANYONE)
async def file(visit: Visit) -> Response:
    """One of our files."""
    return _file(visit.parameters["name"], _YEAR if visit.query("v") else 3600)


@pages.show("favicon", "/favicon.ico", ANYONE)
async def favicon(visit: Visit) -> Response:
    """What browsers ask for unasked."""
    return _file("icon.svg", 86400)


@pages.action("language", "/sso/language", ANYONE, while_forced=True)
async def choose_language(visit: Visit) -> Response:
    """Remember the language chosen at the foot of the page."""
    return _remember(visit, visit.fields.get("language", ""))


@pages.action("old_language", "{admin}/language/{code}", ANYONE, while_forced=True)
@pages.action("language_named", "/sso/language/{code}", ANYONE, while_forced=True)
async def choose_language_by_address(visit: Visit) -> Response:
    """The same by an address of its own."""
    return _remember(visit, visit.parameters["code"])


async def nowhere(visit: Visit) -> Response:
    """No page has this address."""
    raise Refusal(404)


NOWHERE = Page("nowhere", "/{rest:path}", ANYONE, nowhere, frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"}), True)


def _file(name: str, seconds: int) -> Response:
    if name not in _KINDS or not (STATIC / name).is_file():
        raise Refusal(404)
    headers = {"Cache-Control": f"public, max-age={seconds}, immutable"}
    return FileResponse(STATIC / name, media_type=_KINDS[name], headers=headers)


def _remember(visit: Visit, code: str) -> Response:
    if code not in LANGUAGES:
        raise Refusal(400, _("We do not have that language."))
    back = local_target(visit.fields.get("back"), visit.request.headers.get("host", ""))
    response = visit.lead_to(back or visit.url("login"))
    visit.cookies.put(response, visit.cookies.language, code, seconds=_YEAR)
    return response
