"""What is done seldom runs as a program of its own, again and again, and a failure is told and tried again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from pathlib import Path

import pytest
from tests.directory_harness import until

from mailu.servers.apart import run_regularly


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the module ``seldom`` appends a letter to each time it runs; the name ``fail`` makes it fail."""
    (tmp_path / "seldom.py").write_text(
        "import pathlib, sys\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "with (here / 'ran').open('a') as stream:\n"
        "    stream.write('x')\n"
        "sys.exit(3 if (here / 'fail').exists() else 0)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "ran").touch()
    return tmp_path / "ran"


async def run_until_ran(module: Path, times: int, **seconds: float) -> None:
    task = asyncio.create_task(run_regularly("seldom", **seconds))
    await until(lambda: len(module.read_text()) >= times)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_it_runs_again_and_again(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(run_until_ran(module, 2, first_seconds=0, every_seconds=0))
    assert not [record for record in caplog.records if record.name == "mailu.servers.apart"]
    assert "seldom" not in sys.modules


def test_one_that_fails_is_told_of_and_runs_again_sooner(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    module.with_name("fail").touch()
    with caplog.at_level(logging.ERROR):
        asyncio.run(run_until_ran(module, 2, first_seconds=0, every_seconds=3600))
    assert "seldom ended with exit code 3" in caplog.messages
