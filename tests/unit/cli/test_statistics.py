"""Numbers of mail on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Run

from mailu.directory.day_counts import SERVER
from mailu.directory.mail_counts import add_mail_counts
from mailu.directory.models import today
from mailu.directory.store import Store


def test_the_last_days_are_shown_for_the_server_and_for_a_domain(run: Run, store: Store) -> None:
    run("user", "ann", "example.com", "a good password")
    with store.bookkeeping() as session:
        add_mail_counts(session, {(today(), SERVER, "sent"): 9, (today(), "example.com", "sent"): 2})
    lines = run("statistics").stdout.splitlines()
    assert len(lines) == 30
    assert lines[-1].split("\t") == [str(today()), "0", "9", "0", "0"]
    assert json.loads(run("statistics", "--days", "1", "--domain", "Example.com", "--json").stdout) == [
        {"day": str(today()), "received": 0, "sent": 2, "refused": 0, "junk": 0}
    ]


def test_where_mail_goes_by_other_machines_it_is_said_beside_the_numbers(run: Run, root: Path) -> None:
    assert run("statistics").stderr == ""
    with (root / "mailu.env").open("a") as settings:
        settings.write("SMTP_ADDRESS=192.0.2.25\n")
    result = run("statistics", "--json")
    assert "other machines (SMTP_ADDRESS): what passes there may be missing here" in result.stderr
    assert len(json.loads(result.stdout)) == 30


def test_a_domain_that_is_not_here_is_an_error(run: Run) -> None:
    result = run("statistics", "--domain", "nowhere.test")
    assert result.exit_code == 1
    assert "nowhere.test" in result.stderr
