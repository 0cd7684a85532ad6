"""The pages as an application: which there are, and the order in which addresses are tried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mailu.control import ControlPlane
from mailu.web import discovery, internal
from mailu.web.cookies import Seals, cookie_names
from mailu.web.pages import every_page
from mailu.web.render import Renderer
from mailu.web.routes import Page, Pages, addresses_of, place, require_permissions
from mailu.web.serve import Shell


def create_web(control: ControlPlane, pages: list[Page] | None = None) -> Starlette:
    """Return all pages, to be mounted at the root, after everything else that has an address of its own.

    Raises NoPermissionStated when one of *pages* (by default: all there are) does not say who may see it.
    """
    settings = control.settings
    shown = every_page(settings) if pages is None else pages
    require_permissions(shown)
    shell = Shell(
        control=control,
        pages=addresses_of(every_page(settings, everywhere=True), settings.web_admin),
        renderer=Renderer(settings),
        seals=Seals(settings.derive_key("WEB_KEY")),
        cookies=cookie_names(settings),
    )
    # Literal paths come before those with parameters, wherever they stand in the code.
    ordered = sorted(shown, key=lambda page: ("{" in place(page, settings.web_admin), ":path" in page.path))
    routes = [Route(place(page, settings.web_admin), _endpoint(shell, page), methods=None) for page in ordered]
    app = Starlette(routes=[*internal.routes(control), *discovery.routes(control), *routes])
    app.router.redirect_slashes = False
    app.state.control = control
    app.state.pages = shown
    return app


def _endpoint(shell: Shell, page: Page) -> _Endpoint:
    return _Endpoint(partial(shell.serve, page))


class _Endpoint:
    """An ASGI application, so that Starlette leaves the method to the page itself."""

    def __init__(self, serve: Callable[[Request], Awaitable[Response]]) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._serve(Request(scope, receive))
        await response(scope, receive, send)


__all__ = ["Pages", "create_web"]
