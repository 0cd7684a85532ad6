"""Every text of the pages in every language: none missing, none uncertain, none with another name to fill in."""

from __future__ import annotations

import re
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from mailu.web import language
from mailu.web.language import FOLDER, LANGUAGES, choose

WEB = FOLDER.parent
TRANSLATED = sorted(set(LANGUAGES) - {"en"})
NAMES = re.compile(r"%\(\w+\)s")
# The same in more than one language, and rightly so.
UNTRANSLATABLE = {"DNS", "TLS", "Webmail", "Passkey", "Passkeys", "Alias", "Port", "Server", "Menu"}


@cache
def texts() -> frozenset[str]:
    """What code and templates want translated."""
    options = {"templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true"}}
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    found = extract_from_dir(str(WEB), methods, options, keywords={"_": None, "lazy": None, "gettext": None})
    return frozenset(str(message) for _file, _line, message, _comments, _context in found)


def test_there_is_something_to_translate() -> None:
    assert len(texts()) > 450


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_language_is_complete_and_certain(code: str) -> None:
    catalog = read_po(BytesIO((FOLDER / f"{code}.po").read_bytes()))
    found = {str(message.id): message for message in catalog if message.id}
    assert sorted(texts() - found.keys()) == []
    assert sorted(found.keys() - texts()) == []
    assert [text for text, message in found.items() if not message.string or message.fuzzy] == []
    assert not catalog.obsolete


@pytest.mark.parametrize("code", TRANSLATED)
def test_what_is_filled_in_is_the_same_in_every_language(code: str) -> None:
    catalog = read_po(BytesIO((FOLDER / f"{code}.po").read_bytes()))
    wrong = [
        str(message.id)
        for message in catalog
        if message.id and sorted(NAMES.findall(str(message.id))) != sorted(NAMES.findall(str(message.string)))
    ]
    assert wrong == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_language_is_not_english(code: str) -> None:
    same = [text for text, shown in language.load(code).texts.items() if text == shown and len(text.split()) > 2]
    assert [text for text in same if "iPhone" not in text] == []


@pytest.mark.parametrize(
    ("chosen", "accept", "default", "expected"),
    [
        (None, "de-AT,de;q=0.9,en;q=0.5", "en", "de"),
        (None, "en;q=0.5, fr", "de", "fr"),
        (None, "xx, yy;q=0.3", "pt_BR", "pt"),
        (None, "", "en", "en"),
        ("ja", "de", "en", "ja"),
        ("xx", "de", "en", "de"),
        (None, "zh-TW", "en", "zh"),
        (None, "fr;q=0, it;q=0.1", "en", "it"),
        (None, "de;q=high,;;,,=", "nl", "nl"),
        (None, "*", "xx", "en"),
    ],
)
def test_the_language_is_the_best_that_is_wanted_and_there(
    chosen: str | None, accept: str, default: str, expected: str
) -> None:
    assert choose(chosen, accept, default).code == expected


def test_every_file_is_a_language_that_can_be_chosen() -> None:
    assert {Path(path).stem for path in FOLDER.glob("*.po")} == set(TRANSLATED)
