"""Asking the agents, which run as root, about what needs root's rights: for the programs that do not have them.

The agents listen on sockets of their own (``Places.operations``, ``Places.signing``), one JSON object a line each way.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from mailu.places import Places

_SECONDS = 35.0
_MOST_BYTES = 64 * 1024 * 1024
"""Thousands of waiting messages, each with what is said of twenty recipients."""


class Unreachable(Exception):
    """No agent answers: this is not the machine where the services are started together."""


class NotDone(Exception):
    """The agent could not do it; the text says why."""


def ask(places: Places, what: str, **values: object) -> dict[str, Any]:
    """Send one request about the services and the queue. Raises Unreachable and NotDone."""
    return ask_at(places.operations, what, **values)


def ask_at(path: Path, what: str, **values: object) -> dict[str, Any]:
    """Send one request to the agent at *path* and return the answer. Raises Unreachable and NotDone."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(path))
            connection.sendall(json.dumps({"do": what, **values}).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline(_MOST_BYTES)
        answer: dict[str, Any] = json.loads(line)
    except (OSError, ValueError) as error:
        raise Unreachable(str(error)) from error
    if "error" in answer:
        raise NotDone(str(answer["error"]))
    return answer
