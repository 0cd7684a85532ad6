"""Lines and Dovecot's escaping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.wire import BadRequest
from mailu.wire.lines import LineDecoder, escape, split_fields


@pytest.mark.parametrize("size", [1, 16, 128, 4096])
def test_lines_are_the_same_at_every_read_size(size: int) -> None:
    lines = [b"", b"VERSION\t1\t2", b"x" * 1000]
    stream = b"".join(line + b"\n" for line in lines)
    decoder = LineDecoder(1000)
    assert [
        line for start in range(0, len(stream), size) for line in decoder.feed(stream[start : start + size])
    ] == lines


@pytest.mark.parametrize("stream", [b"x" * 11, b"x" * 11 + b"\n"])
def test_a_line_above_the_limit_is_refused(stream: bytes) -> None:
    with pytest.raises(BadRequest):
        list(LineDecoder(10).feed(stream))


def test_a_good_line_before_an_endless_one_is_given() -> None:
    lines = LineDecoder(10).feed(b"good\n" + b"x" * 11)
    assert next(lines) == b"good"
    with pytest.raises(BadRequest):
        next(lines)


@given(st.lists(st.binary(), min_size=1))
def test_escaped_fields_come_back_whole(fields: list[bytes]) -> None:
    line = b"\t".join(escape(field) for field in fields)
    assert b"\n" not in line
    assert split_fields(line) == fields


def test_a_broken_escape_is_the_character_itself() -> None:
    assert split_fields(b"a\x01zb\x01") == [b"azb"]
