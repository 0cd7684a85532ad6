"""From a request to a page: the questions that every page has in common, asked in one place, in one order.

Is this our name? Is the method one of the page's? Who is there? May they? Did the form come from one of our own pages?
Only then does the page itself run. Whatever goes wrong ends in a page of the same frame.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from mailu.address import AddressError
from mailu.auth.sessions import Session
from mailu.control import ControlPlane
from mailu.directory.changes import ChangeError, NotFound
from mailu.directory.listing import ListingError
from mailu.directory.models import Version
from mailu.directory.roles import person
from mailu.web import language
from mailu.web.body import BodyRefused, read_fields, read_object
from mailu.web.cookies import CookieNames, Seals, is_visitor, new_visitor
from mailu.web.language import _
from mailu.web.permission import Missing
from mailu.web.policy import content_policy
from mailu.web.render import MARK_FIELD, Renderer
from mailu.web.routes import Addresses, Page
from mailu.web.safe import is_our_host
from mailu.web.second_step import forced_page
from mailu.web.visit import Refusal, Visit

log = logging.getLogger("mailu.web")

_SAFE = frozenset({"GET", "HEAD"})
_ENDED = (Refusal, Missing, ChangeError, ListingError, AddressError, BodyRefused)
_NOTICE_SECONDS = 300
_SETTLED_SECONDS = 0.5
_MOST_DIGITS = 9
"""Of the number of a row."""


@dataclass(frozen=True)
class Shell:
    """What all requests share."""

    control: ControlPlane
    pages: Addresses
    renderer: Renderer
    seals: Seals
    cookies: CookieNames

    async def serve(self, page: Page, request: Request) -> Response:
        """Answer *request* with *page*. Never raises."""
        visit = self._visit(page, request)
        try:
            response = await self._answer(page, visit)
        except _ENDED as error:
            response = await _refused(visit, _as_refusal(error))
        except DBAPIError:
            log.exception("the database did not answer %s", request.url.path)
            response = await _refused(visit, Refusal(503, headers={"Retry-After": "5"}))
        except Exception:
            log.exception("%s %s failed", request.method, request.url.path)
            response = await _refused(visit, Refusal(500))
        await self._leave(visit, response)
        return response

    def _visit(self, page: Page, request: Request) -> Visit:
        names = self.cookies
        given = request.cookies.get(names.visitor, "")
        chosen = language.choose(
            request.cookies.get(names.language),
            request.headers.get("accept-language", ""),
            self.control.settings.default_locale,
        )
        language.use(chosen)
        return Visit(
            request=request,
            control=self.control,
            pages=self.pages,
            renderer=self.renderer,
            seals=self.seals,
            cookies=names,
            language=chosen,
            visitor=given if is_visitor(given) else new_visitor(),
            page_asked=page,
            parameters={name: str(value) for name, value in request.path_params.items()},
        )

    async def _answer(self, page: Page, visit: Visit) -> Response:
        request = visit.request
        if not is_our_host(request.headers.get("host", ""), self.control.settings.hostnames):
            raise Refusal(421, _("This server does not answer to that name."))
        method = "GET" if request.method == "HEAD" else request.method
        await self._recognise(visit)
        if method not in page.methods:
            raise Refusal(405, headers={"Allow": ", ".join(sorted(page.methods))})
        if len(visit.parameters.get("id", "")) > _MOST_DIGITS:
            raise Missing
        if turned_away := await self._admit(page, visit):
            return turned_away
        if method == "POST":
            await (self._read_json(visit) if page.takes_json else self._read_form(visit))
        response = await _run(page, visit)
        if response.status_code == 303 and method == "POST":
            await _settle(visit)
        return response

    async def _recognise(self, visit: Visit) -> None:
        """Find out who is there."""
        cookie = visit.request.cookies.get(self.cookies.session)
        if cookie:
            users = self.control.snapshot().users
            visit.session = await self.control.sessions.load(cookie, users.get)
            if visit.session is None:
                visit.dropped_session = True
        if visit.session is not None:
            snapshot = self.control.snapshot()
            visit.entry = snapshot.users.get(visit.session.email)
            visit.signed_in = person(snapshot, visit.session.email)
            visit.notices = list(visit.session.data.get("messages", []))
        else:
            kept = visit.seals.open("notice", visit.request.cookies.get(self.cookies.notice, ""))
            visit.notices = kept if isinstance(kept, list) else []

    async def _admit(self, page: Page, visit: Visit) -> Response | None:
        """Let the visitor in (None), lead them to where they have to go first, or raise Refusal or Missing."""
        if not page.permission.signed_in:
            return None
        if visit.signed_in is None:
            back = visit.here if "GET" in page.methods and visit.request.method in _SAFE else None
            return RedirectResponse(visit.url("login", url=back), status_code=303)
        if not page.while_forced and (first := forced_page(visit)):
            return visit.go(first, url=visit.here if visit.request.method in _SAFE else None)
        if not await self._may(page, visit):
            raise Refusal(403)
        return None

    async def _may(self, page: Page, visit: Visit) -> bool:
        check = page.permission.check
        if check is None:
            return True

        def ask() -> bool:
            with visit.store.read() as session:
                return check(visit.person, visit.parameters, session)

        return await run_in_threadpool(ask)

    async def _read_json(self, visit: Visit) -> None:
        """Read what a program sent, which knows no mark; no page of another site can send it."""
        _require_own_origin(visit)
        visit.sent = await read_object(visit.request)

    async def _read_form(self, visit: Visit) -> None:
        """Read what was sent, and make sure that one of our own pages sent it."""
        _require_own_origin(visit)
        visit.fields = await read_fields(visit.request)
        if not visit.is_ours(visit.fields.get(MARK_FIELD, "")):
            raise Refusal(403, _("This form is too old, so nothing was changed. Please go back, reload and try again."))

    async def _leave(self, visit: Visit, response: Response) -> None:
        """Put cookies and headers on the answer, keep what the session has to remember."""
        names = self.cookies
        if visit.new_session is not None:
            names.put(response, names.session, visit.new_session.id)
        elif visit.dropped_session:
            names.drop(response, names.session)
        session = visit.new_session or (None if visit.dropped_session else visit.session)
        if session is not None:
            await self._keep(session, visit)
        elif visit.changed_session:
            self._keep_notices(visit, response)
        is_page = response.headers.get("content-type", "").startswith("text/html")
        if session is None and is_page and visit.request.cookies.get(names.visitor) != visit.visitor:
            names.put(response, names.visitor, visit.visitor)
        set_headers(response, self.control.settings)

    async def _keep(self, session: Session, visit: Visit) -> None:
        if visit.changed_session or visit.new_session is not None:
            session.data["messages"] = visit.notices
            await self.control.sessions.save(session)

    def _keep_notices(self, visit: Visit, response: Response) -> None:
        names = self.cookies
        if visit.notices:
            sealed = visit.seals.seal("notice", visit.notices, seconds=_NOTICE_SECONDS)
            names.put(response, names.notice, sealed, seconds=_NOTICE_SECONDS)
        else:
            names.drop(response, names.notice)


def _require_own_origin(visit: Visit) -> None:
    origin = visit.request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != visit.request.headers.get("host", "").lower():
        raise Refusal(403, _("This form came from another site, so nothing was changed."))


async def _settle(visit: Visit) -> None:
    """Wait until the directory in memory shows what a form has changed, so that the next page does; not for long."""

    def written() -> int:
        with visit.store.read() as session:
            return session.scalar(select(Version.changes)) or 0

    version = await run_in_threadpool(written)
    deadline = time.monotonic() + _SETTLED_SECONDS
    while visit.snapshot.version < version and time.monotonic() < deadline:  # noqa: ASYNC110 - the keeper has no event
        await asyncio.sleep(0.01)


async def _run(page: Page, visit: Visit) -> Response:
    if inspect.iscoroutinefunction(page.handler):
        answer: Response = await page.handler(visit)
        return answer
    made = await run_in_threadpool(page.handler, visit)
    assert isinstance(made, Response)
    return made


async def _refused(visit: Visit, refusal: Refusal) -> Response:
    try:
        return await run_in_threadpool(refuse, visit, refusal)
    except Exception:
        log.exception("the page that says %d cannot be shown", refusal.status)
        return PlainTextResponse("Something went wrong. The log of the server says more.\n", status_code=500)


def _as_refusal(error: Exception) -> Refusal:
    match error:
        case Refusal():
            return error
        case Missing() | NotFound() | AddressError():
            return Refusal(404)
        case BodyRefused():
            return Refusal(error.status)
        case ListingError():
            return Refusal(400, _("This list has no such page."))
        case _:
            return Refusal(409, str(error))


def refuse(visit: Visit, refusal: Refusal) -> Response:
    """A calm page that says what is the matter."""
    title, usual = _words(refusal.status)
    response = visit.render("refusal.html", status=refusal.status, title=title, text=refusal.text or usual)
    response.headers.update(refusal.headers)
    return response


def _words(status: int) -> tuple[str, str]:
    match status:
        case 403:
            return _("Not allowed"), _("You do not have the right to see this page or to do this.")
        case 404:
            return _("Not found"), _("There is nothing at this address.")
        case 405:
            return _("Not possible"), _("This address does not do that.")
        case 413:
            return _("Too much"), _("What was sent is larger than a form of ours can be.")
        case 503:
            return _("Try again in a moment"), _("The directory does not answer. Nothing was changed.")
        case 500:
            return _("Something went wrong"), _("This is our fault, not yours. The log of the server says more.")
        case _:
            return _("Not understood"), _("Your browser sent something that we do not understand.")


def set_headers(response: Response, settings: object) -> None:
    """What every answer says to browsers: run and load only what is ours, and keep no page."""
    headers = response.headers
    headers.setdefault("Content-Security-Policy", content_policy(settings))
    headers.setdefault("Cache-Control", "no-store")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
