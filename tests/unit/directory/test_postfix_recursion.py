"""What Postfix makes of our alias answers: it asks again for each address of an answer until one stands for itself.

``expanded`` does what ``cleanup_map1n_internal`` of Postfix does, with its limits. On any directory, however tangled,
no message may be deferred for ever, and everybody named by ``resolve`` is reached, nobody else and nobody twice.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.directory.build import alias, directory, user

from mailu.address import EmailAddress, parse_address
from mailu.directory.lookup import MAX_EXPANSION, alias_targets, mailbox, resolve, sender_logins
from mailu.directory.snapshot import AliasEntry, Snapshot, UserEntry

RECURSION_LIMIT = 1000
EXPANSION_LIMIT = MAX_EXPANSION

NAMES = ["a", "b", "c", "d", "a+x"]
ADDRESSES = [f"{name}@{domain}" for name in NAMES for domain in ("example.org", "alt.example")] + ["x@example.net"]
DESTINATIONS = st.lists(st.sampled_from([*ADDRESSES, "b+y@example.org", "none@example.org", "odd"]), max_size=3)


class Deferred(AssertionError):
    """Postfix would say: message not accepted, try again later."""


def expanded(snapshot: Snapshot, recipient: str) -> list[str]:
    """The recipients that Postfix delivers to, after virtual alias expansion and its duplicate filter."""
    todo, stand_for_themselves = [recipient], set[str]()
    index = 0
    while index < len(todo):
        if len(todo) > EXPANSION_LIMIT:
            raise Deferred("unreasonable expansion size")
        steps = 0
        while todo[index] not in stand_for_themselves:
            if steps >= RECURSION_LIMIT:
                raise Deferred("unreasonable nesting")
            steps += 1
            asked = todo[index]
            answer = alias_targets(snapshot, parse_address(asked))
            if answer is None:
                break
            todo[index] = answer[0]
            todo += answer[1:]
            if asked in answer:
                stand_for_themselves.add(asked)
        index += 1
    return list(dict.fromkeys(todo))


@st.composite
def directories(draw: st.DrawFn) -> Snapshot:
    entries: dict[str, UserEntry | AliasEntry] = {}
    for name in NAMES:
        email = f"{name}@example.org"
        kind = draw(st.sampled_from(["user", "alias", "nothing"]))
        destinations = draw(DESTINATIONS)
        if kind == "user":
            entries[email] = user(
                email,
                forward=destinations,
                keep=draw(st.booleans()),
                enabled=draw(st.sampled_from([True, True, False])),
            )
        elif kind == "alias" and destinations:
            entries[email] = alias(email, *destinations, disabled=draw(st.sampled_from([False, False, True])))
    for pattern in draw(st.lists(st.sampled_from(["%", "a%", "%+x", "_"]), unique=True, max_size=2)):
        destinations = draw(DESTINATIONS.filter(bool))
        entries[f"{pattern}@example.org"] = alias(f"{pattern}@example.org", *destinations, wildcard=True)
    return directory(
        *entries.values(),
        alternatives={"alt.example": "example.org"},
        delimiters=draw(st.sampled_from(["+", "", "+-"])),
    )


@given(directories(), st.sampled_from(ADDRESSES))
@settings(max_examples=1500, deadline=None)
@example(
    directory(
        user("a@example.org", forward=["b@example.org"], keep=False),
        user("b@example.org", forward=["c@example.org"], keep=False),
        user("c@example.org", forward=["b@example.org"], keep=False),
        alias("d@example.org", "a@example.org", "b@example.org"),
    ),
    "d@example.org",
)
@example(
    directory(
        user("b@example.org", forward=["a@example.org"]),
        alias("a@example.org", "d@example.org"),
        alias("d@example.org", "b@example.org", "a+x@example.org"),
    ),
    "a@example.org",
)
def test_postfix_reaches_exactly_those_that_resolve_names(snapshot: Snapshot, recipient: str) -> None:
    resolution = resolve(snapshot, parse_address(recipient))
    if resolution.deliver:
        assert sorted(expanded(snapshot, recipient)) == sorted(resolution.deliver)
    else:
        assert expanded(snapshot, recipient) == [recipient]


@given(directories(), st.sampled_from(ADDRESSES))
@settings(max_examples=1000, deadline=None)
def test_every_target_is_a_mailbox_that_takes_mail_or_is_elsewhere(snapshot: Snapshot, recipient: str) -> None:
    resolution = resolve(snapshot, parse_address(recipient))
    assert len(set(resolution.deliver)) == len(resolution.deliver)
    assert bool(resolution.deliver) is (resolution.kind not in ("disabled", "unknown"))
    assert resolution.steps
    for target in resolution.deliver:
        address = parse_address(target)
        entry = mailbox(snapshot, address)
        if address.domain == "example.net":
            assert entry is None
        else:
            assert address.domain == "example.org"
            assert entry is not None
            assert entry.enabled


@given(directories(), st.sampled_from(ADDRESSES))
@settings(max_examples=500, deadline=None)
def test_an_enabled_mailbox_never_refuses_its_own_mail(snapshot: Snapshot, recipient: str) -> None:
    entry = mailbox(snapshot, parse_address(recipient))
    if entry is not None:
        assert (resolve(snapshot, parse_address(recipient)).kind == "disabled") is not entry.enabled


@given(directories(), st.sampled_from(ADDRESSES))
@settings(max_examples=500, deadline=None)
def test_only_enabled_accounts_may_send(snapshot: Snapshot, sender: str) -> None:
    for login in sender_logins(snapshot, parse_address(sender)):
        assert snapshot.users[login].enabled


@given(directories(), st.from_regex(r"[a-d+x]{1,8}", fullmatch=True), st.sampled_from(["example.org", "alt.example"]))
@settings(max_examples=500, deadline=None)
def test_no_address_makes_a_look_up_raise(snapshot: Snapshot, localpart: str, domain: str) -> None:
    address: EmailAddress = parse_address(f"{localpart}@{domain}")
    resolve(snapshot, address)
    sender_logins(snapshot, address)


def test_many_who_forward_and_keep_a_copy_are_not_too_much_for_postfix() -> None:
    people = [user(f"u{n}@example.org", forward=[f"u{n}@example.net"]) for n in range(400)]
    snapshot = directory(*people, alias("all@example.org", *(person.email for person in people)))
    assert len(expanded(snapshot, "all@example.org")) == 800


@pytest.mark.parametrize("size", [50, 300])
def test_people_who_all_forward_to_each_other_are_never_deferred(size: int) -> None:
    names = [f"u{n}@example.org" for n in range(size)]
    snapshot = directory(*(user(name, forward=names) for name in names), alias("all@example.org", *names))
    assert len(expanded(snapshot, names[0])) == (size if size == 50 else 1)
    assert len(expanded(snapshot, "all@example.org")) == (size if size == 50 else 1)
