"""Reading logs: several services in one order, from the end, and on as they grow."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from mailu.deploy import log_reader
from mailu.deploy.log_reader import follow, last_lines, log_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "imap.log").write_text("2026-01-01T00:00:01.000Z a\n2026-01-01T00:00:03.000Z c\n")
    (tmp_path / "smtp.log").write_text("2026-01-01T00:00:02.000Z b\n2026-01-01T00:00:04.000Z d\n")
    (tmp_path / "smtp.log.1").write_text("2025-01-01T00:00:02.000Z old\n")
    return tmp_path


def test_lines_of_all_services_come_in_the_order_of_time(folder: Path) -> None:
    lines = last_lines(log_files(folder, None), 100)
    assert [(line.service, line.text) for line in lines] == [("imap", "a"), ("smtp", "b"), ("imap", "c"), ("smtp", "d")]
    assert [line.text for line in last_lines(log_files(folder, None), 3)] == ["b", "c", "d"]
    assert last_lines(log_files(folder, None), 0) == []


def test_one_service_only(folder: Path) -> None:
    assert [line.text for line in last_lines(log_files(folder, "smtp"), 100)] == ["b", "d"]
    assert log_files(folder, "absent") == []


def test_a_large_file_is_read_from_its_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "TAIL_BYTES", 40)
    assert [line.text for line in last_lines(log_files(folder, "imap"), 100)] == ["c"]


def test_what_is_added_is_followed_in_new_files_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added = [("imap.log", "2026-01-01T00:00:05.000Z e\n"), ("front.log", "2026-01-01T00:00:06.000Z f\n")]

    def nap(_: float) -> None:
        name, text = added.pop(0)
        with (folder / name).open("a") as stream:
            stream.write(text)

    monkeypatch.setattr(time, "sleep", nap)
    found = list(itertools.islice(follow(folder, None), 2))
    assert [(line.service, line.text) for line in found] == [("imap", "e"), ("front", "f")]


def test_half_a_line_waits_for_its_end(folder: Path) -> None:
    following = log_reader._Following(folder / "imap.log", at_end=True)
    with (folder / "imap.log").open("a") as stream:
        stream.write("2026-01-01T00:00:05.000Z half")
        stream.flush()
        assert following.read() == []
        stream.write(" and whole\n")
    assert [line.text for line in following.read()] == ["half and whole"]


def test_a_rotated_file_is_read_from_the_start(folder: Path) -> None:
    following = log_reader._Following(folder / "imap.log", at_end=True)
    (folder / "imap.log").rename(folder / "imap.log.1")
    (folder / "imap.log").write_text("2026-01-01T00:00:07.000Z after\n")
    assert [line.text for line in following.read()] == ["after"]


def test_a_file_that_is_gone_is_silence(folder: Path) -> None:
    following = log_reader._Following(folder / "imap.log", at_end=True)
    (folder / "imap.log").unlink()
    assert following.read() == []
