"""Lists of things, a page at a time: filtered, sorted and searched by the database.

A page is found by its first row, not by its number: the cursor names the sort value and the key of a row, and the
database walks on from there in an index. So the first page of 100,000 rows costs what the first page of 1,000 does, and
no row is shown twice or skipped when others come and go meanwhile. Web pages, the API and the command line share this.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, and_, literal, or_, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import TypeDecorator

T = TypeVar("T")
MAX_PAGE = 500
_ESCAPE = "\\"


class ListingError(ValueError):
    """A list was asked for in a way it does not know; *field* is the parameter, the text says what is expected."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """What can be asked of one kind of row."""

    key: InstrumentedAttribute[Any]
    """The primary key; breaks ties between equal sort values."""
    sorts: dict[str, InstrumentedAttribute[Any]]
    """Name to column; each has an index together with the key."""
    searched: tuple[InstrumentedAttribute[Any], ...]
    """Columns in which a search looks for its words, without regard to case."""
    filters: Mapping[str, InstrumentedAttribute[Any]] = field(default_factory=dict)
    """Name to column: texts, numbers, days, moments, or true and false, of which one value can be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page is wanted. *after* and *before* are cursors that an earlier page gave."""

    limit: int = 50
    sort: str = ""
    descending: bool = False
    search: str = ""
    filters: tuple[tuple[str, str], ...] = ()
    """Name and value of each filter; all have to hold. An empty value: where nothing is stored."""
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page. *next* and *previous* are cursors, None where there is nothing more."""

    items: tuple[T, ...]
    next: str | None
    previous: str | None
    request: PageRequest


def page_of(session: Session, statement: Select[T], listing: Listing[T], request: PageRequest) -> Page[T]:
    """Return one page of the rows that *statement* selects.

    Raises ListingError for an unknown sort name or filter, a limit outside 1..500 or a cursor that no page gave.
    """
    column = _sort_column(listing, request)
    if not 1 <= request.limit <= MAX_PAGE:
        raise ListingError("limit", f"{request.limit} is not between 1 and {MAX_PAGE}")
    backwards = request.before is not None
    downwards = request.descending != backwards
    cursor = request.before if backwards else request.after
    if cursor is not None:
        statement = statement.where(_beyond(column, listing.key, _read_cursor(cursor, column, listing.key), downwards))
    if request.search.strip():
        statement = statement.where(matching(listing.searched, request.search))
    for name, value in request.filters:
        statement = statement.where(_has(listing, name, value))
    nulls_told = session.get_bind().dialect.name == "postgresql"
    order = _order(column, listing.key, downwards=downwards, nulls_told=nulls_told)
    ordered = statement.order_by(*order).limit(request.limit + 1)
    rows: list[Any] = list(session.scalars(ordered))
    more = len(rows) > request.limit
    rows = rows[: request.limit]
    if backwards:
        rows.reverse()
    return Page(
        items=tuple(rows),
        next=_cursor_of(rows[-1], column, listing.key) if rows and (more or backwards) else None,
        previous=_cursor_of(rows[0], column, listing.key)
        if rows and (more if backwards else cursor is not None)
        else None,
        request=request,
    )


def _sort_column(listing: Listing[T], request: PageRequest) -> InstrumentedAttribute[Any]:
    if not request.sort:
        return listing.key
    try:
        return listing.sorts[request.sort]
    except KeyError:
        names = ", ".join(listing.sorts)
        raise ListingError("sort", f"{request.sort!r} is not one of {names}") from None


def _order(
    column: InstrumentedAttribute[Any], key: InstrumentedAttribute[Any], *, downwards: bool, nulls_told: bool
) -> list[Any]:
    """NULL is the smallest value on every database: PostgreSQL has to be told, MariaDB does not know the words."""
    ordered: Any = column.desc() if downwards else column.asc()
    if nulls_told and column.property.columns[0].nullable:
        ordered = ordered.nulls_last() if downwards else ordered.nulls_first()
    if column is key:
        return [ordered]
    return [ordered, key.desc() if downwards else key.asc()]


def _beyond(
    column: InstrumentedAttribute[Any], key: InstrumentedAttribute[Any], at: tuple[Any, Any], downwards: bool
) -> Any:
    """The condition "comes after the row *at* in this order"."""
    value, key_value = at
    if column is key:
        return key < key_value if downwards else key > key_value
    tie = key < key_value if downwards else key > key_value
    if value is None:
        return and_(column.is_(None), tie) if downwards else or_(column.is_not(None), tie)
    row, bound = tuple_(column, key), tuple_(literal(value, column.type), literal(key_value, key.type))
    if not downwards:
        return row > bound
    return or_(row < bound, column.is_(None)) if column.property.columns[0].nullable else row < bound


def matching(columns: Sequence[InstrumentedAttribute[Any]], search: str) -> Any:
    """The condition "every word (of eight at most) occurs in one of *columns*", without regard to case."""
    return and_(
        *(or_(*(column.ilike(_pattern(word), escape=_ESCAPE) for column in columns)) for word in search.split()[:8])
    )


def _has(listing: Listing[T], name: str, given: str) -> Any:
    """The condition "has this value in this column"."""
    try:
        column = listing.filters[name]
    except KeyError:
        known = ", ".join(listing.filters) or "nothing: this list has no filters"
        raise ListingError("filter", f"{name!r} is not one of {known}") from None
    if given == "" and column.property.columns[0].nullable:
        return column.is_(None)
    return column == read_value(name, given, _python_type(column))


def read_value(name: str, given: str, wanted: Any) -> Any:
    """The value that a filter's text stands for. Raises ListingError where it stands for none of that type."""
    try:
        if wanted is bool:
            return {"true": True, "false": False}[given]
        if wanted is int:
            number = int(given)
            return {True: number}[abs(number) < 2**63]
        if wanted is date:
            return date.fromisoformat(given)
        if wanted is datetime:
            moment = datetime.fromisoformat(given)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, KeyError):
        expected = {bool: "true or false", int: "a whole number", date: "a day like 2030-12-31"}
        text = f"{name} is {expected.get(wanted, 'a moment like 2030-12-31T23:59:59Z')}, not {given!r}"
        raise ListingError("filter", text) from None
    return given


def _pattern(word: str) -> str:
    for special in (_ESCAPE, "%", "_"):
        word = word.replace(special, _ESCAPE + special)
    return f"%{word}%"


def _cursor_of(row: Any, column: InstrumentedAttribute[Any], key: InstrumentedAttribute[Any]) -> str:
    value = getattr(row, column.key)
    kind = "t" if isinstance(value, datetime) else "d" if isinstance(value, date) else ""
    text = json.dumps([kind, value.isoformat() if kind else value, getattr(row, key.key)], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, column: InstrumentedAttribute[Any], key: InstrumentedAttribute[Any]) -> tuple[Any, Any]:
    """The sort value and the key of a row. What a client made up must not reach the database as another type."""
    try:
        kind, value, key_value = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if kind:
            value = {"t": datetime, "d": date}[kind].fromisoformat(value)
        if key_value is None or not _fits(column, value) or not _fits(key, key_value):
            raise ValueError(cursor)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        raise ListingError("cursor", "this is not a cursor that a page of this list gave") from None
    return value, key_value


def _fits(column: InstrumentedAttribute[Any], value: Any) -> bool:
    wanted = _python_type(column)
    if value is None:
        return bool(column.property.columns[0].nullable)
    if wanted is int:
        return type(value) is int and abs(value) < 2**63
    if wanted is str:
        return isinstance(value, str) and "\0" not in value and value.isprintable()
    return type(value) is wanted and (wanted is not datetime or value.tzinfo is not None)


def _python_type(column: InstrumentedAttribute[Any]) -> Any:
    stored: Any = column.type
    return (stored.impl if isinstance(stored, TypeDecorator) else stored).python_type
