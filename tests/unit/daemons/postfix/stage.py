"""A real Postfix on a root of its own, with the real directory process behind it and stand-ins around it."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy.orm import Session
from tests.unit.daemons.postfix.dialogue import Dialogue
from tests.unit.daemons.postfix.neighbours import Neighbours

from mailu.address import parse_domain
from mailu.auth.passwords import hash_password
from mailu.daemons.postfix import ROOM
from mailu.daemons.room import CheckResult, Host, RenderRequest
from mailu.deploy.generation import Generations, make_folder
from mailu.directory.changes import SYSTEM, create_alias, create_domain, create_relay, create_user, record_quota
from mailu.directory.store import open_store
from mailu.places import Places
from mailu.settings import Settings

PASSWORD = "correct horse battery"
NAMES = (parse_domain("mail.example.com"), parse_domain("mx.example.org"))
HOST = Host(
    debian=12,
    dovecot=(2, 3),
    postfix=(3, 7),
    rspamd=(3, 4),
    cpus=2,
    ipv6=True,
    resolver_validates=True,
    directory_port=0,
    directory_secret="0123456789abcdef0123456789abcdef",
)
NETWORK = os.environ.get("MAILU_TEST_NETWORK", "127.0.18").replace("127.0", "127.15", 1)
"""Beside the network of `tests/daemons`, whose server may be running meanwhile."""
READ = "the directory was read"
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
KNOWN_SENDERS = (
    "smtpd_sender_restrictions = permit_mynetworks, reject_non_fqdn_sender,"
    " check_sender_access inline:{remote.example=OK, bücher.example=OK}, reject_unknown_sender_domain\n"
)
"""The domain of the stranger is in no DNS; the restriction behind it stays as it is for all others."""


def address(last: int) -> str:
    """A loopback address of this test process's own."""
    return f"{NETWORK}.{WORKER * 50 + last}"


def settings(root: Path, **other: object) -> Settings:
    """Settings as they would be for example.com, with *other* in their place."""
    values: dict[str, object] = {
        "secret_key": "0123456789abcdef",
        "domain": NAMES[0].partition(".")[2],
        "hostnames": NAMES,
        "root": root,
        "bind_address4": address(1),
        "bind_address6": "",
        "ports": frozenset({25, 465, 587}),
        "message_size_limit": 1_000_000,
        "message_ratelimit": None,
    }
    return Settings(**{**values, **other})  # type: ignore[arg-type]


def certificate(folder: Path, name: str) -> tuple[str, Path, Path]:
    """A self-signed certificate for *name*."""
    folder.mkdir(parents=True, exist_ok=True)
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(chain), "-subj", f"/CN={name}", "-days", "2"]
    subprocess.run(command, check=True, capture_output=True)
    return name, chain, key


def people(session: Session) -> None:
    """Ann (also sales@), Bob (forwards everything), Carl (switched off), Dora (1,000 bytes left); a relayed domain."""
    create_domain(session, "example.com", actor=SYSTEM)
    hashed = hash_password(PASSWORD)
    for name, fields in {
        "ann": {},
        "bob": {"forward_enabled": True, "forward_destination": ["bob@remote.example"], "forward_keep": True},
        "carl": {"enabled": False},
        "dora": {"quota_bytes": 1_000_000},
        "sla/sh": {},
    }.items():
        create_user(session, f"{name}@example.com", password_hash=hashed, actor=SYSTEM, **fields)  # type: ignore[arg-type]
    record_quota(session, "dora@example.com", quota_bytes_used=999_000)
    create_alias(session, "sales@example.com", destination=["ann@example.com"], actor=SYSTEM)
    create_alias(session, "away@example.com", destination=["ann@remote.example"], actor=SYSTEM)
    create_alias(session, "slow@example.com", destination=["ann@turtle.example"], actor=SYSTEM)
    create_relay(session, "relayed.example", actor=SYSTEM)


class Stage:
    """Everything of one root. Use as a context manager."""

    def __init__(
        self,
        *,
        overrides: Mapping[str, str] | None = None,
        populate: Callable[[Session], None] = people,
        **other: object,
    ) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="pf", dir="/tmp"))
        self.root.chmod(0o755)
        self.places = Places(self.root)
        self.settings = settings(self.root, **other)
        self.neighbours = Neighbours()
        self.remote, port = self.neighbours.smtp(address(40))
        routes = "".join(
            f"{name} {transport}:[{address(40)}]:{port}\n"
            for name, transport in (
                ("remote.example", "smtp"),
                ("relayed.example", "relay"),
                ("turtle.example", "turtle"),
            )
        )
        self.overrides = {"postfix.cf": KNOWN_SENDERS, "transport.map": routes, **(overrides or {})}
        self._generations = Generations(self.places.service("smtp"))
        self._certificates = [certificate(self.root / "certs", name) for name in NAMES]
        self._populate = populate
        self._processes: list[subprocess.Popen[bytes]] = []
        self.log = self.root / "postfix.log"

    def __enter__(self) -> Stage:
        try:
            self._make_folders()
            self.mailboxes = self.neighbours.lmtp(self.places.lmtp)
            self.filtered = self.neighbours.milter(self.places.milter)
            self.start_directory()
            result = self.apply()
            assert result == CheckResult(), result
            self.start_postfix()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what was started, remove the root."""
        for process in reversed(self._processes):
            self._stop(process)
        self.neighbours.close()
        shutil.rmtree(self.root)

    def connect(self, port: int = 25, **more: object) -> Dialogue:
        """A connection, after EHLO."""
        dialogue = Dialogue(self.settings.bind_address4, port, tls=port == 465, **more)  # type: ignore[arg-type]
        try:
            dialogue.say("EHLO client.example")
        except BaseException:
            dialogue.close()
            raise
        return dialogue

    def logged_in(self, user: str = "ann@example.com", port: int = 465) -> Dialogue:
        """A connection of a user."""
        dialogue = self.connect(port)
        if port == 587:
            dialogue.start_tls()
        assert dialogue.log_in(user, PASSWORD).startswith("235")
        return dialogue

    def request(self, etc: Path) -> RenderRequest:
        """What the agent would hand to the room."""
        return RenderRequest(self.settings, self.places, HOST, etc, self.overrides, self._certificates)

    def apply(self) -> CheckResult:
        """Render, check, put in force."""
        etc = self._generations.next()
        request = self.request(etc)
        for folder in ROOM.folders(request):
            make_folder(folder)
        self._generations.write(etc, ROOM.render(request))
        result = ROOM.check(request)
        self._generations.swap(etc)
        return result

    def run(self, tool: str, *arguments: str, text: str = "", user: str | None = None) -> str:
        """One of Postfix's commands on this instance; what it prints."""
        command = [f"/usr/sbin/{tool}", *(("-C",) if tool == "sendmail" else ("-c",)), str(self._generations.link)]
        done = subprocess.run(
            [*command, *arguments], input=text, capture_output=True, text=True, check=False, user=user
        )
        return done.stdout + done.stderr

    def words(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace")

    def hear(self, words: str) -> None:
        """Wait until the log says *words*."""
        self.until(lambda: words in self.words(), repr(words), seconds=5)

    def start_directory(self) -> None:
        """The real process, as its own user."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[4] / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MAILU_SETTINGS": str(self.root / "settings.json"),
            "MAILU_DIRECTORY_PORT": str(free_port()),
        }
        command = [sys.executable, "-m", "mailu.servers.directory"]
        log_file = self.root / "directory.log"
        log_file.touch()
        before = log_file.read_text().count(READ)
        with log_file.open("ab") as log:
            self.directory = subprocess.Popen(
                command, env=environment, user="mailu", group="mailu", stdout=log, stderr=log
            )
        self._processes.append(self.directory)
        self.until(lambda: log_file.read_text().count(READ) > before, "the directory")

    def change(self, what: Callable[[Session], None]) -> None:
        """Change the directory's database."""
        store = open_store(self.settings.database_uri)
        with store.session() as session:
            what(session)
        store.close()
        for file in self.places.data.iterdir():
            shutil.chown(file, "mailu", "mailu")

    def stop_directory(self) -> None:
        """As if it had crashed and not come back yet."""
        self._stop(self.directory)
        for path in (self.places.socketmap, self.places.policy, self.places.sasl):
            path.unlink(missing_ok=True)

    def start_postfix(self) -> None:
        """``master`` as the agent starts it, its words through a pipe."""
        request = self.request(self._generations.link)
        command = ROOM.command(request, self._generations.link)
        with self.log.open("ab") as log:
            relay = subprocess.Popen(["/usr/bin/cat"], stdin=subprocess.PIPE, stdout=log, stderr=log)
            self.postfix = subprocess.Popen(command, stdout=relay.stdin, stderr=relay.stdin, start_new_session=True)
        assert relay.stdin is not None
        relay.stdin.close()
        self._processes += [relay, self.postfix]
        self.until(lambda: ROOM.ready(request) is None, "Postfix")

    def restart_postfix(self) -> None:
        """Stop it, throw away what it keeps below ``run/``, and start it again."""
        self._stop(self.postfix)
        shutil.rmtree(self.places.service("smtp"))
        result = self.apply()
        assert result == CheckResult(), result
        self.start_postfix()

    def reload(self) -> None:
        """HUP, and until it answers again."""
        self.postfix.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        self.until(lambda: ROOM.ready(self.request(self._generations.link)) is None, "Postfix")

    def _make_folders(self) -> None:
        for folder, owner, group, mode in (
            (self.places.lookups, "mailu", "postfix", 0o2750),
            (self.places.quota_dict.parent, "mailu", "vmail", 0o2750),
            (self.places.lmtp.parent, "root", "postfix", 0o750),
            (self.places.milter.parent, "root", "postfix", 0o750),
            (self.places.service("directory"), "root", "mailu", 0o750),
            (self.places.data, "mailu", "mailu", 0o750),
            (self.places.dkim, "mailu", "mailu", 0o700),
        ):
            folder.mkdir(parents=True)
            shutil.chown(folder, owner, group)
            folder.chmod(mode)
        secret = self.places.service("directory") / "secret"
        secret.write_text(HOST.directory_secret)
        (self.root / "settings.json").write_text(self.settings.to_json())
        for file in (secret, self.root / "settings.json"):
            shutil.chown(file, "root", "mailu")
            file.chmod(0o640)
        self._fill_database()

    def _fill_database(self) -> None:
        store = open_store(self.settings.database_uri)
        store.upgrade()
        store.close()
        self.change(self._populate)

    def until(self, there: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        """Wait until *there* says so. Raises AssertionError with the logs."""
        until = time.monotonic() + seconds
        while not there():
            if time.monotonic() > until:
                logs = [
                    path.read_text(errors="replace")
                    for path in (self.log, self.root / "directory.log")
                    if path.exists()
                ]
                raise AssertionError(f"{what} does not come:\n" + "\n".join(logs))
            time.sleep(0.05)

    @staticmethod
    def _stop(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Networks, as settings hold them."""
    return tuple(ipaddress.ip_network(text) for text in texts)
