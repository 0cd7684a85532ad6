"""Filling templates: what stops a value from becoming a directive of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from mailu.daemons.template import Lines, TemplateError, fill


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A package with a template of its own; the name differs per test because environments are kept."""
    name = f"room_{abs(hash(request.node.nodeid))}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "one.conf").write_text("# {{ comment }}\n{% if on %}\nname = {{ name }}\n{% endif %}\nend\n")
    (folder / "list.conf").write_text("{{ names | join('\n') | lines }}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def test_a_template_is_filled_and_block_marks_leave_no_lines(room: str) -> None:
    assert fill(room, "one.conf", comment="kept", on=True, name="<&>") == "# kept\nname = <&>\nend\n"


def test_a_missing_value_stops_the_rendering(room: str) -> None:
    with pytest.raises(UndefinedError):
        fill(room, "one.conf", comment="kept", on=True)


@pytest.mark.parametrize("value", ["a\nmynetworks = 0.0.0.0/0", "a\rb", "a\0b", "a\u2028b", None])
def test_a_value_cannot_become_a_line_of_its_own(room: str, value: str | None) -> None:
    with pytest.raises(TemplateError):
        fill(room, "one.conf", comment="", on=True, name=value)


def test_text_that_code_made_may_hold_lines(room: str) -> None:
    assert fill(room, "one.conf", comment=Lines("a\n# b"), on=False) == "# a\n# b\nend\n"
    assert fill(room, "list.conf", names=["a", "b"]) == "a\nb\n"
