"""Rewritten senders: addresses that were issued long ago lead back, forged and stale ones do not."""

from __future__ import annotations

import hmac
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.address import parse_address
from mailu.directory import srs

KEY = hmac.digest(b"FIXTURE0FIXTURE0", b"SRS_KEY", "sha256")
OTHER_KEY = b"another key"
ISSUED_ON = date(2026, 11, 23)
ISSUED = "SRS0=ENC2=JM=example.net=alice@example.org"


def test_an_address_issued_by_an_earlier_mailu_leads_back() -> None:
    assert srs.reverse(ISSUED, [KEY], ISSUED_ON) == "alice@example.net"


def test_the_same_sender_is_rewritten_to_the_same_address() -> None:
    assert srs.forward("alice@example.net", KEY, "example.org", ISSUED_ON) == ISSUED
    assert srs.forward(parse_address("alice@example.net"), KEY, "example.org", ISSUED_ON) == ISSUED


def test_a_key_that_was_in_use_before_still_verifies() -> None:
    assert srs.reverse(ISSUED, [OTHER_KEY, KEY], ISSUED_ON) == "alice@example.net"
    assert srs.reverse(ISSUED, [OTHER_KEY], ISSUED_ON) is None


@pytest.mark.parametrize(
    ("days", "good"),
    [(-22, False), (-21, True), (-1, True), (0, True), (1, True), (21, True), (22, False), (400, False)],
)
def test_it_leads_back_for_some_days_only(days: int, good: bool) -> None:
    """Days ahead are those of a clock that was wrong."""
    assert (srs.reverse(ISSUED, [KEY], ISSUED_ON + timedelta(days=days)) is not None) is good


def test_the_time_stamp_goes_round_without_a_gap() -> None:
    last_of_cycle = date(1970, 1, 1) + timedelta(days=1023)
    address = srs.forward("a@example.net", KEY, "example.org", last_of_cycle)
    assert "=77=" in address
    assert srs.reverse(address, [KEY], last_of_cycle + timedelta(days=5)) == "a@example.net"


@pytest.mark.parametrize(
    "changed",
    [
        "SRS0=ENC3=JM=example.net=alice@example.org",
        "SRS0=ENC2=JN=example.net=alice@example.org",
        "SRS0=ENC2=JM=example.com=alice@example.org",
        "SRS0=ENC2=JM=example.net=bob@example.org",
        "SRS0=E=JM=example.net=alice@example.org",
        "SRS0=ENC=JM=example.net=alice@example.org",
        "SRS0=ENC2mte0RKWP=JM=example.net=alice@example.org",
        "SRS0==JM=example.net=alice@example.org",
        "SRS0=ENC2=J!=example.net=alice@example.org",
        "SRS0=ENC2=JM=example.net@example.org",
        "SRS0=ENC2@example.org",
        "alice@example.org",
        "",
    ],
)
def test_what_was_not_issued_leads_nowhere(changed: str) -> None:
    assert srs.reverse(changed, [KEY], ISSUED_ON) is None


def test_a_hash_of_one_letter_is_not_enough_even_if_it_is_right() -> None:
    """With hashes compared as far as they go, sixty-four guesses would make an open relay."""
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        assert srs.reverse(f"SRS0={letter}=JM=example.net=alice@example.org", [KEY], ISSUED_ON) is None


def test_case_changed_on_the_way_does_not_matter() -> None:
    assert srs.reverse(ISSUED.lower(), [KEY], ISSUED_ON) == "alice@example.net"
    assert srs.reverse("Srs0=eNc2=jM=Example.NET=ALICE@example.org", [KEY], ISSUED_ON) == "ALICE@Example.NET"


@pytest.mark.parametrize("separator", ["-", "+", "="])
def test_each_separator_of_the_scheme_is_read(separator: str) -> None:
    assert srs.reverse(ISSUED.replace("SRS0=", f"SRS0{separator}"), [KEY], ISSUED_ON) == "alice@example.net"


def test_an_address_rewritten_elsewhere_goes_back_to_the_first_forwarder() -> None:
    first = "SRS0=abcd=JM=example.net=alice@first.example"
    second = srs.forward(first, KEY, "example.org", ISSUED_ON)
    assert second.startswith("SRS1=")
    assert second.endswith("=first.example==abcd=JM=example.net=alice@example.org")
    assert srs.reverse(second, [KEY], ISSUED_ON) == first


def test_a_third_forwarder_keeps_the_way_short() -> None:
    second = srs.forward("SRS0=abcd=JM=example.net=alice@first.example", OTHER_KEY, "second.example", ISSUED_ON)
    third = srs.forward(second, KEY, "example.org", ISSUED_ON)
    assert "second.example" not in third
    assert srs.reverse(third, [KEY], ISSUED_ON) == "SRS0=abcd=JM=example.net=alice@first.example"


def test_a_forged_second_hop_leads_nowhere() -> None:
    assert srs.reverse("SRS1=AAAA=victim.example==x=JM=a=b@example.org", [KEY], ISSUED_ON) is None


def test_it_is_known_by_its_look() -> None:
    assert [srs.is_srs(a) for a in (ISSUED, "srs1+x@y", "SRS0@x", "srs0x@y")] == [True, True, False, False]


@pytest.mark.parametrize("bad", ["", "nobody", "@example.org", "a@"])
def test_what_is_no_address_cannot_be_rewritten(bad: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        srs.forward(bad, KEY, "example.org", ISSUED_ON)


@given(
    st.text(alphabet="abc+=-._%", min_size=1, max_size=80).filter(lambda t: not srs.is_srs(t)),
    st.from_regex(r"[a-z]{1,10}\.[a-z]{2,5}", fullmatch=True),
    st.dates(min_value=date(1990, 1, 1), max_value=date(2200, 1, 1)),
)
def test_every_sender_comes_back(localpart: str, host: str, day: date) -> None:
    rewritten = srs.forward(f"{localpart}@{host}", KEY, "example.org", day)
    assert srs.reverse(rewritten, [KEY], day) == f"{localpart}@{host}"


@given(st.text(max_size=120))
def test_no_text_raises_or_leads_back_by_chance(text: str) -> None:
    assert srs.reverse(text, [KEY], ISSUED_ON) is None
