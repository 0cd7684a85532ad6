"""Comma lists and moments in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from mailu.directory.columns import CommaList, Moment, join_list, split_list

DIALECT = sqlite.dialect()


@given(st.lists(st.text(min_size=1).filter(lambda t: "," not in t and t == t.strip())))
def test_a_list_comes_back_sorted_and_each_item_once(items: list[str]) -> None:
    assert split_list(join_list(items)) == tuple(sorted(set(items)))


@pytest.mark.parametrize("item", ["", "a,b"])
def test_an_item_that_could_not_be_read_back_is_refused(item: str) -> None:
    with pytest.raises(ValueError, match="comma list"):
        join_list([item])


@pytest.mark.parametrize(("stored", "read"), [(None, ()), ("", ()), (" a , ,b", ("a", "b")), ("x", ("x",))])
def test_what_others_have_stored_is_read(stored: str | None, read: tuple[str, ...]) -> None:
    assert CommaList().process_result_value(stored, DIALECT) == read


def test_nothing_is_stored_as_the_empty_text() -> None:
    assert CommaList().process_bind_param(None, DIALECT) == ""


def test_a_moment_is_stored_in_utc_and_read_with_its_zone() -> None:
    there = datetime(2030, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2)))
    stored = Moment().process_bind_param(there, DIALECT)
    assert stored == datetime(2030, 1, 2, 1, 4)  # noqa: DTZ001
    assert Moment().process_result_value(stored, DIALECT) == there
    assert Moment().process_result_value(stored, DIALECT).tzinfo is UTC  # type: ignore[union-attr]


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Moment().process_bind_param(datetime(2030, 1, 1), DIALECT)  # noqa: DTZ001


def test_no_moment_is_none() -> None:
    assert Moment().process_bind_param(None, DIALECT) is None
    assert Moment().process_result_value(None, DIALECT) is None
