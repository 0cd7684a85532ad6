"""Commands about domains and aliases."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tests.unit.cli.conftest import Run

from mailu.directory.models import Domain

DomainOf = Callable[[str], Domain | None]


def limits_of(domain_of: DomainOf, name: str) -> tuple[int, int, int]:
    found = domain_of(name)
    assert found is not None
    return found.max_users, found.max_aliases, found.max_quota_bytes


def test_a_domain_is_created_without_limits(run: Run, domain_of: DomainOf) -> None:
    result = run("domain", "Bücher.Example")
    assert (result.exit_code, result.stdout) == (0, "xn--bcher-kva.example was created.\n")
    assert limits_of(domain_of, "xn--bcher-kva.example") == (-1, -1, 0)


def test_an_existing_domain_is_given_the_limits_that_are_named(run: Run, domain_of: DomainOf) -> None:
    run("domain", "example.com", "-u", "3", "-a", "4", "-q", "5")
    assert limits_of(domain_of, "example.com") == (3, 4, 5)
    result = run("domain", "example.com", "--max-users", "7")
    assert (result.exit_code, result.stdout) == (0, "example.com exists already; its limits were set.\n")
    assert limits_of(domain_of, "example.com") == (7, 4, 5)


def test_an_existing_domain_is_otherwise_left_alone(run: Run, domain_of: DomainOf) -> None:
    run("domain", "example.com", "-u", "3")
    assert run("domain", "example.com").stdout == "example.com exists already.\n"
    assert limits_of(domain_of, "example.com") == (3, -1, 0)


@pytest.mark.parametrize(("options", "says"), [(("-u", "-2"), "max_users"), (("-q", "-1"), "max_quota_bytes")])
def test_a_limit_that_is_none_is_refused(run: Run, domain_of: DomainOf, options: tuple[str, ...], says: str) -> None:
    result = run("domain", "example.com", *options)
    assert result.exit_code == 1
    assert says in result.stderr
    assert domain_of("example.com") is None


def test_setlimits_sets_all_three(run: Run, domain_of: DomainOf) -> None:
    run("domain", "example.com")
    assert run("setlimits", "example.com", "10", "20", "30").exit_code == 0
    assert limits_of(domain_of, "example.com") == (10, 20, 30)
    assert run("setlimits", "example.com", "-1", "-1", "0").exit_code == 0
    assert limits_of(domain_of, "example.com") == (-1, -1, 0)


def test_setlimits_of_an_unknown_domain_is_an_error(run: Run) -> None:
    result = run("setlimits", "example.com", "1", "1", "1")
    assert (result.exit_code, result.stderr) == (1, "Error: There is no domain example.com.\n")


def test_a_manager_is_named_by_localpart_or_by_address(run: Run) -> None:
    run("user", "ann", "example.com", "correct horse")
    run("user", "bob", "example.org", "correct horse")
    assert run("setmanager", "example.com", "ann").stdout == "ann@example.com looks after example.com now.\n"
    assert run("setmanager", "example.com", "ann").stdout == "ann@example.com looks after example.com already.\n"
    assert run("setmanager", "example.com", "bob@example.org").exit_code == 0
    assert run("setmanager", "example.com", "carl").exit_code == 1


def test_domains_are_listed_with_what_is_in_them(run: Run) -> None:
    run("domain", "example.org", "-u", "5")
    run("user", "ann", "example.com", "correct horse")
    run("alias", "team", "example.com", "ann@example.com")
    found = {row["name"]: row for row in json.loads(run("domain", "list", "--json").stdout)}
    assert (found["example.com"]["users"], found["example.com"]["aliases"]) == (1, 1)
    assert found["example.org"]["max_users"] == 5
    lines = [line.split("\t") for line in run("domain", "list").stdout.splitlines()]
    assert lines[0][:4] == ["example.com", "1", "1", "no limit"]
    assert lines[1][1] == "0 of 5"


# Aliases


def test_an_alias_is_created_with_its_domain(run: Run) -> None:
    result = run("alias", "Team", "example.com", "ann@example.com, bob@elsewhere.example")
    assert (result.exit_code, result.stdout) == (
        0,
        "Mail for team@example.com goes to ann@example.com, bob@elsewhere.example now.\n",
    )


def test_a_pattern_is_an_alias_of_its_own_kind(run: Run) -> None:
    assert run("alias", "--wildcard", "sales%", "example.com", "ann@example.com").exit_code == 0
    (alias,) = json.loads(run("alias", "list", "--json").stdout)
    assert (alias["email"], alias["wildcard"]) == ("sales%@example.com", True)


def test_an_alias_can_be_called_list(run: Run) -> None:
    assert run("alias", "list", "example.com", "ann@example.com").exit_code == 0
    assert run("alias", "list").stdout.startswith("list@example.com\tann@example.com\taddress\t")


@pytest.mark.parametrize("destination", ["", "not an address", "ann@"])
def test_a_destination_that_is_none_is_refused(run: Run, domain_of: DomainOf, destination: str) -> None:
    result = run("alias", "team", "example.com", destination)
    assert result.exit_code == 1
    assert "destination" in result.stderr
    assert domain_of("example.com") is None


def test_an_alias_that_exists_is_an_error(run: Run) -> None:
    run("alias", "team", "example.com", "ann@example.com")
    assert run("alias", "team", "example.com", "bob@example.com").exit_code == 1


def test_a_limit_on_aliases_is_kept_unless_it_is_to_be_ignored(run: Run) -> None:
    run("domain", "example.com", "-a", "0")
    assert run("alias", "team", "example.com", "ann@example.com").exit_code == 1
    assert run("alias", "team", "example.com", "ann@example.com", "--ignore-limits").exit_code == 0


def test_aliases_can_be_searched_by_destination(run: Run) -> None:
    run("alias", "team", "example.com", "ann@example.com")
    run("alias", "shop", "example.com", "bob@example.com")
    found = json.loads(run("alias", "list", "--json", "--search", "BOB@").stdout)
    assert [alias["email"] for alias in found] == ["shop@example.com"]


def test_deleting_an_alias(run: Run) -> None:
    run("alias", "team", "example.com", "ann@example.com")
    assert run("alias-delete", "team@example.com").exit_code == 0
    result = run("alias-delete", "team@example.com")
    assert (result.exit_code, result.stderr) == (1, "Error: There is no alias team@example.com.\n")


# config-update


def test_the_old_document_is_applied_and_told(run: Run, domain_of: DomainOf) -> None:
    document = (
        "domains:\n  - {name: example.com, max_users: 3}\n"
        "aliases:\n  - {localpart: a, domain: example.com, destination: b@example.com}\n"
    )
    result = run("config-update", "-v", "1", stdin=document)
    assert result.exit_code == 0
    assert "example.com" in result.stdout
    assert limits_of(domain_of, "example.com")[0] == 3


@pytest.mark.parametrize(("value", "stays"), [("1", False), ("yes", False), ("0", True), ("", True)])
def test_what_is_not_in_the_document_goes_only_when_asked_for(
    run: Run, domain_of: DomainOf, value: str, stays: bool
) -> None:
    run("domain", "old.example")
    assert run("config-update", "-d", value, stdin="domains:\n  - name: example.com\n").exit_code == 0
    assert (domain_of("old.example") is not None) is stays


@pytest.mark.parametrize("document", ["users: [", "- a", "users:\n  - localpart: ann\n    domain: example.com\n"])
def test_a_document_that_is_wrong_changes_nothing(run: Run, domain_of: DomainOf, document: str) -> None:
    result = run("config-update", stdin="domains:\n  - name: example.com\n" + document)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert domain_of("example.com") is None


def test_a_domain_gets_a_smart_host_with_a_log_in_and_loses_it(
    run: Run, domain_of: Callable[[str], Domain | None]
) -> None:
    run("domain", "example.com")
    assert run("smart-host", "example.com").stdout == "none\n"
    set_so = run("smart-host", "example.com", "smtp.example.net:587", "--user", "us", stdin="at the host\n")
    assert set_so.exit_code == 0
    assert run("smart-host", "example.com").stdout == "smtp.example.net:587 as us\n"
    domain = domain_of("example.com")
    assert domain is not None
    assert domain.relaypassword == "at the host"
    assert "at the host" not in run("audit", "--json").stdout
    assert run("smart-host", "example.com", "--user", "us").exit_code == 1
    assert run("smart-host", "example.com", "--none", "--user", "us").exit_code == 1
    assert run("smart-host", "example.com", "smtp.example.net:587", "--user", "us", stdin="").exit_code == 1
    assert run("smart-host", "example.com", "--none").exit_code == 0
    domain = domain_of("example.com")
    assert domain is not None
    assert (domain.relayhost, domain.relayuser, domain.relaypassword) == (None, None, None)
