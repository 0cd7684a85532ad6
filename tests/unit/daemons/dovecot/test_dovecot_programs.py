"""The programs that Sieve starts: sendmail, the passage to Postfix, learn."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.room_harness import make_request
from tests.unit.daemons.dovecot.house import eventually
from tests.unit.daemons.dovecot.surroundings import Controller, Outgoing, served_socket

from mailu.daemons.dovecot import ROOM

MESSAGE = b"Subject: x\r\n\r\n.\r\n.two\nlast line"


@pytest.fixture
def root() -> Iterator[Path]:
    """A root with a short path."""
    folder = Path(tempfile.mkdtemp(prefix="dc", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def program(root: Path, name: str) -> Path:
    """One of the programs as it is rendered, on *root*."""
    request = make_request(root=root, service="imap")
    path = root / name
    path.write_text(ROOM.render(request)[f"programs/{name}"].text, encoding="utf-8")
    path.chmod(0o755)
    return path


def run(path: Path, *arguments: str, content: bytes = MESSAGE) -> subprocess.CompletedProcess[bytes]:
    """Run it as Dovecot does."""
    return subprocess.run([path, *arguments], input=content, capture_output=True, timeout=60, check=False)


@contextmanager
def postfix(root: Path, outgoing: Outgoing) -> Iterator[None]:
    """Postfix where sendmail expects its way to it."""
    with served_socket(root / "run/imap/base/submit", outgoing.converse, "root"):
        yield


def test_a_message_reaches_postfix_as_it_is(root: Path) -> None:
    outgoing = Outgoing()
    with postfix(root, outgoing):
        done = run(program(root, "sendmail"), "-i", "-f", "a@example.org", "--", "b@example.org", "c@example.org")
    assert (done.returncode, done.stderr) == (0, b"")
    [(commands, received)] = outgoing.messages
    assert received == b"Subject: x\r\n\r\n.\r\n.two\r\nlast line\r\n"
    assert commands == [
        "EHLO mail.example.org",
        "MAIL FROM:<a@example.org> BODY=8BITMIME",
        "RCPT TO:<b@example.org>",
        "RCPT TO:<c@example.org>",
        "DATA",
    ]


@pytest.mark.parametrize(("sender", "written"), [("<>", "<>"), ("bücher@example.org", "<bücher@example.org>")])
def test_the_null_sender_and_other_letters_than_ascii(root: Path, sender: str, written: str) -> None:
    outgoing = Outgoing()
    with postfix(root, outgoing):
        assert run(program(root, "sendmail"), "-f", sender, "--", "b@example.org").returncode == 0
    more = "" if sender == "<>" else " SMTPUTF8"
    assert outgoing.messages[0][0][1] == f"MAIL FROM:{written} BODY=8BITMIME{more}"


@pytest.mark.parametrize(("answer", "code"), [(b"550 5.1.1 no such user", 69), (b"451 4.3.0 later", 75)])
def test_what_postfix_refuses_is_told_from_what_it_puts_off(root: Path, answer: bytes, code: int) -> None:
    with postfix(root, Outgoing(refuse=answer)):
        done = run(program(root, "sendmail"), "-f", "a@example.org", "--", "b@example.org")
    assert done.returncode == code
    assert answer in done.stderr


def test_without_postfix_it_is_to_be_tried_again(root: Path) -> None:
    done = run(program(root, "sendmail"), "-f", "a@example.org", "--", "b@example.org")
    assert done.returncode == 75
    assert b"Postfix does not answer" in done.stderr


@pytest.mark.parametrize("recipients", [[], ["b@example.org>\r\nRCPT TO:<c@example.org"]])
def test_no_command_can_be_slipped_in(root: Path, recipients: list[str]) -> None:
    outgoing = Outgoing()
    with postfix(root, outgoing):
        assert run(program(root, "sendmail"), "-f", "a@example.org", "--", *recipients).returncode == 69
    assert outgoing.messages == []


def test_the_passage_carries_both_ways_until_the_end(root: Path) -> None:
    outgoing = Outgoing()
    talk = b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.org>\r\nDATA\r\n" + b"y" * 300_000 + b"\r\n.\r\n"
    with served_socket(root / "mailqueue/public/inject", outgoing.converse, "root"):
        done = run(program(root, "passage"), content=talk)
    assert done.stdout.startswith(b"220 test\r\n")
    assert done.stdout.endswith(b"250 queued\r\n")
    assert len(outgoing.messages[0][1]) == 300_002


def test_the_passage_says_that_postfix_is_away(root: Path) -> None:
    assert run(program(root, "passage"), content=b"").stdout.startswith(b"421 4.3.2 Postfix does not answer")


def spool_of(root: Path) -> Path:
    """Where learn puts messages aside."""
    spool = root / "run/imap/learn"
    spool.mkdir(parents=True, exist_ok=True)
    return spool


@contextmanager
def filter_running(root: Path, controller: Controller) -> Iterator[None]:
    """The filter's controller."""
    with served_socket(root / "run/antispam/controller", controller.converse, "root"):
        yield


def lessons(spool: Path) -> list[str]:
    """What waits, by kind."""
    return [path.suffix for path in sorted(spool.iterdir()) if path.suffix in (".spam", ".ham")]


def test_learning_returns_at_once_and_waits_for_the_filter(root: Path) -> None:
    spool, learn = spool_of(root), program(root, "learn")
    began = time.monotonic()
    assert run(learn, "spam").returncode == 0
    assert time.monotonic() - began < 2
    assert lessons(spool) == [".spam"]
    controller = Controller()
    with filter_running(root, controller):
        assert run(learn, "ham").returncode == 0
        assert eventually(lambda: lessons(spool) == [])
    assert [path for path, _, _ in controller.requests if "learn" in path] == ["/learnspam", "/learnham"]
    assert all(body == MESSAGE for _, _, body in controller.requests)


def test_a_filter_that_answers_with_a_fault_gets_it_again(root: Path) -> None:
    spool, controller = spool_of(root), Controller(status=b"503 Busy")
    with filter_running(root, controller):
        run(program(root, "learn"), "spam")
        assert eventually(lambda: len(controller.requests) == 1)
    assert lessons(spool) == [".spam"]


def test_what_the_filter_knows_already_is_done(root: Path) -> None:
    spool, controller = spool_of(root), Controller(status=b"208 Already Reported")
    with filter_running(root, controller):
        run(program(root, "learn"), "spam")
        assert eventually(lambda: lessons(spool) == [])


def test_a_message_that_has_waited_for_a_day_is_given_up(root: Path) -> None:
    spool = spool_of(root)
    (spool / f"{time.time_ns() - 2 * 86400 * 10**9}.1.spam").write_bytes(MESSAGE)
    run(program(root, "learn"), "ham")
    assert eventually(lambda: lessons(spool) == [".ham"])


def test_the_spool_does_not_fill_the_disk(root: Path) -> None:
    spool, now = spool_of(root), time.time_ns()
    for number in range(1000):
        (spool / f"{now}.{number}.spam").touch()
    done = run(program(root, "learn"), "ham")
    assert done.returncode == 0
    assert b"1000 messages wait" in done.stderr
    assert ".ham" not in lessons(spool)


def test_many_lessons_at_once_are_all_learned_by_few_processes(root: Path) -> None:
    spool, learn, controller = spool_of(root), program(root, "learn"), Controller(delay_seconds=0.01)
    with filter_running(root, controller):
        started = [subprocess.Popen([learn, "spam"], stdin=subprocess.PIPE) for _ in range(20)]
        for process in started:
            process.communicate(MESSAGE)
        assert eventually(lambda: lessons(spool) == [], 20)
    assert len([path for path, _, _ in controller.requests if path == "/learnspam"]) == 20


def test_learning_ends_with_its_process_group(root: Path) -> None:
    """The agent ends what Dovecot started by the group; nothing may slip out of it."""
    spool_of(root)
    with filter_running(root, Controller(delay_seconds=2)):
        process = subprocess.Popen([program(root, "learn"), "spam"], stdin=subprocess.PIPE, start_new_session=True)
        process.communicate(MESSAGE)
        os.killpg(process.pid, 15)
        assert eventually(lambda: not _group_lives(process.pid))


def _group_lives(group: int) -> bool:
    listed = subprocess.run(["ps", "-o", "pid=", "-g", str(group)], capture_output=True, check=False)
    return bool(listed.stdout.split())
