"""The other questions: whose domain, which mailbox, who logs in, how a relayed domain is reached."""

from __future__ import annotations

import time

import pytest
from tests.unit.directory.build import alias, directory, user

from mailu.address import DomainName, parse_address
from mailu.directory.lookup import (
    BadRelayTarget,
    account,
    alias_targets,
    is_local_domain,
    is_relay_domain,
    mailbox,
    may_be_relay_recipient,
    must_be_asked,
    resolve,
    sender_logins,
    takes_all,
    transport,
)
from mailu.directory.snapshot import RelayEntry

SNAPSHOT = directory(
    user("ann@example.org"),
    user("gone@example.org", enabled=False),
    alias("team@example.org", "ann@example.org"),
    alternatives={"alt.example": "example.org", "orphan.example": "deleted.example"},
    relays={
        "relayed.example": RelayEntry("mx:backend.example.net"),
        "plain.example": RelayEntry(None, "any"),
        "broken.example": RelayEntry("[oops", "listed", frozenset({"ann", "bob+news"})),
    },
)


def test_domains_and_their_other_names_are_local() -> None:
    assert is_local_domain(SNAPSHOT, "example.org")
    assert is_local_domain(SNAPSHOT, "alt.example")


@pytest.mark.parametrize("name", ["example.net", "relayed.example", "orphan.example", "", "sub.example.org"])
def test_other_domains_are_not_local(name: str) -> None:
    assert not is_local_domain(SNAPSHOT, name)


def test_relayed_domains_are_known() -> None:
    assert is_relay_domain(SNAPSHOT, "relayed.example")
    assert not is_relay_domain(SNAPSHOT, "example.org")


def test_a_relayed_domain_has_a_transport() -> None:
    assert transport(SNAPSHOT, DomainName("relayed.example")) == "smtp:backend.example.net"


def test_a_relay_without_a_target_goes_to_the_mx_of_the_domain() -> None:
    assert transport(SNAPSHOT, DomainName("plain.example")) == "smtp:plain.example"


def test_what_is_not_relayed_has_no_transport_of_its_own() -> None:
    assert transport(SNAPSHOT, DomainName("example.org")) is None


@pytest.mark.parametrize(
    ("address", "taken", "asked"),
    [
        ("who@relayed.example", True, True),
        ("who@plain.example", True, False),
        ("ann@broken.example", True, False),
        ("Ann+shop@broken.example", True, False),
        ("bob+news@broken.example", True, False),
        ("bob@broken.example", False, False),
        ("who@broken.example", False, False),
        ("ann@example.org", False, False),
        ("ann@elsewhere.example", False, False),
    ],
)
def test_recipients_of_a_relayed_domain_are_asked_for_listed_or_all(address: str, taken: bool, asked: bool) -> None:
    parsed = parse_address(address)
    assert may_be_relay_recipient(SNAPSHOT, parsed) is taken
    assert must_be_asked(SNAPSHOT, parsed) is asked


def test_relayed_domains_that_take_all_are_named() -> None:
    assert takes_all(SNAPSHOT) == ["plain.example"]


def test_a_target_that_cannot_be_read_is_an_error_and_not_an_absence() -> None:
    """Absent would send the mail to wherever the MX points, perhaps back to here."""
    with pytest.raises(BadRelayTarget):
        transport(SNAPSHOT, DomainName("broken.example"))


@pytest.mark.parametrize("address", ["ann@example.org", "ann+x@example.org", "ann@alt.example", "Ann@Example.ORG"])
def test_the_mailbox_of_an_address_is_found_with_detail_and_other_name(address: str) -> None:
    found = mailbox(SNAPSHOT, parse_address(address))
    assert found is not None
    assert found.email == "ann@example.org"


@pytest.mark.parametrize("address", ["team@example.org", "nobody@example.org", "ann@example.net"])
def test_what_is_no_mailbox_has_none(address: str) -> None:
    assert mailbox(SNAPSHOT, parse_address(address)) is None


def test_a_disabled_mailbox_is_found_and_says_that_it_is_disabled() -> None:
    found = mailbox(SNAPSHOT, parse_address("gone@example.org"))
    assert found is not None
    assert not found.enabled


@pytest.mark.parametrize("login", ["ann@example.org", " ANN@example.org ", "ann@alt.example"])
def test_an_account_is_found_by_its_whole_address(login: str) -> None:
    found = account(SNAPSHOT, login)
    assert found is not None
    assert found.email == "ann@example.org"


@pytest.mark.parametrize("login", ["ann", "ann+x@example.org", "team@example.org", "", "@", "a@b@c", "ann@example.net"])
def test_details_aliases_and_half_addresses_are_no_accounts(login: str) -> None:
    assert account(SNAPSHOT, login) is None


def test_a_disabled_account_is_found_so_that_the_refusal_can_say_why() -> None:
    found = account(SNAPSHOT, "gone@example.org")
    assert found is not None
    assert not found.enabled


def test_look_ups_are_no_slower_among_a_hundred_thousand() -> None:
    """Absolute bounds would measure the machine; a scan would be a thousand times slower, not three."""

    def seconds(size: int) -> float:
        snapshot = directory(
            *(user(f"u{n}@example.org") for n in range(size)), alias("t@example.org", "u7@example.org")
        )
        wanted = [parse_address(text) for text in ("u7@example.org", "u7+x@example.org", "t@example.org")]
        best = 1.0
        for _ in range(5):
            started = time.process_time()
            for _ in range(100):
                for address in wanted:
                    resolve(snapshot, address)
                    alias_targets(snapshot, address)
                    sender_logins(snapshot, address)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(100_000) < 10 * seconds(100)
