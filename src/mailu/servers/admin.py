"""The ``admin`` process: ``python -m mailu.servers.admin``, started by the agent as user ``mailu``.

It serves the web pages and the REST API over HTTP on a unix socket, which only nginx reaches, and which is why what
nginx says of the client is believed. Environment: ``MAILU_SETTINGS``, the path of settings.json; on a small host, where
the porter starts it, also ``MAILU_LISTENER``, the descriptor of the socket, and ``MAILU_IDLE_SECONDS``: it ends when it
was not asked for so long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mailu.auth.assembly import build_judge, build_limits, build_sessions
from mailu.control import ControlPlane
from mailu.directory.renewal import SnapshotLoader
from mailu.directory.snapshot import Snapshot
from mailu.directory.store import open_store
from mailu.places import Places
from mailu.servers.bookkeeping import Bookkeeping
from mailu.servers.keeper import SnapshotKeeper, UpgradedVersion
from mailu.servers.listening import listen_unix
from mailu.servers.logs import set_up_logging
from mailu.servers.writing import write_batch
from mailu.settings import Settings
from mailu.web.app import create_web

log = logging.getLogger("mailu.servers.admin")

STOP_SECONDS = 5
"""How long requests under way may take once the process is to end."""


FIRST_READING_SECONDS = 5.0
"""Who woke the process waits for so long until the directory was read, rather than be told to come again."""


class Activity:
    """Knows whether anybody is being served, and since when nobody is. The agent's questions do not count."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = 0
        self._last = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        counts = scope["type"] == "http" and scope["path"] != "/ready"
        self._open += counts
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= counts
            if counts:
                self._last = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long nobody was served; 0 while somebody is."""
        return 0.0 if self._open else time.monotonic() - self._last


class Admin:
    """All parts of the process, put together."""

    def __init__(self, settings: Settings, *, woken: bool = False) -> None:
        self.woken = woken
        store = open_store(settings.database_uri)
        self.keeper = SnapshotKeeper(
            version=UpgradedVersion(store),
            load=SnapshotLoader(store, delimiters=settings.recipient_delimiter),
        )
        self.bookkeeping = Bookkeeping(partial(write_batch, store))
        limits, sessions = build_limits(settings), build_sessions(settings)
        snapshot = self._snapshot
        self.control = ControlPlane(
            settings=settings,
            places=Places(settings.root),
            store=store,
            snapshot=snapshot,
            judge=build_judge(settings, snapshot, self.bookkeeping.logged_in, limits=limits, sessions=sessions),
            limits=limits,
            sessions=sessions,
        )
        self.app = self._application()

    def _snapshot(self) -> Snapshot:
        return self.keeper.snapshot

    def _application(self) -> Starlette:
        settings = self.control.settings
        routes: list[BaseRoute] = [Route("/ready", self._ready)]
        if settings.api:
            from mailu.api.app import create_rest  # here: FastAPI and its models, for those who switched the API on

            routes.append(Mount(settings.web_api, create_rest(self.control)))
        app = Starlette(routes=[*routes, Mount("", create_web(self.control))], lifespan=self._life)
        app.router.redirect_slashes = False
        return app

    async def _ready(self, _request: Request) -> Response:
        """What the agent asks: 200 once the directory was read, 503 before. nginx passes no such path on."""
        if self.keeper.ready:
            return PlainTextResponse("ready\n")
        return PlainTextResponse("the directory has not been read yet\n", status_code=503)

    async def _first_reading(self) -> None:
        until = time.monotonic() + FIRST_READING_SECONDS
        while not self.keeper.ready and time.monotonic() < until:  # noqa: ASYNC110 - the keeper has no event
            await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def _life(self, _app: Starlette) -> AsyncIterator[None]:
        """Follow the database while requests are served."""
        tasks = [asyncio.create_task(part) for part in (self.keeper.run(), self.bookkeeping.run())]
        try:
            if self.woken:
                await self._first_reading()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1)
            await self.control.judge.close()
            await self.bookkeeping.close(1.0)


class Server(uvicorn.Server):
    """Waits until it is told to end. uvicorn looks ten times a second whether it was, and what the date is."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop = asyncio.get_running_loop()
        self._told = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal, which may come between any two lines."""
        super().handle_exit(sig, frame)
        self._loop.call_soon_threadsafe(self._told.set)

    def end(self) -> None:
        """End once requests under way are answered."""
        self.should_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        """From the start to the end."""
        await self._told.wait()


async def serve(admin: Admin, listener: socket.socket, idle_seconds: float | None) -> None:
    """Answer requests until the process is told to end, or was not asked for *idle_seconds*."""
    activity = Activity(admin.app)
    config = uvicorn.Config(
        activity,
        log_config=None,
        access_log=False,
        proxy_headers=True,
        forwarded_allow_ips="*",  # only nginx reaches the socket, and it sets these headers itself
        server_header=False,
        date_header=False,  # nginx gives its own
        timeout_graceful_shutdown=STOP_SECONDS,
        timeout_keep_alive=75,
    )
    server = Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    ending = loop.create_task(_end_when_idle(server, activity, idle_seconds)) if idle_seconds else None
    with contextlib.suppress(asyncio.CancelledError):
        await server.serve(sockets=[listener])
    if ending is not None:
        ending.cancel()


async def _end_when_idle(server: Server, activity: Activity, seconds: float) -> None:
    while activity.idle_seconds < seconds:  # noqa: ASYNC110 - the absence of events
        await asyncio.sleep(min(seconds / 4, 10.0))
    log.info("nobody has asked for %.0f s", seconds)
    server.end()


def _listener(places: Places) -> socket.socket:
    """The socket that the porter handed on; without one, a new one."""
    given = os.environ.get("MAILU_LISTENER", "")
    return socket.socket(fileno=int(given)) if given else listen_unix(places.admin_socket)


def main() -> int:
    """Run the process. Returns 78 (EX_CONFIG) when it was started wrongly, 71 (EX_OSERR) when it cannot listen."""
    try:
        settings = Settings.from_json(Path(os.environ["MAILU_SETTINGS"]).read_text(encoding="utf-8"))
    except (KeyError, OSError, ValueError) as error:
        set_up_logging("INFO")
        log.critical("cannot start: %r", error)
        return os.EX_CONFIG
    set_up_logging(settings.log_level)
    try:
        idle_seconds = float(os.environ.get("MAILU_IDLE_SECONDS", "0")) or None
        admin = Admin(settings, woken="MAILU_LISTENER" in os.environ)
        uvloop.run(serve(admin, _listener(admin.control.places), idle_seconds))
    except OSError as error:
        log.critical("cannot listen: %s", error)
        return os.EX_OSERR
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
