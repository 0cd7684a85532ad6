"""The queue of a running Postfix: what waits and why; trying again, holding, deleting. Postfix's programs do the work.

For the agent, which runs as root beside Postfix and is asked by the pages and the API, and for ``mailu queue``. Ids are
checked against their form, so no word of a stranger becomes an option.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

SECONDS = 30.0
MOST_MESSAGES = 500
MOST_ASKED = 5000
_MOST_RECIPIENTS = 20
_ID = re.compile(r"[0-9A-Za-z]{5,30}\Z")
_ACTIONS = {"hold": "-h", "release": "-H", "delete": "-d"}
_TOLD = re.compile(r": ([0-9]+) messages?$", re.MULTILINE)

Action = Literal["hold", "release", "delete"]


class QueueError(Exception):
    """The queue cannot be read or changed; the text says why."""


async def waiting(configuration: Path) -> list[dict[str, Any]]:
    """All messages as Postfix tells them (postqueue(1), -j), the oldest first."""
    text, _ = await _run("postqueue", "-c", str(configuration), "-j")
    every: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line.strip()]
    return sorted(every, key=lambda message: (message["arrival_time"], message["queue_id"]))


async def read_queue(configuration: Path, most: int = MOST_MESSAGES) -> dict[str, Any]:
    """The oldest messages, for the pages, and how many there are: ``{"messages": [...], "count": N}``."""
    every = await waiting(configuration)
    return {"messages": [_shown(message) for message in every[:most]], "count": len(every)}


async def retry(configuration: Path, ids: Sequence[str]) -> None:
    """Try to deliver these messages now; none named: all."""
    if not ids:
        await _run("postqueue", "-c", str(configuration), "-f")
    for queue_id in _checked(ids):
        await _run("postqueue", "-c", str(configuration), "-i", queue_id)


async def change(configuration: Path, action: Action, ids: Sequence[str]) -> int:
    """Hold, release or delete messages (postsuper(1)); senders of deleted ones are not told.

    Returns how many it was done to: Postfix is silent about those that are gone, or not in a state for it.
    """
    lines = "".join(f"{queue_id}\n" for queue_id in dict.fromkeys(_checked(ids)))
    _, said = await _run("postsuper", "-c", str(configuration), _ACTIONS[action], "-", stdin=lines)
    told = _TOLD.search(said)
    return int(told[1]) if told else 0


def _checked(ids: Sequence[str]) -> list[str]:
    if not isinstance(ids, list) or len(ids) > MOST_ASKED:
        raise QueueError("a list of queue ids is needed")
    for queue_id in ids:
        # "ALL" has three characters: what deletes the whole queue is no id.
        if not isinstance(queue_id, str) or not _ID.match(queue_id):
            raise QueueError(f"{str(queue_id)[:40]!r} is no queue id")
    return list(ids)


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    recipients = message.get("recipients", [])
    return {
        "id": message["queue_id"],
        "state": message["queue_name"],
        "arrived": message["arrival_time"],
        "size": message["message_size"],
        "sender": message["sender"],
        "recipients": [
            {"address": each["address"], "reason": each.get("delay_reason", "")}
            for each in recipients[:_MOST_RECIPIENTS]
        ],
        "more": max(0, len(recipients) - _MOST_RECIPIENTS),
    }


async def _run(*command: str, stdin: str = "") -> tuple[str, str]:
    """What a program says on standard output and standard error. Raises QueueError in its own words."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise QueueError(f"{command[0]} is not installed on this machine") from None
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate(stdin.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise QueueError(f"{command[0]} did not answer within {SECONDS:.0f} s") from None
    said = err.decode(errors="replace").strip()
    if process.returncode != 0:
        raise QueueError(f"{command[0]}: {said[:500] or f'ended with code {process.returncode}'}")
    return out.decode(errors="replace"), said
