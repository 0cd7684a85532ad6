"""Where mail for an address ends: every rule of precedence, and what follows from them."""

from __future__ import annotations

import time

import pytest
from tests.unit.directory.build import ELSEWHERE, alias, directory, user

from mailu.address import parse_address
from mailu.directory.lookup import MAX_TARGETS, Resolution, alias_targets, resolve
from mailu.directory.snapshot import RelayEntry, Snapshot

ANN = user("ann@example.org")
BOB = user("bob@example.org")


def ask(snapshot: Snapshot, address: str) -> Resolution:
    return resolve(snapshot, parse_address(address))


def ends(snapshot: Snapshot, address: str) -> tuple[str, tuple[str, ...]]:
    resolution = ask(snapshot, address)
    return resolution.kind, resolution.deliver


# Domains


def test_an_alternative_is_replaced_by_its_domain() -> None:
    snapshot = directory(ANN, alternatives={"alt.example": "example.org"})
    assert ends(snapshot, "ann@alt.example") == ("mailbox", ("ann@example.org",))


def test_an_alternative_is_a_full_copy_with_aliases_patterns_and_details() -> None:
    snapshot = directory(
        ANN,
        alias("team@example.org", "ann@example.org"),
        alias("s%@example.org", "ann@example.org", wildcard=True),
        alternatives={"alt.example": "example.org"},
    )
    assert ends(snapshot, "team@alt.example")[1] == ("ann@example.org",)
    assert ends(snapshot, "sales@alt.example")[1] == ("ann@example.org",)
    assert ends(snapshot, "ann+x@alt.example")[1] == ("ann+x@example.org",)


def test_another_domain_is_not_ours_and_says_so() -> None:
    resolution = ask(directory(ANN), ELSEWHERE)
    assert (resolution.kind, resolution.deliver, resolution.local) == ("unknown", (), False)
    assert "not a domain of this server" in resolution.steps[0]


def test_a_relayed_domain_is_not_resolved() -> None:
    assert ask(directory(relays={"relayed.example": RelayEntry(None)}), "x@relayed.example").local is False


# Details


def test_the_detail_is_kept_when_delivering_to_the_mailbox() -> None:
    assert ends(directory(ANN), "ann+news@example.org") == ("mailbox", ("ann+news@example.org",))


def test_the_detail_begins_at_the_first_delimiter() -> None:
    assert ends(directory(ANN), "ann+a+b@example.org") == ("mailbox", ("ann+a+b@example.org",))


@pytest.mark.parametrize("address", ["ann+x@example.org", "ann-x@example.org"])
def test_the_delimiters_are_a_set(address: str) -> None:
    assert ends(directory(ANN, delimiters="+-"), address) == ("mailbox", (address,))


def test_a_character_that_is_no_delimiter_starts_no_detail() -> None:
    assert ends(directory(ANN), "ann-x@example.org") == ("unknown", ())


def test_without_delimiters_there_are_no_details() -> None:
    assert ends(directory(ANN, delimiters=""), "ann+x@example.org") == ("unknown", ())


def test_a_localpart_that_begins_with_a_delimiter_has_no_detail() -> None:
    assert ends(directory(ANN, alias("%@example.org", "ann@example.org", wildcard=True)), "+x@example.org") == (
        "wildcard",
        ("ann@example.org",),
    )


# Mailboxes before aliases


def test_the_exact_mailbox_comes_before_the_one_without_detail() -> None:
    snapshot = directory(ANN, user("ann+x@example.org"))
    assert ends(snapshot, "ann+x@example.org") == ("mailbox", ("ann+x@example.org",))


def test_a_mailbox_beats_an_alias_with_the_same_whole_localpart() -> None:
    snapshot = directory(ANN, BOB, alias("ann+x@example.org", "bob@example.org"))
    assert ends(snapshot, "ann+x@example.org") == ("mailbox", ("ann+x@example.org",))


def test_a_catch_all_does_not_swallow_mail_of_mailboxes() -> None:
    snapshot = directory(ANN, BOB, alias("%@example.org", "bob@example.org", wildcard=True))
    assert ends(snapshot, "ann@example.org") == ("mailbox", ("ann@example.org",))
    assert ends(snapshot, "ann+x@example.org") == ("mailbox", ("ann+x@example.org",))
    assert ends(snapshot, "nobody@example.org") == ("wildcard", ("bob@example.org",))


def test_case_does_not_matter() -> None:
    assert ends(directory(ANN), "ANN+News@Example.ORG") == ("mailbox", ("ann+news@example.org",))


# Forwards


def test_a_forward_with_a_copy_keeps_the_mailbox_among_the_targets() -> None:
    snapshot = directory(user("ann@example.org", forward=[ELSEWHERE]))
    kind, targets = ends(snapshot, "ann@example.org")
    assert kind == "forward"
    assert set(targets) == {ELSEWHERE, "ann@example.org"}


def test_a_forward_without_a_copy_leaves_the_mailbox_out() -> None:
    snapshot = directory(user("ann@example.org", forward=[ELSEWHERE], keep=False))
    assert ends(snapshot, "ann@example.org") == ("forward", (ELSEWHERE,))


def test_a_kept_copy_keeps_its_detail_and_the_forward_does_not_get_it() -> None:
    snapshot = directory(user("ann@example.org", forward=[ELSEWHERE]))
    assert set(ends(snapshot, "ann+x@example.org")[1]) == {ELSEWHERE, "ann+x@example.org"}


def test_a_forward_that_is_switched_off_is_not_followed() -> None:
    snapshot = directory(user("ann@example.org", forward=[ELSEWHERE], forward_enabled=False))
    assert ends(snapshot, "ann@example.org") == ("mailbox", ("ann@example.org",))


def test_a_forward_without_destinations_is_none() -> None:
    snapshot = directory(user("ann@example.org", forward_enabled=True, keep=False))
    assert ends(snapshot, "ann@example.org") == ("mailbox", ("ann@example.org",))


@pytest.mark.parametrize("own", ["ann@example.org", "ann@alt.example"])
def test_listing_oneself_as_a_destination_means_keeping_a_copy(own: str) -> None:
    ann = user("ann@example.org", forward=[own, ELSEWHERE], keep=False)
    snapshot = directory(ann, alternatives={"alt.example": "example.org"})
    assert ends(snapshot, "ann@example.org") == ("forward", ("ann@example.org", ELSEWHERE))


def test_listing_oneself_with_a_detail_files_the_copy_there() -> None:
    snapshot = directory(user("ann@example.org", forward=["ann+copy@example.org", ELSEWHERE], keep=False))
    assert ends(snapshot, "ann@example.org") == ("forward", ("ann+copy@example.org", ELSEWHERE))
    assert ends(snapshot, "ann+copy@example.org") == ("forward", ("ann+copy@example.org", ELSEWHERE))


def test_the_answer_does_not_change_the_entry_it_was_made_from() -> None:
    ann = user("ann@example.org", forward=[ELSEWHERE])
    snapshot = directory(ann)
    assert ask(snapshot, "ann@example.org") == ask(snapshot, "ann@example.org")
    assert snapshot.users["ann@example.org"].forward_destination == (ELSEWHERE,)


# Aliases


def test_an_alias_leads_to_its_destinations_each_once_in_their_order() -> None:
    snapshot = directory(ANN, BOB, alias("team@example.org", "bob@example.org", ELSEWHERE, "ann@example.org"))
    assert ends(snapshot, "team@example.org") == ("alias", ("bob@example.org", ELSEWHERE, "ann@example.org"))


def test_an_alias_with_the_whole_localpart_comes_before_the_one_without_detail() -> None:
    snapshot = directory(
        ANN, BOB, alias("team@example.org", "ann@example.org"), alias("team+x@example.org", "bob@example.org")
    )
    assert ends(snapshot, "team+x@example.org") == ("alias", ("bob@example.org",))


def test_an_alias_without_the_detail_puts_it_into_each_destination() -> None:
    snapshot = directory(ANN, alias("team@example.org", "ann@example.org", ELSEWHERE))
    assert ends(snapshot, "team+x@example.org") == ("alias", ("ann+x@example.org", "stranger+x@example.net"))


def test_a_destination_with_a_detail_of_its_own_keeps_it() -> None:
    snapshot = directory(ANN, alias("team@example.org", "ann+team@example.org", "stranger+a@example.net"))
    assert ends(snapshot, "team+x@example.org")[1] == ("ann+team@example.org", "stranger+a+x@example.net")


def test_a_pattern_that_fits_without_the_detail_leaves_destinations_unchanged() -> None:
    snapshot = directory(ANN, alias("team_@example.org", "ann@example.org", wildcard=True))
    assert ends(snapshot, "team1+x@example.org") == ("wildcard", ("ann@example.org",))


def test_an_exact_alias_beats_every_pattern_however_long() -> None:
    snapshot = directory(
        ANN,
        BOB,
        alias("sales@example.org", "ann@example.org"),
        alias("s%a%l%e%s%@example.org", "bob@example.org", wildcard=True),
    )
    assert ends(snapshot, "sales@example.org") == ("alias", ("ann@example.org",))
    assert ends(snapshot, "sales+x@example.org") == ("alias", ("ann+x@example.org",))


def test_among_patterns_the_longest_wins() -> None:
    snapshot = directory(
        ANN,
        BOB,
        alias("%@example.org", "ann@example.org", wildcard=True),
        alias("sales%@example.org", "bob@example.org", wildcard=True),
    )
    assert ends(snapshot, "sales-eu@example.org") == ("wildcard", ("bob@example.org",))
    assert ends(snapshot, "other@example.org") == ("wildcard", ("ann@example.org",))


def test_a_pattern_without_the_detail_comes_before_one_for_the_whole() -> None:
    snapshot = directory(
        ANN,
        BOB,
        alias("sales@example.org", "ann@example.org", wildcard=True),
        alias("sales+special%@example.org", "bob@example.org", wildcard=True),
    )
    assert ends(snapshot, "sales+special1@example.org") == ("wildcard", ("ann@example.org",))


def test_a_percent_sign_in_an_ordinary_alias_is_a_percent_sign() -> None:
    snapshot = directory(ANN, alias("50%@example.org", "ann@example.org"))
    assert ends(snapshot, "50%@example.org") == ("alias", ("ann@example.org",))
    assert ends(snapshot, "501@example.org") == ("unknown", ())


def test_patterns_of_one_domain_do_not_reach_into_another() -> None:
    snapshot = directory(
        ANN, alias("%@example.org", "ann@example.org", wildcard=True), domains=("example.org", "example.com")
    )
    assert ends(snapshot, "x@example.com") == ("unknown", ())


def test_aliases_of_aliases_are_followed_to_the_end() -> None:
    snapshot = directory(
        ANN,
        alias("all@example.org", "team@example.org", ELSEWHERE),
        alias("team@example.org", "ann@example.org"),
    )
    assert ends(snapshot, "all@example.org") == ("alias", ("ann@example.org", ELSEWHERE))


def test_someone_reached_on_two_ways_is_named_once() -> None:
    snapshot = directory(
        ANN,
        alias("all@example.org", "one@example.org", "two@example.org", "ann@example.org"),
        alias("one@example.org", "ann@example.org"),
        alias("two@example.org", "ann@example.org", ELSEWHERE),
    )
    assert ends(snapshot, "all@example.org")[1] == ("ann@example.org", ELSEWHERE)


def test_a_chain_longer_than_any_stack_is_followed() -> None:
    chain = [alias(f"a{n}@example.org", f"a{n + 1}@example.org") for n in range(3000)]
    assert ends(directory(ANN, *chain, alias("a3000@example.org", "ann@example.org")), "a0@example.org")[1] == (
        "ann@example.org",
    )


def test_a_destination_that_does_not_exist_is_left_out_and_named() -> None:
    snapshot = directory(ANN, alias("team@example.org", "ann@example.org", "gone@example.org"))
    resolution = ask(snapshot, "team@example.org")
    assert resolution.deliver == ("ann@example.org",)
    assert "gone@example.org does not exist." in resolution.steps


def test_an_alias_that_leads_nowhere_is_unknown_so_that_mail_is_refused_at_once() -> None:
    assert ends(directory(alias("team@example.org", "gone@example.org")), "team@example.org") == ("unknown", ())


@pytest.mark.parametrize("odd", ["no-at", "two@at@example.net", "a b@example.net", "x@", "@example.net", "a,b@x.net"])
def test_a_destination_that_is_no_address_is_left_out(odd: str) -> None:
    snapshot = directory(ANN, alias("team@example.org", "ann@example.org", odd))
    assert ends(snapshot, "team@example.org") == ("alias", ("ann@example.org",))


def test_an_address_elsewhere_may_be_stranger_than_ours() -> None:
    """A localpart with two dots in a row is refused here, but some servers have such mailboxes."""
    snapshot = directory(alias("team@example.org", "a..b@example.net"))
    assert ends(snapshot, "team@example.org") == ("alias", ("a..b@example.net",))


# Disabled


def test_a_disabled_mailbox_takes_no_mail() -> None:
    assert ends(directory(user("ann@example.org", enabled=False)), "ann@example.org") == ("disabled", ())


def test_a_disabled_mailbox_does_not_forward_either() -> None:
    snapshot = directory(user("ann@example.org", enabled=False, forward=[ELSEWHERE]))
    assert ends(snapshot, "ann@example.org") == ("disabled", ())


def test_mail_for_a_disabled_mailbox_does_not_fall_to_the_catch_all() -> None:
    snapshot = directory(
        user("ann@example.org", enabled=False), BOB, alias("%@example.org", "bob@example.org", wildcard=True)
    )
    assert ends(snapshot, "ann@example.org") == ("disabled", ())
    assert ends(snapshot, "ann+x@example.org") == ("disabled", ())


def test_an_alias_goes_on_reaching_the_others_when_one_is_disabled() -> None:
    snapshot = directory(
        user("ann@example.org", enabled=False), BOB, alias("team@example.org", "ann@example.org", "bob@example.org")
    )
    assert ends(snapshot, "team@example.org") == ("alias", ("bob@example.org",))


def test_an_alias_for_disabled_mailboxes_only_is_disabled() -> None:
    snapshot = directory(user("ann@example.org", enabled=False), alias("team@example.org", "ann@example.org"))
    assert ends(snapshot, "team@example.org") == ("disabled", ())


def test_a_disabled_alias_is_refused_as_disabled() -> None:
    snapshot = directory(ANN, alias("shop.banana@example.org", "ann@example.org", disabled=True))
    assert ends(snapshot, "shop.banana@example.org") == ("disabled", ())


def test_a_disabled_alias_never_matches_so_a_pattern_gets_the_mail() -> None:
    snapshot = directory(
        ANN,
        BOB,
        alias("shop@example.org", "ann@example.org", disabled=True),
        alias("%@example.org", "bob@example.org", wildcard=True),
    )
    resolution = ask(snapshot, "shop@example.org")
    assert resolution.deliver == ("bob@example.org",)
    assert "disabled" in resolution.steps[0]


def test_a_disabled_pattern_never_matches() -> None:
    snapshot = directory(ANN, alias("%@example.org", "ann@example.org", wildcard=True, disabled=True))
    assert ends(snapshot, "x@example.org") == ("unknown", ())


def test_an_alias_of_a_disabled_owner_never_matches_even_if_it_leads_to_others() -> None:
    ann = user("ann@example.org", enabled=False)
    owned = alias("shop.banana@example.org", "bob@example.org", owner="ann@example.org")
    assert ends(directory(ann, BOB, owned), "shop.banana@example.org") == ("disabled", ())


def test_enabling_the_owner_restores_the_alias() -> None:
    owned = alias("shop.banana@example.org", "ann@example.org", owner="ann@example.org")
    assert ends(directory(ANN, owned), "shop.banana@example.org") == ("alias", ("ann@example.org",))


# Loops


def test_two_forwards_that_point_at_each_other_lose_nothing() -> None:
    snapshot = directory(
        user("ann@example.org", forward=["bob@example.org"], keep=False),
        user("bob@example.org", forward=["ann@example.org"], keep=False),
    )
    assert ends(snapshot, "ann@example.org") == ("forward", ("ann@example.org",))
    assert ends(snapshot, "bob@example.org") == ("forward", ("bob@example.org",))
    assert "a loop" in ask(snapshot, "ann@example.org").steps[0]


def test_a_loop_with_a_way_out_goes_the_way_out() -> None:
    snapshot = directory(
        user("ann@example.org", forward=["bob@example.org"], keep=False),
        user("bob@example.org", forward=["ann@example.org", ELSEWHERE], keep=False),
    )
    assert ends(snapshot, "ann@example.org")[1] == (ELSEWHERE,)
    assert ends(snapshot, "bob@example.org")[1] == (ELSEWHERE,)


def test_a_forward_to_somebody_who_keeps_a_copy_and_sends_it_back_ends_there() -> None:
    snapshot = directory(
        user("ann@example.org", forward=["bob@example.org"], keep=False),
        user("bob@example.org", forward=["ann@example.org"]),
    )
    assert ends(snapshot, "ann@example.org")[1] == ("bob@example.org",)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_forward_without_a_copy_that_leads_nowhere_leaves_the_mail_where_it_is(enabled: bool) -> None:
    gone = [] if enabled else [user("gone@example.org", enabled=False)]
    snapshot = directory(user("ann@example.org", forward=["gone@example.org"], keep=False), *gone)
    assert ends(snapshot, "ann@example.org") == ("forward", ("ann@example.org",))
    assert "leads nowhere" in ask(snapshot, "ann@example.org").steps[0]


def test_a_member_of_a_team_whose_forward_is_dead_still_gets_the_mail() -> None:
    snapshot = directory(
        user("ann@example.org", forward=["gone@example.org"], keep=False),
        BOB,
        alias("team@example.org", "ann@example.org", "bob@example.org"),
    )
    assert ends(snapshot, "team@example.org")[1] == ("ann@example.org", "bob@example.org")


def test_aliases_that_only_point_at_each_other_are_unknown_and_explained() -> None:
    snapshot = directory(alias("a@example.org", "b@example.org"), alias("b@example.org", "a@example.org"))
    resolution = ask(snapshot, "a@example.org")
    assert (resolution.kind, resolution.deliver) == ("unknown", ())
    assert any("a loop" in step for step in resolution.steps)


def test_a_way_that_merely_joins_again_is_not_called_a_loop() -> None:
    snapshot = directory(
        ANN,
        alias("all@example.org", "one@example.org", "two@example.org"),
        alias("one@example.org", "ann@example.org"),
        alias("two@example.org", "ann@example.org"),
    )
    assert not any("loop" in step for step in ask(snapshot, "all@example.org").steps)


def test_a_catch_all_for_an_address_that_does_not_exist_does_not_run_in_circles() -> None:
    snapshot = directory(alias("%@example.org", "nobody@example.org", wildcard=True))
    assert ends(snapshot, "x@example.org") == ("unknown", ())


# Limits


def test_as_many_targets_as_postfix_takes_are_given() -> None:
    many = alias("all@example.org", *(f"u{n}@example.net" for n in range(MAX_TARGETS)))
    assert len(ends(directory(many), "all@example.org")[1]) == MAX_TARGETS


def test_more_targets_than_postfix_takes_are_refused_and_explained() -> None:
    """Postfix would answer "try again later" for days; some of the targets only would be worse."""
    many = alias("all@example.org", *(f"u{n}@example.net" for n in range(MAX_TARGETS + 1)))
    resolution = ask(directory(many), "all@example.org")
    assert (resolution.kind, resolution.deliver) == ("unknown", ())
    assert "1000" in resolution.steps[-1]


def test_a_forward_to_too_many_leaves_the_mail_in_the_mailbox_and_says_so() -> None:
    crowd = alias("all@example.org", *(f"u{n}@example.net" for n in range(MAX_TARGETS + 1)))
    resolution = ask(directory(user("ann@example.org", forward=["all@example.org"], keep=False), crowd), ANN.email)
    assert (resolution.kind, resolution.deliver) == ("forward", ("ann@example.org",))
    assert "not followed" in resolution.steps[-1]


def test_details_do_not_grow_on_the_way_so_aliases_cannot_be_made_to_double_at_each_step() -> None:
    snapshot = directory(
        ANN,
        alias("a@example.org", "b+1@example.org", "b+2@example.org"),
        alias("b@example.org", "a+1@example.org", "a+2@example.org", "ann@example.org"),
    )
    assert sorted(ends(snapshot, "a+x@example.org")[1]) == ["ann+1@example.org", "ann+2@example.org"]


def test_too_many_steps_are_given_up() -> None:
    chain = [alias(f"a{n}@example.org", f"a{n + 1}@example.org") for n in range(12000)]
    resolution = ask(directory(ANN, *chain, alias("a12000@example.org", "ann@example.org")), "a0@example.org")
    assert (resolution.kind, resolution.deliver) == ("unknown", ())


def test_the_explanation_of_a_large_alias_stays_readable() -> None:
    many = alias("all@example.org", *(f"u{n}@example.net" for n in range(900)))
    steps = ask(directory(many), "all@example.org").steps
    assert len(steps) <= 200
    assert "and 895 more" in steps[0]


# What Postfix is told


def test_the_alias_map_finds_nothing_where_mail_is_refused() -> None:
    snapshot = directory(user("ann@example.org", enabled=False), alias("x@example.org", "gone@example.org"))
    for address in ("ann@example.org", "x@example.org", "nobody@example.org", ELSEWHERE):
        assert alias_targets(snapshot, parse_address(address)) is None


def test_a_mailbox_stands_for_itself_in_the_alias_map() -> None:
    assert alias_targets(directory(ANN), parse_address("ann+x@example.org")) == ["ann+x@example.org"]


def test_the_explanation_names_each_step() -> None:
    snapshot = directory(
        user("ann@example.org", forward=[ELSEWHERE]),
        alias("team@example.org", "ann@example.org"),
        alternatives={"alt.example": "example.org"},
    )
    assert ask(snapshot, "team+x@alt.example").steps == (
        "alt.example is another name of example.org.",
        "team+x@example.org is an alias for ann@example.org.",
        "The detail +x is passed on.",
        "ann+x@example.org is ann@example.org with a detail, which is a mailbox that keeps a copy and forwards to "
        "stranger@example.net.",
        "stranger@example.net is elsewhere.",
    )


def test_no_address_keeps_the_others_waiting_for_long() -> None:
    names = [f"u{n}@example.org" for n in range(1000)]
    people = [user(name, forward=names, keep=False) for name in names]
    tangled = directory(*people, alias("all@example.org", *names))
    started = time.process_time()
    assert ends(tangled, "all@example.org") == ("unknown", ())
    assert ends(tangled, names[0]) == ("forward", (names[0],))
    assert time.process_time() - started < 2
