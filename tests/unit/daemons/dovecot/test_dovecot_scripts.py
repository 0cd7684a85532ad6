"""What a mailbox's own active Sieve script is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailu.daemons.dovecot.scripts import ACTIVE, active_script

HOME = "ann@example.com"


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    (tmp_path / HOME / "sieve").mkdir(parents=True)
    return tmp_path


def test_the_name_is_that_of_the_script_the_link_leads_to(mail: Path) -> None:
    (mail / HOME / ACTIVE).symlink_to("sieve/round cube.sieve")
    assert active_script(mail, HOME) == "round cube"


def test_a_script_without_a_name_is_active_too(mail: Path) -> None:
    (mail / HOME / ACTIVE).write_text("keep;")
    assert active_script(mail, HOME) == ""


def test_scripts_that_are_not_active_do_not_count(mail: Path) -> None:
    (mail / HOME / "sieve" / "old.sieve").write_text("keep;")
    assert active_script(mail, HOME) is None
    assert active_script(mail, "nobody@example.com") is None


@pytest.mark.parametrize("home", ["", "..", "../certs", "a/../../b", "/etc"])
def test_no_home_leads_out_of_the_mail(mail: Path, home: str) -> None:
    with pytest.raises(ValueError):
        active_script(mail, home)
