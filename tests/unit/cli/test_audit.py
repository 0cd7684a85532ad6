"""The audit trail on the command line."""

from __future__ import annotations

import json

import pytest
from tests.unit.cli.conftest import Run


@pytest.fixture
def changed(run: Run) -> None:
    assert run("user", "ann", "example.com", "long enough").exit_code == 0
    assert run("setlimits", "example.com", "5", "6", "700").exit_code == 0
    assert run("user-delete", "ann@example.com", "--really").exit_code == 0


@pytest.mark.usefixtures("changed")
def test_it_says_who_changed_what_from_where_the_newest_at_the_end(run: Run) -> None:
    lines = [line.split("\t") for line in run("audit").stdout.splitlines()]
    assert [(line[3], line[4]) for line in lines] == [
        ("domain.create", "example.com"),
        ("user.create", "ann@example.com"),
        ("domain.update", "example.com"),
        ("user.delete", "ann@example.com"),
    ]
    assert "max_users: -1 -> 5" in lines[2][5]
    assert all(line[2] == "command line" for line in lines)
    assert "long enough" not in run("audit").stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("Example.COM",), ["domain.create", "domain.update"]),
        (("--action", "user"), ["user.create", "user.delete"]),
        (("--action", "user.delete"), ["user.delete"]),
        (("--action", "use"), []),
        (("-n", "1"), ["user.delete"]),
        (("--search", "ANN delete"), ["user.delete"]),
        (("--actor", "nobody"), []),
    ],
)
@pytest.mark.usefixtures("changed")
def test_it_shows_what_is_asked_for(run: Run, arguments: tuple[str, ...], expected: list[str]) -> None:
    assert [row["action"] for row in json.loads(run("audit", "--json", *arguments).stdout)] == expected
