"""What the administration's pages may ask of the agents, which run as root: a socket apart from the control socket.

The pages run as user ``mailu``. They can look at the services and at the mail queue, have waiting mail tried again and
delete it, and learn what a mailbox's own Sieve script is called; nothing else. In particular they cannot start, stop or
configure anything, or read mail.
"""

from __future__ import annotations

import asyncio
import grp
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from mailu.daemons.dovecot.scripts import active_script
from mailu.daemons.postfix import queue
from mailu.deploy.control import ControlServer, Handler
from mailu.places import Places

GROUP = "mailu"
_STATUS_KEYS = ("services", "settings_problems", "warnings")


def operations_server(
    places: Places, status: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
) -> ControlServer | None:
    """A server for the pages; None on a machine without their group, where no pages run."""
    return pages_server(places.operations, _handlers(places, status))


def pages_server(path: Path, handlers: Mapping[str, Handler]) -> ControlServer | None:
    """A socket that the pages may ask; None on a machine without their group, where no pages run."""
    try:
        group = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None
    path.parent.mkdir(mode=0o750, exist_ok=True)
    os.chown(path.parent, 0, group)
    path.parent.chmod(0o750)
    return ControlServer(path, handlers, group=group)


def _handlers(places: Places, status: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> dict[str, Handler]:
    configuration = places.service("smtp") / "etc"

    async def shown_status(_request: dict[str, Any]) -> dict[str, Any]:
        answer = await status({})
        return {key: answer[key] for key in _STATUS_KEYS}

    async def listed(request: dict[str, Any]) -> dict[str, Any]:
        most = min(int(request.get("most", queue.MOST_MESSAGES)), queue.MOST_ASKED)
        return await queue.read_queue(_running(configuration), most)

    async def retried(request: dict[str, Any]) -> dict[str, Any]:
        await queue.retry(_running(configuration), request["ids"])
        return {}

    async def deleted(request: dict[str, Any]) -> dict[str, Any]:
        await queue.change(_running(configuration), "delete", request["ids"])
        return {}

    async def script(request: dict[str, Any]) -> dict[str, Any]:
        return {"active": await asyncio.to_thread(active_script, places.mail, str(request["home"]))}

    return {
        "status": shown_status,
        "queue": listed,
        "queue-retry": retried,
        "queue-delete": deleted,
        "sieve-script": script,
    }


def _running(configuration: Path) -> Path:
    if not (configuration / "main.cf").exists():
        raise queue.QueueError("Postfix does not run on this machine")
    return configuration
