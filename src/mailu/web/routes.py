"""Which pages there are: a table of name, path, permission and function, made by decorators."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from starlette.responses import Response

from mailu.web.permission import Permission

if TYPE_CHECKING:
    from mailu.web.visit import Visit

Handler = Callable[["Visit"], Response | Awaitable[Response]]
"""A page: a coroutine, or a plain function, which runs in a thread and may wait for the database."""

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


class NoPermissionStated(Exception):
    """A page was registered that does not say who may see it; nothing is served then."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page. *path* begins with ``/sso``, ``/static`` ...; below WEB_ADMIN it is written ``{admin}/...``."""

    name: str
    path: str
    permission: Permission
    handler: Handler
    methods: frozenset[str]
    while_forced: bool = False
    """Served also to somebody who first has to choose a new password or a second factor."""
    takes_json: bool = False
    """What is sent here is JSON, by a program that is signed in; never a form."""


@dataclass(slots=True)
class Pages:
    """The pages of one file."""

    found: list[Page] = field(default_factory=list)

    def show(
        self, name: str, path: str, permission: Permission, *, while_forced: bool = False
    ) -> Callable[[Handler], Handler]:
        """Register a page that is only looked at."""
        return self._register(name, path, permission, {"GET"}, while_forced)

    def form(
        self, name: str, path: str, permission: Permission, *, while_forced: bool = False
    ) -> Callable[[Handler], Handler]:
        """Register a page with a form on it, which comes back to the same address."""
        return self._register(name, path, permission, {"GET", "POST"}, while_forced)

    def action(
        self, name: str, path: str, permission: Permission, *, while_forced: bool = False
    ) -> Callable[[Handler], Handler]:
        """Register what a button does."""
        return self._register(name, path, permission, {"POST"}, while_forced)

    def program(self, name: str, path: str, permission: Permission) -> Callable[[Handler], Handler]:
        """Register what programs send JSON to; people who come there are led on."""
        return self._register(name, path, permission, {"GET", "POST"}, while_forced=False, takes_json=True)

    def _register(
        self,
        name: str,
        path: str,
        permission: Permission,
        methods: set[str],
        while_forced: bool,
        *,
        takes_json: bool = False,
    ) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self.found.append(Page(name, path, permission, handler, frozenset(methods), while_forced, takes_json))
            return handler

        return register


@dataclass(frozen=True, slots=True)
class Addresses:
    """The paths of all pages, by name."""

    paths: dict[str, str]

    def url(self, name: str, **values: object) -> str:
        """The address of the page *name*; values that its path has no place for become the query."""
        path = self.paths[name]
        names = set(_PARAMETER.findall(path))
        filled = _PARAMETER.sub(lambda match: quote(str(values[match[1]]), safe="@"), path)
        rest = {key: value for key, value in values.items() if key not in names and value not in (None, "", False)}
        return f"{filled}?{urlencode(rest)}" if rest else filled


def addresses_of(pages: Iterable[Page], web_admin: str) -> Addresses:
    """Return where *pages* are when the administration is at *web_admin*."""
    return Addresses({page.name: place(page, web_admin) for page in pages})


def place(page: Page, web_admin: str) -> str:
    """The path of *page* when the administration is at *web_admin*, in Starlette's notation."""
    return page.path.replace("{admin}", web_admin.rstrip("/"))


def require_permissions(pages: Iterable[Page]) -> None:
    """Raise NoPermissionStated for a page without a permission, and ValueError for two of one name."""
    seen: set[str] = set()
    for page in pages:
        if not isinstance(page.permission, Permission):
            raise NoPermissionStated(f"{page.name} ({page.path}) does not say who may see it")
        if page.name in seen:
            raise ValueError(f"two pages are called {page.name}")
        seen.add(page.name)
