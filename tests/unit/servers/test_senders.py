"""What Postfix and Rspamd are told about senders whom somebody has on a list."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.directory.build import alias, directory, user
from tests.unit.directory.test_judging import Lists, lists

from mailu.servers.senders import QUIET_SECONDS, REFUSAL, filter_answer, mark, refusal
from mailu.wire import BadRequest

ANN, BOB = "ann@example.org", "bob@example.org"
PEOPLE = directory(user(ANN), user(BOB), alias("team@example.org", ANN, BOB))
SPAM = "x@spam.net"


def at_rcpt(given: Lists, recipient: str = ANN, mail_from: str = SPAM, client: str = "203.0.113.1") -> str | None:
    return refusal(replace(PEOPLE, sender_lists=lists(given)), recipient, mail_from, client)


def at_data(given: Lists, *recipients: str, **more: Any) -> dict[str, Any]:
    asked = {"mail_from": SPAM, "from": [SPAM], "client": "203.0.113.1", "recipients": recipients or [ANN], **more}
    return filter_answer(replace(PEOPLE, sender_lists=lists(given)), "secret", json.dumps(asked).encode())


def test_a_denied_sender_is_refused_for_who_denies_and_the_text_tells_nothing_more() -> None:
    given: Lists = {ANN: {"spam.net": "deny"}}
    assert at_rcpt(given) == REFUSAL
    assert "spam.net" not in REFUSAL
    assert at_rcpt(given, BOB) is None
    assert at_rcpt(given, "team@example.org") is None, "Bob takes it"
    assert at_rcpt(given, "not an address") is None
    assert at_rcpt({"": {"203.0.113.0/24": "deny"}}) == REFUSAL


def test_at_rcpt_an_allow_entry_that_may_apply_keeps_the_deny_entry_behind_it_from_refusing() -> None:
    given: Lists = {ANN: {SPAM: "allow"}, "": {"net": "deny"}}
    assert at_rcpt(given) is None
    assert at_rcpt(given, BOB) == REFUSAL
    cases = at_data(given)["cases"]
    assert cases["none"] == {"refuse": True}
    assert cases["e"] == cases["h"] == cases["eh"] == {"allow": "all"}


def test_the_filter_is_told_nothing_where_no_list_says_anything() -> None:
    assert at_data({ANN: {"other.net": "deny"}}) == {}
    assert at_data({BOB: {"spam.net": "deny"}}, ANN) == {}


def test_while_there_is_no_list_at_all_the_filter_need_not_ask_for_each_message() -> None:
    assert at_data({}) == {"quiet_seconds": QUIET_SECONDS}
    assert QUIET_SECONDS < 1, "entries count within a second"


def test_where_recipients_disagree_there_is_a_word_for_each_mailbox() -> None:
    cases = at_data({ANN: {"spam.net": "allow"}, BOB: {"spam.net": "deny"}}, "team@example.org")["cases"]
    ann, bob = (PEOPLE.users[email] for email in (ANN, BOB))
    assert cases["h"] == {
        "allow": "some",
        "marks": sorted([mark("secret", "allow", ann), mark("secret", "deny", bob)]),
    }
    assert cases["none"] == {"marks": [mark("secret", "deny", bob)]}


def test_the_words_differ_by_mailbox_verdict_and_server() -> None:
    ann, bob = (PEOPLE.users[email] for email in (ANN, BOB))
    made = {mark(s, v, u) for s in ("secret", "other") for v in ("allow", "deny") for u in (ann, bob)}
    assert len(made) == 8


def test_nothing_is_refused_for_recipients_that_were_left_out() -> None:
    assert at_data({ANN: {"spam.net": "deny"}})["cases"]["none"] == {"refuse": True}
    assert "refuse" not in at_data({ANN: {"spam.net": "deny"}}, more=True)["cases"]["none"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_question_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        filter_answer(PEOPLE, "secret", body)


def test_odd_values_are_passed_over() -> None:
    body = json.dumps({"mail_from": 7, "from": [None, SPAM], "recipients": "x", "client": []}).encode()
    assert filter_answer(replace(PEOPLE, sender_lists=lists({ANN: {"net": "deny"}})), "secret", body) == {}
