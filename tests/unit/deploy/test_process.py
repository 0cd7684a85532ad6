"""One child process: its words, its end, and the end of everything it started."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.unit.deploy.fake_room import run, until

from mailu.deploy.leftovers import all_processes, process_facts
from mailu.deploy.process import Command, Daemon, StartError, describe_exit, reap_adopted


def python(script: str, **more: object) -> Command:
    return Command([sys.executable, "-S", "-c", script], {"PATH": "/usr/bin:/bin"}, **more)  # type: ignore[arg-type]


class Heard(list[str]):
    def __call__(self, lines: Iterable[str]) -> None:
        self.extend(lines)


def test_words_of_both_streams_are_heard_to_the_last() -> None:
    heard = Heard()

    async def scenario() -> None:
        script = "import sys\nprint('out')\nprint('err', file=sys.stderr)\nprint('no line end', end='')"
        daemon = await Daemon.start(python(script), on_lines=heard)
        await asyncio.wait_for(daemon.exited.wait(), 5)
        await until(lambda: len(heard) == 3)
        assert daemon.exit_code == 0

    run(scenario())
    assert sorted(heard) == ["err", "no line end", "out"]


def test_streams_are_pipes_because_postfix_is_silent_on_sockets() -> None:
    heard = Heard()

    async def scenario() -> None:
        script = "import os, stat\nprint([stat.S_ISFIFO(os.fstat(n).st_mode) for n in (1, 2)])"
        daemon = await Daemon.start(python(script), on_lines=heard)
        await daemon.exited.wait()
        await until(lambda: heard)

    run(scenario())
    assert heard == ["[True, True]"]


def test_the_environment_is_only_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "do not hand on")
    heard = Heard()

    async def scenario() -> None:
        daemon = await Daemon.start(python("import os\nprint(sorted(os.environ))"), on_lines=heard)
        await daemon.exited.wait()
        await until(lambda: heard)

    run(scenario())
    assert "SECRET_KEY" not in heard[0]


def test_lines_that_come_one_by_one_are_gathered_and_none_is_lost() -> None:
    heard: list[list[str]] = []

    async def scenario() -> None:
        script = "import os\nfor n in range(400): os.write(1, b'%d\\n' % n)"
        daemon = await Daemon.start(python(script), on_lines=lambda lines: heard.append(list(lines)))
        await daemon.exited.wait()
        await until(lambda: sum(map(len, heard)) == 400)

    run(scenario())
    assert [line for lines in heard for line in lines] == [str(number) for number in range(400)]
    assert len(heard) < 200, "each write woke us"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_daemon_runs_as_its_user_and_can_open_its_own_output_again() -> None:
    heard = Heard()

    async def scenario() -> None:
        command = Command(
            ["/bin/sh", "-c", "id -un; echo again >/dev/stdout"], {"PATH": "/usr/bin:/bin"}, user="nobody"
        )
        daemon = await Daemon.start(command, on_lines=heard)
        await daemon.exited.wait()
        await until(lambda: len(heard) == 2)

    run(scenario())
    assert heard == ["nobody", "again"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Command(["/usr/sbin/no-such-daemon"]), "/usr/sbin/no-such-daemon is not there"),
        (Command(["/bin/true"], user="no-such-user"), "the user 'no-such-user' does not exist"),
        (Command(["/bin/true"], folder=Path("/no/such/folder")), "cannot be started"),
    ],
)
def test_what_cannot_be_started_is_said(command: Command, words: str) -> None:
    async def scenario() -> None:
        with pytest.raises(StartError, match=words):
            await Daemon.start(command, on_lines=Heard())

    run(scenario())


def test_stopping_ends_the_whole_group() -> None:
    async def scenario() -> None:
        script = "import os, time\nos.fork()\nos.fork()\ntime.sleep(60)"
        daemon = await Daemon.start(python(script), on_lines=Heard())
        await until(lambda: len([f for f in all_processes() if f.group == daemon.pid]) == 4)
        await daemon.stop(grace_seconds=1)
        assert [f for f in all_processes() if f.group == daemon.pid] == []
        assert daemon.exit_code == -signal.SIGTERM

    run(scenario())


def test_a_child_that_holds_the_pipe_open_does_not_hide_the_end_of_its_parent() -> None:
    async def scenario() -> None:
        script = "import os, sys, time\nif os.fork() == 0:\n    time.sleep(60)\nsys.exit(7)"
        daemon = await Daemon.start(python(script), on_lines=Heard())
        await asyncio.wait_for(daemon.exited.wait(), 5)
        assert daemon.exit_code == 7
        await daemon.end_group()
        assert [f for f in all_processes() if f.group == daemon.pid] == []

    run(scenario())


def test_a_daemon_does_not_outlive_an_agent_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    agent = f"""
import asyncio
from pathlib import Path
from mailu.deploy.process import Command, Daemon
async def main():
    daemon = await Daemon.start(Command(["/bin/sleep", "60"]), on_lines=print)
    Path({str(note)!r}).write_text(str(daemon.pid))
    await asyncio.sleep(60)
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", agent], env=environment)
    try:
        end = time.monotonic() + 10
        while not (note.exists() and note.read_text()):
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    pid = int(note.read_text())
    while process_facts(pid) is not None:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit code 0"),
        (75, "ended with exit code 75"),
        (-15, "was ended by SIGTERM"),
        (-9, "was ended by SIGKILL (out of memory, or somebody killed it)"),
        (-99, "was ended by signal 99"),
    ],
)
def test_ends_are_described_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


def test_only_dead_processes_that_nobody_waits_for_are_reaped() -> None:
    awaited = subprocess.Popen(["/bin/true"])
    known = subprocess.Popen(["/bin/true"], start_new_session=True)
    adopted = subprocess.Popen(["/bin/true"], start_new_session=True)
    for process in (awaited, known, adopted):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    reap_adopted([known.pid])
    with pytest.raises(ChildProcessError):
        os.waitpid(adopted.pid, os.WNOHANG)
    adopted.returncode = 0
    assert awaited.wait() == 0
    assert known.wait() == 0
