"""The pages on which people build rules for arriving mail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.unit.web.addresses import PEOPLE
from tests.unit.web.conftest import RULE, Browser

from mailu import operations
from mailu.directory import changes
from mailu.directory.changes import SYSTEM
from mailu.directory.models import Audit
from mailu.operations import NotDone, Unreachable
from mailu.places import Places
from mailu.servers.admin import Admin

SignIn = Callable[[str], Browser]
USER = PEOPLE["user"]
LIST = "/admin/user/rules"
LINE = {"conditions-0-field": "subject", "conditions-0-test": "contains", "conditions-0-value": "offer"}
MARK = re.compile(r'name="mark" value="([0-9a-f]+)"')


def stored(admin: Admin, email: str = USER) -> list[dict[str, Any]]:
    with admin.control.store.read() as session:
        text = changes.get_user(session, email).mail_rules
    return json.loads(text) if text else []


def save(browser: Browser, path: str, **fields: str) -> httpx.Response:
    """Fill the page of one rule in, as it is shown now."""
    mark = MARK.search(browser.get(path).text)
    assert mark
    return browser.post(path, {"mark": mark[1], "match": "all", "enabled": "y", "stop": "y", **fields})


def press(browser: Browser, do: str, **fields: str) -> httpx.Response:
    mark = MARK.search(browser.get(LIST).text)
    assert mark
    return browser.post("/admin/user/rules-change", {"mark": mark[1], "do": do, **fields})


def test_a_rule_is_built_shown_and_comes_back_as_it_was(signed_in: SignIn, admin: Admin) -> None:
    user = signed_in("user")
    nasty = '"; discard; <b>\\'
    fields = {**LINE, "conditions-0-value": nasty, "name": nasty, "folder": "Offers", "mark_read": "y",
              "conditions-2-field": "header", "conditions-2-header": "X-Shop",
              "conditions-2-test": "exists"}  # fmt: skip
    assert save(user, "/admin/user/rule/0", **fields).headers["location"] == LIST
    wanted = {
        "name": nasty, "folder": "Offers", "mark_read": True,
        "conditions": [{"field": "subject", "test": "contains", "value": nasty},
                       {"field": "header", "test": "exists", "header": "X-Shop"}],
    }  # fmt: skip
    assert stored(admin) == [RULE, wanted]
    shown = user.get("/admin/user/rule/2").text
    assert 'value="&#34;; discard; &lt;b&gt;\\"' in shown
    assert 'value="X-Shop"' in shown
    assert save(user, "/admin/user/rule/2", **fields, forward="").status_code == 303
    assert stored(admin) == [RULE, wanted]
    assert "<b>" not in user.get(LIST).text


def test_errors_stand_where_they_belong_and_what_was_typed_stays(signed_in: SignIn, admin: Admin) -> None:
    user = signed_in("user")
    fields = {**LINE, "conditions-1-field": "size", "conditions-1-test": "over", "conditions-1-value": "much",
              "folder": "Big"}  # fmt: skip
    answer = save(user, "/admin/user/rule/0", **fields)
    assert answer.status_code == 422
    assert 'id="conditions-1-value-error"' in answer.text
    assert 'value="much"' in answer.text
    assert 'value="offer"' in answer.text
    answer = save(user, "/admin/user/rule/0", **LINE, forward="nobody")
    assert 'id="forward-error"' in answer.text
    answer = save(user, "/admin/user/rule/0", folder="x")
    assert "A condition is needed" in answer.text
    assert stored(admin) == [RULE]


def test_deleting_mail_unseen_is_asked_twice(signed_in: SignIn, admin: Admin) -> None:
    user = signed_in("user")
    answer = save(user, "/admin/user/rule/0", **LINE, discard="y")
    assert (answer.status_code, 'name="sure"' in answer.text) == (200, True)
    assert stored(admin) == [RULE]
    assert save(user, "/admin/user/rule/0", **LINE, discard="y", sure="yes").status_code == 303
    assert stored(admin)[1]["discard"]
    assert save(user, "/admin/user/rule/2", **LINE, discard="y", name="known").status_code == 303
    assert stored(admin)[1]["name"] == "known"


def test_more_lines_are_given_and_nothing_is_saved_by_that(signed_in: SignIn, admin: Admin) -> None:
    answer = save(signed_in("user"), "/admin/user/rule/0", **LINE, more="1")
    assert 'name="conditions-4-value"' in answer.text
    assert 'value="offer"' in answer.text
    assert stored(admin) == [RULE]


def test_rules_are_moved_switched_and_deleted(signed_in: SignIn, admin: Admin) -> None:
    user = signed_in("user")
    save(user, "/admin/user/rule/0", **LINE, name="second", folder="Offers")
    press(user, "up 2")
    assert [rule["name"] for rule in stored(admin)] == ["second", "Lists"]
    press(user, "down 1")
    assert [rule["name"] for rule in stored(admin)] == ["Lists", "second"]
    press(user, "off 1")
    assert stored(admin)[0]["enabled"] is False
    press(user, "on 1")
    assert stored(admin)[0] == RULE
    assert "Delete the rule “Lists”?" in press(user, "delete 1").text
    assert len(stored(admin)) == 2
    press(user, "delete 1", sure="yes")
    assert [rule["name"] for rule in stored(admin)] == ["second"]
    assert [press(user, do).status_code for do in ("up 9", "sideways 1", "up x", "")] == [400] * 4


def test_what_was_changed_elsewhere_is_not_overwritten(signed_in: SignIn, admin: Admin) -> None:
    one, other = signed_in("user"), signed_in("user")
    mark = MARK.search(one.get("/admin/user/rule/1").text)
    assert mark
    save(other, "/admin/user/rule/1", **LINE, folder="Other")
    answer = one.post("/admin/user/rule/1", {"mark": mark[1], "match": "always", "folder": "Lost", "stop": "y"})
    assert (answer.status_code, "changed elsewhere" in answer.text) == (422, True)
    one.post("/admin/user/rules-change", {"mark": mark[1], "do": "delete 1", "sure": "yes"})
    assert [rule["folder"] for rule in stored(admin)] == ["Other"]


def test_a_manager_helps_and_only_where_they_may(signed_in: SignIn, admin: Admin) -> None:
    manager = signed_in("manager")
    assert "Lists" in manager.get(f"{LIST}/{USER}").text
    assert save(manager, f"/admin/user/rule/0/{USER}", **LINE, folder="Helped").headers["location"] == f"{LIST}/{USER}"
    assert stored(admin)[1]["folder"] == "Helped"
    assert signed_in("other_manager").get(f"{LIST}/{USER}").status_code == 403
    assert manager.get(f"/admin/user/rule/1/{PEOPLE['admin']}").status_code == 403


def test_there_is_no_rule_beyond_the_last(signed_in: SignIn) -> None:
    assert signed_in("user").get("/admin/user/rule/2").status_code == 404


def test_the_audit_trail_does_not_tell_what_the_rules_are(signed_in: SignIn, admin: Admin) -> None:
    save(signed_in("user"), "/admin/user/rule/0", **LINE, folder="Very private")
    with admin.control.store.read() as session:
        details = [row.detail for row in session.query(Audit).filter(Audit.subject == USER)]
    assert any("mail_rules" in detail for detail in details)
    assert "Very private" not in str(details)


def test_rules_go_and_come_back_with_the_mailbox(admin: Admin) -> None:
    with admin.control.store.session() as session:
        changes.delete_user(session, USER, actor=SYSTEM)
    with admin.control.store.session() as session:
        changes.restore_user(session, USER, actor=SYSTEM)
    assert stored(admin) == [RULE]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"active": "<b>filters</b>"}, "The script &lt;b&gt;filters&lt;/b&gt;, made in the webmail"),
        ({"active": ""}, "A script made in another program is active"),
        ({"active": None}, None),
        (Unreachable("no agent here"), None),
        (NotDone("this is no home of a mailbox"), None),
    ],
)
def test_the_page_names_a_script_that_another_program_made(
    signed_in: SignIn, monkeypatch: pytest.MonkeyPatch, answer: dict[str, str | None] | Exception, said: str | None
) -> None:
    asked = []

    def ask(_places: Places, what: str, **values: object) -> object:
        asked.append((what, values))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(operations, "ask", ask)
    page = signed_in("manager").get(f"{LIST}/{USER}").text
    assert asked == [("sieve-script", {"home": USER})]
    assert "active as well" in page if said else "active as well" not in page
    assert said is None or said in page
