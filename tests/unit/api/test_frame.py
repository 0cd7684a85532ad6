"""Around the operations: the page, redirects, what is unknown, too large, or no JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from mailu.api.bodies import MOST_BYTES
from mailu.directory import changes
from mailu.directory.api_tokens import create_api_token
from mailu.directory.changes import SYSTEM
from mailu.servers.admin import Admin
from mailu.settings import load_settings

Connect = Callable[..., TestClient]


@pytest.mark.parametrize("path", ["/api/", "/api/v1"])
def test_short_addresses_lead_to_the_page(connect: Connect, path: str) -> None:
    answer = connect(None).get(f"http://testserver{path}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/api/v1/")


def test_the_page_shows_every_operation_and_needs_nothing_from_elsewhere(connect: Connect) -> None:
    client = connect(None)
    page = client.get("http://testserver/api/v1/")
    assert page.status_code == 200
    paths = client.get("/swagger.json").json()["paths"]
    assert all(f"<code>{path}</code>" in page.text for path in paths)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "http://testserver/api/v1/style.css" in page.text
    assert client.get("/style.css").headers["content-type"].startswith("text/css")


def test_every_operation_says_what_it_does_and_what_it_needs(connect: Connect) -> None:
    described = connect(None).get("/swagger.json").json()
    assert set(described["components"]["securitySchemes"]) == {"HTTPBearer", "APIKeyHeader"}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            assert operation["security"], (method, path)
            assert {"400", "401", "403", "404", "409", "413", "429", "503"} <= operation["responses"].keys()


@pytest.mark.parametrize("path", ["/nothing", "/user/a@b.test/x/", "/", "/v1/nothing"])
def test_what_is_unknown_is_refused_in_json(client: TestClient, path: str) -> None:
    answer = client.get(f"http://testserver/api/v1{path}x" if path != "/" else "http://testserver/api/nothing")
    assert answer.status_code in (400, 404)
    assert json.loads(answer.text)["code"] == answer.status_code


def test_a_method_that_there_is_not_is_refused_with_those_that_there_are(client: TestClient) -> None:
    answer = client.put("/user")
    assert (answer.status_code, answer.json()["code"]) == (405, 405)
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(client: TestClient, chunked: bool) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(5):
            yield b" " * (MOST_BYTES // 4)

    content = pieces() if chunked else b" " * (MOST_BYTES + 1)
    answer = client.post("/user", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, 413)


@pytest.mark.parametrize("content", [b"", b"[", b"[]", b"7", b'"x"', b"\xff", b'{"email": "\\ud800@b.test"}'])
def test_what_is_no_object_is_refused(client: TestClient, content: bytes) -> None:
    answer = client.post("/user", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_without_a_token_of_the_operator_narrower_ones_work(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    environ = {"ROOT": str(tmp_path), "SECRET_KEY": "0123456789ABCDEF", "DOMAIN": "a.test", "HOSTNAMES": "m.a.test"}
    others = {"API": "true", "RATELIMIT_STORAGE_URL": "memory://", "MEMORY_SESSIONS": "true"}
    admin = Admin(load_settings(None, environ | others))
    admin.control.store.upgrade()
    with admin.control.store.session() as session:
        changes.create_domain(session, "a.test", actor=SYSTEM)
        _, secret = create_api_token(session, comment="only", actor=SYSTEM)
    with TestClient(admin.app, base_url="http://testserver/api/v1") as client:
        assert client.get("/domain", headers={"Authorization": secret}).status_code == 200
        assert client.get("/domain", headers={"Authorization": "Bearer x"}).status_code == 403
        assert client.get("/domain", headers={"Authorization": "Bearer "}).status_code in (401, 403)


def test_answers_are_one_line_that_grep_finds_things_in(client: TestClient) -> None:
    text = client.get("/user/user@example.test").text
    assert text.count("\n") == 1
    assert '"email": "user@example.test", "password": null, "comment": ""' in text


def test_hashes_never_leave(client: TestClient) -> None:
    for path in ("/user", "/user/user@example.test", "/token", "/token/1", "/domain/example.test/users", "/audit"):
        text = client.get(path).text
        assert "$argon2id$" not in text
        assert "$pbkdf2" not in text
