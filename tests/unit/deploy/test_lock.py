"""One owner at a time, known by number, and no lock that outlives its owner."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mailu.deploy.lock import Held, Lock, holder, wait_until_free

HOLD = """
import sys, time
from pathlib import Path
from mailu.deploy.lock import Lock
Lock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""


def other_process(path: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.stdout.close()
    return process


def test_a_second_owner_is_refused_and_told_the_first(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    process = other_process(path)
    try:
        with pytest.raises(Held) as held:
            Lock(path).acquire()
        assert held.value.pid == process.pid
        assert holder(path) == process.pid
    finally:
        process.kill()
        process.wait()
    assert holder(path) is None
    with Lock(path):
        assert holder(path) == os.getpid()
    assert holder(path) is None


def test_nobody_holds_a_lock_that_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "lock") is None
    assert wait_until_free(tmp_path / "lock", 0)


def test_a_lock_that_says_nothing_is_still_held(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    with lock:
        (tmp_path / "lock").write_text("garbage")
        assert holder(tmp_path / "lock") == 0


def test_waiting_ends_when_the_lock_is_free(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    lock.acquire()
    assert not wait_until_free(tmp_path / "lock", 0.05)
    timer = threading.Timer(0.1, lock.release)
    timer.start()
    began = time.monotonic()
    assert wait_until_free(tmp_path / "lock", 5)
    assert time.monotonic() - began < 2
    timer.join()
