"""MTA-STS records and policies as RFC 8461 has them, and nothing else, become a policy of Postfix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.wire import BadRequest
from mailu.wire.mta_sts import MAX_POLICY_BYTES, StsPolicy, parse_policy, parse_record, postfix_policy

# RFC 8461 s3.2.
EXAMPLE = b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"


@pytest.mark.parametrize(
    ("texts", "id_"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=1"], "1"),
        (["unrelated", "v=STSv1; id=1; more=x"], "1"),
        ([], None),
        (["v=STSv1; id=1", "v=STSv1; id=2"], None),
        (["v=STSv1"], None),
        (["v=STSv1; id="], None),
        (["v=STSv1; id=a b"], None),
        (["v=STSv1; id=" + "1" * 33], None),
        (["v=STSv12; id=1"], None),
        (["id=1; v=STSv1"], None),
    ],
)
def test_a_record_is_one_with_an_id_and_the_version_first(texts: list[str], id_: str | None) -> None:
    assert parse_record(texts) == id_


def test_the_example_of_the_rfc_is_read_with_either_line_end() -> None:
    policy = StsPolicy("enforce", 604800, ("mail.example.com", "*.example.net"))
    assert parse_policy(EXAMPLE) == policy
    assert parse_policy(EXAMPLE.replace(b"\r\n", b"\n")) == policy
    assert parse_policy(EXAMPLE.replace(b": ", b":").replace(b"mail", b"MAIL") + b"future: x\r\n") == policy


def test_the_first_of_a_repeated_key_counts_and_the_age_has_a_ceiling() -> None:
    policy = parse_policy(EXAMPLE.replace(b"604800", b"9999999999") + b"mode: none\nmax_age: 1\n")
    assert (policy.mode, policy.max_age_seconds) == ("enforce", 31_557_600)


def test_a_policy_of_none_needs_no_hosts() -> None:
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 0\n") == StsPolicy("none", 0, ())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        EXAMPLE.replace(b"STSv1", b"STSv2"),
        EXAMPLE.replace(b"enforce", b"strict"),
        EXAMPLE.replace(b"max_age: 604800", b""),
        EXAMPLE.replace(b"604800", b"-1"),
        EXAMPLE.replace(b"604800", b"1e9"),
        b"version: STSv1\nmode: enforce\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmax_age: 1\n" + b"mx: a.example\n" * 101,
        EXAMPLE.replace(b"mail.example.com", b"mail.example.com servername=evil"),
        EXAMPLE.replace(b"mail.example.com", b"mail.example.com:evil.example"),
        EXAMPLE.replace(b"mail.example.com", b"*"),
        EXAMPLE.replace(b"mail.example.com", b"a.*.example.com"),
        EXAMPLE.replace(b"mail.example.com", b"-a.example.com"),
        EXAMPLE.replace(b"mail.example.com", b"\xff"),
        b"x" * (MAX_POLICY_BYTES + 1),
    ],
)
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_policy(text)


def test_postfix_is_told_to_verify_the_hosts_by_name() -> None:
    assert postfix_policy(parse_policy(EXAMPLE)) == "secure match=mail.example.com:.example.net servername=hostname"


@given(
    st.binary(max_size=300) | st.lists(st.sampled_from(EXAMPLE.split(b"\r\n")) | st.binary(max_size=20)).map(b"\n".join)
)
def test_any_bytes_are_a_policy_or_none(text: bytes) -> None:
    try:
        policy = parse_policy(text)
    except BadRequest:
        return
    if policy.mode != "none":
        words = postfix_policy(policy).split(" ")
        assert len(words) == 3
