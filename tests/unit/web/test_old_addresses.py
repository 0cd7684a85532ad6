"""Addresses of earlier versions lead to what they were about; programs that used them still can."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select
from tests.unit.web.addresses import PEOPLE
from tests.unit.web.conftest import Browser

from mailu.directory.models import DomainAccess
from mailu.servers.admin import Admin

SignIn = Callable[[str], Browser]
GRANT = "/admin/domain/access/create/example.test"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/ui/", "/"),
        ("/ui/user/settings", "/"),
        ("/webmail", "/webmail/"),
        ("/webui_antispam", "/antispam/"),
        ("/alternative/create/example.test", "/alternative/list/example.test"),
        ("/manager/create/example.test", "/manager/list/example.test"),
        ("/domain/access/create/example.test", "/domain/access/list/example.test"),
        ("/admin/create", "/admin/list"),
        ("/user/signup", "/user/signup/example.test"),
    ],
)
def test_an_old_address_leads_on(signed_in: SignIn, old: str, new: str) -> None:
    answer = signed_in("admin").get(f"/admin{old}")
    assert answer.status_code in (301, 302, 303)
    assert answer.headers["location"] in (f"/admin{new}", new)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/client", "/user/settings", "/user/usersettings/user@example.test", "/user/password",
        "/user/password/user@example.test", "/user/reply", "/user/reply/user@example.test", "/user/list/example.test",
        "/user/create/example.test", "/user/edit/user@example.test", "/user/signup/example.test",
        "/domain", "/domain/create", "/domain/edit/example.test", "/domain/delete/example.test",
        "/domain/details/example.test", "/domain/details/example.test/zonefile", "/domain/genkeys/example.test",
        "/domain/signup", "/alternative/list/example.test", "/alternative/delete/alternative.test", "/relay",
        "/relay/create", "/relay/edit/relayed.test", "/relay/delete/relayed.test", "/alias/list/example.test",
        "/alias/create/example.test", "/alias/edit/team@example.test", "/alias/delete/team@example.test",
        "/anonalias/list", "/anonalias/create", "/manager/list/example.test",
        "/manager/delete/example.test/manager@example.test", "/domain/access/list/example.test", "/token/list",
        "/token/list/user@example.test", "/token/create", "/token/create/user@example.test", "/token/delete/1",
        "/fetch/list", "/fetch/list/user@example.test", "/fetch/create", "/fetch/create/user@example.test",
        "/fetch/edit/1", "/fetch/delete/1", "/admin/list", "/admin/delete/manager@example.test", "/announcement",
    ],
)  # fmt: skip
def test_pages_are_where_they_always_were(signed_in: SignIn, path: str) -> None:
    assert signed_in("admin").get(f"/admin{path}").status_code == 200


def test_a_language_is_chosen_at_the_old_address(signed_in: SignIn) -> None:
    browser = signed_in("user")
    assert browser.post("/admin/language/de").status_code == 303
    assert '<html lang="de">' in browser.get("/admin/client").text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"user": PEOPLE["manager"]}, 201),
        ({"user": PEOPLE["user"]}, 409),
        ({"user": "nobody@example.test"}, 404),
        ({"user": "no address"}, 400),
        ({"user": 7}, 400),
        ({}, 400),
        ([], 400),
    ],
)
def test_a_program_grants_anonymous_aliases_as_it_always_did(
    signed_in: SignIn, admin: Admin, body: object, status: int
) -> None:
    answer = signed_in("manager").client.post(GRANT, json=body)
    assert answer.status_code == status
    with admin.control.store.read() as session:
        granted = {access.user_email: access.id for access in session.scalars(select(DomainAccess))}
    assert (PEOPLE["manager"] in granted) == (status == 201)
    if status == 201:
        assert answer.json() == {"id": granted[PEOPLE["manager"]], "user_email": PEOPLE["manager"]}


def test_only_who_looks_after_the_domain_grants_there(signed_in: SignIn, browser: Browser) -> None:
    for who, status in (("user", 403), ("other_manager", 403)):
        assert signed_in(who).client.post(GRANT, json={"user": PEOPLE["manager"]}).status_code == status
    assert browser.client.post(GRANT, json={"user": PEOPLE["manager"]}).status_code == 303
