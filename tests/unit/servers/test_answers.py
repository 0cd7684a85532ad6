"""What the replayed tables do not show: nothing known yet, faults, keys over HTTP, numbers, and the log's form."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest
from tests.directory_harness import SECRET, handlers, maps, no_usage, policy, sending, snapshot

from mailu.auth.admission import Question
from mailu.auth.buckets import LimitRules
from mailu.auth.counters import MemoryCounters
from mailu.auth.limits import Limits
from mailu.directory.snapshot import Snapshot
from mailu.identity.dkim import ensure_keys
from mailu.servers.bookkeeping import Bookkeeping
from mailu.servers.faults import Faults
from mailu.servers.keeper import NotReady, SnapshotKeeper
from mailu.servers.logs import OneLine
from mailu.servers.metrics import DirectoryMetrics
from mailu.servers.policy import TRY_LATER, is_full, sender_objection
from mailu.servers.rule_scripts import RuleScripts
from mailu.servers.usage import Usage, UsageConversation
from mailu.settings.values import Rate
from mailu.wire.http import HttpRequest, HttpResponse
from mailu.wire.policy import PolicyRequest, from_attributes


def nothing() -> Snapshot:
    raise NotReady("the directory has not been read yet")


def broken() -> Snapshot:
    raise ZeroDivisionError("a fault")


def question(**attributes: str) -> PolicyRequest:
    return from_attributes({"request": "smtpd_access_policy", **attributes})


def get(folder: Path, path: str, *, method: str = "GET", source: object = snapshot, **more: object) -> HttpResponse:
    request = HttpRequest(method, path.partition("?")[0], {"x-mailu-secret": SECRET}, query=_query(path))
    return asyncio.run(handlers(folder, source=source, **more).answer(request))  # type: ignore[arg-type]


def _query(path: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in path.partition("?")[2].split("&") if part)


@pytest.mark.parametrize(
    "name", ["domain example.com", "mailbox a@example.com", "alias a@example.com", "sender-login "]
)
def test_a_map_without_a_directory_says_try_later_and_never_no(name: str) -> None:
    answer = maps(nothing).answer(name.encode())
    assert isinstance(answer, bytes)
    assert b"TEMP the directory has not been read yet" in answer


def test_a_fault_in_a_map_says_try_later_without_telling_why(caplog: pytest.LogCaptureFixture) -> None:
    answer = maps(broken).answer(b"alias ann@example.com")
    assert isinstance(answer, bytes)
    assert b"TEMP internal fault" in answer
    assert "a fault" in caplog.text


@pytest.mark.parametrize("source", [nothing, broken])
def test_policy_without_an_answer_says_try_later(source: object) -> None:
    request = question(protocol_state="RCPT", recipient="ann@example.com")
    assert policy(source).answer(request) == TRY_LATER  # type: ignore[arg-type]


def test_http_without_an_answer_is_not_404(tmp_path: Path) -> None:
    assert get(tmp_path, "/web-names", source=nothing).status == 503
    assert get(tmp_path, "/web-names", source=broken).status == 500
    assert get(tmp_path, "/ready", source=nothing).status == 503


def test_usage_without_a_directory_is_a_failure_that_dovecot_repeats() -> None:
    conversation = UsageConversation(nothing, no_usage(), RuleScripts())
    stream = (
        b"H3\t2\t0\t\tq\nB1\tann@example.com\nS1\tpriv/quota/storage\t1\nC1\nLpriv/quota/storage\tann@example.com\n"
    )
    replies = conversation.received(stream).split(b"\n")
    assert [reply[:1] for reply in replies[:2]] == [b"F", b"F"]


def test_usage_is_told_on_only_when_it_changed() -> None:
    told: list[tuple[str, int]] = []
    usage = Usage(lambda email, used_bytes: told.append((email, used_bytes)))
    bob = snapshot().users["bob@example.com"]
    usage.set(bob, 900)
    usage.set(bob, 950)
    usage.set(bob, 950)
    assert told == [("bob@example.com", 950)]
    assert usage.used_bytes(bob) == 950
    assert usage.used_bytes(bob._replace(home="bob@example.com~2", quota_bytes_used=0)) == 0


@pytest.mark.parametrize(
    ("quota", "used", "size", "full"),
    [
        (1000, 900, 100, False),
        (1000, 900, 101, True),
        (1000, 1000, 0, True),
        (1000, 999, 0, False),
        (0, 10**12, 10**9, False),
    ],
)
def test_a_mailbox_is_full_when_the_message_does_not_fit(quota: int, used: int, size: int, full: bool) -> None:
    assert is_full(snapshot().users["bob@example.com"]._replace(quota_bytes=quota), used, size) is full


def test_a_refusal_of_a_sender_fits_an_smtp_reply_however_many_addresses_there_are() -> None:
    ann = snapshot().users["ann@example.com"]
    aliases = {f"alias-with-a-long-name-{number}@example.com": ("ann@example.com",) for number in range(50)}
    crowded = Snapshot(
        domains=snapshot().domains,
        users={ann.email: ann},
        aliases={
            email: snapshot().aliases["team@example.com"]._replace(email=email, destination=targets)
            for email, targets in aliases.items()
        },
        led_to={ann.email: tuple(aliases)},
    )
    text = sender_objection(crowded, ann.email, "x" * 300 + "@elsewhere.test")
    assert text is not None
    assert len(text) < 480
    assert "and others" in text


def test_a_disabled_account_has_no_rights_left() -> None:
    text = sender_objection(snapshot(), "off@example.com", "off@example.com")
    assert text is not None
    assert text.startswith("550 5.7.1 the account off@example.com is switched off")


def test_limits_of_ones_own_beat_the_general_one_and_none_means_none(caplog: pytest.LogCaptureFixture) -> None:
    limits = sending()
    assert limits.limit_of("ann@example.com", None) == Rate(2, 86400)
    assert limits.limit_of("ann@example.com", "5/hour") == Rate(5, 3600)
    assert limits.limit_of("ann@example.com", "none") is None
    assert limits.limit_of("admin@example.com", "5/hour") is None
    assert limits.limit_of("ann@example.com", "rubbish") == Rate(2, 86400)
    assert limits.limit_of("ann@example.com", "rubbish") == Rate(2, 86400)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert sending(None).limit_of("ann@example.com", None) is None


def test_keys_are_given_in_the_shape_of_a_vault(tmp_path: Path) -> None:
    assert get(tmp_path, "/rspamd/vault/v1/dkim/example.com").status == 404
    (key, *_others) = ensure_keys(tmp_path, snapshot().alternatives["example.net"])
    answer = get(tmp_path, "/rspamd/vault/v1/dkim/example.net")
    assert answer.content_type == "application/json"
    selectors = json.loads(answer.body)["data"]["selectors"]
    assert selectors[0] == {"selector": "dkim", "alg": "rsa", "key": key.rspamd_key, "domain": "example.net"}
    assert get(tmp_path, "/rspamd/vault/v1/dkim/not a domain").status == 404


def test_limits_in_force_are_listed_and_cleared(tmp_path: Path) -> None:
    limits = Limits(LimitRules(Rate(1, 3600), Rate(50, 86400)), MemoryCounters())

    async def fail() -> None:
        ticket = await limits.admit(Question("nobody@example.com", False, "192.0.2.77", "abc"))
        await limits.failed(ticket)  # type: ignore[arg-type]
        limits.release(ticket)  # type: ignore[arg-type]

    asyncio.run(fail())
    listed = json.loads(get(tmp_path, "/limits", limits=limits).body)["limits"]
    assert [(each["kind"], each["origin"]) for each in listed] == [("network", "192.0.2.0")]
    cleared = get(tmp_path, "/limits?address=192.0.2.1", method="DELETE", limits=limits)
    assert json.loads(cleared.body)["cleared"] > 0
    assert json.loads(get(tmp_path, "/limits", limits=limits).body)["limits"] == []


def test_numbers_are_there_before_and_after_the_first_snapshot() -> None:
    keeper = SnapshotKeeper(version=lambda: 1, load=snapshot)
    metrics = DirectoryMetrics(
        keeper=keeper,
        bookkeeping=Bookkeeping(lambda batch: None),
        lookups={"alias": 3},
        policy={"DUNNO": 1},
        logins={("imap", "accepted"): 1},
        connections=lambda: {"map": 2},
    )
    early = metrics.text().decode()
    assert "mailu_directory_database_up 0.0" in early
    assert "mailu_directory_mailboxes" not in early
    assert 'mailu_directory_lookups_total{map="alias"} 3.0' in early
    assert 'mailu_directory_policy_total{action="DUNNO"} 1.0' in early
    assert 'mailu_directory_connections{listener="map"} 2.0' in early


def test_a_log_line_is_one_line_whatever_is_in_it() -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 1, "from %s", ("a\nERROR: forged\r\n\x1b",), None)
    line = OneLine().format(record)
    assert line.startswith("WARNING: from a | ERROR: forged")
    assert "\n" not in line


def test_faults_are_logged_by_kind_at_powers_of_two(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(logging.getLogger("test"))
    for _ in range(9):
        try:
            raise ValueError("here")
        except ValueError as error:
            faults.report("testing", error)
    faults.report("testing", KeyError("elsewhere"))
    assert faults.total == 10
    counts = [record.args[-1] for record in caplog.records if isinstance(record.args, tuple)]
    assert counts == [1, 2, 4, 8, 1]
