"""Lists: whole, as old clients expect them, or a page at a time for those who ask.

A page is asked for by any of ``limit``, ``sort``, ``descending``, ``search``, ``filter``, ``after`` and ``before``. The
body stays a plain array; where there is more, the ``Link`` header leads on (RFC 8288).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query
from pydantic import StringConstraints
from sqlalchemy import Select
from sqlalchemy.orm import Session
from starlette.requests import Request

from mailu.api.answers import OneLine
from mailu.api.plain_lists import PlainListing, Row, plain_page
from mailu.api.schemas import in_list
from mailu.directory.listing import MAX_PAGE, Listing, ListingError, Page, PageRequest, page_of

T = TypeVar("T")
PRINTABLE = r"^[^\x00]*$"
"""PostgreSQL takes no NUL, not even to compare with."""
_Filter = Annotated[str, StringConstraints(max_length=300, pattern=PRINTABLE)]
_PARAMETERS = frozenset({"limit", "sort", "descending", "search", "filter", "after", "before"})


def asked_page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="rows a page")] = 50,
    sort: Annotated[str, Query(description="column to sort by")] = "",
    descending: bool = False,
    search: Annotated[str, Query(max_length=200, pattern=PRINTABLE, description="words that have to occur")] = "",
    filter: Annotated[
        list[_Filter], Query(max_length=8, description="NAME:VALUE, such as enabled:false; can be given again")
    ] = [],  # noqa: B006 - FastAPI copies it
    after: Annotated[str | None, Query(description="cursor, from the Link header")] = None,
    before: Annotated[str | None, Query(description="cursor, from the Link header")] = None,
) -> PageRequest | None:
    """The page that a request asks for; None when it asks for the whole list."""
    if not _PARAMETERS & request.query_params.keys():
        return None
    return PageRequest(
        limit=limit,
        sort=sort,
        descending=descending,
        search=search,
        filters=tuple(_named(each) for each in filter),
        after=after,
        before=before,
    )


Paged = Annotated[PageRequest | None, Depends(asked_page)]


def _named(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    if not colon:
        raise ListingError("filter", f"{given!r} is not NAME:VALUE, such as enabled:false")
    return name, value


def listed(
    request: Request,
    session: Session,
    statement: Select[T],
    listing: Listing[T],
    wanted: PageRequest | None,
    shape: Callable[[T], dict[str, Any]],
) -> OneLine:
    """The answer to a list request. Raises ListingError for a page that this list does not have."""
    if wanted is None:
        rows = session.scalars(statement.order_by(listing.key).execution_options(yield_per=1000))
        return OneLine([in_list(shape(row)) for row in rows])
    page = page_of(session, statement, listing, wanted)
    return _answer(request, page, [in_list(shape(row)) for row in page.items])


def listed_plain(request: Request, rows: Sequence[Row], listing: PlainListing, wanted: PageRequest | None) -> OneLine:
    """The same for rows that are in no table. Raises ListingError."""
    if wanted is None:
        return OneLine(rows)
    page = plain_page(rows, listing, wanted)
    return _answer(request, page, list(page.items))


def _answer(request: Request, page: Page[Any], items: list[Any]) -> OneLine:
    links = ", ".join(_links(request, page))
    return OneLine(items, headers={"Link": links} if links else None)


def _links(request: Request, page: Page[T]) -> list[str]:
    plain = request.url.remove_query_params(["after", "before"])
    found = []
    for relation, parameter, cursor in (("next", "after", page.next), ("prev", "before", page.previous)):
        if cursor is not None:
            target = plain.include_query_params(**{parameter: cursor})
            found.append(f'<{target.path}?{target.query}>; rel="{relation}"')
    return found
