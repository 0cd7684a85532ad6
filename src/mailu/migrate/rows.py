"""One value of an earlier database, as whichever of the three databases gives it, in the form that the rules expect."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Boolean, Date, Integer

from mailu.directory.columns import CommaList, Moment, split_list
from mailu.directory.models import Base


def plain_value(table: type[Base], name: str, value: Any) -> Any:
    """*value* of column *name* as Python has it. NULL is None; what cannot be understood stays as it is, so that the
    rule for the column refuses it."""
    kind = table.__table__.c[name].type
    if value is None:
        return [] if isinstance(kind, CommaList) else None
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode(errors="replace")
    if isinstance(kind, CommaList):
        return list(split_list(str(value)))
    if isinstance(kind, Boolean):
        return bool(int(value)) if isinstance(value, int | float | str) and str(value).strip() in "01" else value
    if isinstance(kind, Integer):
        return _whole(value)
    if isinstance(kind, Moment):
        return _moment(value)
    if isinstance(kind, Date):
        return _day(value)
    return value


def _whole(value: Any) -> Any:
    """Some schemas gave numbers a default of ``'80.'``, which SQLite keeps as a fraction or a text."""
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return value


def _day(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.date()
    return date.fromisoformat(value[:10]) if isinstance(value, str) and _is_date(value[:10]) else value


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _moment(value: Any) -> Any:
    """Without a zone it is taken for UTC: containers keep it, and it is only shown to people."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return value
