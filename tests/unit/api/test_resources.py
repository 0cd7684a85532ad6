"""Every resource, with the fields and statuses that clients have relied on for years."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from mailu.auth import passwords
from mailu.directory.models import Token, User
from mailu.servers.admin import Admin


def test_answers_are_one_line_of_json_with_the_usual_separators(client: TestClient) -> None:
    answer = client.get("/alternative")
    assert answer.text == '[{"name": "example-alt.test", "domain": "example.test"}]\n'
    assert answer.headers["content-type"] == "application/json"


def test_creating_answers_200_and_says_what_was_done(client: TestClient) -> None:
    answer = client.post("/user", json={"email": "New@Example.test", "raw_password": "a good password"})
    assert (answer.status_code, answer.json()) == (
        200,
        {"code": 200, "message": "User new@example.test has been created"},
    )


def test_a_new_user_can_be_verified_with_the_password_and_has_the_usual_quota(admin: Admin, client: TestClient) -> None:
    client.post("/user", json={"email": "new@example.test", "raw_password": "pässwörd", "displayed_name": "New"})
    shown = client.get("/user/new@example.test").json()
    assert (shown["displayed_name"], shown["quota_bytes"], shown["spam_threshold"]) == ("New", 1_000_000_000, 80)
    with admin.control.store.read() as session:
        stored = session.scalars(select(User.password).where(User.localpart == "new")).one()
    assert passwords.verify("pässwörd".encode(), stored)


def test_no_hash_ever_leaves_the_server(client: TestClient) -> None:
    assert client.get("/user/user@example.test").json()["password"] is None
    assert all("password" not in user for user in client.get("/user").json())
    assert all("password" not in token for token in client.get("/token").json())


def test_lists_leave_out_what_is_null_and_single_objects_do_not(client: TestClient) -> None:
    listed = next(user for user in client.get("/user").json() if user["email"] == "user@example.test")
    assert "reply_subject" not in listed
    assert client.get("/user/user@example.test").json()["reply_subject"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "user@example.test", "raw_password": "long enough"}, 409),
        ({"email": "team@example.test", "raw_password": "long enough"}, 409),
        ({"email": "new@nowhere.test", "raw_password": "long enough"}, 404),
        ({"email": "no at sign", "raw_password": "long enough"}, 400),
        ({"email": "new@example.test"}, 400),
        ({"email": "new@example.test", "raw_password": "long enough", "forward_enabled": True}, 400),
        ({"email": "new@example.test", "raw_password": "long enough", "reply_startdate": "tomorrow"}, 400),
        ({"email": "new@example.test", "raw_password": "long enough", "quota_bytes": -1}, 400),
    ],
)
def test_a_user_that_cannot_be_is_refused_and_nothing_is_left(
    client: TestClient, body: dict[str, Any], status: int
) -> None:
    before = client.get("/user").json()
    assert client.post("/user", json=body).status_code == status
    assert client.get("/user").json() == before


def test_a_body_that_does_not_fit_names_each_field(client: TestClient) -> None:
    answer = client.post("/user", json={"email": 7, "quota_bytes": "much"})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"email", "raw_password", "quota_bytes"}


def test_a_change_touches_only_what_was_sent(client: TestClient) -> None:
    before = client.get("/user/user@example.test").json()
    assert client.patch("/user/user@example.test", json={"comment": "new", "unknown": 1}).status_code == 200
    assert client.get("/user/user@example.test").json() == {**before, "comment": "new"}


def test_a_forward_list_can_be_emptied(client: TestClient) -> None:
    path = "/user/user@example.test"
    client.patch(path, json={"forward_enabled": True, "forward_destination": ["b@far.test", "a@far.test"]})
    assert client.get(path).json()["forward_destination"] == ["a@far.test", "b@far.test"]
    assert client.patch(path, json={"forward_destination": []}).status_code == 400
    assert client.patch(path, json={"forward_enabled": False, "forward_destination": []}).status_code == 200
    assert client.get(path).json()["forward_destination"] == []


def test_names_with_slashes_are_addresses_like_others(client: TestClient) -> None:
    client.post("/user", json={"email": "bob/with/slash@example.test", "raw_password": "long enough"})
    assert client.get("/user/bob/with/slash@example.test").json()["email"] == "bob/with/slash@example.test"
    assert client.delete("/user/bob/with/slash@example.test").status_code == 200
    assert client.get("/user/bob/with/slash@example.test").status_code == 404


def test_a_domain_shows_its_records_managers_and_other_names(client: TestClient) -> None:
    shown = client.get("/domain/example.test").json()
    assert shown["alternatives"] == ["example-alt.test"]
    assert shown["managers"] == ["manager@example.test"]
    assert shown["dns_mx"] == "example.test. 600 IN MX 10 mail.example.test."
    assert shown["dns_spf"] == 'example.test. 600 IN TXT "v=spf1 mx a:mail.example.test ~all"'
    assert shown["dns_dkim"] is None


def test_a_domain_that_is_not_a_name_is_400_and_one_that_is_not_here_404(client: TestClient) -> None:
    assert client.get("/domain/not a name").status_code == 400
    assert client.get("/domain/nowhere.test").status_code == 404


def test_alternatives_are_added_once_however_often_they_are_sent(client: TestClient) -> None:
    for _ in range(2):
        answer = client.patch("/domain/example.test", json={"alternatives": ["example-alt.test", "bücher.test"]})
        assert answer.status_code == 200
    assert client.get("/domain/example.test").json()["alternatives"] == ["example-alt.test", "xn--bcher-kva.test"]


def test_names_are_shared_by_domains_alternatives_and_relays(client: TestClient) -> None:
    for taken in ("example.test", "example-alt.test", "relayed.test"):
        assert client.post("/domain", json={"name": taken}).status_code == 409
        assert client.post("/alternative", json={"name": taken, "domain": "other.test"}).status_code == 409
        assert client.post("/relay", json={"name": taken}).status_code == 409


def test_a_domain_that_half_exists_is_not_created(client: TestClient) -> None:
    answer = client.post("/domain", json={"name": "new.test", "alternatives": ["fine.test", "relayed.test"]})
    assert answer.status_code == 409
    assert client.get("/domain/new.test").status_code == 404
    assert client.get("/alternative/fine.test").status_code == 404


def test_managers_come_and_go(client: TestClient) -> None:
    path = "/domain/example.test/manager"
    assert client.post(path, json={"user_email": "user@example.test"}).status_code == 200
    assert client.post(path, json={"user_email": "user@example.test"}).status_code == 409
    assert client.get(path).json() == {"managers": ["manager@example.test", "user@example.test"]}
    assert client.get(f"{path}/user@example.test").status_code == 200
    assert client.delete(f"{path}/user@example.test").status_code == 200
    assert client.get(f"{path}/user@example.test").status_code == 404
    assert client.delete(f"{path}/user@example.test").status_code == 404


def test_aliases_may_lead_elsewhere_and_can_be_disabled(client: TestClient) -> None:
    body = {"email": "out@example.test", "destination": ["far@away.test"], "wildcard": False}
    assert client.post("/alias", json=body).status_code == 200
    assert client.patch("/alias/out@example.test", json={"disabled": True, "comment": "off"}).status_code == 200
    shown = client.get("/alias/out@example.test").json()
    assert (shown["disabled"], shown["destination"], shown["comment"]) == (True, ["far@away.test"], "off")
    assert client.delete("/alias/out@example.test").status_code == 200
    assert client.get("/alias/out@example.test").status_code == 404


def test_an_alias_needs_a_destination_and_a_free_address(client: TestClient) -> None:
    assert client.post("/alias", json={"email": "a@example.test"}).status_code == 400
    assert client.post("/alias", json={"email": "team@example.test", "destination": ["x@y.test"]}).status_code == 409
    assert client.post("/alias", json={"email": "a@nowhere.test", "destination": ["x@y.test"]}).status_code == 404


def test_the_aliases_of_a_domain_are_listed(client: TestClient) -> None:
    assert [alias["email"] for alias in client.get("/alias/destination/example.test").json()] == ["team@example.test"]
    assert client.get("/alias/destination/other.test").json() == []
    assert client.get("/alias/destination/nowhere.test").status_code == 404


def test_a_relay_may_have_no_target(client: TestClient) -> None:
    assert client.post("/relay", json={"name": "mx-only.test"}).status_code == 200
    assert client.get("/relay/mx-only.test").json() == {
        "name": "mx-only.test", "smtp": "", "recipients": "ask", "listed_recipients": [], "comment": "",
    }  # fmt: skip
    assert client.patch("/relay/mx-only.test", json={"smtp": "mx:[::1]"}).status_code == 400
    assert client.delete("/relay/mx-only.test").status_code == 200


def test_recipients_of_a_relayed_domain_can_be_listed(client: TestClient) -> None:
    body = {"recipients": "listed", "listed_recipients": ["Bob", "ann@relayed.test"]}
    assert client.patch("/relay/relayed.test", json=body).status_code == 200
    assert client.get("/relay/relayed.test").json()["listed_recipients"] == ["ann", "bob"]
    found = client.get("/relay", params={"filter": "recipients:listed"}).json()
    assert [relay["name"] for relay in found] == ["relayed.test"]
    for wrong in ({"recipients": "some"}, {"listed_recipients": ["ann@example.test"]}):
        assert client.patch("/relay/relayed.test", json=wrong).status_code == 400


def test_exceptions_from_encryption_come_change_and_end(client: TestClient) -> None:
    path = "/tlsexception/there.test"
    assert client.post("/tlsexception", json={"name": "there.test"}).status_code == 400
    assert client.post("/tlsexception", json={"name": "There.test", "comment": "broken"}).status_code == 200
    shown = client.get(path).json()
    assert (shown["level"], shown["comment"], shown["created_by"]) == ("may", "broken", "API_TOKEN")
    assert client.patch(path, json={"level": "none", "last_day": None}).status_code == 200
    assert client.get("/tlsexception").json()[0] == {
        name: value for name, value in client.get(path).json().items() if value is not None
    }
    for wrong in ({"last_day": "2999-12-31"}, {"last_day": "2020-01-01"}, {"level": "dane"}, {"comment": ""}):
        assert client.patch(path, json=wrong).status_code == 400, wrong
    assert client.get(path).json() | {"level": "none"} == client.get(path).json()
    assert client.delete(path).status_code == 200
    for answer in (client.get(path), client.delete(path), client.patch(path, json={"comment": "x"})):
        assert answer.status_code == 404


def test_a_token_shows_its_secret_once_and_it_is_the_right_one(admin: Admin, client: TestClient) -> None:
    made = client.post("/tokenuser/user@other.test", json={"comment": "phone", "AuthorizedIP": ["192.0.2.0/24"]}).json()
    assert set(made) == {"id", "email", "comment", "AuthorizedIP", "Created", "Last edit", "token"}
    assert "token" not in client.get(f"/token/{made['id']}").json()
    with admin.control.store.read() as session:
        row = session.scalars(select(Token.password).where(Token.id == made["id"])).one()
    assert passwords.verify(made["token"].encode(), row)


def test_ids_are_texts_in_the_whole_list_only(client: TestClient) -> None:
    (listed,) = client.get("/token").json()
    (of_user,) = client.get("/tokenuser/user@example.test").json()
    assert (type(listed["id"]), type(of_user["id"])) == (str, int)
    assert client.get(f"/token/{listed['id']}").json()["Last edit"] == "None"


def test_a_token_can_be_changed_and_withdrawn(client: TestClient) -> None:
    (token,) = client.get("/tokenuser/user@example.test").json()
    path = f"/token/{token['id']}"
    assert client.patch(path, json={"AuthorizedIP": ["not a network"]}).status_code == 400
    assert client.patch(path, json={"AuthorizedIP": ["2001:db8::/32"]}).status_code == 200
    shown = client.get(path).json()
    assert (shown["AuthorizedIP"], shown["comment"]) == (["2001:db8::/32"], "phone")
    assert client.delete(path).status_code == 200
    assert client.get(path).status_code == 404


def test_every_write_is_in_the_audit_trail_with_who_and_from_where(admin: Admin, client: TestClient) -> None:
    client.post("/user", json={"email": "new@example.test", "raw_password": "secret words"})
    with admin.control.store.read() as session:
        rows = session.connection().exec_driver_sql("SELECT actor, origin, action, subject, detail FROM audit").all()
    actor, origin, action, subject, detail = rows[-1]
    assert (actor, origin, action, subject) == ("API_TOKEN", "api 192.0.2.7", "user.create", "new@example.test")
    assert "secret words" not in str(detail)


def test_a_list_can_be_walked_page_by_page(client: TestClient) -> None:
    first = client.get("/user", params={"limit": 3})
    assert [user["email"] for user in first.json()] == [
        "admin@example.test", "manager@example.test", "user@example.test"
    ]  # fmt: skip
    assert 'rel="next"' in first.headers["link"]
    path = first.headers["link"].partition(">")[0].removeprefix("<").removeprefix("/api/v1")
    second = client.get(path)
    assert [user["email"] for user in second.json()] == ["user@other.test"]
    assert "next" not in second.headers["link"]


def test_a_list_can_be_searched_and_refuses_what_it_does_not_know(client: TestClient) -> None:
    assert [user["email"] for user in client.get("/user", params={"search": "OTHER"}).json()] == ["user@other.test"]
    assert client.get("/user", params={"sort": "password"}).status_code == 400
    assert client.get("/user", params={"after": "nonsense"}).status_code == 400
    assert client.get("/user", params={"limit": 0}).status_code == 400


@pytest.mark.parametrize(
    ("password", "said"),
    [("7 chars", "String should have at least 8 characters"), (" long enough", "no blank can stand at the beginning")],
)
def test_a_password_that_a_person_could_not_choose_is_refused(client: TestClient, password: str, said: str) -> None:
    made = client.post("/user", json={"email": "new@example.test", "raw_password": password})
    changed = client.patch("/user/user@example.test", json={"raw_password": password})
    for answer in (made, changed):
        assert answer.status_code == 400
        assert answer.json()["errors"]["raw_password"].startswith(said)
    assert client.get("/user/new@example.test").status_code == 404


def test_the_mta_sts_policy_of_a_domain_can_be_read_and_set(client: TestClient) -> None:
    assert client.get("/domain/example.test").json()["mta_sts"] == "off"
    assert client.patch("/domain/example.test", json={"mta_sts": "testing"}).status_code == 200
    assert client.get("/domain/example.test").json()["mta_sts"] == "testing"
    assert client.patch("/domain/example.test", json={"mta_sts": "maybe"}).status_code == 400


def test_what_is_wrong_is_named_as_the_client_named_it(client: TestClient) -> None:
    wrong = client.patch("/token/1", json={"AuthorizedIP": ["here"]})
    assert wrong.json()["errors"] == {"AuthorizedIP": "'here' is not an IP address or a network like 192.0.2.0/24"}
    day = client.patch("/user/user@example.test", json={"reply_startdate": "31.1.2026"})
    assert day.json()["errors"] == {"reply_startdate": "'31.1.2026' is not a date like 2030-12-31"}
    headers = {"Content-Type": "application/json"}
    cut = client.patch("/user/user@example.test", content=b'{"comment": ', headers=headers)
    assert cut.json()["errors"] == {"body": "this is not JSON: Expecting value, at character 12"}


NOT_PAGED = {"/alias/domains/available", "/statistics"}
"""Names, of which nobody has hundreds, and days, of which a request names the first and the last."""
NO_LIST = {"{", '"'}


def test_every_list_can_be_paged_searched_sorted_and_filtered(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.api.test_access import NAMES

    from mailu import operations
    from mailu.identity.authoritative import Dns
    from mailu.identity.dns_answers import Found

    monkeypatch.setattr(operations, "ask", lambda *_a, **_k: {"messages": [{"id": "4ABCDEFGHI", "state": "hold"}]})
    monkeypatch.setattr(Dns, "look", lambda *_a: Found((), ()))
    asked = 0
    for path, methods in client.get("/swagger.json").json()["paths"].items():
        if "get" not in methods or "own aliases" in methods["get"]["tags"] or path in NOT_PAGED:
            continue
        answer = client.get(path.format(**NAMES))
        if answer.status_code != 200 or not answer.text.startswith("["):
            continue
        taken = {each["name"] for each in methods["get"].get("parameters", ())}
        assert {"limit", "sort", "descending", "search", "filter", "after", "before"} <= taken, path
        refused = client.get(path.format(**NAMES), params={"filter": "nothing:1"})
        assert (refused.status_code, refused.json()["message"][:7]) == (400, "filter:"), path
        asked += 1
    assert asked > 15


def test_lists_are_filtered_by_values(client: TestClient) -> None:
    def emails(*filters: str) -> list[str]:
        found = client.get("/user", params={"filter": list(filters)})
        assert found.status_code == 200, found.text
        return [user["email"] for user in found.json()]

    assert emails("global_admin:true") == ["admin@example.test"]
    assert emails("domain:other.test", "enabled:true") == ["user@other.test"]
    assert emails("domain:other.test", "enabled:false") == []
    assert len(emails("last_login:")) == 4
    client.patch("/user/user@example.test", json={"message_ratelimit": "5/day"})
    assert emails("message_ratelimit:5/day") == ["user@example.test"]
    first = client.get("/user", params={"filter": ["domain:example.test", "global_admin:false"], "limit": 1})
    path = first.headers["link"].partition(">")[0].lstrip("<")
    assert [user["email"] for user in client.get(f"http://testserver{path}").json()] == ["user@example.test"]


@pytest.mark.parametrize("given", ["enabled", "enabled:yes", "quota_bytes:many", "last_login:soon", "password:x"])
def test_a_filter_that_there_is_not_is_refused_with_what_is_expected(client: TestClient, given: str) -> None:
    answer = client.get("/user", params={"filter": given})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("filter: ")
