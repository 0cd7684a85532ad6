"""The generated reference, and the first file of an installation."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailu.address import parse_domain
from mailu.settings import VARIABLES, load_settings
from mailu.settings.__main__ import main
from mailu.settings.new_file import TRIAL, new_env_file, new_secret
from mailu.settings.reference import reference

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_committed_reference_is_up_to_date() -> None:
    assert main(["--check", str(DOCUMENT)]) == 0


def test_every_variable_is_described_once() -> None:
    text = reference()
    for variable in VARIABLES:
        assert text.count(f"### `{variable.name}`\n") == 1


def test_a_stale_reference_fails_the_check_and_is_rewritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.md"
    assert main(["--check", str(file)]) == 1
    file.write_text("old")
    assert main(["--check", str(file)]) == 1
    assert "is stale; run: python -m mailu.settings" in capsys.readouterr().err
    assert file.read_text() == "old"
    assert main([str(file)]) == 0
    assert main(["--check", str(file)]) == 0


def test_a_new_file_loads_without_a_word(tmp_path: Path) -> None:
    file = tmp_path / "mailu.env"
    file.write_text(new_env_file(parse_domain("example.com"), [parse_domain("mail.example.com")], TRIAL))
    settings = load_settings(file, {})
    assert settings.warnings == ()
    assert settings.bind_addresses == ("127.0.0.1",)
    assert settings.ports == {25, 80, 443, 465, 587, 993, 995, 143, 110, 4190}


def test_each_file_has_a_secret_of_its_own() -> None:
    assert new_secret() != new_secret()
    assert len(new_secret()) == 32


def test_a_bad_line_is_not_written() -> None:
    with pytest.raises(ValueError):
        new_env_file(parse_domain("example.com"), [], {"PORTS": "26"})
    with pytest.raises(KeyError):
        new_env_file(parse_domain("example.com"), [], {"PROTS": "25"})
