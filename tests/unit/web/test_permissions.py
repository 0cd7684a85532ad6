"""Who may see and do what: every page with every kind of visitor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.web.addresses import ALLOWED, PEOPLE, ROLES, address
from tests.unit.web.conftest import Browser

from mailu.directory import changes
from mailu.directory.changes import SYSTEM
from mailu.directory.models import User
from mailu.servers.admin import Admin
from mailu.web.app import create_web
from mailu.web.pages import every_page
from mailu.web.permission import ANYONE, MANAGER, SIGNED_IN
from mailu.web.routes import NoPermissionStated, Page

SignIn = Callable[[str], Browser]


def visitor(who: str, signed_in: SignIn, browser: Browser) -> Browser:
    """A browser of this role; the disabled user was signed in before."""
    if who == "anonymous":
        return browser
    found = signed_in(who)
    if who == "disabled":
        with found.admin.control.store.session() as session:
            changes.update_user(session, PEOPLE[who], enabled=False, actor=SYSTEM)
        found.settle()
    return found


@pytest.mark.parametrize("who", ROLES)
def test_every_page_lets_in_whom_it_says_and_nobody_else(
    who: str, signed_in: SignIn, browser: Browser, admin: Admin
) -> None:
    web_admin = admin.control.settings.web_admin
    asking = visitor(who, signed_in, browser)
    wrong = []
    shown = every_page(admin.control.settings)
    for page in shown:
        if "GET" not in page.methods or page.name in ("logout", "nowhere", "old_ui"):
            continue
        status = asking.get(address(page, web_admin)).status_code
        if who in ALLOWED[page.permission.name]:
            expected = {200, 303, 405, 409}
        else:
            expected = {303} if who in ("anonymous", "disabled") else {403}
        if status not in expected:
            wrong.append((page.name, status, expected))
    assert wrong == []
    assert len(shown) > 60


@pytest.mark.parametrize("who", [role for role in ROLES if role != "admin"])
def test_no_form_does_for_a_visitor_what_its_page_does_not_let_them_in_for(
    who: str, signed_in: SignIn, browser: Browser, admin: Admin
) -> None:
    asking = visitor(who, signed_in, browser)
    mark = asking.mark()
    before = state(admin)
    for page in every_page(admin.control.settings):
        if "POST" in page.methods and page.permission is not ANYONE and who not in ALLOWED[page.permission.name]:
            fields = {"form_mark": mark, "email": "user@example.test", "name": "example.test", "comment": "broken in"}
            status = asking.client.post(address(page, admin.control.settings.web_admin), data=fields).status_code
            expected = {303} if who in ("anonymous", "disabled") else {403}
            assert (page.name, status in expected) == (page.name, True)
    assert state(admin) == before


def state(admin: Admin) -> int:
    return admin.control.store.data_version()


@pytest.mark.parametrize("who", ["anonymous", "disabled"])
def test_who_is_not_signed_in_is_led_to_the_sign_on_and_back(who: str, signed_in: SignIn, browser: Browser) -> None:
    answer = visitor(who, signed_in, browser).get("/admin/user/settings?x=1")
    assert answer.headers["location"] == "/sso/login?url=%2Fadmin%2Fuser%2Fsettings%3Fx%3D1"


def test_nothing_is_served_when_a_page_states_no_permission(admin: Admin) -> None:
    async def handler(_visit: object) -> object:
        raise AssertionError

    page = Page("forgotten", "/admin/forgotten", None, handler, frozenset({"GET"}))  # type: ignore[arg-type]
    with pytest.raises(NoPermissionStated, match="forgotten"):
        create_web(admin.control, [page])


def test_every_permission_is_in_the_table_above(admin: Admin) -> None:
    assert {page.permission.name for page in every_page(admin.control.settings, everywhere=True)} == ALLOWED.keys()
    assert {SIGNED_IN.name, MANAGER.name} <= ALLOWED.keys()


# Managers and those who outrank them


@pytest.mark.parametrize("page", ["edit", "delete", "password", "usersettings", "reply", "sessions"])
def test_a_manager_reaches_no_administrator_of_the_same_domain(signed_in: SignIn, page: str) -> None:
    manager = signed_in("manager")
    path = f"/admin/user/{page}/{PEOPLE['admin']}"
    assert manager.get(path).status_code == 403
    assert manager.post(path, {"pw": "new-password", "pw2": "new-password"}).status_code in (403, 405)


def test_a_manager_makes_no_app_password_for_who_manages_more(signed_in: SignIn, admin: Admin) -> None:
    with admin.control.store.session() as session:
        changes.create_user(session, "chief@example.test", password_hash="$none$", actor=SYSTEM)
        for domain in ("example.test", "other.test"):
            changes.add_manager(session, domain, "chief@example.test", actor=SYSTEM)
    manager = signed_in("manager")
    assert manager.get("/admin/token/create/chief@example.test").status_code == 403
    assert manager.get("/admin/user/edit/chief@example.test").status_code == 403


def test_bulk_leaves_those_alone_who_outrank_the_manager(signed_in: SignIn, admin: Admin) -> None:
    manager = signed_in("manager")
    emails = [PEOPLE["admin"], PEOPLE["user"], PEOPLE["other_manager"], PEOPLE["manager"]]
    manager.post("/admin/user/bulk/example.test", {"do": "off", "email": emails})
    with admin.control.store.read() as session:
        enabled = {user.email: user.enabled for user in session.query(User)}
    assert [enabled[email] for email in emails] == [True, False, True, True]


def test_a_manager_appoints_nobody_of_a_foreign_domain(signed_in: SignIn) -> None:
    answer = signed_in("manager").post("/admin/manager/list/example.test", {"email": PEOPLE["other_manager"]})
    assert answer.status_code == 422


def test_a_user_does_not_raise_their_own_quota(signed_in: SignIn) -> None:
    assert signed_in("user").post(f"/admin/user/edit/{PEOPLE['user']}", {"quota_bytes": "0"}).status_code == 403


def test_a_manager_does_not_set_the_sending_limit(signed_in: SignIn, admin: Admin) -> None:
    manager = signed_in("manager")
    fields = {"quota_bytes": "1", "message_ratelimit": "9999999/day", "global_admin": "y", "enabled": "y"}
    assert manager.post(f"/admin/user/edit/{PEOPLE['user']}", fields).status_code == 303
    with admin.control.store.read() as session:
        user = changes.get_user(session, PEOPLE["user"])
        assert (user.message_ratelimit, user.global_admin, user.quota_bytes) == (None, False, 10**9)


def test_a_manager_restores_no_administrator(signed_in: SignIn, admin: Admin) -> None:
    with admin.control.store.session() as session:
        changes.create_user(session, "old@example.test", password_hash="$none$", global_admin=True, actor=SYSTEM)
        changes.delete_user(session, "old@example.test", actor=SYSTEM)
    assert signed_in("manager").post("/admin/user/restore/old@example.test").status_code == 403
    assert signed_in("admin").post("/admin/user/restore/old@example.test").status_code == 303


def test_a_foreign_address_says_nothing_of_whether_it_exists(signed_in: SignIn) -> None:
    user = signed_in("user")
    statuses = {user.get(f"/admin/user/reply/{email}").status_code for email in ("manager@other.test", "no@other.test")}
    assert statuses == {403}
