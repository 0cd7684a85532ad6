"""Loads: what clients do to a server, bounded in count and time."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.bench.processes import any_runs, cpu_seconds, own_cpu_seconds, wait_until

MESSAGE_BYTES = 4096
STEP_SECONDS = 30.0
"""No single answer of a server is waited for longer than this."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load: its address, its processes, where its mail and its queue are."""

    address: str
    processes: tuple[int, ...]
    mail: Path
    queue: Path
    hosts: tuple[int, ...] = ()
    """Processes that count without their children: those that write the logs of the others, where there are any."""

    def cpu_seconds(self) -> float:
        """CPU time that all of it has used so far."""
        return cpu_seconds(self.processes) + own_cpu_seconds(self.hosts)


@dataclass(frozen=True, slots=True)
class Rate:
    """Result of a batch: how many a second from the first connection to the last effect, and server CPU for each."""

    per_second: float
    cpu_ms: float


def recipients(domains: int, each: int) -> list[str]:
    """The addresses that ``deliver`` writes to: ``1u@d0.test`` and so on, as ``smtp-source -N`` numbers them."""
    return [f"{number}u@d{domain}.test" for domain in range(domains) for number in range(1, each + 1)]


def deliver(target: Target, *, domains: int, each: int, sessions: int = 20) -> Rate:
    """Send one message to each of ``recipients(domains, each)`` and wait until the last has left the queue.

    Raises RuntimeError when a message is missing from the mailboxes afterwards.
    """
    before = _messages(target.mail)
    cpu = target.cpu_seconds()
    begin = time.perf_counter()
    clients = [subprocess.Popen(_smtp_source(target, domain, each, sessions // domains)) for domain in range(domains)]
    for client in clients:
        if client.wait(300):
            raise RuntimeError(f"smtp-source ended with {client.returncode}")
    wait_until(lambda: _queued(target.queue) == 0, seconds=300, what="the queue to be empty", every=0.01)
    seconds = time.perf_counter() - begin
    _settle(target)
    used = target.cpu_seconds() - cpu
    count = domains * each
    if (arrived := _messages(target.mail) - before) != count:
        raise RuntimeError(f"{count} messages sent, {arrived} arrived")
    return Rate(count / seconds, used / count * 1000)


def _settle(target: Target, seconds: float = 20.0) -> None:
    """Wait until nothing is done any more: words are indexed after delivery, and neither the next to be measured nor
    the CPU time of this batch may get away with it. On a busy machine the indexer, at the lowest priority, waits for a
    processor for seconds: it uses nothing then, and is not done.
    """
    end = time.monotonic() + seconds
    before = target.cpu_seconds()
    while time.monotonic() < end:
        time.sleep(0.2)
        now = target.cpu_seconds()
        if now - before <= 0.02 and not any_runs(target.processes):
            return
        before = now


def _smtp_source(target: Target, domain: int, messages: int, sessions: int) -> list[str]:
    options = {"-s": max(1, sessions), "-m": messages, "-l": MESSAGE_BYTES, "-f": "sender@example.com"}
    words = [str(word) for option in options.items() for word in option]
    return ["smtp-source", "-N", *words, "-t", f"u@d{domain}.test", f"inet:{target.address}:25"]


def _messages(mail: Path) -> int:
    """How many messages the inboxes hold; a home is a Maildir or has one inside."""
    total = 0
    for home in mail.iterdir():
        maildir = home / "Maildir" if (home / "Maildir").is_dir() else home
        total += sum(len(os.listdir(maildir / name)) for name in ("new", "cur") if (maildir / name).is_dir())  # noqa: PTH208
    return total


def _queued(queue: Path) -> int:
    return sum(len(files) for name in ("maildrop", "incoming", "active") for _, _, files in os.walk(queue / name))


class ImapClient:
    """As much of an IMAP client as a load needs (RFC 9051)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, address: str, *, local: str | None = None) -> ImapClient:
        """Open a TLS connection and read the greeting."""
        source = (local, 0) if local else None
        opened = asyncio.open_connection(address, 993, ssl=unverified(), local_addr=source)
        client = cls(*await asyncio.wait_for(opened, STEP_SECONDS))
        await client._line()
        return client

    async def _line(self) -> bytes:
        line = await asyncio.wait_for(self.reader.readline(), STEP_SECONDS)
        if not line:
            raise ConnectionError("the server closed the connection")
        return line

    async def command(self, text: str, *, until: bytes = b"a ") -> bytes:
        """Send one command and return the line that begins with *until*."""
        self.writer.write(f"a {text}\r\n".encode())
        while not (line := await self._line()).startswith((until, b"a ")):
            pass
        return line

    async def close(self) -> None:
        self.writer.close()
        try:
            await asyncio.wait_for(self.writer.wait_closed(), STEP_SECONDS)
        except (OSError, TimeoutError):
            return


@cache
def unverified() -> ssl.SSLContext:
    """A TLS client that takes any certificate: the servers under load have self-signed ones."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def log_in(address: str, login: str, password: str) -> float:
    """Log in once over IMAPS and out again; seconds from connecting to the answer. Raises RuntimeError on refusal."""
    begin = time.perf_counter()
    client = await ImapClient.connect(address)
    try:
        answer = await client.command(f'LOGIN "{login}" "{password}"')
        seconds = time.perf_counter() - begin
        if not answer.startswith(b"a OK"):
            raise RuntimeError(f"{login}: {answer.decode(errors='replace').strip()}")
        await client.command("LOGOUT")
        return seconds
    finally:
        await client.close()


async def _spread(jobs: Sequence[Callable[[], Awaitable[object]]], workers: int) -> None:
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job()

    await asyncio.gather(*(work() for _ in range(workers)))


def logins(target: Target, people: Sequence[tuple[str, str]], *, workers: int = 16) -> Rate:
    """Let everybody in *people* (login, password) log in once, *workers* at a time."""
    cpu = target.cpu_seconds()
    begin = time.perf_counter()
    jobs = [lambda login=login, word=word: log_in(target.address, login, word) for login, word in people]
    asyncio.run(_spread(jobs, workers))
    seconds = time.perf_counter() - begin
    return Rate(len(people) / seconds, (target.cpu_seconds() - cpu) / len(people) * 1000)


def beside_slow(address: str, *, slow: Sequence[tuple[str, str]], fast: tuple[str, str]) -> tuple[float, float]:
    """Seconds that one log-in takes alone, and while all of *slow* are under way."""

    async def measure() -> tuple[float, float]:
        alone = await log_in(address, *fast)
        crowd = [asyncio.create_task(log_in(address, *person)) for person in slow]
        await asyncio.sleep(0.1)  # the slow ones reach their hashes first; the time is part of the scenario
        together = await log_in(address, *fast)
        await asyncio.gather(*crowd, return_exceptions=True)  # on a slow machine the last are told to try later
        return alone, together

    return asyncio.run(measure())


async def _submit(address: str, login: str, password: str, recipient: str) -> None:
    reader, writer = await asyncio.open_connection(address, 465, ssl=unverified())

    async def say(text: str, expected: bytes) -> None:
        writer.write(text.encode() + b"\r\n")
        await hear(expected)

    async def hear(expected: bytes) -> None:
        while True:
            line = await asyncio.wait_for(reader.readline(), STEP_SECONDS)
            if not line.startswith(expected):
                raise RuntimeError(f"expected {expected!r}, got {line!r}")
            if line[3:4] != b"-":
                return

    plain = base64.b64encode(f"\0{login}\0{password}".encode()).decode()
    body = f"From: <{login}>\r\nTo: <{recipient}>\r\nSubject: load\r\n\r\n" + "x" * 70 + "\r\n."
    try:
        await hear(b"220")
        await say("EHLO load.test", b"250")
        await say(f"AUTH PLAIN {plain}", b"235")
        await say(f"MAIL FROM:<{login}>", b"250")
        await say(f"RCPT TO:<{recipient}>", b"250")
        await say("DATA", b"354")
        await say(body, b"250")
        await say("QUIT", b"221")
    finally:
        writer.close()


def submissions(target: Target, people: Sequence[tuple[str, str]], *, workers: int = 16) -> Rate:
    """Everybody in *people* submits one message to themselves over TLS with AUTH, until the queue is empty."""
    cpu = target.cpu_seconds()
    begin = time.perf_counter()
    jobs = [lambda login=login, word=word: _submit(target.address, login, word, login) for login, word in people]
    asyncio.run(_spread(jobs, workers))
    wait_until(lambda: _queued(target.queue) == 0, seconds=300, what="the queue to be empty", every=0.01)
    seconds = time.perf_counter() - begin
    _settle(target)
    return Rate(len(people) / seconds, (target.cpu_seconds() - cpu) / len(people) * 1000)


def idle_connections(
    address: str, people: Sequence[tuple[str, str]], count: int, settled: Callable[[], object]
) -> object:
    """Hold *count* connections in IDLE, call *settled* while they are open and return what it returns."""

    async def hold() -> object:
        async with AsyncExitStack() as stack:
            for number in range(count):
                login, password = people[number % len(people)]
                client = await ImapClient.connect(address, local=f"127.1.{number // 250}.{number % 250 + 1}")
                stack.push_async_callback(client.close)
                answer = await client.command(f'LOGIN "{login}" "{password}"')
                if not answer.startswith(b"a OK"):
                    raise RuntimeError(f"connection {number}: {answer!r}")
                await client.command("SELECT INBOX")
                await client.command("IDLE", until=b"+ ")
            return await asyncio.to_thread(settled)

    return asyncio.run(hold())
