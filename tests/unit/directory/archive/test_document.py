"""Documents are read as they stand, or refused with the place."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mailu.directory.archive import ArchiveError, Problem, json_text, read_document, yaml_text

ODD_WORDS = (
    "yes no null ~ 1e5 0x10 1_000 -prune- <hidden> 2030-12-31 12:30 = << @a %a *a &a !a a:b a#b -|"
    "| a|a |a: b|a #b|a\nb|a\n\nb\n|\n|a\n| a\nb|a\n b\n|\u2028|\x85|\ufeff"
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    [*ODD_WORDS.partition("|")[0].split(), *ODD_WORDS.partition("|")[2].split("|")]
)
SCALARS = st.none() | st.booleans() | st.integers() | TEXTS
PARTS = st.dictionaries(TEXTS, SCALARS | st.lists(SCALARS, max_size=3), min_size=1, max_size=4)
VALUES = SCALARS | st.lists(SCALARS | PARTS, max_size=4) | PARTS
ENTRIES = st.lists(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=6), max_size=4)


@given(ENTRIES, ENTRIES)
def test_what_is_written_is_read_back(users: list[dict[str, object]], aliases: list[dict[str, object]]) -> None:
    sections = [("user", users), ("alias", aliases)]
    for text in ("".join(yaml_text(sections)), "".join(json_text(sections))):
        assert read_document(text).sections == {"user": users, "alias": aliases}


@given(ENTRIES)
def test_yaml_means_the_same_to_another_reader(users: list[dict[str, object]]) -> None:
    assert yaml.safe_load("".join(yaml_text([("user", users)]))) == {"user": users}


def test_sections_are_apart_and_lists_are_indented() -> None:
    text = "".join(yaml_text([("domain", [{"name": "a.test", "alternatives": ["b.test"]}]), ("user", [])]))
    assert text == "domain:\n  - name: a.test\n    alternatives:\n      - b.test\n\nuser: []\n"


def test_json_is_one_line_without_blanks() -> None:
    text = "".join(json_text([("domain", [{"name": "a.test"}, {"name": "b.test"}])]))
    assert text == '{"domain":[{"name":"a.test"},{"name":"b.test"}]}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the document is empty"),
        ("- a", "no mapping"),
        ("users: []", "config-update"),
        ("user: {}", "user: a list is needed"),
        ("user:\n  - email: a\n    email: b\n", "line 3: this is not YAML: the key 'email' stands twice"),
        ("user: [\n", "line 2: this is not YAML"),
        ("user: [!!python/object/apply:os.system [ls]]", "is not for here"),
        ("user: [*nobody]", "nothing is called &nobody"),
        ("user: []\n---\nalias: []\n", "more than one document"),
        ("user: [{? [a] : b}]", "a key is needed"),
        ('{"user": [1,}', "line 1: this is not JSON"),
        ('{"user": [], "user": []}', "stands twice"),
        ('{"user": [NaN]}', "no JSON value"),
        (b"user: [\xff]", "byte 7 is not UTF-8"),
        ("user: " + "[" * 50 + "]" * 50, "nested too deeply"),
        ("a: &a [x]\nuser: [" + "*a, " * 2000 + "]", "references to anchors"),
    ],
)
def test_what_is_no_document_is_refused_with_the_place(text: str | bytes, said: str) -> None:
    with pytest.raises(ArchiveError) as caught:
        read_document(text)
    assert said in " | ".join(str(problem) for problem in caught.value.problems)


def test_repeated_anchors_do_not_multiply() -> None:
    text = "a: &a [x, x]\nuser:\n  - &b [*a, *a]\n  - [*b, *b]\n"
    with pytest.raises(ArchiveError):  # the key "a" is no section; it was read in no time
        read_document(text)


def test_a_day_that_does_not_exist_stays_a_text() -> None:
    assert read_document("user: [{reply_enddate: 2026-02-31}]").sections["user"] == [{"reply_enddate": "2026-02-31"}]


def test_the_values_of_yaml_are_those_of_pyyaml() -> None:
    text = "user: [1, 1.5, yes, off, ~, null, 2026-01-02, 2026-01-02T03:04:05Z, 'a', \"b\", plain, 0o7, 0x1f, !!str 1]"
    assert read_document(text).sections["user"] == yaml.safe_load(text)["user"]


def test_lines_are_told_for_yaml_and_for_spread_json() -> None:
    document = read_document('{\n"user": [\n{"email": "a"}\n]}')
    assert json.loads(document.text)
    lines = document.with_lines(_error("user[0].email")).problems[0].line
    assert lines == 3


def _error(path: str) -> ArchiveError:
    return ArchiveError([Problem(path, "wrong")])
