"""One request, as a page sees it: who is there, what they sent, and what can be answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mailu.auth.sessions import Session
from mailu.control import ControlPlane
from mailu.directory.changes import Actor
from mailu.directory.roles import Person
from mailu.directory.snapshot import Snapshot, UserEntry
from mailu.directory.store import Store
from mailu.settings import Settings
from mailu.web.body import Fields
from mailu.web.cookies import CookieNames, Seals
from mailu.web.language import Language
from mailu.web.render import Renderer
from mailu.web.routes import Addresses, Page

_MOST_MESSAGES = 5
_SEEN_SECONDS = 3.0


class Refusal(Exception):
    """The page cannot be shown; *status* is what HTTP calls it, *text* replaces the usual words."""

    def __init__(self, status: int, text: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


@dataclass(slots=True)
class Visit:
    """Everything about one request. Made by ``serve`` after the questions that every page has in common."""

    request: Request
    control: ControlPlane
    pages: Addresses
    renderer: Renderer
    seals: Seals
    cookies: CookieNames
    language: Language
    visitor: str
    """The random name of a browser that is not signed in."""
    session: Session | None = None
    entry: UserEntry | None = None
    signed_in: Person | None = None
    page_asked: Page | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    fields: Fields = field(default_factory=ImmutableMultiDict)
    sent: Mapping[str, object] = field(default_factory=dict)
    """What a program sent as JSON."""
    notices: list[dict[str, str]] = field(default_factory=list)
    """Messages of earlier pages that wait to be shown."""
    changed_session: bool = False
    new_session: Session | None = None
    dropped_session: bool = False

    # Who and what

    @property
    def settings(self) -> Settings:
        return self.control.settings

    @property
    def store(self) -> Store:
        return self.control.store

    @property
    def snapshot(self) -> Snapshot:
        return self.control.snapshot()

    @property
    def person(self) -> Person:
        """The visitor, where the page's permission says that they are signed in."""
        assert self.signed_in is not None
        return self.signed_in

    @property
    def posted(self) -> bool:
        """Whether a form was sent."""
        return self.request.method == "POST"

    @property
    def client_ip(self) -> str:
        """The client's address, as nginx says."""
        return self.request.client.host if self.request.client else ""

    @property
    def actor(self) -> Actor:
        """As the audit trail names the visitor."""
        return Actor(self.person.email, f"web {self.client_ip}")

    @property
    def secure(self) -> bool:
        """Whether the browser speaks TLS."""
        return self.request.url.scheme == "https"

    @property
    def time_zone(self) -> ZoneInfo:
        return ZoneInfo(self.settings.tz)

    def query(self, name: str, default: str = "") -> str:
        """One value of the query, bounded."""
        return self.request.query_params.get(name, default)[:2000]

    # Where to

    def url(self, name: str, **values: object) -> str:
        """The address of a page."""
        return self.pages.url(name, **values)

    @property
    def here(self) -> str:
        """This page's own address."""
        query = self.request.url.query
        path = self.request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        return f"{path}?{query}" if query else path

    # Answers

    def render(self, template: str, *, status: int = 200, title: str, **context: Any) -> Response:
        """A page from a template."""
        shown, self.notices = self.notices, []
        self.changed_session = self.changed_session or bool(shown)
        text = self.renderer.page(self, template, {"title": title, "messages": shown, **context})
        return HTMLResponse(text, status_code=status)

    def go(self, name: str, **values: object) -> Response:
        """Lead on to another page, after a form was acted on."""
        return self.lead_to(self.url(name, **values))

    def lead_to(self, target: str) -> Response:
        """Lead on to an address of ours (see ``safe.local_target``)."""
        return RedirectResponse(target, status_code=303)

    def tell(self, kind: str, text: str, *, undo: str = "") -> None:
        """Show a message on the next page: *kind* is good, info, warn or bad; *undo* is what a button there posts."""
        self.notices = [*self.notices, {"kind": kind, "text": text, "undo": undo}][-_MOST_MESSAGES:]
        self.changed_session = True

    # Marks of our forms

    @property
    def form_mark(self) -> str:
        """What every form of ours carries, and no other site knows."""
        return self.seals.mark("form", self._form_subject)

    def is_ours(self, given: str) -> bool:
        """Whether a form carried it."""
        return self.seals.is_mark("form", self._form_subject, given)

    @property
    def _form_subject(self) -> str:
        return f"session {self.session.id}" if self.session else f"visitor {self.visitor}"

    async def until(self, seen: Callable[[Snapshot], bool]) -> bool:
        """Wait until the snapshot shows what was just written; False when it does not within seconds."""
        deadline = asyncio.get_running_loop().time() + _SEEN_SECONDS
        while not seen(self.snapshot):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True
