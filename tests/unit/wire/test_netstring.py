"""Netstrings survive any cutting of the stream, and nothing that is not one is believed."""

from __future__ import annotations

import pytest

from mailu.wire import BadRequest
from mailu.wire.netstring import NetstringDecoder, encode

READ_SIZES = (1, 16, 128, 4096)


def pieces(stream: bytes, size: int) -> list[bytes]:
    return [stream[start : start + size] for start in range(0, len(stream), size)]


@pytest.mark.parametrize("size", READ_SIZES)
def test_requests_are_the_same_at_every_read_size(size: int) -> None:
    payloads = [b"", b"domain example.com", b"a,b:c", b"7:inside,", bytes(range(256)), b"x" * 5000]
    decoder = NetstringDecoder()
    stream = b"".join(encode(payload) for payload in payloads)
    assert [payload for piece in pieces(stream, size) for payload in decoder.feed(piece)] == payloads


def test_two_requests_in_one_read_are_two() -> None:
    assert list(NetstringDecoder().feed(b"1:a,2:bc,")) == [b"a", b"bc"]


@pytest.mark.parametrize(
    "stream", [b"x", b":", b"-1:a,", b"+1:a,", b"01:a,", b"00:,", b" 1:a,", b"1;a,", b"1:a;", b"1:aa"]
)
def test_what_is_no_netstring_is_refused(stream: bytes) -> None:
    with pytest.raises(BadRequest):
        list(NetstringDecoder().feed(stream))


@pytest.mark.parametrize("digits", [b"10001:", b"99999999999999999999:", b"999999", b"1" * 5000])
def test_a_length_above_the_limit_is_refused_before_its_bytes_arrive(digits: bytes) -> None:
    with pytest.raises(BadRequest):
        list(NetstringDecoder(10_000).feed(digits))


def test_the_limit_itself_is_taken() -> None:
    assert list(NetstringDecoder(3).feed(b"3:abc,")) == [b"abc"]
    with pytest.raises(BadRequest):
        list(NetstringDecoder(3).feed(b"4:abcd,"))


def test_good_requests_before_a_bad_one_are_given_first() -> None:
    decoded = NetstringDecoder().feed(b"1:a,junk")
    assert next(decoded) == b"a"
    with pytest.raises(BadRequest):
        next(decoded)


def test_an_incomplete_length_waits_for_more() -> None:
    decoder = NetstringDecoder()
    assert list(decoder.feed(b"1")) == []
    assert list(decoder.feed(b"2")) == []
    assert list(decoder.feed(b":abcdefghijkl,")) == [b"abcdefghijkl"]
