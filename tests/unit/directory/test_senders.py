"""Who may send as whom."""

from __future__ import annotations

import pytest
from tests.unit.directory.build import ELSEWHERE, alias, directory, user

from mailu.address import parse_address
from mailu.directory.lookup import addresses_of, may_send_as, sender_logins
from mailu.directory.snapshot import Snapshot

ANN = user("ann@example.org")
BOB = user("bob@example.org")


def logins(snapshot: Snapshot, sender: str) -> list[str]:
    return sender_logins(snapshot, parse_address(sender))


def test_people_send_as_themselves() -> None:
    assert logins(directory(ANN, BOB), "ann@example.org") == ["ann@example.org"]


def test_a_detail_does_not_matter() -> None:
    assert logins(directory(ANN, BOB), "ann+shop@example.org") == ["ann@example.org"]


def test_an_address_with_a_delimiter_that_is_somebodys_own_is_only_theirs() -> None:
    snapshot = directory(ANN, user("ann+boss@example.org"))
    assert logins(snapshot, "ann+boss@example.org") == ["ann+boss@example.org"]


def test_the_other_names_of_the_domain_count() -> None:
    snapshot = directory(ANN, alternatives={"alt.example": "example.org"})
    assert logins(snapshot, "ann@alt.example") == ["ann@example.org"]


def test_an_address_that_is_nobodys_is_nobodys() -> None:
    assert logins(directory(ANN), "nobody@example.org") == []


def test_an_address_elsewhere_is_nobodys() -> None:
    assert logins(directory(ANN), ELSEWHERE) == []


def test_everybody_whom_an_alias_leads_to_sends_as_the_alias() -> None:
    snapshot = directory(ANN, BOB, alias("team@example.org", "ann@example.org", "bob@example.org", ELSEWHERE))
    assert logins(snapshot, "team@example.org") == ["ann@example.org", "bob@example.org"]


def test_an_alias_of_an_alias_hands_the_right_on() -> None:
    snapshot = directory(
        ANN, alias("all@example.org", "team@example.org"), alias("team@example.org", "ann@example.org")
    )
    assert logins(snapshot, "all@example.org") == ["ann@example.org"]


def test_whoever_gets_mail_by_a_pattern_sends_as_what_fits_it() -> None:
    snapshot = directory(ANN, BOB, alias("sales%@example.org", "ann@example.org", wildcard=True))
    assert logins(snapshot, "sales-eu@example.org") == ["ann@example.org"]
    assert logins(snapshot, "bob@example.org") == ["bob@example.org"]


def test_a_forwarding_user_owns_the_address_even_without_a_copy() -> None:
    snapshot = directory(user("ann@example.org", forward=[ELSEWHERE], keep=False))
    assert logins(snapshot, "ann@example.org") == ["ann@example.org"]


def test_the_target_of_a_forward_sends_as_the_one_who_forwards() -> None:
    snapshot = directory(user("ann@example.org", forward=["bob@example.org"], keep=False), BOB)
    assert logins(snapshot, "ann@example.org") == ["ann@example.org", "bob@example.org"]


def test_a_forward_hands_on_no_more_than_the_own_address() -> None:
    """Being in the team and forwarding home does not let home speak for the team."""
    snapshot = directory(
        user("ann@example.org", forward=["bob@example.org"]), BOB, alias("team@example.org", "ann@example.org")
    )
    assert logins(snapshot, "team@example.org") == ["ann@example.org"]


def test_a_second_forward_hands_nothing_on() -> None:
    snapshot = directory(
        user("ann@example.org", forward=["bob@example.org"]),
        user("bob@example.org", forward=["cid@example.org"]),
        user("cid@example.org"),
    )
    assert "cid@example.org" not in logins(snapshot, "ann@example.org")


def test_disabled_people_send_as_nobody() -> None:
    snapshot = directory(user("ann@example.org", enabled=False), alias("team@example.org", "ann@example.org"))
    assert logins(snapshot, "ann@example.org") == []
    assert logins(snapshot, "team@example.org") == []


def test_a_disabled_alias_gives_no_right() -> None:
    assert logins(directory(ANN, alias("old@example.org", "ann@example.org", disabled=True)), "old@example.org") == []


def test_spoofing_reaches_every_address_of_the_own_domain_and_its_other_names() -> None:
    snapshot = directory(
        user("boss@example.org", allow_spoofing=True), ANN, alternatives={"alt.example": "example.org"}
    )
    for sender in ("ann@example.org", "nobody@example.org", "ann@alt.example", "x+y@alt.example"):
        assert "boss@example.org" in logins(snapshot, sender)


def test_spoofing_does_not_reach_another_domain() -> None:
    snapshot = directory(
        user("boss@example.org", allow_spoofing=True), user("eve@example.com"), domains=("example.org", "example.com")
    )
    assert logins(snapshot, "eve@example.com") == ["eve@example.com"]
    assert logins(snapshot, ELSEWHERE) == []


def test_spoofing_does_not_reach_the_null_sender() -> None:
    assert sender_logins(directory(user("boss@example.org", allow_spoofing=True)), None) == []


def test_a_disabled_user_does_not_spoof() -> None:
    assert logins(directory(user("boss@example.org", allow_spoofing=True, enabled=False)), "x@example.org") == []


def test_wildcard_senders_send_as_anybody_and_as_nobody() -> None:
    snapshot = directory(ANN, user("bot@example.org"), wildcard_senders=["bot@example.org"])
    for sender in ("ann@example.org", ELSEWHERE, "x@unknown.example"):
        assert "bot@example.org" in logins(snapshot, sender)
    assert sender_logins(snapshot, None) == ["bot@example.org"]


def test_the_null_sender_belongs_to_nobody_else() -> None:
    assert sender_logins(directory(ANN), None) == []


def test_a_loop_of_aliases_gives_no_right_and_ends() -> None:
    snapshot = directory(ANN, alias("a@example.org", "b@example.org"), alias("b@example.org", "a@example.org"))
    assert logins(snapshot, "a@example.org") == []


def test_one_question_can_be_asked_for_yes_or_no() -> None:
    snapshot = directory(ANN, BOB)
    assert may_send_as(snapshot, "ann@example.org", parse_address("ann+x@example.org"))
    assert not may_send_as(snapshot, "bob@example.org", parse_address("ann@example.org"))


# What a login may send as, for the text of a refusal


def test_the_own_address_comes_first_then_its_other_names() -> None:
    snapshot = directory(ANN, alternatives={"alt.example": "example.org"})
    assert addresses_of(snapshot, "ann@example.org") == ["ann@example.org", "ann@alt.example"]


def test_aliases_chains_patterns_and_forwards_are_listed() -> None:
    snapshot = directory(
        ANN,
        user("old@example.org", forward=["ann@example.org"], keep=False),
        alias("team@example.org", "ann+x@example.org"),
        alias("all@example.org", "team@example.org"),
        alias("sales%@example.org", "ann@alt.example", wildcard=True),
        alternatives={"alt.example": "example.org"},
    )
    assert set(addresses_of(snapshot, "ann@example.org")) == {
        "ann@example.org",
        "ann@alt.example",
        "old@example.org",
        "team@example.org",
        "all@example.org",
        "sales%@example.org",
    }


def test_what_is_not_allowed_is_not_listed() -> None:
    snapshot = directory(
        ANN,
        user("bob@example.org", forward=["ann@example.org"]),
        alias("team@example.org", "bob@example.org"),
        alias("off@example.org", "ann@example.org", disabled=True),
    )
    assert addresses_of(snapshot, "ann@example.org") == ["ann@example.org", "bob@example.org"]


def test_whole_domains_and_everything_are_short() -> None:
    snapshot = directory(
        user("boss@example.org", allow_spoofing=True),
        wildcard_senders=["boss@example.org"],
        alternatives={"alt.example": "example.org"},
    )
    assert addresses_of(snapshot, "boss@example.org") == [
        "*",
        "boss@example.org",
        "boss@alt.example",
        "*@example.org",
        "*@alt.example",
    ]


def test_the_list_is_bounded() -> None:
    snapshot = directory(ANN, *(alias(f"a{n}@example.org", "ann@example.org") for n in range(100)))
    assert len(addresses_of(snapshot, "ann@example.org")) == 20
    assert len(addresses_of(snapshot, "ann@example.org", limit=3)) == 3


@pytest.mark.parametrize("login", ["nobody@example.org", "off@example.org"])
def test_strangers_and_disabled_people_have_no_addresses(login: str) -> None:
    assert addresses_of(directory(ANN, user("off@example.org", enabled=False)), login) == []
