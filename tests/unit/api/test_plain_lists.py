"""Pages of what is in no table: complete, in order, without repeats, as pages of tables are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.api.plain_lists import PlainListing, Row, plain_page
from mailu.directory.listing import ListingError, PageRequest

LISTING = PlainListing(
    key=lambda row: str(row["id"]), sorts=("size", "sender"), searched=("id", "to"), filters=("state", "held", "sender")
)
ROWS: list[Row] = [
    {"id": f"M{number:02d}", "size": number % 4, "sender": None if number % 3 else "A", "state": "hold", "held": True,
     "to": [{"address": f"x{number}@b.test"}]}
    for number in range(23, 0, -1)
]  # fmt: skip


def walk(**asked: Any) -> list[str]:
    """All keys, page by page; each page's way back is checked on the way."""
    seen: list[str] = []
    request, before = PageRequest(**asked), None
    while True:
        page = plain_page(ROWS, LISTING, request)
        if before is not None:
            assert page.previous is not None
            back = plain_page(ROWS, LISTING, PageRequest(**{**asked, "before": page.previous}))
            assert back.items == before
        seen += [row["id"] for row in page.items]
        if page.next is None:
            return seen
        before, request = page.items, PageRequest(**{**asked, "after": page.next})


@given(sort=st.sampled_from(["", "size", "sender"]), descending=st.booleans(), limit=st.integers(1, 30))
def test_walking_the_pages_shows_every_row_once_and_in_order(sort: str, descending: bool, limit: int) -> None:
    seen = walk(sort=sort, descending=descending, limit=limit)
    if not sort and not descending:
        assert seen == [row["id"] for row in ROWS]
        return

    def order(row: Row) -> tuple[bool, Any, str]:
        value = row[sort] if sort else None
        return (value is not None, value or (0 if sort != "sender" else ""), row["id"])

    assert seen == [row["id"] for row in sorted(ROWS, key=order, reverse=descending)]


@pytest.mark.parametrize("descending", [False, True])
def test_a_row_that_has_gone_does_not_make_others_disappear(descending: bool) -> None:
    asked = {"sort": "size", "descending": descending, "limit": 5}
    first = plain_page(ROWS, LISTING, PageRequest(**asked))  # type: ignore[arg-type]
    left = [row for row in ROWS if row != first.items[-1]]
    second = plain_page(left, LISTING, PageRequest(**asked, after=first.next))  # type: ignore[arg-type]
    whole = plain_page(ROWS, LISTING, PageRequest(**{**asked, "limit": 10}))  # type: ignore[arg-type]
    assert second.items == whole.items[5:10]


def test_rows_are_searched_in_lists_too_and_filtered_by_values() -> None:
    assert [row["id"] for row in plain_page(ROWS, LISTING, PageRequest(search="X7@b")).items] == ["M07"]
    assert plain_page(ROWS, LISTING, PageRequest(filters=(("held", "false"),))).items == ()
    assert len(plain_page(ROWS, LISTING, PageRequest(filters=(("sender", ""),))).items) == 16
    assert len(plain_page(ROWS, LISTING, PageRequest(filters=(("sender", "A"), ("state", "hold")))).items) == 7


@pytest.mark.parametrize(
    "asked",
    [{"sort": "id"}, {"limit": 0}, {"limit": 501}, {"after": "x"}, {"after": "WzEsMl0"}, {"filters": (("size", "1"),)},
     {"filters": (("held", "perhaps"),)}, {"after": "WyJNOTkiLCJ4Il0", "sort": "size"}],
)  # fmt: skip
def test_what_a_list_does_not_know_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ListingError):
        plain_page(ROWS, LISTING, PageRequest(**asked))
