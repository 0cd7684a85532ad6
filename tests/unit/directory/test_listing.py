"""Pages of a list: complete, in order, without repeats, whatever is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event, insert, select
from sqlalchemy.orm import Session

from mailu.directory.listing import Listing, ListingError, PageRequest, page_of
from mailu.directory.models import Base, Domain, User

USERS: Listing[User] = Listing(
    key=User.email,
    sorts={"email": User.email, "used": User.quota_bytes_used, "last_login": User.last_login},
    searched=(User.email, User.displayed_name),
)
MOMENTS = (None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, 12, 30, tzinfo=UTC))


def fill(session: Session) -> None:
    """57 users; some sort values are the same, some are missing."""
    session.add(Domain(name="a.test"))
    session.flush()
    session.execute(
        insert(User),
        [
            {
                "email": f"user{number:03d}@a.test",
                "localpart": f"user{number:03d}",
                "domain_name": "a.test",
                "password": "x",
                "home": f"user{number:03d}",
                "quota_bytes_used": number % 5,
                "last_login": MOMENTS[number % 3],
                "displayed_name": "Ann_B 100%" if number == 7 else "",
            }
            for number in range(57)
        ],
    )


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        fill(session)
        yield session
    engine.dispose()


def walk(session: Session, **asked: object) -> list[str]:
    """All keys, page by page forwards; each page's way back is checked on the way."""
    request = PageRequest(**asked)  # type: ignore[arg-type]
    seen: list[str] = []
    before: tuple[str, ...] = ()
    while True:
        page = page_of(session, select(User), USERS, request)
        keys = tuple(user.email for user in page.items)
        if before:
            assert page.previous is not None
            back = PageRequest(**{**asked, "before": page.previous})  # type: ignore[arg-type]
            assert tuple(user.email for user in page_of(session, select(User), USERS, back).items) == before
        seen += keys
        if page.next is None:
            return seen
        before = keys
        request = PageRequest(**{**asked, "after": page.next})  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sort=st.sampled_from(["", "email", "used", "last_login"]), descending=st.booleans(), limit=st.integers(1, 60))
def test_walking_the_pages_shows_every_row_once_and_in_order(
    session: Session, sort: str, descending: bool, limit: int
) -> None:
    seen = walk(session, sort=sort, descending=descending, limit=limit)
    users = {user.email: user for user in session.scalars(select(User))}

    def order(email: str) -> tuple[object, str]:
        user = users[email]
        oldest = datetime.min.replace(tzinfo=UTC)
        return {"used": user.quota_bytes_used, "last_login": user.last_login or oldest}.get(sort, ""), email

    assert seen == sorted(users, key=order, reverse=descending)


def test_the_first_page_has_no_way_back_and_the_last_no_way_on(session: Session) -> None:
    first = page_of(session, select(User), USERS, PageRequest(limit=57))
    assert (first.previous, first.next) == (None, None)


def test_a_search_takes_its_special_characters_literally(session: Session) -> None:
    found = page_of(session, select(User), USERS, PageRequest(search="100% ann_b"))
    assert [user.email for user in found.items] == ["user007@a.test"]
    assert page_of(session, select(User), USERS, PageRequest(search="0_7")).items == ()


@pytest.mark.parametrize("cursor", ["", "%", "bm8", "W10", "WzEsMl0x", "e30", "W251bGwsbnVsbF0"])
def test_a_cursor_that_no_page_gave_is_refused(session: Session, cursor: str) -> None:
    with pytest.raises(ListingError, match="cursor"):
        page_of(session, select(User), USERS, PageRequest(after=cursor))


@pytest.mark.parametrize(
    ("asked", "field"), [({"limit": 0}, "limit"), ({"limit": 501}, "limit"), ({"sort": "password"}, "sort")]
)
def test_what_a_list_does_not_know_is_refused_by_name(session: Session, asked: dict[str, object], field: str) -> None:
    with pytest.raises(ListingError) as caught:
        page_of(session, select(User), USERS, PageRequest(**asked))  # type: ignore[arg-type]
    assert caught.value.field == field


def test_the_database_walks_an_index_and_sorts_nothing(session: Session) -> None:
    statements: list[tuple[str, Any]] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *a: statements.append((a[2], a[3])))
    page_of(session, select(User), USERS, PageRequest(limit=5))
    plan = session.connection().exec_driver_sql("EXPLAIN QUERY PLAN " + statements[-1][0], statements[-1][1]).all()
    assert not any("TEMP B-TREE" in row[3] for row in plan)
