"""Every input that was ever kept, against every parser that it was kept for; and hypothesis beside it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_once_stays_mended(name: str) -> None:
    kept = corpus.read(name)
    assert kept, f"there is no corpus for {name}"
    for data in kept:
        TARGETS[name](data)


def test_there_is_a_parser_for_every_corpus() -> None:
    assert {path.stem for path in corpus.FOLDER.glob("*.txt")} == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_like_the_corpus_is_read_in_any_pieces(name: str, data: st.DataObject) -> None:
    kept = corpus.read(name)
    pieces = data.draw(st.lists(st.one_of(st.sampled_from(kept), st.binary(max_size=20)), max_size=4))
    TARGETS[name](b"".join(pieces))


@given(st.binary(max_size=60))
def test_a_kept_input_is_read_as_it_was(data: bytes) -> None:
    line = corpus.escape(data)
    assert corpus.unescape(line) == data
    assert "\n" not in line
    assert not line.startswith("#")
