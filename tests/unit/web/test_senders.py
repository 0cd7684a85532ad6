"""Pages with lists of senders."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select
from tests.unit.web.addresses import PEOPLE
from tests.unit.web.conftest import Browser

from mailu.directory import changes
from mailu.directory.changes import SYSTEM
from mailu.directory.models import ListedSender
from mailu.servers.admin import Admin

SignIn = Callable[[str], Browser]
USER = PEOPLE["user"]


def listed(admin: Admin) -> list[tuple[str, str, str, str]]:
    with admin.control.store.read() as session:
        rows = session.scalars(select(ListedSender))
        return [(row.owner, row.sender, row.verdict, row.created_by) for row in rows]


@pytest.mark.parametrize(
    ("who", "path", "owner"),
    [
        ("user", "/admin/senders", USER),
        ("manager", f"/admin/senders/user/{USER}", USER),
        ("manager", "/admin/senders/domain/example.test", "example.test"),
        ("admin", "/admin/senders/server", ""),
    ],
)
def test_a_sender_is_added_shown_and_removed(signed_in: SignIn, admin: Admin, who: str, path: str, owner: str) -> None:
    browser = signed_in(who)
    sent = browser.post(path, {"name": "@Spam.example", "verdict": "deny", "comment": "<b>why</b>"})
    assert (sent.status_code, sent.headers["location"]) == (303, path)
    assert listed(admin) == [(owner, "spam.example", "deny", PEOPLE[who])]
    page = browser.get(path).text
    assert "spam.example" in page
    assert "&lt;b&gt;why&lt;/b&gt;" in page
    with admin.control.store.read() as session:
        number = session.scalars(select(ListedSender.id)).one()
    assert browser.post(path, {"remove": str(number)}).status_code == 303
    assert listed(admin) == []


def test_what_is_wrong_stands_beside_the_field_and_what_was_typed_stays(signed_in: SignIn, admin: Admin) -> None:
    answer = signed_in("user").post("/admin/senders", {"name": "192.0.2.1", "verdict": "deny", "comment": "mine"})
    assert answer.status_code == 422
    assert 'value="192.0.2.1"' in answer.text
    assert 'value="mine"' in answer.text
    assert 'id="name-error"' in answer.text
    assert listed(admin) == []


def test_nobody_takes_an_entry_off_somebody_elses_list(signed_in: SignIn, admin: Admin) -> None:
    with admin.control.store.session() as session:
        number = changes.list_sender(session, "", "spam.example", "deny", actor=SYSTEM).id
    browser = signed_in("manager")
    for path in ("/admin/senders", f"/admin/senders/user/{USER}", "/admin/senders/domain/example.test"):
        for given in (str(number), "x", "9" * 30):
            assert browser.post(path, {"remove": given}).status_code == 404
    assert len(listed(admin)) == 1
