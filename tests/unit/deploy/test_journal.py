"""Log files and the terminal: whole lines, bounded files, and nothing that could stop a daemon."""

from __future__ import annotations

import io
import logging
import os
import re
from pathlib import Path

import pytest

from mailu.deploy import journal as journal_module
from mailu.deploy.journal import LINE_LIMIT_BYTES, Console, Hidden, Journal, JournalHandler, LineSplitter


@pytest.mark.parametrize("size", [1, 2, 3, 16, 128, 4096])
def test_lines_come_out_whole_whatever_the_size_of_the_reads(size: int) -> None:
    data = "first\nsecönd\r\n\nthird".encode()
    splitter = LineSplitter()
    found = [line for start in range(0, len(data), size) for line in splitter.feed(data[start : start + size])]
    assert found + splitter.finish() == ["first", "secönd", "third"]


def test_a_line_without_end_comes_in_pieces() -> None:
    splitter = LineSplitter()
    assert [len(line) for line in splitter.feed(b"x" * (LINE_LIMIT_BYTES + 1))] == [LINE_LIMIT_BYTES + 1]
    assert splitter.finish() == []


def test_bytes_that_are_no_text_do_not_stop_the_log() -> None:
    assert LineSplitter().feed(b"\xff\xfe ok\n") == ["\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} ok"]


def test_each_line_has_a_time_that_sorts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log" / "smtp.log", console=Console(None))
    journal.write(["one", "two"])
    journal.close()
    lines = journal.path.read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["one", "two"]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", line) for line in lines)
    assert list(journal.tail) == ["one", "two"]


def test_strangers_cannot_read_the_log(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "smtp.log", console=Console(None))
    journal.write(["secret"])
    journal.close()
    assert journal.path.stat().st_mode & 0o007 == 0


def test_old_files_are_kept_up_to_a_number(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "smtp.log", console=Console(None), limit_bytes=100)
    for number in range(20):
        journal.write([f"{number:02d} " + "x" * 60])
    journal.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["smtp.log", "smtp.log.1", "smtp.log.2", "smtp.log.3"]
    newest = [next(iter(path.read_text().split(" ")[1:2])) for path in sorted(tmp_path.iterdir())]
    assert newest == ["19", "18", "17", "16"]


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "smtp.log").mkdir()
    journal = Journal(tmp_path / "smtp.log", console=Console(None))
    journal.write(["still said"])
    assert list(journal.tail) == ["still said"]


def test_the_terminal_shows_who_speaks() -> None:
    stream = io.BytesIO()
    console = Console(stream)
    console.write("imap", "hello")
    console.plain("no name")
    console.close()
    assert stream.getvalue() == b"imap       | hello\nno name\n"


def test_a_terminal_that_nobody_reads_loses_lines_and_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CONSOLE_BACKLOG_LINES", 10)
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb", buffering=0) as stream:
        console = Console(stream)
        for _ in range(1000):
            console.write("imap", "x" * 1000)
        os.close(reader)
        console.close()


def test_records_of_the_agents_say_how_bad_it_is(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "mailu.log", console=Console(None))
    handler = JournalHandler(journal)
    for level, text in [(logging.INFO, "fine"), (logging.WARNING, "hm"), (logging.ERROR, "bad\nvery")]:
        handler.emit(logging.LogRecord("mailu.agent", level, "file", 1, text, None, None))
    journal.close()
    assert list(journal.tail) == ["fine", "warning: hm", "error: bad", "very"]


def test_a_secret_is_in_no_line_whoever_says_it(tmp_path: Path) -> None:
    hidden = Hidden()
    journal = Journal(tmp_path / "antispam.log", console=Console(None), hidden=hidden)
    hidden.keep(["0123456789abcdef", "short", ""])
    journal.write(["cannot read http://rspamd:0123456789abcdef@127.0.0.1/", "a short line"])
    journal.close()
    text = journal.path.read_text()
    assert "http://rspamd:***@127.0.0.1/" in text
    assert "a short line" in text
    assert "0123456789abcdef" not in text + "".join(journal.tail)
