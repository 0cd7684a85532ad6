"""The ``fetchmail`` process: ``python -m mailu.servers.fetching``, started by the agent.

Round after round it runs fetchmail once for every account elsewhere, several at a time, so that a slow server delays
nobody else. It reads the database as root; fetchmail itself, which talks to strangers, runs as a user that can do
nothing here but hand over mail. What went wrong is written down where people see it.

Environment: ``MAILU_SETTINGS``, the path of settings.json.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from mailu.directory import changes
from mailu.directory.models import Fetch, User
from mailu.directory.store import Store, open_store
from mailu.places import Places
from mailu.servers.fetchmail import Account, Delivery, command, control_file, outcome
from mailu.servers.listening import listen_unix
from mailu.servers.logs import set_up_logging
from mailu.settings import Settings

log = logging.getLogger("mailu.servers.fetching")

USER = "mailu-fetch"
AT_ONCE, AT_ONCE_SMALL = 4, 2
ONE_FETCH_SECONDS = 900.0
TRY_AGAIN_SECONDS = 15.0
SMTP_PORT = 25
READY_SECONDS = 2.0
_READY = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nready\n"


def read_accounts(store: Store) -> list[Account]:
    """All accounts of mailboxes that are enabled. Raises what the database raises."""
    with store.read() as session:
        rows = session.scalars(select(Fetch).join(User, User.email == Fetch.user_email).where(User.enabled)).all()
        return [
            Account(
                id=row.id,
                email=row.user_email,
                protocol=row.protocol,
                host=row.host,
                port=row.port,
                tls=row.tls,
                username=row.username,
                password=row.password,
                keep=row.keep,
                scan=row.scan,
                invisible=row.invisible,
                folders=tuple(row.folders),
            )
            for row in rows
        ]


def delivery_of(settings: Settings, places: Places, account: Account) -> Delivery | None:
    """Where mail of *account* goes: through the filter when it is to be scanned. None where there is no way to it."""
    if not account.scan:
        return Delivery(str(places.fetch_lmtp), lmtp=True)
    if settings.smtp_address is not None:
        return Delivery(f"{settings.smtp_address}/{SMTP_PORT}", lmtp=False)
    if SMTP_PORT not in settings.listening_ports or SMTP_PORT in settings.proxy_protocol or not settings.bind_addresses:
        return None
    address = settings.bind_addresses[0]
    if address in ("0.0.0.0", "::"):  # noqa: S104 - a comparison
        address = "127.0.0.1" if address == "0.0.0.0" else "::1"  # noqa: S104
    return Delivery(f"{address}/{SMTP_PORT}", lmtp=False)


class Fetcher:
    """All rounds of one root."""

    def __init__(self, settings: Settings, store: Store, *, user: str | None = USER) -> None:
        self._settings, self._store, self._user = settings, store, user
        self._places = Places(settings.root)
        self._turns = asyncio.Semaphore(AT_ONCE_SMALL if settings.small_host else AT_ONCE)
        self._options = shlex.split(settings.fetchmail_options)

    async def run(self) -> None:
        """Fetch for ever, FETCHMAIL_DELAY seconds after each round."""
        while True:  # noqa: ASYNC110 - this is a pause, not a wait for something
            await asyncio.sleep(await self.round())

    async def round(self) -> float:
        """Fetch from every account once; return how long to wait until the next round."""
        try:
            accounts = await asyncio.to_thread(read_accounts, self._store)
        except Exception as error:
            log.error("the accounts cannot be read: %r", error)
            return TRY_AGAIN_SECONDS
        results = await asyncio.gather(*(self._one(account) for account in accounts), return_exceptions=True)
        for account, result in zip(accounts, results, strict=True):
            if isinstance(result, BaseException):
                log.error("%r was not fetched from", account, exc_info=result)
        await asyncio.to_thread(self._forget_others, accounts)
        return float(max(1, self._settings.fetchmail_delay))

    async def _one(self, account: Account) -> None:
        async with self._turns:
            error = await self._fetch(account)
        if error:
            log.warning("%s from %s: %s", account.email, account.host, error)
        await asyncio.to_thread(self._record, account, error)

    async def _fetch(self, account: Account) -> str | None:
        delivery = delivery_of(self._settings, self._places, account)
        if delivery is None:
            return "mail cannot be checked for spam: our server takes none on port 25 from itself"
        await asyncio.to_thread(self._write, account, control_file(account, delivery))
        process = await asyncio.create_subprocess_exec(
            *command(account, self._folder, self._options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self._folder,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self._folder),
                "LC_ALL": "C.UTF-8",
                "FETCHMAILHOME": str(self._folder),
            },
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(ONE_FETCH_SECONDS):
                said, _ = await process.communicate()
        except TimeoutError:
            return f"it took longer than {ONE_FETCH_SECONDS / 60:.0f} minutes; it goes on in the next round"
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                await process.wait()
            self._control(account).unlink(missing_ok=True)
        return outcome(process.returncode or 0, said.decode(errors="replace"))

    @property
    def _folder(self) -> Path:
        return self._places.fetchmail

    def _control(self, account: Account) -> Path:
        return self._folder / f"{account.id}.rc"

    def _write(self, account: Account, text: str) -> None:
        """The control file holds a password, and is there while fetchmail runs; it is the user's from the beginning."""
        path = self._control(account)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as stream:  # noqa: PTH123
            self._give(descriptor)
            stream.write(text)
        self._take_over_ids(account)

    def _take_over_ids(self, account: Account) -> None:
        """Which messages were fetched before: Mailu kept one file for all accounts."""
        ids, before = self._folder / f"{account.id}.ids", self._places.data / "fetchids"
        if ids.exists() or not before.is_file():
            return
        shutil.copyfile(before, ids)
        if self._user:
            shutil.chown(ids, self._user, self._user)
        ids.chmod(0o600)

    def _give(self, descriptor: int) -> None:
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.fchown(descriptor, entry.pw_uid, entry.pw_gid)

    def _record(self, account: Account, error: str | None) -> None:
        with self._store.bookkeeping() as session:
            changes.record_fetch(session, account.id, at=datetime.now(UTC), error=error)

    def _forget_others(self, accounts: Sequence[Account]) -> None:
        """Files of accounts that are gone."""
        known = {str(account.id) for account in accounts}
        for path in self._folder.glob("*.ids"):
            if path.stem not in known:
                path.unlink(missing_ok=True)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The agent's question, whatever it is: that there is an answer is the answer."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(READY_SECONDS):
            await reader.readuntil(b"\r\n\r\n")
        writer.write(_READY)
        await writer.drain()
    writer.close()


async def serve(settings: Settings) -> None:
    """Fetch until the process is told to end."""
    fetcher = Fetcher(settings, open_store(settings.database_uri))
    work = asyncio.ensure_future(fetcher.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    server = await asyncio.start_unix_server(_answer, sock=listen_unix(Places(settings.root).fetch_ready))
    async with server:
        with contextlib.suppress(asyncio.CancelledError):
            await work


def main() -> int:
    """Run the process. Returns 78 (EX_CONFIG) when it was started wrongly."""
    try:
        settings = Settings.from_json(Path(os.environ["MAILU_SETTINGS"]).read_text(encoding="utf-8"))
    except (KeyError, OSError, ValueError) as error:
        set_up_logging("INFO")
        log.critical("cannot start: %r", error)
        return os.EX_CONFIG
    set_up_logging(settings.log_level)
    asyncio.run(serve(settings))
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
