"""Which entry of which list decides, through everything that an address can lead through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.unit.directory.build import alias, directory, user

from mailu.address import parse_address
from mailu.directory.judging import Judgement, judge
from mailu.directory.sender_lists import SERVER, SenderEntry, SenderLists, collect, identity, sender_of
from mailu.directory.snapshot import RelayEntry, Snapshot

ANN, BOB = "ann@example.org", "bob@example.org"
Lists = Mapping[str, Mapping[str, str]]


def lists(given: Lists) -> SenderLists:
    """Owner to sender to verdict."""
    rows = [(owner, sender, verdict) for owner, found in given.items() for sender, verdict in found.items()]
    return collect((owner, SenderEntry(n, sender, verdict)) for n, (owner, sender, verdict) in enumerate(rows))


PEOPLE = directory(
    user(ANN),
    user(BOB),
    user("forwards@example.org", forward=["x@elsewhere.net"], keep=False),
    user("keeps@example.org", forward=[BOB]),
    user("off@example.org", enabled=False),
    alias("team@example.org", ANN, BOB),
    alias("out@example.org", "x@elsewhere.net"),
    alias("half@example.org", ANN, "off@example.org"),
    alias("nested@example.org", "team@example.org"),
    alias("loop@example.org", "loop2@example.org"),
    alias("loop2@example.org", "loop@example.org"),
    alias("w%@example.org", ANN, wildcard=True),
    alias("abuse@example.org", ANN),
    alternatives={"example.com": "example.org"},
    relays={"relayed.net": RelayEntry(None)},
)


def with_lists(given: Lists) -> Snapshot:
    return replace(PEOPLE, sender_lists=lists(given))


def said(
    given: Lists, recipient: str = ANN, mail_from: str = "x@sub.spam.net", *, proven: bool = False, client: str = ""
) -> Judgement:
    sender = sender_of(mail_from, client=client, proven=proven)
    return judge(with_lists(given), parse_address(recipient), sender)


def decides(given: Lists, **how: object) -> tuple[str, str] | None:
    """Owner and sender of the entry that decides for Ann."""
    (leaf,) = said(given, **how).leaves or (None,)  # type: ignore[arg-type]
    return None if leaf is None or leaf.listed is None else (leaf.listed.owner, leaf.listed.entry.sender)


@pytest.mark.parametrize(
    "entry", ["x@sub.spam.net", "sub.spam.net", "spam.net", "net"]
)  # fmt: skip
def test_an_address_its_domain_and_every_domain_above_fit(entry: str) -> None:
    assert said({ANN: {entry: "deny"}}).is_refused


@pytest.mark.parametrize("entry", ["y@sub.spam.net", "am.net", "x.sub.spam.net", "spam.net.org"])
def test_others_do_not_fit(entry: str) -> None:
    assert said({ANN: {entry: "deny"}}) == Judgement()


def test_the_mailbox_overrules_its_domain_which_overrules_the_server() -> None:
    every: Lists = {owner: {"spam.net": "deny"} for owner in (ANN, "example.org", SERVER)}
    assert decides(every) == (ANN, "spam.net")
    assert decides({owner: every[owner] for owner in ("example.org", SERVER)}) == ("example.org", "spam.net")
    assert decides({SERVER: every[SERVER]}) == (SERVER, "spam.net")
    mine: Lists = {**every, ANN: {"net": "allow"}}
    assert decides(mine, proven=True) == (ANN, "net"), "whose list it is counts more than how specific an entry is"


def test_in_one_list_the_most_specific_entry_decides() -> None:
    entries = {"net": "deny", "spam.net": "allow", "sub.spam.net": "deny", "x@sub.spam.net": "allow"}
    for entry in reversed(list(entries)):
        assert decides({ANN: entries}, proven=True) == (ANN, entry)
        entries = {name: verdict for name, verdict in entries.items() if name != entry}


def test_an_allow_entry_is_passed_over_for_whoever_is_not_proven() -> None:
    given: Lists = {ANN: {"x@sub.spam.net": "allow", "spam.net": "deny"}, SERVER: {"net": "deny"}}
    assert not said(given, proven=True).is_refused
    assert decides(given) == (ANN, "spam.net")
    assert decides({ANN: {"spam.net": "allow"}, SERVER: {"net": "deny"}}) == (SERVER, "net")


def test_of_two_equally_specific_entries_deny_decides() -> None:
    given = lists({ANN: {"one.net": "allow", "two.net": "deny"}})
    for order in (("a@one.net", "b@two.net"), ("b@two.net", "a@one.net")):
        found = given.listed((ANN,), sender_of(order[0], [order[1]], proven=True))
        assert found is not None
        assert found.entry.verdict == "deny"
        assert found.fits == "b@two.net"


def test_the_headers_sender_counts_like_the_envelopes() -> None:
    given = lists({ANN: {"spam.net": "deny"}})
    assert given.listed((ANN,), sender_of("x@good.net", ["y@spam.net"]))
    assert given.listed((ANN,), sender_of("", ["y@spam.net"]))
    assert given.listed((ANN,), sender_of("", [])) is None, "a bounce has no sender"


def test_the_smallest_network_decides_and_names_come_first() -> None:
    given: Lists = {SERVER: {"192.0.2.0/24": "deny", "192.0.2.7/32": "allow", "2001:db8::/32": "deny"}}
    assert decides(given, client="192.0.2.8") == (SERVER, "192.0.2.0/24")
    assert decides(given, client="192.0.2.7") == (SERVER, "192.0.2.7/32"), "a network needs no proof"
    assert decides(given, client="::ffff:192.0.2.8") == (SERVER, "192.0.2.0/24")
    assert decides(given, client="2001:db8::1") == (SERVER, "2001:db8::/32")
    assert decides(given, client="192.0.3.1") is None
    assert decides(given, client="unknown") is None
    assert decides({SERVER: {**given[SERVER], "net": "allow"}}, client="192.0.2.8", proven=True) == (SERVER, "net")


@pytest.mark.parametrize(
    "recipient", [ANN, "ann+shop@example.org", "ANN@example.com", "ann+x@example.com", "w1@example.org"]
)
def test_the_mailbox_decides_however_it_is_reached(recipient: str) -> None:
    assert said({ANN: {"spam.net": "deny"}}, recipient).is_refused
    assert said({BOB: {"spam.net": "deny"}}, recipient).leaves[0].verdict is None


@pytest.mark.parametrize("recipient", ["team@example.org", "nested@example.org"])
def test_of_several_mailboxes_each_decides_for_itself(recipient: str) -> None:
    one = said({ANN: {"spam.net": "deny"}}, recipient)
    assert {leaf.target: leaf.verdict for leaf in one.leaves} == {ANN: "deny", BOB: None}
    assert not one.is_refused, "Bob takes it"
    assert said({ANN: {"spam.net": "deny"}, BOB: {"net": "deny"}}, recipient).is_refused


def test_who_is_switched_off_has_no_say() -> None:
    assert said({ANN: {"spam.net": "deny"}}, "half@example.org").is_refused


def test_a_forward_passes_the_lists_of_who_forwards() -> None:
    given: Lists = {"forwards@example.org": {"spam.net": "deny"}}
    assert said(given, "forwards@example.org").is_refused
    assert not said({BOB: {"spam.net": "deny"}}, "keeps@example.org").is_refused, "the copy stays"
    assert said({"keeps@example.org": {"spam.net": "deny"}}, "keeps@example.org").is_refused
    assert said({"example.org": {"spam.net": "deny"}}, "forwards@example.org").is_refused


def test_addresses_elsewhere_follow_the_lists_of_the_domain_and_the_server() -> None:
    assert said({"example.org": {"spam.net": "deny"}}, "out@example.org").is_refused
    assert said({SERVER: {"spam.net": "deny"}}, "out@example.org").is_refused
    assert said({SERVER: {"spam.net": "deny"}}, "x@relayed.net").is_refused
    assert not said({"example.org": {"spam.net": "deny"}}, "x@relayed.net").is_refused


def test_nothing_is_said_of_an_address_that_nobody_has() -> None:
    assert said({SERVER: {"spam.net": "deny"}}, "nobody@example.org") == Judgement()
    assert said({SERVER: {"spam.net": "deny"}}, "loop@example.org") == Judgement()


def test_complaints_arrive() -> None:
    for owner in (SERVER, "example.org"):
        assert not said({owner: {"spam.net": "deny"}}, "abuse@example.org").is_refused
    assert said({ANN: {"spam.net": "deny"}}, "abuse@example.org").is_refused, "her own list is hers"


def test_odd_senders_fit_domains_only() -> None:
    odd = identity('"a b"@Spam.NET')
    assert odd is not None
    assert (odd.address, odd.domain) == ("", "spam.net")
    assert identity("") is identity("no address") is identity("x@-") is None
    assert said({ANN: {"spam.net": "deny"}}, mail_from='"a b"@spam.net').is_refused
