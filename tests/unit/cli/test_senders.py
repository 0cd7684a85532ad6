"""Lists of senders on the command line."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Run


def test_senders_are_allowed_denied_listed_and_removed(run: Run) -> None:
    run("user", "ann", "example.com", "a good password")
    assert run("senders", "deny", "spam.example", "192.0.2.0/24", "-c", "again").exit_code == 0
    run("senders", "allow", "Shop.example", "--for", "Ann@example.com")
    run("senders", "deny", "shop.example", "--for", "ann@example.com")
    server = json.loads(run("senders", "list", "--json").stdout)
    assert {(row["sender"], row["verdict"], row["comment"]) for row in server} == {
        ("spam.example", "deny", "again"),
        ("192.0.2.0/24", "deny", "again"),
    }
    assert run("senders", "list", "--for", "ann@example.com").stdout.split("\t")[:3] == [
        "ann@example.com", "shop.example", "deny",
    ]  # fmt: skip
    assert len(json.loads(run("senders", "list", "--all", "--json").stdout)) == 3
    assert run("senders", "remove", "shop.example", "--for", "ann@example.com").exit_code == 0
    assert json.loads(run("senders", "list", "--for", "ann@example.com", "--json").stdout) == []


def test_explain_says_which_entry_decides_with_and_without_proof(run: Run) -> None:
    run("user", "ann", "example.com", "a good password")
    run("senders", "allow", "shop.example", "--for", "ann@example.com")
    run("senders", "deny", "example", "--for", "example.com")
    said = run("explain", "ann@example.com", "--from", "x@shop.example").stdout
    assert "when it is proven (SPF, DKIM, DMARC): the list of ann@example.com says allow" in said
    assert "when it is not proven: the list of example.com says deny" in said
    assert said.count("refused.") == 1
    answer = json.loads(run("explain", "ann@example.com", "--from", "x@other.example", "--json").stdout)
    assert answer["senders"]["proven"]["refused"] is True
    assert "no list says anything" in run("explain", "ann@example.com", "--from", "x@good.org").stdout
