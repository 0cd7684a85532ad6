"""Keys to the API, from the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.cli.conftest import Run

from mailu.directory.api_tokens import find_api_token
from mailu.directory.store import Store


def test_a_key_is_made_listed_and_withdrawn(run: Run, store: Store) -> None:
    assert run("domain", "example.com").exit_code == 0
    secret = run("api-token", "create", "monitoring", "-d", "Example.com", "-r", "-u", "90d").stdout.strip()
    now = datetime.now(UTC)
    with store.read() as session:
        entry = find_api_token(session, secret, now=now)
        assert entry is not None
        assert (entry.comment, entry.read_only, entry.domains) == ("monitoring", True, frozenset({"example.com"}))
        assert find_api_token(session, secret, now=now + timedelta(days=91)) is None
    (row,) = json.loads(run("api-token", "list", "--json").stdout)
    assert secret not in str(row)
    assert run("api-token", "list").stdout.split("\t")[1:4] == ["monitoring", "example.com", "read"]
    assert run("api-token", "delete", str(row["id"])).stdout == "1 withdrawn.\n"
    with store.read() as session:
        assert find_api_token(session, secret, now=now) is None


def test_a_day_is_the_last_one(run: Run, store: Store) -> None:
    made = json.loads(run("api-token", "create", "x", "--until", "2998-12-31", "--json").stdout)
    with store.read() as session:
        assert find_api_token(session, made["token"], now=datetime(2998, 12, 31, 23, 59, 59, tzinfo=UTC))
        assert not find_api_token(session, made["token"], now=datetime(2999, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "x", "-d", "nowhere.test"), "There is no domain nowhere.test."),
        (("create", "x", "-u", "soon"), "'soon' is neither a day like 2030-12-31 nor a number of days like 90d"),
        (("create", "x", "-u", "2020-01-01"), "2020-01-01 is over already"),
        (("create", "x" * 256), "comment: at most 255 characters"),
        (("delete", "77"), "There is no API token 77."),
    ],
)
def test_what_cannot_be_is_refused(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run("api-token", *arguments)
    assert (result.exit_code, result.stderr) == (1, f"Error: {said}\n")
    assert run("api-token", "list").stdout == ""
