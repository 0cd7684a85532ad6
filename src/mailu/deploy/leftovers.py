"""Which processes belong to a root, written down so that a later start finds and ends what an agent left behind.

An agent that is killed with KILL cannot stop its daemons. Most die by the parent-death signal; daemons that changed
their user, and the children of all of them, stay. A record a service (``run/pids/<service>.json``) names the process
group; the next start ends what is left of it. A process is only ever touched when the boot is the same and either it
is the recorded leader (same start time), or the leader is gone, the process is in the leader's session, and it works
below this root: process numbers are used again, and somebody else's process must not die.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TERM_GRACE_SECONDS = 3.0
KILL_GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """The leader of a service's process group. *started* is in clock ticks since boot (proc(5), stat, field 22)."""

    service: str
    pid: int
    started: int
    boot: str


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What /proc/PID/stat says of one process."""

    pid: int
    name: str
    state: str
    parent: int
    group: int
    session: int
    started: int


def boot_id() -> str:
    """The kernel's name for this boot."""
    return BOOT_ID.read_text(encoding="ascii").strip()


def process_facts(pid: int) -> ProcessFacts | None:
    """Facts of a living process; None when there is none of this number or it is only waiting to be reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name stands in brackets and may itself hold blanks and brackets: split at the last one.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    if fields[0] in "ZX":
        return None
    return ProcessFacts(
        pid=pid,
        name=head.partition("(")[2],
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        started=int(fields[19]),
    )


def all_processes() -> list[ProcessFacts]:
    """Every living process that can be seen."""
    numbers = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    return [facts for number in numbers if (facts := process_facts(number)) is not None]


def remember(folder: Path, service: str, pid: int) -> None:
    """Write down that *pid*, leader of its own session, is now the daemon of *service*."""
    facts = process_facts(pid)
    if facts is None:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = ProcessRecord(service=service, pid=pid, started=facts.started, boot=boot_id())
    scratch = folder / f".{service}.new"
    scratch.write_text(json.dumps(asdict(record)), encoding="utf-8")
    scratch.replace(folder / f"{service}.json")


def forget(folder: Path, service: str) -> None:
    """The service's processes are gone."""
    (folder / f"{service}.json").unlink(missing_ok=True)


def recorded(folder: Path) -> list[ProcessRecord]:
    """Every record below *folder*; one that cannot be read (half written at a power cut) is passed over."""
    records = []
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            records.append(ProcessRecord(**json.loads(path.read_text(encoding="utf-8"))))
    return records


def members(record: ProcessRecord, root: Path) -> list[ProcessFacts]:
    """The living processes of *record*'s session that are surely this root's."""
    if record.boot != boot_id():
        return []
    leader = process_facts(record.pid)
    if leader is not None and leader.started != record.started:
        return []
    in_session = [facts for facts in all_processes() if facts.session == record.pid]
    if leader is not None:
        return in_session
    return [facts for facts in in_session if _works_below(facts.pid, root)]


def _works_below(pid: int, root: Path) -> bool:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink()).startswith(f"{root.resolve()}/")
    except OSError:
        return False


def end_leftovers(folder: Path, root: Path, services: set[str] | None = None) -> list[str]:
    """End every process that the records below *folder* still name, and drop the records.

    *services* restricts it to some. Returns one sentence for each process group that was ended.
    """
    told = []
    for record in recorded(folder):
        if services is not None and record.service not in services:
            continue
        left = members(record, root)
        if left:
            names = ", ".join(sorted({facts.name for facts in left}))
            _end(record, root)
            told.append(f"ended {len(left)} processes of {record.service} that an earlier run left behind ({names})")
        forget(folder, record.service)
    return told


def _end(record: ProcessRecord, root: Path) -> None:
    for number, grace in ((signal.SIGTERM, TERM_GRACE_SECONDS), (signal.SIGKILL, KILL_GRACE_SECONDS)):
        for facts in members(record, root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(facts.pid, number)
        until = time.monotonic() + grace
        while time.monotonic() < until:
            if not members(record, root):
                return
            time.sleep(0.02)
