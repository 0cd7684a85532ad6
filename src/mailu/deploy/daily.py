"""What has to be done once a day: mail of deleted mailboxes erased when its time has come, DMARC reports sent.

Each job is a program of its own. When it was done last is remembered below ``run/``; one that failed is tried again an
hour later. The day begins at DAY_BEGINS in the machine's time, when few people wait for anything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

LOOK_SECONDS = 60.0
RETRY_SECONDS = 3600.0
LIMIT_SECONDS = 1800.0
DAY_BEGINS = timedelta(hours=2)
_SHOWN_LINES = 3

log = logging.getLogger("mailu.agent")


@dataclass(frozen=True, slots=True)
class Job:
    """One program: *title* says in the log what it is for."""

    name: str
    title: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class DailyJobs:
    """Runs what *jobs* returns, each once a day. *now* gives the machine's local time."""

    def __init__(
        self,
        folder: Path,
        jobs: Callable[[], Sequence[Job]],
        *,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._jobs = jobs
        self._now = now
        self._monotonic = monotonic
        self._not_before: dict[str, float] = {}

    async def run(self) -> None:
        """Look every minute, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Run what is due now, one after the other."""
        today = (self._now() - DAY_BEGINS).date().isoformat()
        for job in self._jobs():
            stamp = self._folder / job.name
            if _read(stamp) == today or self._monotonic() < self._not_before.get(job.name, 0.0):
                continue
            if await _succeeds(job):
                self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
                stamp.write_text(today, encoding="ascii")
            else:
                self._not_before[job.name] = self._monotonic() + RETRY_SECONDS


async def _succeeds(job: Job) -> bool:
    try:
        process = await asyncio.create_subprocess_exec(
            *job.command,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **job.environment},
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        log.error("%s: %s", job.title, error)
        return False
    try:
        output, _ = await asyncio.wait_for(process.communicate(), LIMIT_SECONDS)
    except TimeoutError:
        log.error("%s: not done after %.0f s, ended", job.title, LIMIT_SECONDS)
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    words = " / ".join([line for line in output.decode(errors="replace").splitlines() if line.strip()][-_SHOWN_LINES:])
    if process.returncode:
        log.error("%s: failed with exit code %d: %s", job.title, process.returncode, words)
    elif words:
        log.info("%s: %s", job.title, words)
    return process.returncode == 0


def _read(stamp: Path) -> str | None:
    try:
        return stamp.read_text(encoding="ascii")
    except OSError:
        return None
