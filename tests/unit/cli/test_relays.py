"""Relayed domains on the command line."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Run


def test_relayed_domains_are_made_changed_listed_and_removed(run: Run) -> None:
    said = run("relays", "set", "backup.example", "--to", "mx.backup.example:26").stdout
    assert "the target server knows" in said
    listed = run(
        "relays", "set", "backup.example", "Bob", "ann@backup.example", "--recipients", "listed", "-c", "theirs"
    )
    assert "those who are listed" in listed.stdout
    assert json.loads(run("relays", "list", "--json").stdout) == [
        {
            "name": "backup.example",
            "smtp": "mx.backup.example:26",
            "recipients": "listed",
            "listed_recipients": ["ann", "bob"],
            "comment": "theirs",
        }
    ]
    assert run("relays", "list").stdout.split("\t")[:4] == ["backup.example", "mx.backup.example:26", "listed", "2"]
    assert "forged" in run("relays", "set", "backup.example", "--recipients", "any").stdout
    assert run("relays", "remove", "backup.example").exit_code == 0
    assert json.loads(run("relays", "list", "--json").stdout) == []


def test_a_wrong_word_changes_nothing(run: Run) -> None:
    assert run("relays", "set", "backup.example", "--recipients", "some").exit_code == 1
    assert run("relays", "remove", "backup.example").exit_code == 1
    assert json.loads(run("relays", "list", "--json").stdout) == []


def test_explain_says_for_whom_mail_is_taken(run: Run) -> None:
    run("relays", "set", "backup.example", "ann", "--recipients", "listed")
    assert "It goes to smtp:backup.example" in run("explain", "ann+x@backup.example").stdout
    assert "It is refused: there is no such user." in run("explain", "bob@backup.example").stdout
    run("relays", "set", "backup.example", "--recipients", "ask")
    assert "those whom the target server knows" in run("explain", "bob@backup.example").stdout
