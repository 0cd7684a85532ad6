"""Mail that waits at the source, as Postfix's own programs left it there and see it at the new place."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.migrate import sources
from tests.unit.migrate.conftest import Place, named, outcomes, refusals

from mailu.migrate import queue
from mailu.migrate.report import Report

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("postsuper") is None, reason="a queue is made by root, with Postfix"
)
MESSAGE = "From: alice@example.net\nSubject: it waits\n\nStill here?\n"


@pytest.fixture
def waits(master: Path, tmp_path: Path) -> Callable[[str, str], str]:
    """Puts a message that Postfix wrote into a queue of the source, and what was said of it; returns its id.

    The id ``long`` keeps the one that Postfix gave it, made of time and inode (enable_long_queue_ids).
    """
    folder = configuration(tmp_path / "old", master / "mailqueue")
    with (folder / "main.cf").open("a") as stream:
        stream.write("enable_long_queue_ids = yes\n")
    postfix = pwd.getpwnam("postfix")

    def put(name: str, queue_id: str) -> str:
        call("sendmail", "-C", str(folder), "-f", "alice@example.net", "anna@example.org", given=MESSAGE)
        (written,) = (path for path in (master / "mailqueue/maildrop").iterdir() if path.stat().st_mode & 0o100)
        queue_id = written.name if queue_id == "long" else queue_id
        target = master / "mailqueue" / name / queue_id
        target.parent.mkdir(parents=True, exist_ok=True)
        written.rename(target)
        log = master / "mailqueue/defer" / queue_id[0] / queue_id
        log.parent.mkdir(exist_ok=True)
        log.write_text("<bob@example.com>: it was away\nrecipient=bob@example.com\n")
        for path in (target, log):
            os.chown(path, postfix.pw_uid, postfix.pw_gid)
        target.chmod(0o700)
        return queue_id

    return put


def configuration(folder: Path, queue_directory: Path) -> Path:
    """A folder by which Postfix's programs find *queue_directory*, whose folders are made."""
    (folder / "data").mkdir(parents=True)
    (folder / "main.cf").write_text(
        f"queue_directory = {queue_directory}\ndata_directory = {folder}/data\nmail_owner = postfix\n"
        "setgid_group = postdrop\ncompatibility_level = 3.6\n"
    )
    (folder / "master.cf").touch()
    call("postfix", "-c", str(folder), "check")
    return folder


def call(*command: str, given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_without_being_asked_it_is_left_and_the_report_says_what_to_do(
    master: Path, place: Place, waits: Callable[[str, str], str]
) -> None:
    waits("deferred/A", "ABCDE12345")
    report = place.run(master)
    assert outcomes(report, "mailqueue") == ["warning"]
    assert "postqueue -f" in named(report, "mailqueue")[0].text
    assert "--queue" in named(report, "mailqueue")[0].text
    assert not (place.root / "mailqueue").exists()


def test_it_comes_along_once_with_sender_recipients_and_text(
    master: Path, place: Place, tmp_path: Path, waits: Callable[[str, str], str]
) -> None:
    for name, queue_id in (("deferred/A", "ABCDE12345"), ("active", "BBCDE12345"), ("hold", "long")):
        waits(name, queue_id)
    half = master / "mailqueue/incoming/CBCDE12345"
    half.write_bytes(b"not yet acknowledged")
    half.chmod(0o600)
    before = sources.fingerprint(master)
    report = place.run(master, with_queue=True)
    assert [(item.outcome, item.count) for item in named(report, "mailqueue")] == [("copied", 3)]
    assert sources.fingerprint(master) == before
    folder = configuration(tmp_path / "look", place.root / "mailqueue")
    found = messages(place, folder)
    assert sorted(each["queue"] for each in found) == ["active", "deferred", "hold"]
    for each in found:
        assert "sender: alice@example.net" in each["text"]
        assert "recipient: anna@example.org" in each["text"]
        assert "Still here?" in each["text"]
    logs = {path.name for path in (place.root / "mailqueue/defer").rglob("*") if path.is_file()}
    assert logs == {each["id"] for each in found}
    again = place.run(master, with_queue=True)
    assert not again.pending
    assert outcomes(again, "mailqueue") == ["unchanged"]
    assert len(messages(place, folder)) == 3


def messages(place: Place, folder: Path) -> list[dict[str, str]]:
    """What is in the new queue, as Postfix reads it. A long id holds the inode's number in another notation."""
    found = []
    for path in sorted((place.root / "mailqueue").rglob("*")):
        name = path.relative_to(place.root / "mailqueue").parts[0]
        if path.is_file() and name in queue._MESSAGES:
            is_short = set(path.name) <= set("0123456789ABCDEF")
            assert not is_short or path.name.endswith(f"{path.stat().st_ino:X}"), path.name
            text = call("postcat", "-c", str(folder), str(path))
            found.append({"queue": name, "text": text, "id": path.name})
    return found


def test_what_was_delivered_here_since_does_not_come_again(
    master: Path, place: Place, waits: Callable[[str, str], str]
) -> None:
    waits("deferred/A", "ABCDE12345")
    place.run(master, with_queue=True)
    for path in (place.root / "mailqueue/deferred").rglob("*"):
        if path.is_file():
            path.unlink()
    waits("incoming", "DBCDE12345")
    report = place.run(master, with_queue=True)
    assert [(item.outcome, item.count) for item in named(report, "mailqueue")] == [("unchanged", 1), ("copied", 1)]
    left = [path for path in (place.root / "mailqueue").rglob("*") if path.is_file()]
    assert {path.relative_to(place.root / "mailqueue").parts[0] for path in left} == {"incoming", "defer"}


def test_an_old_server_that_runs_is_not_robbed(master: Path, place: Place, waits: Callable[[str, str], str]) -> None:
    waits("deferred/A", "ABCDE12345")
    (master / "mailqueue/pid").mkdir(exist_ok=True)
    with (master / "mailqueue/pid/master.pid").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        report = place.run(master, with_queue=True)
    assert refusals(report) == [
        "mailqueue: the old Postfix still runs (it holds pid/master.pid): stop it, so that nothing is sent twice"
    ]
    assert not place.root.exists()


def test_a_message_that_postfix_cannot_read_is_named_and_left(
    master: Path, place: Place, waits: Callable[[str, str], str]
) -> None:
    whole = waits("deferred/A", "ABCDE12345")
    for name, queue_id in (("deferred/B", "BBCDE12345"), ("incoming", "CBCDE12345")):
        waits(name, queue_id)
    cut, strange = master / "mailqueue/deferred/B/BBCDE12345", master / "mailqueue/incoming/CBCDE12345"
    os.truncate(cut, 80)
    strange.write_bytes(b"this is no queue file")
    report = place.run(master, with_queue=True)
    assert outcomes(report, "mailqueue/deferred/B/BBCDE12345") == ["warning"]
    assert outcomes(report, "mailqueue/incoming/CBCDE12345") == ["warning"]
    assert [(item.outcome, item.count) for item in named(report, "mailqueue")] == [("copied", 1)]
    assert whole in json.dumps(sorted(place_record(place)))


def test_a_run_that_was_interrupted_is_finished_by_the_next(
    master: Path, place: Place, tmp_path: Path, waits: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits("deferred/A", "ABCDE12345")
    run = queue._run

    def stopped(*command: str) -> None:
        if command[0] == "postsuper":
            raise KeyboardInterrupt
        run(*command)

    monkeypatch.setattr(queue, "_run", stopped)
    with pytest.raises(KeyboardInterrupt):
        place.run(master, with_queue=True)
    monkeypatch.setattr(queue, "_run", run)
    report: Report = place.run(master, with_queue=True)
    assert report.pending
    folder = configuration(tmp_path / "look", place.root / "mailqueue")
    assert len(messages(place, folder)) == 1
    assert not place.run(master, with_queue=True).pending


def place_record(place: Place) -> list[str]:
    """What is remembered of files."""
    return list(json.loads((place.root / "migration/record.json").read_text())["files"])
