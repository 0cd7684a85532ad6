"""The API as an application: what it serves, where, and how it refuses."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from starlette.responses import RedirectResponse

from mailu.api import (
    aliases,
    api_tokens,
    audit,
    dns,
    domains,
    fetches,
    grants,
    limits,
    own_aliases,
    queue,
    relays,
    senders,
    sessions,
    statistics,
    tls_exceptions,
    tokens,
    users,
)
from mailu.api.access import bearer_judge, caller_of
from mailu.api.answers import HANDLERS, OneLine
from mailu.api.bodies import MOST_BYTES, BoundedBodies
from mailu.api.description import add_page
from mailu.control import ControlPlane

_REFUSALS = {
    400: "The request is not what was expected; the answer names each field.",
    401: "No token was sent.",
    403: "The token is wrong, or is not for this.",
    404: "There is no such thing.",
    409: "The name is taken, or the domain is full.",
    413: f"The body has more than {MOST_BYTES} bytes.",
    429: "Too many wrong tokens from this network.",
    503: "Something that the answer depends on does not answer; nothing was changed.",
}

_RESOURCES = (users, domains, grants, dns, aliases, relays, tls_exceptions, tokens, fetches, senders)
_SERVER = (queue, limits, sessions, statistics, audit, api_tokens)


def create_rest(control: ControlPlane) -> FastAPI:
    """Return all that is below ``WEB_API``, to be mounted there: version 1, and the address of SimpleLogin."""
    app = _application(control, openapi_url=None)
    app.include_router(own_aliases.simplelogin)
    version = f"{control.settings.web_api}/v1/"
    for path in ("/", "/v1"):
        app.add_api_route(path, lambda: RedirectResponse(version), methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/v1", create_api(control))
    app.add_middleware(BoundedBodies)
    return app


def create_api(control: ControlPlane) -> FastAPI:
    """Return version 1 of the API."""
    app = _application(control, openapi_url="/swagger.json")
    app.include_router(own_aliases.router)  # before /alias/{email}
    for resource in (*_RESOURCES, *_SERVER):
        app.include_router(resource.router, dependencies=[Depends(caller_of)])
    add_page(app)
    return app


def _application(control: ControlPlane, *, openapi_url: str | None) -> FastAPI:
    app = FastAPI(
        title="Mailu",
        version="1",
        description="Domains, people and addresses of this mail server, and its running.",
        default_response_class=OneLine,
        separate_input_output_schemas=False,
        openapi_url=openapi_url,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={status: {"description": text} for status, text in _REFUSALS.items()},
    )
    app.state.control = control
    app.state.bearer = bearer_judge(control)
    for error, handler in HANDLERS.items():
        app.add_exception_handler(error, handler)
    return app
