"""A real Rspamd that asks about the lists of senders, and is answered as by the directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import dkim
import pytest
from tests.bench.processes import wait_until
from tests.unit.daemons.rspamd.milter_client import Envelope, Verdict
from tests.unit.daemons.rspamd.test_rspamd_running import Filter, World, make_message, start, with_attachment
from tests.unit.daemons.rspamd.test_rspamd_running import world as world
from tests.unit.daemons.rspamd.world import SECRET
from tests.unit.directory.build import alias, directory, user
from tests.unit.directory.test_judging import lists

from mailu.identity.dkim import ensure_keys
from mailu.servers.senders import filter_answer, mark

pytestmark = [pytest.mark.daemons, pytest.mark.slow]

ANNA, BOB = "anna@example.org", "bob@example.org"
PEOPLE = directory(user(ANNA), user(BOB), alias("team@example.org", ANNA, BOB))
HEADER = "X-Mailu-Sender-Lists"
POINTS = """
TEST_POINTS {
    type = "header";
    header = "X-Test-Points";
    map = ["regexp;/^many$/"];
    regexp = true;
    score = 40.0;
}
"""
SPF = "v=spf1 ip4:203.0.113.9 -all"
PLAIN = Envelope(mail_from="x@partner.example", recipients=(ANNA,))


@dataclass
class Lists:
    """The filter, and what the lists are now."""

    antispam: Filter

    def say(self, given: Mapping[str, Mapping[str, str]]) -> None:
        snapshot = replace(PEOPLE, sender_lists=lists(given))
        self.antispam.directory.senders = lambda question: filter_answer(snapshot, SECRET, question)

    def judge(self, *headers: str, envelope: Envelope = PLAIN, author: str = "x@partner.example") -> Verdict:
        return self.antispam.judge(make_message(author, ANNA, *headers), envelope)


@pytest.fixture(scope="module")
def antispam(world: World) -> Iterator[Filter]:
    with start(world, overrides={"greylist.conf": "enabled = false;\n", "multimap.conf": POINTS}) as found:
        found.until_domains_are_known()
        yield found


@pytest.fixture
def listed(antispam: Filter) -> Iterator[Lists]:
    antispam.names.texts.clear()
    yield Lists(antispam)
    antispam.names.texts.clear()
    antispam.directory.senders = lambda _question: {}


MANY = "X-Test-Points: many"


def test_a_denied_author_is_refused_whatever_the_envelope_says(listed: Lists) -> None:
    listed.say({ANNA: {"partner.example": "deny"}})
    elsewhere = replace(PLAIN, mail_from="bounces@other.example")
    assert listed.judge(envelope=elsewhere).action == (
        "554 5.7.1 mail from this sender is not accepted for this recipient"
    )
    assert listed.judge(envelope=elsewhere, author="y@other.example").action == "accept"


def test_many_points_are_refused_and_a_proven_sender_who_is_allowed_is_not(listed: Lists) -> None:
    assert listed.judge(MANY).action.startswith("554 5.7.1")
    listed.say({ANNA: {"partner.example": "allow"}})
    assert listed.judge(MANY).action.startswith("554 5.7.1"), "a name that anybody can write"
    listed.antispam.names.texts["partner.example"] = SPF
    verdict = listed.judge(MANY)
    assert (verdict.action, verdict.header("X-Spam")) == ("accept", None)
    assert not verdict.header("X-Spam-Level")
    forged = replace(PLAIN, client_ip="203.0.113.10")
    assert listed.judge(MANY, envelope=forged).action.startswith("554 5.7.1")


def test_spf_of_somebody_else_proves_nothing_about_the_author(listed: Lists) -> None:
    listed.say({ANNA: {"partner.example": "allow"}})
    listed.antispam.names.texts["attacker.example"] = SPF
    attack = replace(PLAIN, mail_from="x@attacker.example")
    assert listed.judge(MANY, envelope=attack).action.startswith("554 5.7.1")
    two = make_message("x@partner.example>, <y@attacker.example", ANNA, MANY)
    assert listed.antispam.judge(two, attack).action.startswith("554 5.7.1")


def test_a_signature_of_the_authors_domain_proves_it(listed: Lists, tmp_path_factory: pytest.TempPathFactory) -> None:
    from mailu.address import DomainName

    listed.say({ANNA: {"x@partner.example": "allow"}})
    message = make_message("x@partner.example", ANNA, MANY)
    envelope = replace(PLAIN, mail_from="bounces@mailer.example")
    for domain, action in (("partner.example", "accept"), ("attacker.example", "554 5.7.1")):
        key = ensure_keys(tmp_path_factory.mktemp("keys"), DomainName(domain))[0]
        listed.antispam.names.texts[f"{key.selector}._domainkey.{domain}"] = key.record
        signature = dkim.sign(message, key.selector.encode(), domain.encode(), key.private_pem.encode())
        assert listed.antispam.judge(signature + message, envelope).action.startswith(action), domain


def test_an_unproven_allow_entry_leaves_the_deny_entry_behind_it(listed: Lists) -> None:
    sender = "x@supplier.example"  # whose SPF no other test has made known: scanners remember it for seconds
    envelope = replace(PLAIN, mail_from=sender)
    listed.say({ANNA: {sender: "allow"}, "example.org": {"supplier.example": "deny"}})
    assert "not accepted for this recipient" in listed.judge(envelope=envelope, author=sender).action
    listed.antispam.names.texts["supplier.example"] = SPF
    assert listed.judge(envelope=envelope, author=sender).action == "accept"


def test_a_network_needs_no_proof(listed: Lists) -> None:
    listed.say({"": {"203.0.113.0/24": "allow"}})
    assert listed.judge(MANY).action == "accept"


def test_what_is_dangerous_is_refused_from_anybody(listed: Lists) -> None:
    listed.say({"": {"203.0.113.0/24": "allow"}, ANNA: {"net": "deny"}})
    listed.say({"": {"203.0.113.0/24": "allow"}})
    verdict = listed.antispam.judge(with_attachment("invoice.exe"), replace(PLAIN, mail_from="bob@example.net"))
    assert verdict.action.endswith("Forbidden attachment extension")


def test_where_recipients_disagree_each_mailbox_is_told_for_itself(listed: Lists) -> None:
    allow_anna = mark(SECRET, "allow", PEOPLE.users[ANNA])
    deny_bob = mark(SECRET, "deny", PEOPLE.users[BOB])
    listed.say({ANNA: {"partner.example": "allow"}, BOB: {"partner.example": "deny"}})
    listed.antispam.names.texts["partner.example"] = SPF
    for recipients in ((ANNA, BOB), ("team@example.org",)):
        verdict = listed.judge(MANY, f"{HEADER}: forged", envelope=replace(PLAIN, recipients=recipients))
        assert verdict.action == "accept", "Anna wants it"
        assert verdict.header(HEADER) == " ".join(sorted([allow_anna, deny_bob]))
        assert HEADER in verdict.removed
        assert verdict.header("X-Spam-Level") == "*" * 14, (verdict, listed.antispam.daemon.said()[-2500:])


def test_nobody_writes_the_words_of_the_lists_but_we(listed: Lists) -> None:
    verdict = listed.judge(f"{HEADER}: {mark(SECRET, 'allow', PEOPLE.users[ANNA])}")
    assert verdict.removed.count(HEADER) == 1
    assert verdict.header(HEADER) is None


def test_while_nobody_knows_the_lists_mail_waits(listed: Lists) -> None:
    listed.antispam.directory.senders = None
    assert listed.judge().action.startswith(("451", "450"))


def test_while_there_are_no_lists_each_process_asks_once_for_as_long_as_it_is_told(world: World) -> None:
    asked = []

    def quiet(seconds: float) -> dict[str, Any]:
        asked.append(seconds)
        return {"quiet_seconds": seconds}

    with start(world) as antispam:
        listed = Lists(antispam)
        antispam.directory.senders = lambda _question: quiet(0.1)
        assert listed.judge().action == "accept"
        listed.say({ANNA: {"partner.example": "deny"}})
        wait_until(lambda: "not accepted" in listed.judge().action, seconds=60, what="the new list")
        asked.clear()
        antispam.directory.senders = lambda _question: quiet(3600)
        assert {listed.judge().action for _ in range(20)} == {"accept"}
        assert 1 <= len(asked) <= 4, "there are four scanners at most"
