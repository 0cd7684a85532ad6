"""DKIM rotation: nobody signs with a key that verifiers cannot find, and none is withdrawn while mail is under way."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailu.address import DomainName
from mailu.identity import dkim, rotation
from mailu.identity.dkim import DkimKeyError, Selector, SigningKey
from mailu.identity.rotation import RotationUnderWay, Verdict

DOMAIN = DomainName("example.org")
OTHER = DomainName("example.net")
KEEP = timedelta(days=7)
NOW = datetime(2026, 3, 14, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A domain that signs with the two usual keys."""
    dkim.ensure_keys(tmp_path, DOMAIN)
    return tmp_path


def selectors(folder: Path, state: dkim.State) -> list[str]:
    return [key.selector for key in dkim.load_keys(folder, DOMAIN, (state,))]


def say(verdict: Verdict) -> Callable[[SigningKey], Verdict]:
    return lambda _key: verdict


def age(folder: Path, by: timedelta) -> None:
    for path in folder.iterdir():
        moment = path.stat().st_mtime - by.total_seconds()
        os.utime(path, (moment, moment))


def test_new_keys_wait_and_the_old_ones_sign_on(folder: Path) -> None:
    steps = rotation.begin(folder, DOMAIN, now=NOW)
    assert [step.what for step in steps] == ["began", "began"]
    assert selectors(folder, "pending") == ["dkim202603", "dkim202603-ed25519"]
    assert selectors(folder, "active") == ["dkim", "dkim-ed25519"]


@pytest.mark.parametrize("verdict", ["missing", "unknown"])
def test_a_record_that_is_not_certainly_seen_lets_no_key_sign(folder: Path, verdict: Verdict) -> None:
    rotation.begin(folder, DOMAIN, now=NOW)
    assert rotation.advance(folder, DOMAIN, seen=say(verdict), keep=KEEP) == []
    assert selectors(folder, "active") == ["dkim", "dkim-ed25519"]


def test_one_record_of_two_is_not_enough(folder: Path) -> None:
    rotation.begin(folder, DOMAIN, now=NOW)
    assert (
        rotation.advance(folder, DOMAIN, seen=lambda key: "seen" if key.algorithm == "rsa" else "missing", keep=KEEP)
        == []
    )


def test_seen_keys_sign_and_the_old_ones_retire_with_their_records_still_shown(folder: Path) -> None:
    rotation.begin(folder, DOMAIN, now=NOW)
    steps = rotation.advance(folder, DOMAIN, seen=say("seen"), keep=KEEP)
    assert [step.what for step in steps] == ["activated", "activated", "retired", "retired"]
    assert selectors(folder, "active") == ["dkim202603", "dkim202603-ed25519"]
    assert [key.selector for key in rotation.published(folder, DOMAIN)][2:] == ["dkim", "dkim-ed25519"]


def test_retired_keys_are_withdrawn_only_after_mail_under_way_is_safe(folder: Path) -> None:
    rotation.begin(folder, DOMAIN, now=NOW)
    rotation.activate(folder, DOMAIN)
    now = datetime.now(UTC)
    assert rotation.advance(folder, DOMAIN, seen=say("seen"), keep=KEEP, now=now + KEEP - timedelta(hours=1)) == []
    steps = rotation.advance(folder, DOMAIN, seen=say("seen"), keep=KEEP, now=now + KEEP + timedelta(hours=1))
    assert [(step.what, step.selector) for step in steps] == [("withdrawn", "dkim"), ("withdrawn", "dkim-ed25519")]
    assert selectors(folder, "active") == ["dkim202603", "dkim202603-ed25519"]


def test_a_key_is_kept_longer_than_any_queue_keeps_mail() -> None:
    assert rotation.keep_for(5 * 86400) == timedelta(days=7)


def test_a_key_of_one_algorithm_retires_those_of_its_own_only(folder: Path) -> None:
    dkim.add_key(folder, DOMAIN, Selector("next", "rsa"))
    rotation.activate(folder, DOMAIN)
    assert selectors(folder, "active") == ["next", "dkim-ed25519"]


def test_a_second_rotation_waits_for_the_first(folder: Path) -> None:
    rotation.begin(folder, DOMAIN, now=NOW)
    with pytest.raises(RotationUnderWay, match="dkim202603"):
        rotation.begin(folder, DOMAIN, now=NOW)


def test_selectors_are_never_used_again_within_a_month(folder: Path) -> None:
    rotation.begin(folder, DOMAIN, now=NOW)
    rotation.activate(folder, DOMAIN)
    rotation.begin(folder, DOMAIN, now=NOW)
    assert selectors(folder, "pending") == ["dkim202603n2", "dkim202603n2-ed25519"]


def test_giving_up_leaves_the_keys_that_sign(folder: Path) -> None:
    rotation.begin(folder, DOMAIN, now=NOW)
    assert len(rotation.cancel(folder, DOMAIN)) == 2
    assert [key.selector for key in rotation.published(folder, DOMAIN)] == ["dkim", "dkim-ed25519"]
    with pytest.raises(DkimKeyError, match="no key"):
        rotation.activate(folder, DOMAIN)


def test_the_schedule_counts_from_the_youngest_key_that_signs_and_pauses_meanwhile(folder: Path) -> None:
    year = timedelta(days=365)
    assert not rotation.is_due(folder, DOMAIN, year)
    age(folder, timedelta(days=366))
    assert rotation.is_due(folder, DOMAIN, year)
    rotation.begin(folder, DOMAIN)
    assert not rotation.is_due(folder, DOMAIN, year)
    rotation.activate(folder, DOMAIN)
    assert not rotation.is_due(folder, DOMAIN, year), "a key is as old as its signing, not as its making"


def test_the_first_keys_of_a_domain_sign_at_once(tmp_path: Path) -> None:
    assert [step.what for step in rotation.begin(tmp_path, DOMAIN)] == ["activated", "activated"]


class TestVerdict:
    @pytest.fixture
    def key(self, folder: Path) -> SigningKey:
        return dkim.load_keys(folder, DOMAIN)[0]

    def test_it_is_seen_however_it_is_spaced(self, key: SigningKey) -> None:
        spaced = key.record.replace("; ", " ;  ").replace("p=", "p= ")
        assert rotation.verdict(key, [DOMAIN], lambda _name: [spaced]) == "seen"

    def test_another_key_there_is_not_this_one(self, key: SigningKey) -> None:
        assert rotation.verdict(key, [DOMAIN], lambda _name: ["v=DKIM1; k=rsa; p=AAAA"]) == "missing"

    def test_no_answer_is_not_no(self, key: SigningKey) -> None:
        assert rotation.verdict(key, [DOMAIN], lambda _name: None) == "unknown"

    def test_another_name_that_signs_must_have_it_too(self, key: SigningKey) -> None:
        at = {f"dkim._domainkey.{DOMAIN}": [key.record], f"old._domainkey.{OTHER}": ["v=DKIM1; p=AAAA"]}
        ask: Callable[[str], list[str]] = lambda name: at.get(name, [])  # noqa: E731
        assert rotation.verdict(key, [DOMAIN, OTHER], ask, signing=["old"]) == "missing"
        at[f"dkim._domainkey.{OTHER}"] = [key.record]
        assert rotation.verdict(key, [DOMAIN, OTHER], ask, signing=["old"]) == "seen"

    def test_another_name_that_nobody_set_up_holds_nothing_back(self, key: SigningKey) -> None:
        at = {f"dkim._domainkey.{DOMAIN}": [key.record]}
        assert rotation.verdict(key, [DOMAIN, OTHER], lambda name: at.get(name, []), signing=["old"]) == "seen"
