"""Work that is done seldom and needs much: each time in a program of its own, and what it took goes with it."""

from __future__ import annotations

import asyncio
import logging
import sys

log = logging.getLogger("mailu.servers.apart")


async def run_regularly(
    module: str, *, first_seconds: float, every_seconds: float, retry_seconds: float | None = None
) -> None:
    """Run ``python -m MODULE`` again and again, until cancelled, with the environment and the log of this process.

    One that fails is tried again after *retry_seconds*, by default those before the first time.
    """
    pause = first_seconds
    while True:
        await asyncio.sleep(pause)
        failed = await _run(module)
        if failed:
            log.error("%s %s", module, failed)
        pause = (first_seconds if retry_seconds is None else retry_seconds) if failed else every_seconds


async def _run(module: str) -> str:
    """Why it failed; empty when it did not."""
    try:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, stdin=asyncio.subprocess.DEVNULL)
    except OSError as error:
        return f"cannot be started: {error}"
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    return f"ended with exit code {code}" if code else ""
