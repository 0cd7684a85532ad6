"""The published description is true: whatever is sent is answered as it says, and never by a 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.unit.api.conftest import TOKEN
from tests.unit.api.test_access import NAMES

from mailu import operations
from mailu.auth.tokens import hash_token
from mailu.directory import changes
from mailu.directory.changes import SYSTEM
from mailu.servers.admin import Admin

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 12
"""For each operation and each way of making values; all of it takes about half a minute."""
MESSAGE = {"id": "4ABCDEFGHI", "state": "deferred", "arrived": 1, "size": 2, "sender": "", "recipients": [], "more": 0}


@pytest.fixture
def service(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """The description and a client of the running application, with an agent that knows a queue."""
    monkeypatch.setattr(operations, "ask", lambda _places, _what, **_values: {"messages": [MESSAGE], "count": 1})
    with admin.control.store.session() as session:
        changes.create_token(session, "admin@example.test", password_hash=hash_token("a" * 32), actor=SYSTEM)
    with TestClient(admin.app, raise_server_exceptions=False, follow_redirects=False) as client:
        described = client.get("/api/v1/swagger.json").json()
        described["servers"] = [{"url": "/api/v1"}]
        schema = schemathesis.openapi.from_dict(described)
        schema.app = admin.app
        yield schema, client


def test_every_operation_says_what_its_answer_looks_like(service: tuple[Any, Any]) -> None:
    schema, _client = service
    silent = []
    for operation in (result.ok() for result in schema.get_all_operations()):
        raw = operation.definition.raw
        content = next(answer for status, answer in raw["responses"].items() if status.startswith("2"))["content"]
        for kind, shape in content.items():
            found = shape["schema"].get("items", shape["schema"])
            if not ("$ref" in found or found.get("type") == "string"):
                silent.append((operation.label, kind))
    assert silent == []


def _headers(operation: Any) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    if "own aliases" in operation.definition.raw["tags"]:
        headers["Authentication"] = f"admin@example.test:{'a' * 32}"
    return headers


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_every_answer_is_one_that_the_description_names(service: tuple[Any, Any], mode: Any) -> None:
    schema, client = service
    found = [result.ok() for result in schema.get_all_operations()]
    assert len(found) > 70
    for operation in found:
        _try(operation, client, mode)


def _answer(case: Any, client: TestClient, headers: dict[str, str]) -> Any:
    """Send exactly the octets that a client of the network would send."""
    given = case.as_transport_kwargs(base_url="http://testserver/api/v1", headers=headers)
    names = ("method", "url", "headers", "params", "data", "json", "files", "cookies")
    sent = requests.Request(**{name: given[name] for name in names if name in given}).prepare()
    request: Any = client.request
    return request(sent.method, sent.url, headers=dict(sent.headers), content=sent.body)


def _try(operation: Any, client: Any, mode: Any) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    def each(case: Any, known: bool) -> None:
        if known:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = NAMES[name]
        case.validate_response(_answer(case, client, _headers(operation)), checks=CHECKS)

    each()
