"""Column types that this schema shares: comma lists and moments in UTC."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator


def join_list(items: Iterable[str]) -> str:
    """Return *items* as one stored text: sorted, each once, separated by commas; the empty text for none.

    Raises ValueError if an item has a comma in it or is empty, because it could not be read back.
    """
    unique = sorted(set(items))
    for item in unique:
        if not item or "," in item:
            raise ValueError(f"{item!r} cannot be part of a comma list")
    return ",".join(unique)


def split_list(text: str | None) -> tuple[str, ...]:
    """Return what join_list stored. NULL and the empty text are both the empty list; blanks around items go."""
    if not text:
        return ()
    return tuple(stripped for item in text.split(",") if (stripped := item.strip()))


class CommaList(TypeDecorator[tuple[str, ...]]):
    """A list of texts without commas. In Python it is a tuple, so that nobody changes a loaded object by accident."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> str:
        return join_list(value or ())

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...]:
        return split_list(value)


class Moment(TypeDecorator[datetime]):
    """A point in time: aware in Python, stored as UTC without a zone, since SQLite and MariaDB know no zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)
