"""The process as the agent starts it: asked over its real sockets, by Postfix' own postmap where that is installed."""

from __future__ import annotations

import base64
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.directory_harness import SECRET, fill, user

from mailu.auth.passwords import hash_password
from mailu.directory.models import User
from mailu.directory.store import open_store
from mailu.places import Places
from mailu.settings import Settings, load_settings
from mailu.wire import netstring

ENVIRON = {
    "DOMAIN": "example.com",
    "HOSTNAMES": "mail.example.com",
    "SECRET_KEY": "0123456789abcdef",
    "TLS_FLAVOR": "notls",
    "RATELIMIT_STORAGE_URL": "memory://",
    "MEMORY_SESSIONS": "true",
}


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One directory process on a root of its own."""

    def __init__(self, root: Path) -> None:
        self.places = Places(root)
        self.settings: Settings = load_settings(None, {**ENVIRON, "ROOT": str(root)})
        self.own = self.places.service("directory")
        for folder in (self.places.data, self.places.dkim, self.own):
            folder.mkdir(parents=True)
        (self.own / "settings.json").write_text(self.settings.to_json())
        (self.own / "secret").write_text(f"{SECRET}\n")
        self.output = self.own / "output"
        self.port = free_port()
        self.child: subprocess.Popen[bytes] | None = None

    def fill(self) -> None:
        store = open_store(self.settings.database_uri)
        store.upgrade()
        fill(store)
        with store.session() as session:
            session.add(user("real", password=hash_password("open sesame")))
        store.close()

    def start(self, **environ: str) -> None:
        with self.output.open("ab") as output:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "mailu.servers.directory"],
                env={
                    **os.environ,
                    "MAILU_SETTINGS": str(self.own / "settings.json"),
                    "MAILU_DIRECTORY_PORT": str(self.port),
                    "PYTHONUNBUFFERED": "1",
                    **environ,
                },
                stdout=output,
                stderr=output,
            )

    def wait_for(self, text: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while text not in self.said():
            assert self.child is not None
            assert self.child.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)

    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def stop(self) -> float:
        """End it as the agent does; return how many seconds it took."""
        assert self.child is not None
        started = time.monotonic()
        self.child.send_signal(signal.SIGTERM)
        assert self.child.wait(10) == 0, self.said()
        return time.monotonic() - started

    def ask_map(self, question: str) -> str:
        answer = self.ask(self.places.socketmap, netstring.encode(question.encode()), b",")
        return answer.partition(b":")[2].decode().removesuffix(",")

    def ask_policy(self, **attributes: str) -> str:
        lines = "".join(f"{name}={value}\n" for name, value in attributes.items())
        return self.ask(self.places.policy, f"request=smtpd_access_policy\n{lines}\n".encode(), b"\n\n").decode()

    def log_in(self, login: str, password: str) -> str:
        response = base64.b64encode(f"\0{login}\0{password}".encode()).decode()
        handshake = "VERSION\t1\t1\nCPID\t1\n"
        request = f"{handshake}AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip=192.0.2.1\tresp={response}\n"
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.places.sasl))
            greeting = b""
            while not greeting.endswith(b"DONE\n"):
                greeting += client.recv(4096)
            client.sendall(request.encode())
            return client.recv(4096).decode()

    def ask(self, path: Path, request: bytes, end: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(path))
            client.sendall(request)
            answer = b""
            while not answer.endswith(end):
                piece = client.recv(4096)
                assert piece, answer
                answer += piece
            return answer

    def get(self, path: str, secret: str = SECRET) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers={"X-Mailu-Secret": secret})
        answer = connection.getresponse()
        try:
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def process() -> Iterator[Process]:
    root = Path(tempfile.mkdtemp(prefix="mailu-", dir="/tmp"))
    made = Process(root)
    try:
        yield made
    finally:
        if made.child is not None and made.child.poll() is None:
            made.child.kill()
            made.child.wait()
        shutil.rmtree(root)


def test_it_answers_on_every_socket_follows_changes_and_stops_within_a_second(process: Process) -> None:
    process.fill()
    process.start()
    process.wait_for("the directory was read")
    assert process.ask_map("mailbox ann@example.com") == "OK ann@example.com"
    assert "550 5.2.1" in process.ask_policy(protocol_state="RCPT", recipient="off@example.com")
    assert process.log_in("Real@example.com", "open sesame") == "OK\t1\tuser=real@example.com\n"
    assert process.log_in("real@example.com", "wrong").startswith("FAIL\t1\treason=")
    assert process.get("/ready")[0] == 200
    assert process.get("/users", secret="wrong")[0] == 403

    store = open_store(process.settings.database_uri)
    with store.session() as session:
        session.add(user("new"))
    changed = time.monotonic()
    while process.ask_map("mailbox new@example.com") != "OK new@example.com":
        assert time.monotonic() - changed < 30
        time.sleep(0.02)

    dict_request = b"H3\t2\t0\t\tquota\nB1\tnew@example.com\nS1\tpriv/quota/storage\t4321\nC1\n"
    assert process.ask(process.places.quota_dict, dict_request, b"\n") == b"O1\n"
    assert 'mailu_directory_logins_total{outcome="accepted",protocol="smtp"} 1.0' in process.get("/metrics")[1]
    assert process.stop() < 5
    with store.read() as session:
        new = session.get(User, "new@example.com")
        real = session.get(User, "real@example.com")
        assert new is not None
        assert real is not None
        assert new.quota_bytes_used == 4321
        assert real.last_login is not None
    store.close()
    said = process.said()
    assert "Traceback" not in said
    assert "Login attempt for: real@example.com/smtp/" in said
    assert "open sesame" not in said
    assert SECRET not in said


def test_without_a_database_it_says_try_later_and_goes_on_when_there_is_one(process: Process) -> None:
    elsewhere = process.places.root / "elsewhere"
    process.places.data.rename(elsewhere)
    process.places.data.write_text("not a folder")
    process.start()
    process.wait_for("the database does not answer")
    assert process.ask_map("mailbox ann@example.com").startswith("TEMP ")
    assert "451 4.3.0" in process.ask_policy(protocol_state="RCPT", recipient="ann@example.com")
    assert process.log_in("real@example.com", "open sesame") == ""
    assert process.get("/web-names")[0] == 503
    assert process.get("/ready")[0] == 503
    process.places.data.unlink()
    elsewhere.rename(process.places.data)
    process.fill()
    process.wait_for("the directory was read")
    assert process.ask_map("mailbox ann@example.com") == "OK ann@example.com"
    assert process.said().count("does not answer") == 1
    assert process.stop() < 5


def test_when_the_database_goes_what_was_read_last_answers_on(process: Process) -> None:
    process.fill()
    process.start()
    process.wait_for("the directory was read")
    process.places.data.rename(process.places.root / "elsewhere")
    process.wait_for("answering from what was read last")
    assert process.ask_map("mailbox ann@example.com") == "OK ann@example.com"
    assert "mailu_directory_database_up 0.0" in process.get("/metrics")[1]
    (process.places.root / "elsewhere").rename(process.places.data)
    process.wait_for("INFO: the database answers\n", seconds=10)
    assert process.stop() < 5


def test_a_second_process_on_the_same_root_refuses_to_start_and_one_after_a_crash_does_not(process: Process) -> None:
    process.fill()
    process.start()
    process.wait_for("the directory was read")
    first = process.child
    assert first is not None
    process.start()
    assert process.child is not None
    assert process.child.wait(30) == os.EX_OSERR
    assert "another process answers on" in process.said()
    assert process.ask_map("domain example.com") == "OK example.com"
    first.kill()
    first.wait()
    process.output.unlink()
    process.start()
    process.wait_for("the directory was read")
    assert process.ask_map("domain example.com") == "OK example.com"


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"MAILU_SETTINGS": "/nowhere/settings.json"}, "No such file"),
        ({"MAILU_DIRECTORY_PORT": "many"}, "invalid literal"),
    ],
)
def test_a_wrong_start_is_explained_in_one_line(process: Process, environ: dict[str, str], complaint: str) -> None:
    process.start(**environ)
    assert process.child is not None
    assert process.child.wait(30) == os.EX_CONFIG
    assert complaint in process.said()
    assert len(process.said().splitlines()) == 1


def test_a_short_secret_is_not_taken(process: Process) -> None:
    (process.own / "secret").write_text("short")
    process.start()
    assert process.child is not None
    assert process.child.wait(30) == os.EX_CONFIG


@pytest.mark.daemons
@pytest.mark.skipif(not shutil.which("postmap"), reason="needs Postfix")
def test_postmap_gets_found_not_found_and_temporary_apart(process: Process) -> None:
    process.fill()
    process.start()
    process.wait_for("the directory was read")
    (process.own / "main.cf").write_text("compatibility_level = 3.6\n")

    def postmap(key: str, name: str) -> tuple[int, str, str]:
        table = f"socketmap:unix:{process.places.socketmap}:{name}"
        done = subprocess.run(
            ["postmap", "-c", str(process.own), "-q", key, table], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    assert postmap("team@example.net", "alias") == (0, "ann@example.com,bob@example.com\n", "")
    assert postmap("nobody@example.com", "alias") == (1, "", "")
    code, output, complaint = postmap("broken.test", "transport")
    assert (code, output) == (1, "")
    assert "temporary error" in complaint
    lines = "".join(f"user{number}@example.com\n" for number in range(2000))
    table = f"socketmap:unix:{process.places.socketmap}:mailbox"
    subprocess.run(["postmap", "-c", str(process.own), "-q", "-", table], input=lines.encode(), check=False, timeout=20)
    assert "Traceback" not in process.said()


def test_a_look_up_is_answered_in_well_under_a_millisecond(process: Process) -> None:
    process.fill()
    process.start()
    process.wait_for("the directory was read")
    request = netstring.encode(b"alias team@example.com")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(process.places.socketmap))
        seconds = []
        for _ in range(3000):
            started = time.perf_counter()
            client.sendall(request)
            assert client.recv(4096).endswith(b",")
            seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[len(seconds) // 2] < 0.001
