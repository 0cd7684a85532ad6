"""Exceptions from encryption on the command line."""

from __future__ import annotations

import json
from datetime import date, timedelta

from sqlalchemy import update
from tests.unit.cli.conftest import Run

from mailu.directory.models import TlsException, today
from mailu.directory.store import Store


def test_exceptions_are_allowed_listed_and_ended(run: Run) -> None:
    last = (today() + timedelta(days=30)).isoformat()
    assert run("tls-exceptions", "allow", "There.example").exit_code == 1
    said = run("tls-exceptions", "allow", "There.example", "--because", "broken", "--until", last).stdout
    assert said == f"Mail to there.example needs no more than the TLS level may, until {last}.\n"
    (shown,) = json.loads(run("tls-exceptions", "list", "--json").stdout)
    assert (shown["name"], shown["level"], shown["last_day"], shown["comment"]) == (
        "there.example", "may", last, "broken",
    )  # fmt: skip
    assert run("tls-exceptions", "allow", "there.example", "--level", "none").exit_code == 0
    assert run("tls-exceptions", "list").stdout.split("\t")[:4] == ["there.example", "none", last, "broken"]
    assert "at most 90 days" in run("tls-exceptions", "allow", "there.example", "--until", "2999-01-01").stderr
    assert run("tls-exceptions", "end", "there.example").exit_code == 0
    assert run("tls-exceptions", "end", "there.example").exit_code == 1
    assert run("tls-exceptions", "list").stdout.strip() in ("", "There is no exception.")


def test_what_is_over_goes_by_the_daily_job(run: Run, store: Store) -> None:
    for name in ("over.example", "there.example"):
        run("tls-exceptions", "allow", name, "--because", "broken")
    with store.session() as session:
        session.execute(
            update(TlsException).where(TlsException.name == "over.example").values(last_day=date(2020, 1, 1))
        )
    assert run("tls-exceptions", "expire").stdout == "Over: over.example.\n"
    assert run("tls-exceptions", "expire").stdout == ""
    assert [row["name"] for row in json.loads(run("tls-exceptions", "list", "--json").stdout)] == ["there.example"]
