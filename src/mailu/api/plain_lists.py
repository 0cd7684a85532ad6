"""Lists of what is not in the database, a page at a time: the same questions as for tables, answered in memory.

For lists that are short by nature or bounded where they come from: the queue, limits, sessions, keys, DNS records.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailu.directory.listing import MAX_PAGE, ListingError, Page, PageRequest, read_value

Row = Mapping[str, Any]
_Place = tuple[Any, ...]
"""What rows are ordered by: whether there is a value, the value, the key."""


@dataclass(frozen=True, slots=True)
class PlainListing:
    """What can be asked of one kind of row."""

    key: Callable[[Row], str]
    """What tells rows apart; breaks ties."""
    sorts: tuple[str, ...]
    searched: tuple[str, ...]
    """Fields in which a search looks for its words, without regard to case; lists are looked through."""
    filters: tuple[str, ...] = ()


def plain_page(rows: Sequence[Row], listing: PlainListing, request: PageRequest) -> Page[Row]:
    """Return one page of *rows*, which without a ``sort`` stay in their order.

    Raises ListingError for an unknown sort name or filter, a limit outside 1..500 or a cursor that no page gave.
    """
    if not 1 <= request.limit <= MAX_PAGE:
        raise ListingError("limit", f"{request.limit} is not between 1 and {MAX_PAGE}")
    if request.sort and request.sort not in listing.sorts:
        raise ListingError("sort", f"{request.sort!r} is not one of {', '.join(listing.sorts)}")
    for name, _value in request.filters:
        if name not in listing.filters:
            known = ", ".join(listing.filters) or "nothing: this list has no filters"
            raise ListingError("filter", f"{name!r} is not one of {known}")
    found = [row for row in rows if _matches(row, listing, request)]
    if request.sort or request.descending:
        found.sort(key=lambda row: _place(row, listing, request.sort), reverse=request.descending)
    keys = [listing.key(row) for row in found]
    start = _start(found, keys, listing, request)
    end = min(start + request.limit, len(found))
    if request.before is not None:
        start, end = max(0, start - request.limit), start
    items = tuple(found[start:end])
    return Page(
        items=items,
        next=_cursor(items[-1], listing, request.sort) if items and end < len(found) else None,
        previous=_cursor(items[0], listing, request.sort) if items and start else None,
        request=request,
    )


def _matches(row: Row, listing: PlainListing, request: PageRequest) -> bool:
    text = json.dumps([row.get(name) for name in listing.searched], ensure_ascii=False).casefold()
    if not all(word.casefold() in text for word in request.search.split()[:8]):
        return False
    return all(_has(row, name, given) for name, given in request.filters)


def _has(row: Row, name: str, given: str) -> bool:
    value = row.get(name)
    if value is None or given == "":
        return (value is None or value == "") and given == ""
    return bool(value == read_value(name, given, type(value)))


def _place(row: Row, listing: PlainListing, sort: str) -> _Place:
    value = row.get(sort) if sort else None
    return (value is not None, value if value is not None else 0, listing.key(row))


def _start(found: Sequence[Row], keys: Sequence[str], listing: PlainListing, request: PageRequest) -> int:
    """Where the page begins (with ``before``: where it ends). A row that has gone meanwhile is stepped over where
    rows have an order; where they stand as they came, the list begins anew."""
    cursor = request.after if request.before is None else request.before
    if cursor is None:
        return 0
    key, value = _read_cursor(cursor)
    if key in keys:
        return keys.index(key) + (request.before is None)
    if not request.sort:
        return 0
    at: _Place = (value is not None, value if value is not None else 0, key)
    try:
        beyond = [_place(row, listing, request.sort) > at for row in found]
    except TypeError:
        raise ListingError("cursor", "this is not a cursor that a page of this list gave") from None
    wanted = not request.descending
    return beyond.index(wanted) if wanted in beyond else len(found)


def _cursor(row: Row, listing: PlainListing, sort: str) -> str:
    text = json.dumps([listing.key(row), row.get(sort) if sort else None], default=str)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[str, Any]:
    try:
        key, value = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(key, str) or not isinstance(value, str | int | float | None):
            raise ValueError(cursor)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise ListingError("cursor", "this is not a cursor that a page of this list gave") from None
    return key, value
