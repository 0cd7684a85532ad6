"""What a killed agent left behind is found and ended; nobody else's process is ever touched."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from json import dumps
from pathlib import Path

import pytest

from mailu.deploy import leftovers
from mailu.deploy.leftovers import ProcessRecord, end_leftovers, members, process_facts, recorded, remember

SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(60)"
PARENT = "import os, time\nif os.fork() == 0:\n    print('up', flush=True)\n    time.sleep(60)\ntime.sleep(60)"


class Session:
    """A process in a session of its own, in *folder*."""

    def __init__(self, folder: Path, script: str = SLEEPER) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", script], cwd=folder, start_new_session=True, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"up\n"
        self.pid = self.process.pid

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, 9)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[list[Session]]:
    made: list[Session] = []
    yield made
    for session in made:
        session.close()


def start(sessions: list[Session], folder: Path, script: str = SLEEPER) -> Session:
    folder.mkdir(parents=True, exist_ok=True)
    sessions.append(Session(folder, script))
    return sessions[-1]


def write(folder: Path, record: ProcessRecord) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{record.service}.json").write_text(dumps(asdict(record)))


def test_what_is_recorded_is_ended(tmp_path: Path, sessions: list[Session]) -> None:
    session = start(sessions, tmp_path / "root" / "run", PARENT)
    remember(tmp_path / "pids", "imap", session.pid)
    told = end_leftovers(tmp_path / "pids", tmp_path / "root")
    assert told == ["ended 2 processes of imap that an earlier run left behind (python)"] or "2 processes" in told[0]
    assert session.process.wait(5) == -15
    assert recorded(tmp_path / "pids") == []


def test_children_are_ended_when_their_leader_is_gone(tmp_path: Path, sessions: list[Session]) -> None:
    session = start(sessions, tmp_path / "root" / "run", PARENT)
    remember(tmp_path / "pids", "imap", session.pid)
    os.kill(session.pid, 9)
    session.process.wait(5)
    record = recorded(tmp_path / "pids")[0]
    assert len(members(record, tmp_path / "root")) == 1
    assert "1 processes of imap" in end_leftovers(tmp_path / "pids", tmp_path / "root")[0]
    assert members(record, tmp_path / "root") == []


def test_a_number_that_was_used_again_is_left_alone(tmp_path: Path, sessions: list[Session]) -> None:
    session = start(sessions, tmp_path / "root" / "run")
    remember(tmp_path / "pids", "imap", session.pid)
    record = recorded(tmp_path / "pids")[0]
    write(tmp_path / "pids", replace(record, started=record.started - 1))
    assert end_leftovers(tmp_path / "pids", tmp_path / "root") == []
    assert session.process.poll() is None


def test_another_boot_means_other_processes(tmp_path: Path, sessions: list[Session]) -> None:
    session = start(sessions, tmp_path / "root" / "run")
    remember(tmp_path / "pids", "imap", session.pid)
    write(tmp_path / "pids", replace(recorded(tmp_path / "pids")[0], boot="another"))
    assert end_leftovers(tmp_path / "pids", tmp_path / "root") == []
    assert session.process.poll() is None


def test_children_that_work_elsewhere_are_left_alone(tmp_path: Path, sessions: list[Session]) -> None:
    session = start(sessions, tmp_path / "elsewhere", PARENT)
    remember(tmp_path / "pids", "imap", session.pid)
    os.kill(session.pid, 9)
    session.process.wait(5)
    assert members(recorded(tmp_path / "pids")[0], tmp_path / "root") == []


def test_only_the_services_asked_for_are_ended(tmp_path: Path, sessions: list[Session]) -> None:
    session = start(sessions, tmp_path / "root" / "run")
    remember(tmp_path / "pids", "imap", session.pid)
    assert end_leftovers(tmp_path / "pids", tmp_path / "root", {"smtp"}) == []
    assert session.process.poll() is None


def test_half_a_record_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "imap.json").write_text('{"service": "imap", "pi')
    (tmp_path / "smtp.json").write_text("[]")
    assert recorded(tmp_path) == []


def test_a_process_that_ignores_term_is_killed(
    tmp_path: Path, sessions: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "TERM_GRACE_SECONDS", 0.2)
    script = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"
    session = start(sessions, tmp_path / "root" / "run", script)
    remember(tmp_path / "pids", "imap", session.pid)
    end_leftovers(tmp_path / "pids", tmp_path / "root")
    assert session.process.wait(5) == -9


def test_a_name_with_brackets_and_blanks_is_read(tmp_path: Path) -> None:
    strange = tmp_path / "a) S 1 (b"
    strange.symlink_to("/bin/sleep")
    process = subprocess.Popen([str(strange), "60"])
    try:
        until = time.monotonic() + 5
        while (facts := process_facts(process.pid)) is None or facts.name != "a) S 1 (b":
            assert time.monotonic() < until
        assert (facts.parent, facts.group) == (os.getpid(), os.getpgid(0))
    finally:
        process.kill()
        process.wait()


def test_a_process_that_waits_to_be_reaped_is_not_living() -> None:
    process = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_facts(process.pid) is None
    process.wait()
