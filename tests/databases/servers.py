"""PostgreSQL and MariaDB of the distribution, started on private folders with unix sockets only.

Both refuse to run as root, so as root they run under their packages' users. Nothing listens on the network and nothing
outside the private folder is touched. Durability is switched off: what is tested is our use of them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

START_SECONDS = 60


class ServerFailed(AssertionError):
    """A database server did not start; the text is what it said."""


def postgresql_binaries() -> Path | None:
    """The folder of the newest installed PostgreSQL, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def mariadb_binary() -> str | None:
    """The server program of MariaDB, or None."""
    return shutil.which("mariadbd", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


class DatabaseServer:
    """A server that runs in *folder*, and can be stopped and started again.

    *ask* is the command line client with one statement, *create* the statement that makes the database ``{name}`` and
    *address* how programs reach it.
    """

    def __init__(
        self,
        command: list[str],
        account: str,
        folder: Path,
        *,
        stop: signal.Signals,
        ask: Callable[[str], list[str]],
        create: str,
        address: str,
    ) -> None:
        self._command, self._account, self._log = command, account, folder / "log"
        self._stop, self._ask, self._create, self._address = stop, ask, create, address
        self._process: subprocess.Popen[bytes] | None = None
        self._made: set[str] = set()

    def database(self, name: str = "mailu") -> str:
        """The address of a database, which is made when somebody asks for it first."""
        if name not in self._made:
            _run(self._ask(self._create.format(name=name)), None)
            self._made.add(name)
        return self._address.format(name=name)

    def start(self) -> None:
        """Start it and wait until it answers. Raises ServerFailed with what it said."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                cwd="/",
                **_account(self._account),  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + START_SECONDS
        while not _try(self._ask("SELECT 1")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed(f"it did not come up\n{self._log.read_text(errors='replace')}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it as its distribution would: clients are cut off."""
        if self._process is None:
            return
        self._process.send_signal(self._stop)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def postgresql() -> Iterator[DatabaseServer]:
    """Run a server."""
    binaries = postgresql_binaries()
    assert binaries is not None
    with _folder("postgres") as folder:
        data = folder / "data"
        init = ["--auth=trust", "--username=mailu", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        _run([str(binaries / "initdb"), f"--pgdata={data}", *init], "postgres")
        settings = ["listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", "full_page_writes=off"]
        options = [part for setting in settings for part in ("-c", setting)]
        client = [str(binaries / "psql"), f"--host={folder}", "--username=mailu", "--dbname=postgres", "--quiet"]
        server = DatabaseServer(
            [str(binaries / "postgres"), "-D", str(data), *options],
            "postgres",
            folder,
            stop=signal.SIGINT,
            ask=lambda statement: [*client, f"--command={statement}"],
            create="CREATE DATABASE {name}",
            address=f"postgresql://mailu@/{{name}}?host={folder}",
        )
        with _running(server):
            yield server


@contextmanager
def mariadb() -> Iterator[DatabaseServer]:
    """Run a server, whose databases have a default that does not suit us."""
    binary = mariadb_binary()
    assert binary is not None
    with _folder("mysql") as folder:
        data, socket = folder / "data", folder / "s"
        _run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db"], "mysql")
        options = [f"--datadir={data}", f"--socket={socket}", "--skip-networking", "--innodb-flush-log-at-trx-commit=0"]
        client = ["mariadb", "--no-defaults", f"--socket={socket}", "--user=root"]
        server = DatabaseServer(
            [binary, "--no-defaults", *options, f"--pid-file={folder}/pid", "--skip-grant-tables"],
            "mysql",
            folder,
            stop=signal.SIGTERM,
            ask=lambda statement: [*client, f"--execute={statement}"],
            create="CREATE DATABASE {name} CHARACTER SET latin1 COLLATE latin1_swedish_ci",
            address=f"mysql://root@localhost/{{name}}?unix_socket={socket}",
        )
        with _running(server):
            yield server


KINDS: dict[str, Callable[[], AbstractContextManager[DatabaseServer]]] = {"postgresql": postgresql, "mariadb": mariadb}


def installed(kind: str) -> bool:
    """Whether this machine can run one."""
    return (postgresql_binaries() if kind == "postgresql" else mariadb_binary()) is not None


@contextmanager
def _running(server: DatabaseServer) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.stop()


@contextmanager
def _folder(account: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="dbs-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, account)
            folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _account(name: str | None) -> dict[str, int | list[int]]:
    if name is None or os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _run(command: list[str], account: str | None) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        timeout=START_SECONDS,
        **_account(account),  # type: ignore[call-overload]
    )
    if done.returncode != 0:
        raise ServerFailed(f"{command[0]}: {done.stdout}{done.stderr}")


def _try(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
