"""Names that strangers type stay one harmless word in the log."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.auth.lines import Fingerprints, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ann@example.org", "ann@example.org"),
        ("grün@bücher.example", "grün@bücher.example"),
        ("a b\n\r\tc", "a\\x20b\\n\\r\\tc"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\\nb", "a\\\\nb"),
        ("\u2028\u202e\u00a0", "\\u2028\\u202e\\xa0"),
        ("\udcff", "\\udcff"),
        ("x" * 300, "x" * 255 + "..."),
        ("", ""),
    ],
)
def test_what_could_break_or_forge_a_line_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_whatever_is_typed_stays_one_word(text: str) -> None:
    shown = printable(text)
    assert len(shown.split()) <= 1
    assert shown.isprintable()
    shown.encode()


def test_a_fingerprint_is_the_one_that_mailu_logged() -> None:
    key = b"k" * 32
    assert Fingerprints(key).of("Grün".encode()) == hmac.new(key, "Grün".encode(), "sha256").hexdigest()[:6]
    assert Fingerprints(key).of(b"a") != Fingerprints(key).of(b"b")
