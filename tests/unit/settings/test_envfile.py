"""The mailu.env parser: what Compose's env_file means, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.settings.envfile import parse_env, quote_value, read_env_file

NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8"), max_size=60)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A = b ", "b"),
        ("export A=b", "b"),
        ("  A=b", "b"),
        ("A=", ""),
        ("A=   ", ""),
        ("A=b=c", "b=c"),
        ("A=b c", "b c"),
        ("A=b # comment", "b"),
        ("A=b\t# comment", "b"),
        ("A=b#c", "b#c"),
        ("A= # only a comment", ""),
        ("A='b # c'", "b # c"),
        ("A='b' # comment", "b"),
        ('A="b\\nc"', "b\nc"),
        ('A="say \\"hi\\" \\\\ \\$x"', 'say "hi" \\ $x'),
        ('A="C:\\data"', "C:\\data"),
        ("A='b\\nc'", "b\\nc"),
        ("A=b'c", "b'c"),
        ("A='b\nc'", "b\nc"),
        ("A=`id`", "`id`"),
        ("A=$(id)", "$(id)"),
    ],
)
def test_a_value_is_read_as_compose_reads_it(line: str, value: str) -> None:
    parsed = parse_env(line)
    assert parsed.values == {"A": value}
    assert parsed.problems == ()


def test_blank_lines_and_comments_are_skipped_and_lines_are_counted() -> None:
    parsed = parse_env("# first\n\n  # second\nA='one\ntwo'\nB=3\n")
    assert [(entry.name, entry.line) for entry in parsed.entries.values()] == [("A", 4), ("B", 6)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do(end: str) -> None:
    assert parse_env(f"A=1{end}B=2{end}").values == {"A": "1", "B": "2"}


def test_a_byte_order_mark_is_not_part_of_the_first_name(tmp_path: Path) -> None:
    file = tmp_path / "mailu.env"
    file.write_bytes(b"\xef\xbb\xbfDOMAIN=example.com\r\n")
    assert read_env_file(file).values == {"DOMAIN": "example.com"}


def test_what_is_not_utf8_is_a_problem_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mailu.env"
    file.write_bytes(b"A=1\nSITENAME=B\xfccher\n")
    assert read_env_file(file).problems == ("line 2: byte 0xfc is not UTF-8; save the file as UTF-8",)


def test_of_two_lines_with_one_name_the_last_holds_and_both_are_named() -> None:
    parsed = parse_env("A=1\nB=2\nA=3\n")
    assert parsed.values == {"A": "3", "B": "2"}
    assert parsed.warnings == ("line 3: A was given on line 1 already; this one holds",)


@pytest.mark.parametrize("line", ["A=${HOME}/x", "A=p$ssword", 'A="$HOME"'])
def test_a_dollar_is_kept_and_reported(line: str) -> None:
    parsed = parse_env(line)
    assert "$" in parsed.values["A"]
    assert parsed.warnings == ("line 1: the $ in A is kept as it is, nothing is substituted",)


def test_a_dollar_in_single_quotes_is_meant() -> None:
    assert parse_env("A='$x'").warnings == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("just words", "line 1: expected NAME=value, found 'just words'"),
        ("A=1\n1B=2", "line 2: expected NAME=value, found '1B'"),
        ("A='open", "line 1: A: the closing ' is missing"),
        ('A="b" c', "line 1: A: unexpected 'c' after the closing quote"),
    ],
)
def test_what_is_no_assignment_is_named_with_its_line(text: str, problem: str) -> None:
    assert parse_env(text).problems == (problem,)


def test_a_problem_does_not_hide_the_lines_after_it() -> None:
    parsed = parse_env("nonsense\nA='open\nB=2\n")
    assert len(parsed.problems) == 2
    assert parsed.values == {"B": "2"}


def test_a_problem_never_repeats_a_value() -> None:
    assert "hunter2" not in str(parse_env("SECRET KEY=hunter2").problems)


@given(st.text(max_size=300))
def test_any_text_is_parsed_without_an_exception(text: str) -> None:
    parsed = parse_env(text)
    assert all(entry.line >= 1 for entry in parsed.entries.values())


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_what_is_quoted_is_read_back(values: dict[str, str]) -> None:
    written = {
        name: value.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "") for name, value in values.items()
    }
    text = "".join(f"{name}={quote_value(value)}\n" for name, value in written.items())
    parsed = parse_env(text)
    assert parsed.values == written
    assert parsed.problems == ()
