"""Thousands of strangers who connect and say nothing, or one octet every other second; honest clients go on."""

from __future__ import annotations

import imaplib
import resource
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from tests.daemons.conftest import NETWORK
from tests.daemons.server import CHECKOUT, OTHER, STRANGER, USER, Server, make_message

PORTS = (25, 465, 587, 143, 993, 110, 995, 4190, 80, 443)
MOST_WANTED = 10_000
ROUNDS = 2
SETTLING_SECONDS = 35.0
"""The first wave holds Postfix's processes for as long as silence is tolerated; then it knows that there is stress."""
CLIENT_SECONDS = 30.0
WITHIN_SECONDS = {"port 25": 60.0, "port 465": 45.0, "IMAP": 10.0, "HTTPS": 10.0}
"""The longest that an honest client may wait, its attempts to connect again included. Postfix has a process for each
connection, and a place in its queue of new ones is a matter of luck; the others hold thousands in one process."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server(f"{NETWORK}.104", {"MESSAGE_RATELIMIT": "100000/day", "POSTMASTER": "admin"})
    try:
        made.up()
        for name in ("user", "other"):
            made.add_user(name)
        yield made
    finally:
        made.remove()


class Flood:
    """The process of strangers; *established* is what it said last."""

    def __init__(self, server: Server, each: int) -> None:
        self.established = 0
        command = [sys.executable, "-m", "tests.daemons.strangers", server.address, str(each), *map(str, PORTS)]
        self._process = subprocess.Popen(
            command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, name="strangers")
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.established = int(line.split()[0])

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._process.wait(20)
        self._reader.join()
        self._process.stdout.close()


@contextmanager
def flood(server: Server) -> Iterator[Flood]:
    # Each stands in the table of the flooding process, and once more in a daemon.
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500
    strangers = Flood(server, min(MOST_WANTED, room) // len(PORTS))
    try:
        yield strangers
    finally:
        strangers.end()


def mail_from_a_stranger(server: Server) -> None:
    with smtplib.SMTP(server.address, 25, timeout=CLIENT_SECONDS) as connection:
        message = make_message(STRANGER, USER)
        connection.send_message(message, from_addr=STRANGER, to_addrs=[USER])


def mail_from_a_user(server: Server) -> None:
    server.send(OTHER)


def reading(server: Server) -> None:
    with server.imap(USER) as session:
        session.select("INBOX")


def a_page(server: Server) -> None:
    answer = httpx.get(
        f"https://{server.address}/", verify=False, timeout=CLIENT_SECONDS, headers={"Host": f"mail.{server.domain}"}
    )
    assert answer.status_code < 500


HONEST = {"port 25": mail_from_a_stranger, "port 465": mail_from_a_user, "IMAP": reading, "HTTPS": a_page}


def patiently(server: Server, what: str, *, within: float) -> float:
    """Do it, trying again as clients do; the seconds that it took in all."""
    began = time.monotonic()
    last: Exception | None = None
    while time.monotonic() - began < within:
        try:
            HONEST[what](server)
        except (OSError, smtplib.SMTPException, httpx.HTTPError, imaplib.IMAP4.error) as error:
            last = error
            time.sleep(0.5)
        else:
            return time.monotonic() - began
    raise AssertionError(f"{what}: nothing within {within} s: {last!r}")


def test_honest_clients_are_served_while_thousands_hold_every_port(server: Server) -> None:
    with flood(server) as strangers:
        time.sleep(SETTLING_SECONDS)
        for _ in range(ROUNDS):
            for what, seconds in WITHIN_SECONDS.items():
                took = patiently(server, what, within=seconds)
                print(f"{strangers.established} connections: {what} took {took:.1f} s")
        assert strangers.established > MOST_WANTED // 4
    # When they are gone everything is as before.
    for what in WITHIN_SECONDS:
        assert patiently(server, what, within=10) < 10
