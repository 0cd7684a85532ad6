"""What surrounds Dovecot in these tests: a directory, a place for used bytes, Postfix's socket, a filter's controller.

Each is the smallest thing that answers as the real one does and keeps what it was told.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pytest

from mailu.directory.snapshot import UserEntry
from mailu.places import Places
from mailu.servers.mailboxes import Mailboxes
from mailu.servers.rule_scripts import RuleScripts
from mailu.wire import dovecot_dict, dovecot_master

SECRET = "directory-secret"


def account(address: str, **fields: object) -> dict[str, object]:
    """What the directory says of a mailbox."""
    answer: dict[str, object] = {
        "user": address,
        "home": address.replace("/", "%2F"),
        "quota_bytes": 0,
        "enabled": True,
        "spam_enabled": True,
        "spam_mark_as_read": True,
        "spam_threshold": 80,
        "displayed_name": "",
        "reply_enabled": False,
        "reply_subject": None,
        "reply_body": None,
        "reply_startdate": "1900-01-01",
        "reply_enddate": "2999-12-31",
    }
    return answer | fields


def entry(said: dict[str, Any]) -> UserEntry:
    """The same, as the directory keeps it."""
    address = str(said["user"])
    values = {
        **dict.fromkeys(UserEntry._fields),
        **{name: value for name, value in said.items() if name in UserEntry._fields},
        "email": address,
        "domain_name": address.rpartition("@")[2],
        "reply_startdate": date.fromisoformat(said["reply_startdate"]),
        "reply_enddate": date.fromisoformat(said["reply_enddate"]),
    }
    return UserEntry(**values)


@dataclass
class Directory:
    """The directory's answers: *accounts*, address as asked to what it says, and *passwords* by login."""

    accounts: dict[str, dict[str, object]] = field(default_factory=dict)
    passwords: dict[str, bytes] = field(default_factory=dict)
    attempts: list[dict[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    result: dict[str, object] | None = None
    """When set, the answer to every log-in."""
    delay_seconds: dict[str, float] = field(default_factory=dict)
    """How long the answer for a login takes."""
    status: int | None = None
    """When set, the HTTP status of every answer; where mailboxes are cannot be said then."""

    def add(self, address: str, password: str = "secret", **fields: object) -> None:
        """A mailbox that can be logged in to."""
        self.accounts[address] = account(address, **fields)
        self.passwords[address] = password.encode()

    def auth(self, attempt: dict[str, str]) -> dict[str, object]:
        """The answer to one log-in."""
        self.attempts.append(attempt)
        login = attempt["auth-user"]
        time.sleep(self.delay_seconds.get(login, 0))
        if self.result is not None:
            return self.result
        if self.passwords.get(login) != attempt["auth-pass"].encode("utf-8", "surrogateescape"):
            return {"result": "fail", "reason": "wrong password"}
        return {"result": "ok"} | {name: self.accounts[login][name] for name in ("user", "home", "quota_bytes")}

    def say_where(self, connection: socket.socket, places: Places) -> None:
        """Speak the master protocol."""
        mailboxes = Mailboxes(
            lambda: pytest.fail("the fields of an entry need no other"),
            lambda _entry: 0,
            places,
            secret=SECRET,
            delimiters="+",
            message_bytes=1_000_000,
        )
        decoder = dovecot_master.MasterDecoder()
        while data := connection.recv(65536):
            for command in decoder.feed(data):
                connection.sendall(self._where(command, mailboxes))

    def _where(self, command: dovecot_master.Command, mailboxes: Mailboxes) -> bytes:
        if isinstance(command, dovecot_master.Version):
            return dovecot_master.handshake(os.getpid())
        if self.status is not None:
            return dovecot_master.encode_failure(command.id, "the directory has not been read yet")
        if isinstance(command, dovecot_master.UserList):
            return dovecot_master.encode_list(command.id, sorted(self.accounts))
        assert isinstance(command, dovecot_master.UserLookup)
        self.asked.append(command.user)
        found = self.accounts.get(command.user)
        if found is None:
            return dovecot_master.encode_not_found(command.id)
        return dovecot_master.encode_user(command.id, str(found["user"]), mailboxes.fields(entry(found), command))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # One packet an answer: two would wait 40 ms for each other.

    @property
    def directory(self) -> Directory:
        return cast(_Server, self.server).directory

    def do_GET(self) -> None:
        self._send(404, b"not found\n")

    def do_POST(self) -> None:
        named = {name.lower(): unquote(value, errors="surrogateescape") for name, value in self.headers.items()}
        self._send(200, json.dumps(self.directory.auth(named)).encode())

    def _send(self, status: int, body: bytes) -> None:
        if self.headers["X-Mailu-Secret"] != SECRET:
            status, body = 403, b"forbidden\n"
        status = self.directory.status or status
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""


class _Kept(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Knows its connections."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that are kept, as the end of the process would."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Server(_Kept, ThreadingHTTPServer):
    directory: Directory


class _UnixServer(_Kept):
    address_family = socket.AF_UNIX


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@contextmanager
def served_directory(directory: Directory, port: int, places: Places) -> Iterator[Directory]:
    """Serve *directory* on the loopback *port*, and on its socket."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.directory = directory
    told = partial(directory.say_where, places=places)
    with _in_thread(server), served_socket(places.mailbox_lookups, told, "vmail"):
        yield directory


@contextmanager
def _in_thread(server: _Kept) -> Iterator[None]:
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        server.hang_up()


@contextmanager
def served_socket(path: Path, conversation: Callable[[socket.socket], None], group: str) -> Iterator[None]:
    """Serve *conversation* on a unix socket that *group* can reach, as the folder's owner arranges it."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            conversation(self.request)

    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.chown(path.parent, "root", group)
    path.parent.chmod(0o2750)
    path.unlink(missing_ok=True)
    server = _UnixServer(str(path), Handler)
    os.chmod(path, 0o666)  # noqa: PTH101
    with _in_thread(server):
        yield


@dataclass
class Usage:
    """Used bytes that Dovecot told, by user. Nobody has rules."""

    used_bytes: dict[str, int] = field(default_factory=dict)
    connections: int = 0

    def converse(self, connection: socket.socket) -> None:
        """Speak the dict protocol."""
        self.connections += 1
        decoder = dovecot_dict.DictDecoder()
        while data := connection.recv(65536):
            for command in decoder.feed(data):
                if isinstance(command, dovecot_dict.Commit):
                    for change in command.changes:
                        if change.key == "priv/quota/storage" and change.value is not None:
                            self.used_bytes[command.user] = int(change.value)
                    connection.sendall(dovecot_dict.encode_committed(command))
                elif isinstance(command, dovecot_dict.Lookup):
                    script = RuleScripts().look_up(entry(account(command.user)), command.key)
                    found = dovecot_dict.NOT_FOUND if script is None else dovecot_dict.encode_value(script)
                    connection.sendall(found)


@dataclass
class Outgoing:
    """What was handed to Postfix: commands and messages."""

    messages: list[tuple[list[str], bytes]] = field(default_factory=list)
    refuse: bytes = b""
    """When set, the answer to every RCPT."""

    def converse(self, connection: socket.socket) -> None:
        """Speak SMTP."""
        stream = connection.makefile("rwb")
        commands: list[str] = []

        def say(line: bytes) -> None:
            stream.write(line + b"\r\n")
            stream.flush()

        say(b"220 test")
        while line := stream.readline():
            command = line.decode().strip()
            commands.append(command)
            verb = command[:4].upper()
            if verb == "EHLO":
                say(b"250-test\r\n250-8BITMIME\r\n250 SMTPUTF8")
            elif verb == "RCPT" and self.refuse:
                say(self.refuse)
            elif verb == "DATA":
                say(b"354 go on")
                lines = []
                while (line := stream.readline()) != b".\r\n":
                    lines.append(line.removeprefix(b"."))
                self.messages.append((commands, b"".join(lines)))
                say(b"250 queued")
            else:
                say(b"250 ok")


@dataclass
class Controller:
    """What was taught to the filter: path, headers, body."""

    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    status: bytes = b"200 OK"
    delay_seconds: float = 0

    def converse(self, connection: socket.socket) -> None:
        """Speak HTTP, one request a connection."""
        stream = connection.makefile("rwb")
        request = stream.readline().decode().split()
        headers = {}
        while (line := stream.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers["content-length"]))
        time.sleep(self.delay_seconds)
        self.requests.append((request[1], headers, body))
        answer = b'{"success":true}'
        head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (self.status, len(answer))
        stream.write(head + answer)
        stream.flush()


@dataclass
class Surroundings:
    """All of them, with the port that the directory has."""

    places: Places
    port: int
    directory: Directory
    usage: Usage
    outgoing: Outgoing
    controller: Controller

    stop_directory: Callable[[], None] = lambda: None
    start_directory: Callable[[], None] = lambda: None

    @contextmanager
    def directory_away(self) -> Iterator[None]:
        """Nobody listens on the directory's port for the time being."""
        self.stop_directory()
        try:
            yield
        finally:
            self.start_directory()

    @contextmanager
    def filter_running(self) -> Iterator[Controller]:
        """The filter's controller, for the time being."""
        with served_socket(self.places.filter_controller, self.controller.converse, "vmail"):
            yield self.controller
        self.places.filter_controller.unlink()


@contextmanager
def surroundings(places: Places) -> Iterator[Surroundings]:
    """Everything but the filter, which tests start when they want it."""
    port = free_port()
    with ExitStack() as stack:
        around = Surroundings(places, port, Directory(), Usage(), Outgoing(), Controller())
        served = stack.enter_context(ExitStack())
        around.stop_directory = served.close

        def start() -> None:
            served.enter_context(served_directory(around.directory, port, places))

        around.start_directory = start
        around.start_directory()
        stack.enter_context(served_socket(places.quota_dict, around.usage.converse, "vmail"))
        places.mail_queue.mkdir(parents=True, exist_ok=True)
        inject = places.mail_queue / "public" / "inject"
        stack.enter_context(served_socket(inject, around.outgoing.converse, "postdrop"))
        yield around
