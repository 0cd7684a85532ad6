"""What DNS says beside what it should, on a page of the domain."""

from __future__ import annotations

import re

import pytest
from tests.unit.web.addresses import PEOPLE
from tests.unit.web.conftest import Browser

from mailu.identity.authoritative import Dns
from mailu.identity.dns_answers import Found

PATH = "/admin/domain/details/example.test/check"


def _rows(text: str) -> dict[str, str]:
    """Name and type to the row's text."""
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", text, re.DOTALL)
    plain = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]
    return {" ".join(row.split()[:2]): row for row in plain}


def test_expected_and_found_stand_side_by_side(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(_dns: Dns, name: str, kind: str) -> Found:
        return Found(("10 elsewhere.example.net.",) if kind == "MX" else ())

    monkeypatch.setattr(Dns, "look", look)
    browser.sign_on(PEOPLE["manager"])
    rows = _rows(browser.get(PATH).text)
    mx = rows["example.test MX"]
    assert "wrong" in mx
    assert "mail goes to elsewhere.example.net." in mx
    assert mx.index("10 mail.example.test.") < mx.index("10 elsewhere.example.net.")
    assert "missing" in rows["example.test TXT"]
    assert "nothing" in rows["example.test TXT"]


def test_a_server_that_does_not_answer_says_nothing_about_the_records(browser: Browser) -> None:
    browser.sign_on(PEOPLE["manager"])
    rows = _rows(browser.get(PATH).text)
    assert rows
    assert all("no answer" in row for row in rows.values())
