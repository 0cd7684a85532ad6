"""Mail that waits in the queue of the source: taken over when the operator says that the old server is stopped.

Only then, because an old server that runs goes on delivering, and what was copied would be sent twice. Postfix's own
programs make the new queue and repair the names there: a short queue id holds the inode number of its file, which a
copy does not have (postsuper(1), -s). A message that was taken once is never taken again, whatever became of it here.
Queue files are read by every later Postfix; each is read by the one of this machine before anything is copied.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mailu.migrate.ownership import owner_of
from mailu.migrate.record import Record
from mailu.migrate.report import Report
from mailu.migrate.trees import copy_file, make_folder

_MESSAGES = ("incoming", "active", "deferred", "hold", "maildrop")
_LOGS = ("bounce", "defer", "trace")
"""What was said to recipients of a message so far: needed for the reports to its sender."""
_ID = re.compile(r"[0-9A-Za-z]{5,40}\Z")
_SECONDS = 300
_UNREPAIRED = "mailqueue"
_HOW = (
    "let the old server send them (docker compose exec smtp postqueue -f, until postqueue -p says that the queue is "
    "empty), or stop it and run this with --queue, which takes them along"
)
_MAIN_CF = """# For the programs that make and repair a queue; nothing runs with this.
queue_directory = {queue}
data_directory = {data}
mail_owner = postfix
setgid_group = postdrop
compatibility_level = 3.6
"""


class QueueNotTaken(Exception):
    """The new queue cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class WaitingMail:
    """Messages to be taken, as paths below the source's queue, and what was said of them."""

    source: Path
    messages: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    repair: bool = False
    """An earlier run was interrupted before the names were right."""

    @property
    def bytes_needed(self) -> int:
        """Room that the copies take."""
        return sum((self.source / path).stat().st_size + 4096 for path in (*self.messages, *self.logs))


def look_at_queue(folder: Path, record: Record, report: Report, *, wanted: bool) -> WaitingMail:
    """What waits at the source and was not taken before. With *wanted* it is to be taken; else it is only told."""
    nothing = WaitingMail(folder, repair=_UNREPAIRED in record.files)
    if nothing.repair:
        report.will_change("other")
    found = [path for path in _files(folder, _MESSAGES) if _is_complete(folder / path)]
    taken = [path for path in found if _known(path) in record.files]
    waiting = [path for path in found if _known(path) not in record.files]
    if taken:
        report.add("other", "mailqueue", "unchanged", "messages that were taken by an earlier run", len(taken))
    if not waiting:
        return nothing
    if not wanted:
        text = f"{len(waiting)} messages wait in the queue of the source and are not taken: {_HOW}"
        report.add("other", "mailqueue", "warning", text, len(waiting))
        return nothing
    if _runs(folder):
        text = "the old Postfix still runs (it holds pid/master.pid): stop it, so that nothing is sent twice"
        report.add("other", "mailqueue", "refused", text, len(waiting))
        return nothing
    try:
        return replace(_readable(folder, waiting, report), repair=nothing.repair)
    except QueueNotTaken as error:
        report.add("other", "mailqueue", "refused", str(error), len(waiting))
        return nothing


def _readable(folder: Path, waiting: list[str], report: Report) -> WaitingMail:
    """Those that the Postfix of this machine understands, with their logs; the others are named and stay."""
    messages = []
    with _configuration(folder) as configuration:
        for path in waiting:
            if (why := _unreadable(folder / path, configuration)) is None:
                messages.append(path)
            else:
                report.add("other", f"mailqueue/{path}", "warning", f"not taken: Postfix cannot read it ({why})")
    names = {Path(path).name for path in messages}
    logs = [path for path in _files(folder, _LOGS) if Path(path).name in names]
    if messages:
        report.will_change("other")
        report.add("other", "mailqueue", "copied", "waiting messages, with what is known of them", len(messages))
    return WaitingMail(folder, tuple(messages), tuple(logs))


def take_queue(mail: WaitingMail, queue: Path, record: Record) -> None:
    """Copy what waits into *queue*, which no Postfix uses now. Raises QueueNotTaken.

    A run that is interrupted is finished by the next one: what is there already under its old name is not copied
    again, and names are repaired when everything is there.
    """
    if not mail.messages and not mail.repair:
        return
    make_folder(queue, 0o755, owner_of("root"))
    with _configuration(queue) as configuration:
        _run("postfix", "-c", configuration, "check")
        for path in mail.logs:
            _copy(mail.source, queue, path, 0o600)
        for path in mail.messages:
            _copy(mail.source, queue, path, 0o700)
        os.sync()
        for path in mail.messages:
            record.files[_known(path)] = path.partition("/")[0]
        record.files[_UNREPAIRED] = "names of queue files are still those of the source"
        record.save()
        _run("postsuper", "-c", configuration, "-s")
        if broken := [path.name for name in _MESSAGES for path in (queue / name).rglob("*#*")]:
            raise QueueNotTaken(f"postsuper cannot repair the names {', '.join(broken)} in {queue}")
        del record.files[_UNREPAIRED]
        record.save()


@contextmanager
def _configuration(queue: Path) -> Iterator[str]:
    """A folder with what Postfix's programs must be told to work on *queue*."""
    with tempfile.TemporaryDirectory(prefix="mailu-queue-") as folder:
        data = Path(folder, "data")
        data.mkdir(mode=0o700)
        Path(folder, "main.cf").write_text(_MAIN_CF.format(queue=queue, data=data), encoding="utf-8")
        Path(folder, "master.cf").touch()
        yield folder


def _copy(source: Path, queue: Path, path: str, mode: int) -> None:
    owner, target = owner_of("postfix"), queue / path
    if target.exists():
        return
    make_folder(target.parent, 0o700, owner)
    if not copy_file(source / path, target, owner, mode=mode):
        raise QueueNotTaken(f"{source / path} was gone when it was to be copied: the old Postfix runs; stop it")


def _known(path: str) -> str:
    """By what a message is remembered: its id, whatever queue it is in."""
    return f"mailqueue/{Path(path).name}"


def _files(folder: Path, queues: tuple[str, ...]) -> Iterator[str]:
    for queue in queues:
        for path in sorted((folder / queue).rglob("*")):
            if _ID.match(path.name) and path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def _is_complete(path: Path) -> bool:
    """Postfix sets the owner's x when a message is whole and its sender has been told so."""
    return bool(path.stat().st_mode & 0o100)


def _runs(folder: Path) -> bool:
    """Whether a Postfix on this machine, in a container or not, holds the lock of the queue (master(8))."""
    try:
        with (folder / "pid" / "master.pid").open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _unreadable(path: Path, configuration: str) -> str | None:
    """Why Postfix cannot read a queue file; None when it can, to its end."""
    done = _call("postcat", "-c", configuration, "-e", str(path))
    if done.returncode == 0 and "\nsender:" in done.stdout and "*** MESSAGE FILE END" in done.stdout:
        return None
    said = done.stderr.strip().splitlines()
    return said[0].removeprefix("postcat: ") if said else "it is not whole"


def _run(*command: str) -> None:
    done = _call(*command)
    if done.returncode != 0:
        raise QueueNotTaken(f"{' '.join(command[:1])}: {done.stderr.strip() or f'ended with code {done.returncode}'}")


def _call(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=_SECONDS)
    except FileNotFoundError:
        raise QueueNotTaken(f"{command[0]} is not installed on this machine; `mailu install` brings it") from None
    except subprocess.TimeoutExpired:
        raise QueueNotTaken(f"{command[0]} did not end within {_SECONDS} s") from None
