"""What a new administrator is led through, and where it ends."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import delete
from tests.unit.web.addresses import PEOPLE
from tests.unit.web.conftest import Browser

from mailu.directory import changes
from mailu.directory.changes import SYSTEM
from mailu.directory.models import User
from mailu.servers.admin import Admin

SignIn = Callable[[str], Browser]


def test_a_new_server_shows_its_administrator_what_comes_next(signed_in: SignIn, admin: Admin) -> None:
    browser = signed_in("admin")
    assert "First steps" not in browser.get("/admin/").text
    with admin.control.store.session() as session:
        session.execute(delete(User).where(User.email != PEOPLE["admin"]))
        changes.delete_domain(session, "other.test", actor=SYSTEM)
    browser.settle()
    text = browser.get("/admin/").text
    domain = "example.test"
    steps = ("domain/create", f"domain/details/{domain}", f"user/create/{domain}", "client")
    assert "First steps" in text
    assert [text.find(f'<li><a href="/admin/{step}"') > 0 for step in steps] == [True] * 4
    assert text.count(">done<") == 1
    with admin.control.store.session() as session:
        changes.create_user(session, "ann@example.test", password_hash="$none$", actor=SYSTEM)
    browser.settle()
    assert browser.get("/admin/").text.count(">done<") == 2


def test_others_are_not_led(signed_in: SignIn, admin: Admin) -> None:
    with admin.control.store.session() as session:
        session.execute(delete(User).where(User.email.not_in([PEOPLE["admin"], PEOPLE["user"]])))
    assert "First steps" not in signed_in("user").get("/admin/").text


def test_a_sending_limit_is_set_by_administrators_and_what_is_none_is_said(signed_in: SignIn, admin: Admin) -> None:
    browser = signed_in("admin")
    path = f"/admin/user/edit/{PEOPLE['user']}"
    fields = {"enabled": "y", "quota_bytes": "1"}
    answer = browser.post(path, {**fields, "message_ratelimit": "many"})
    assert (answer.status_code, "such as 200/day" in answer.text) == (422, True)
    assert browser.post(path, {**fields, "message_ratelimit": "50/hour"}).status_code == 303
    with admin.control.store.read() as session:
        assert changes.get_user(session, PEOPLE["user"]).message_ratelimit == "50/hour"
