"""Daily jobs: once a day, again after a failure, and never in the way of anything."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailu.deploy.daily import RETRY_SECONDS, DailyJobs, Job


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
        self.seconds = 0.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


def jobs_of(tmp_path: Path, clock: Clock, *jobs: Job) -> DailyJobs:
    return DailyJobs(tmp_path / "daily", lambda: jobs, now=lambda: clock.moment, monotonic=lambda: clock.seconds)


def counting(tmp_path: Path, code: int = 0) -> Job:
    """A job that writes a line for each run."""
    program = f"open({str(tmp_path / 'runs')!r}, 'a').write('x'); print('did it'); raise SystemExit({code})"
    return Job("count", "counting", [sys.executable, "-c", program])


def runs(tmp_path: Path) -> int:
    file = tmp_path / "runs"
    return len(file.read_text()) if file.exists() else 0


def test_a_job_runs_once_a_day(tmp_path: Path, clock: Clock) -> None:
    daily = jobs_of(tmp_path, clock, counting(tmp_path))
    for moment in ((1, 3, 0), (1, 23, 59), (2, 1, 59), (2, 2, 1), (2, 12, 0)):
        clock.moment = datetime(2026, 3, *moment, tzinfo=UTC)
        asyncio.run(daily.look())
    assert runs(tmp_path) == 2


def test_another_process_knows_what_was_done(tmp_path: Path, clock: Clock) -> None:
    for _ in range(2):
        asyncio.run(jobs_of(tmp_path, clock, counting(tmp_path)).look())
    assert runs(tmp_path) == 1


def test_a_failure_is_said_and_tried_again_after_an_hour(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    daily = jobs_of(tmp_path, clock, counting(tmp_path, code=3))
    asyncio.run(daily.look())
    asyncio.run(daily.look())
    assert runs(tmp_path) == 1
    assert "counting: failed with exit code 3: did it" in caplog.text
    clock.seconds += RETRY_SECONDS
    asyncio.run(daily.look())
    assert runs(tmp_path) == 2


def test_a_program_that_is_not_there_stops_no_other(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asyncio.run(jobs_of(tmp_path, clock, Job("gone", "going", ["/nonexistent"]), counting(tmp_path)).look())
    assert runs(tmp_path) == 1
    assert "going: " in caplog.text
    assert "counting: did it" in caplog.text
