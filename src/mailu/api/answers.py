"""How the API speaks: one-line JSON, and errors in the shapes that clients know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mailu.address import AddressError
from mailu.api.shapes import Done
from mailu.directory.anonymous import NoDomain, NoFreeName
from mailu.directory.changes import ChangeError, Conflict, Invalid, LimitReached, NotFound
from mailu.directory.listing import ListingError
from mailu.directory.snapshot import NotReady
from mailu.directory.store import NoSchema
from mailu.identity.dkim import DkimKeyError


class OneLine(JSONResponse):
    """JSON with Python's default separators, since scripts search answers with grep."""

    def render(self, content: Any) -> bytes:
        return (json.dumps(content, default=str) + "\n").encode()


def done(message: str) -> Done:
    """The answer to a write that succeeded."""
    return Done(code=200, message=message)


def refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> OneLine:
    """The answer to a request that changed nothing."""
    return OneLine({"code": status, "message": message}, status_code=status, headers=dict(headers or {}))


def status_of(error: ChangeError) -> int:
    """The HTTP status that says what *error* says."""
    match error:
        case NotFound():
            return 404
        case Conflict() | LimitReached() | NoFreeName():
            return 409
        case NoDomain():
            return 403
        case _:
            return 400


async def on_change_error(_request: Request, error: Exception) -> Response:
    """A rule of the directory refused the change."""
    assert isinstance(error, ChangeError)
    if isinstance(error, Invalid):
        body = {"code": 400, "message": str(error), "errors": {error.field: error.reason}}
        return OneLine(body, status_code=400)
    return refused(status_of(error), str(error))


async def on_listing_error(_request: Request, error: Exception) -> Response:
    """A list was asked for in a way that it does not know."""
    return refused(400, str(error))


async def on_address_error(_request: Request, error: Exception) -> Response:
    """A part of the path is not the address or domain name that it has to be."""
    assert isinstance(error, AddressError)
    return refused(400, str(error))


async def on_invalid_request(_request: Request, error: Exception) -> Response:
    """The body or the query does not fit the schema: every field that does not is named."""
    assert isinstance(error, RequestValidationError)
    errors = dict(_told(item) for item in error.errors())
    return OneLine({"errors": errors, "message": "Input payload validation failed"}, status_code=400)


def _told(item: Mapping[str, Any]) -> tuple[str, str]:
    """The field, and what is wrong with it or was expected."""
    if item["type"] == "json_invalid":
        why = item.get("ctx", {}).get("error", "")
        return "body", f"this is not JSON: {why or 'it cannot be read'}, at character {item['loc'][-1]}"
    if item["type"].startswith("date_"):
        return _field(item), f"{item['input']!r} is not a date like 2030-12-31"
    return _field(item), item["msg"]


def _field(item: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in item["loc"][1:]) or "body"


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Everything that the framework itself refuses: unknown paths, methods, credentials."""
    assert isinstance(error, HTTPException)
    return refused(error.status_code, str(error.detail), error.headers)


async def on_database_error(_request: Request, error: Exception) -> Response:
    """The database does not answer; nothing was changed."""
    assert isinstance(error, OperationalError)
    return refused(503, "the database does not answer; nothing was changed, try again later", {"Retry-After": "5"})


async def on_not_ready(_request: Request, error: Exception) -> Response:
    """This process has not read the directory yet, or there is nothing to read."""
    return refused(503, str(error), {"Retry-After": "1"})


async def on_key_error(_request: Request, error: Exception) -> Response:
    """A DKIM key or selector cannot be used."""
    return refused(400, str(error))


HANDLERS = {
    ChangeError: on_change_error,
    ListingError: on_listing_error,
    AddressError: on_address_error,
    DkimKeyError: on_key_error,
    RequestValidationError: on_invalid_request,
    HTTPException: on_http_error,
    OperationalError: on_database_error,
    NotReady: on_not_ready,
    NoSchema: on_not_ready,
}
