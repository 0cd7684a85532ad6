"""Patterns of wildcard aliases: what they match, which one wins, and that hostile ones cost nothing."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.directory.wildcards import WildcardIndex, matches

LETTERS = st.text(alphabet="ab", max_size=8)
PATTERNS = st.text(alphabet="ab%_", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("%", "anything", True),
        ("%", "", True),
        ("sales%", "sales", True),
        ("sales%", "sales-eu", True),
        ("sales%", "presales", False),
        ("%sales", "presales", True),
        ("%sales", "sales-eu", False),
        ("a%b", "ab", True),
        ("a%b", "a", False),
        ("a%a", "a", False),  # the two ends may not be the same letter
        ("_", "x", True),
        ("_", "", False),
        ("_", "xy", False),
        ("a_c", "abc", True),
        ("a_c", "ac", False),
        ("%a_c%", "xxabcxx", True),
        ("%aab%", "aaab", True),  # the first place that begins well is not the right one
        ("%_a", "ba", True),
        ("%_a", "a", False),
        ("a%%b", "ab", True),
        ("plain", "plain", True),
        ("plain", "plainer", False),
    ],
)
def test_a_pattern_matches_as_sql_like_does(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@given(PATTERNS, LETTERS)
def test_matching_agrees_with_a_regular_expression(pattern: str, text: str) -> None:
    expression = "".join({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in pattern)
    assert matches(pattern, text) is (re.fullmatch(expression, text) is not None)


@given(st.lists(PATTERNS, unique=True, max_size=30), LETTERS)
def test_the_longest_matching_pattern_wins_and_then_the_first_by_letters(patterns: list[str], text: str) -> None:
    fitting = sorted((p for p in patterns if matches(p, text)), key=lambda p: (-len(p), p))
    assert WildcardIndex((p, p) for p in patterns).find(text) == (fitting[0] if fitting else None)


def test_the_index_knows_patterns_by_their_beginning_and_by_their_end() -> None:
    index = WildcardIndex([("%", 1), ("sales%", 2), ("%-list", 3), ("sales%-list", 4), ("_est", 5)])
    assert [index.find(t) for t in ("x", "sales1", "a-list", "sales-list", "test")] == [1, 2, 3, 4, 5]


def test_a_pattern_made_to_be_slow_is_not() -> None:
    started = time.process_time()
    assert not matches("%a" * 31 + "%b", "a" * 64)
    assert time.process_time() - started < 5, "backtracking takes years"


def test_thousands_of_patterns_do_not_slow_a_look_up_down() -> None:
    def seconds(patterns: int) -> float:
        index = WildcardIndex((f"shop{number}-%", number) for number in range(patterns))
        started = time.process_time()
        for _ in range(1000):
            assert index.find("shop4-banana") == 4
        return time.process_time() - started

    assert seconds(5000) < 10 * seconds(5), "one after another would take a thousand times as long"
