"""The operator's postfix.cf: what it may set, and how it is put over ours."""

from __future__ import annotations

import pytest

from mailu.daemons.postfix.parameters import Parameter, apply, parse
from mailu.daemons.room import OverrideError

OURS = "# text\nsize = 1\nlist = a,\n  b\n\nother = 2\n"


def test_lines_comments_and_continuations_are_read_as_postfix_reads_them() -> None:
    text = "# a comment\n\nsize=2\nlist =  x,\n\ty,\n  # not this\n  z\n  \nempty =\n"
    assert parse(text) == [Parameter("size", "2", 3), Parameter("list", "x, y, z", 4), Parameter("empty", "", 9)]


def test_of_a_parameter_that_is_there_twice_the_last_counts() -> None:
    assert parse("size = 2\nsize = 3\n") == [Parameter("size", "3", 2)]


def test_a_value_may_hold_equal_signs_and_dollars() -> None:
    assert parse("a = $b = {c=d}")[0].value == "$b = {c=d}"


@pytest.mark.parametrize("line", ["size", "= 2", "si-ze = 2", "[section]", "smtp inet n - n - - smtpd"])
def test_what_is_no_parameter_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(OverrideError, match=r"overrides/postfix/postfix\.cf line 2: .* expected name = value"):
        parse(f"size = 1\n{line}\n")


@pytest.mark.parametrize("name", ["queue_directory", "maillog_file", "mail_owner", "myhostname", "daemon_directory"])
def test_what_would_break_the_service_cannot_be_set(name: str) -> None:
    with pytest.raises(OverrideError, match=f"line 1: {name} cannot be set here: "):
        parse(f"{name} = x")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("hash:/etc/postfix/own.map", "lmdb:$config_directory/own.map"),
        ("x, lmdb:/etc/postfix/own.map, y", "x, lmdb:$config_directory/own.map, y"),
        ("regexp:/etc/postfix/own.map", "regexp:$config_directory/own.map"),
        ("proxy:hash:/etc/postfix/own.map", "proxy:lmdb:$config_directory/own.map"),
        ("hash:/etc/postfix/foreign.map", "hash:/etc/postfix/foreign.map"),
        ("hash:/etc/postfix/own.map.db", "hash:/etc/postfix/own.map.db"),
        ("/etc/aliases", "/etc/aliases"),
    ],
)
def test_tables_that_once_stood_in_etc_postfix_are_found(given: str, meant: str) -> None:
    assert parse(f"a = {given}", ["own.map"])[0].value == meant


def test_a_parameter_of_ours_is_replaced_with_its_continuation_lines() -> None:
    text = apply(OURS, parse("list = c"))
    assert text == (
        "# text\nsize = 1\n# (overridden below) list = a,\n# (overridden below)   b\n\nother = 2\n"
        "\n# From overrides/postfix/postfix.cf\nlist = c\n"
    )


def test_nothing_to_override_changes_nothing() -> None:
    assert apply(OURS, []) == OURS


def test_a_parameter_whose_name_is_part_of_another_leaves_that_alone() -> None:
    assert "\nsize = 1\n" in apply(OURS, parse("siz = 3"))
