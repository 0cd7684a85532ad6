"""Copying folders: everything arrives, a second time only what has changed, and never half a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mailu.migrate import trees
from mailu.migrate.ownership import NOBODY_ELSE
from mailu.migrate.parts import Condition, Part, look_at, take
from mailu.migrate.record import Record, UnreadableRecord, load_record
from mailu.migrate.trees import SCRATCH, copy_file, difference, entries_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_bytes(b"x" * 5000)
    (folder / "sub" / "b").write_text("b")
    (folder / "link").symlink_to("sub/b")
    os.utime(folder / "a", ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    return folder


def part_of(source: Path, tmp_path: Path) -> Part:
    return Part("part", source, tmp_path / "target", NOBODY_ELSE)


def begun(tmp_path: Path) -> Record:
    record = Record(tmp_path / "migration", source="somewhere")
    record.save()
    return record


def test_a_copy_has_content_time_mode_and_links(source: Path, tmp_path: Path) -> None:
    (source / "a").chmod(0o640)
    take(look_at(part_of(source, tmp_path), begun(tmp_path)), begun(tmp_path))
    copy = tmp_path / "target" / "a"
    assert copy.read_bytes() == b"x" * 5000
    assert copy.stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640
    assert str((tmp_path / "target" / "link").readlink()) == "sub/b"


def test_nobody_else_gets_to_write_what_is_copied(source: Path, tmp_path: Path) -> None:
    (source / "a").chmod(0o6777)
    take(look_at(part_of(source, tmp_path), begun(tmp_path)), begun(tmp_path))
    assert stat.S_IMODE((tmp_path / "target" / "a").stat().st_mode) == 0o755


def test_only_differences_are_copied(source: Path, tmp_path: Path) -> None:
    record = begun(tmp_path)
    take(look_at(part_of(source, tmp_path), record), record)
    (source / "sub" / "b").write_text("changed")
    (source / "c").write_text("new")
    (source / "a").unlink()
    look = look_at(part_of(source, tmp_path), record)
    assert (look.condition, look.todo.copy, look.todo.remove) == (Condition.OURS, ("c", "sub/b"), ("a",))
    take(look, record)
    assert look_at(part_of(source, tmp_path), record).todo.is_empty


def test_room_is_counted_in_blocks(source: Path, tmp_path: Path) -> None:
    todo = difference(entries_of(source), entries_of(tmp_path / "nothing"))
    assert todo.bytes == 4096 * 3


def test_a_folder_in_use_is_told_from_ours_and_from_a_foreign_one(source: Path, tmp_path: Path) -> None:
    target, new = tmp_path / "target", Record(tmp_path / "migration")
    assert look_at(part_of(source, tmp_path), new).condition is Condition.FREE
    target.mkdir()
    (target / "mine").write_text("x")
    assert look_at(part_of(source, tmp_path), new).condition is Condition.FOREIGN
    (target / "mine").unlink()
    record = begun(tmp_path)
    take(look_at(part_of(source, tmp_path), record), record)
    (target / "mine").write_text("x")
    assert look_at(part_of(source, tmp_path), record).condition is Condition.IN_USE


def test_what_goes_while_it_is_copied_is_told(source: Path, tmp_path: Path) -> None:
    record = begun(tmp_path)
    look = look_at(part_of(source, tmp_path), record)
    (source / "a").unlink()
    assert take(look, record) == ["a"]
    assert "a" not in (record.manifest("part") or {})


def test_an_interrupted_copy_leaves_the_old_file(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def torn(_source: Path, scratch: Path, _mode: int) -> None:
        scratch.write_text("ha")
        raise OSError("the power went")

    monkeypatch.setattr(trees, "_copy_content", torn)
    with pytest.raises(OSError, match="power"):
        copy_file(source / "a", target, NOBODY_ELSE)
    assert target.read_text() == "old"
    monkeypatch.undo()
    copy_file(source / "a", target, NOBODY_ELSE)
    assert target.read_bytes() == b"x" * 5000
    assert not list(tmp_path.glob(f"{SCRATCH}*"))


def test_a_file_system_without_kernel_copies_is_served(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> int:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "copy_file_range", refuses)
    copy_file(source / "a", tmp_path / "copy", NOBODY_ELSE)
    assert (tmp_path / "copy").read_bytes() == b"x" * 5000


def test_names_that_are_no_text_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    Path(os.fsdecode(os.fsencode(source) + b"/\xff\xfe")).write_text("x")
    record = begun(tmp_path)
    take(look_at(part_of(source, tmp_path), record), record)
    assert look_at(part_of(source, tmp_path), record).condition is Condition.OURS
    assert [os.fsencode(path.name) for path in (tmp_path / "target").iterdir()] == [b"\xff\xfe"]


def test_pipes_are_left_and_listed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert entries_of(tmp_path).other == ["pipe"]


def test_a_record_is_for_root_and_is_read_back(tmp_path: Path) -> None:
    record = Record(tmp_path / "migration", "there", "who", 7, {"A": "b"}, {"x": "y"})
    record.save()
    assert stat.S_IMODE((tmp_path / "migration").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "migration" / "record.json").stat().st_mode) == 0o600
    assert load_record(tmp_path) == record
    (tmp_path / "migration" / "record.json").write_text("{")
    with pytest.raises(UnreadableRecord, match=r"record\.json"):
        load_record(tmp_path)
