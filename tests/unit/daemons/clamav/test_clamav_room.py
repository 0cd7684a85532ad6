"""ClamAV's rooms."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.room_harness import compare_with_golden, make_request

from mailu.daemons.clamav import FRESHCLAM, ROOM

CASES: dict[str, dict[str, str]] = {
    "default": {},
    "small-elsewhere": {"ANTIVIRUS_ADDRESS": "clam", "SMALL_HOST": "true", "LOG_LEVEL": "DEBUG"},
}


@pytest.mark.parametrize("name", CASES)
def test_configuration_is_as_agreed(name: str) -> None:
    request = make_request({"ANTIVIRUS": "clamav"} | CASES[name], service="antivirus")
    compare_with_golden(f"clamav/{name}", {**ROOM.render(request), **FRESHCLAM.render(request)})


def test_a_mirror_of_ones_own_replaces_the_public_one() -> None:
    request = make_request(service="signatures", overrides={"freshclam.conf": "PrivateMirror http://mirror.test\n"})
    text = FRESHCLAM.render(request)["freshclam.conf"].text
    assert "database.clamav.net" not in text
    assert "PrivateMirror http://mirror.test" in text


def test_a_scanner_without_signatures_says_what_it_waits_for(tmp_path: Path) -> None:
    request = make_request(root=tmp_path, service="antivirus")
    assert "signatures" in ROOM.check(request).notes[0]
    (tmp_path / "clamav").mkdir()
    (tmp_path / "clamav" / "daily.cvd").write_text("x")
    assert ROOM.check(request).notes == ()


def test_one_that_does_not_run_is_not_ready(tmp_path: Path) -> None:
    assert (ROOM.ready(make_request(root=tmp_path)) or "").startswith("no answer")
