"""Full disks are told in words, with what they stop."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.unit.deploy.fake_room import situation

from mailu.deploy import space
from mailu.places import Places

MEGABYTE = 1_000_000


def with_disk(monkeypatch: pytest.MonkeyPatch, size: int, free: int, inodes: int = 1000) -> None:
    state = SimpleNamespace(f_blocks=size, f_frsize=1, f_bavail=free, f_files=100_000, f_favail=inodes)
    monkeypatch.setattr("os.statvfs", lambda _: state)


def found(root: Path, **settings: str) -> dict[str, str]:
    here = situation(root, **settings)
    return {folder.name: text for folder, text in space.shortages(here.places, here.settings).items()}


def test_with_room_there_is_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_disk(monkeypatch, 10_000 * MEGABYTE, 5_000 * MEGABYTE)
    assert found(tmp_path) == {}


def test_a_full_disk_is_told_for_every_folder_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_disk(monkeypatch, 10_000 * MEGABYTE, 3 * MEGABYTE)
    told = found(tmp_path)
    assert set(told) == {"mailqueue", "mail", "data", "run"}
    assert told["data"] == (f"the disk of {tmp_path}/data is full (3 MB left of 10000): nothing can be changed")


def test_the_queue_needs_room_for_the_largest_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_disk(monkeypatch, 10_000 * MEGABYTE, 100 * MEGABYTE)
    assert found(tmp_path, MESSAGE_SIZE_LIMIT="50000000") == {}
    assert set(found(tmp_path, MESSAGE_SIZE_LIMIT="80000000")) == {"mailqueue"}


def test_a_disk_that_is_small_on_purpose_is_not_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_disk(monkeypatch, 24 * MEGABYTE, 20 * MEGABYTE)
    assert found(tmp_path, MESSAGE_SIZE_LIMIT="1000000") == {}


def test_without_inodes_it_is_full_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_disk(monkeypatch, 10_000 * MEGABYTE, 5_000 * MEGABYTE, inodes=2)
    assert "no more files can be made on it: 2 of 100000 inodes left" in found(tmp_path)["mail"]


def test_a_folder_that_is_not_there_yet_is_passed_over(tmp_path: Path) -> None:
    places = Places(tmp_path / "nowhere")
    assert space.shortages(places, situation(tmp_path).settings) == {}
    assert not places.root.exists()
