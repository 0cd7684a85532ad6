"""The page with exceptions from encryption."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import select
from tests.unit.web.conftest import Browser

from mailu.directory.models import TlsException, today
from mailu.servers.admin import Admin

SignIn = Callable[[str], Browser]
PAGE = "/admin/tls-exceptions"


def stored(admin: Admin) -> list[tuple[str, str, str]]:
    with admin.control.store.read() as session:
        return [(row.name, row.level, row.created_by) for row in session.scalars(select(TlsException))]


def test_an_exception_is_made_shown_and_ended(signed_in: SignIn, admin: Admin) -> None:
    browser = signed_in("admin")
    last = (today() + timedelta(days=20)).isoformat()
    form = {"name": "There.example", "level": "none", "last_day": last, "comment": "<b>broken</b>"}
    assert browser.post(PAGE, form).status_code == 303
    assert stored(admin) == [("there.example", "none", "admin@example.test")]
    shown = browser.get(PAGE).text
    assert last in shown
    assert "&lt;b&gt;broken&lt;/b&gt;" in shown
    assert browser.post(PAGE, {"remove": "there.example"}).status_code == 303
    assert stored(admin) == []


def test_what_is_wrong_stands_beside_its_field(signed_in: SignIn, admin: Admin) -> None:
    browser = signed_in("admin")
    good = {"name": "there.example", "level": "may", "last_day": today().isoformat(), "comment": "broken"}
    for field, wrong in (
        ("name", "a b"),
        ("comment", " "),
        ("last_day", (today() + timedelta(days=91)).isoformat()),
        ("last_day", (today() - timedelta(days=1)).isoformat()),
        ("last_day", "soon"),
        ("level", "dane"),
    ):
        answer = browser.post(PAGE, {**good, field: wrong})
        assert answer.status_code == 422, field
        assert f'id="{field}-error"' in answer.text
    assert stored(admin) == []
