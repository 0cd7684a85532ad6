"""Mail under way while something breaks, and the account afterwards: what was answered with 250 must be somewhere.

Two senders run beside each other: a stranger on port 25 and a user on port 465. Each message has a Message-ID of its
own. An answer is one of three: 250; a refusal; or none at all, after the message was sent whole. The last kind may
arrive or not (RFC 5321 s4.5.3.2.6: the client must ask again), the second must not, the first must.
"""

from __future__ import annotations

import itertools
import re
import smtplib
import stat
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tests.daemons.server import OTHER, STRANGER, USER, Server, until

QUICK_RETRIES = "queue_run_delay = 2s\nminimal_backoff_time = 2s\nmaximal_backoff_time = 6s\n"
"""An override for Postfix: what is deferred is tried again after seconds, not after five minutes."""
PAUSE_SECONDS = 0.04
MESSAGES_A_CONNECTION = 5
TIMEOUT_SECONDS = 30.0
_numbers = itertools.count()
_MARK = re.compile(rb"<(\d+\.load@mailu\.test)>")


@dataclass
class Ledger:
    """What the senders were told. The names are those in Message-ID."""

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """The reply, by name."""
    unanswered: set[str] = field(default_factory=set)
    unreachable: int = 0
    """How often no message could even be offered."""


class Load:
    """Sends from its start to its end: ``with Load(server) as load``. *ports*: 25 for a stranger, 465 for a user."""

    def __init__(self, server: Server, *, ports: tuple[int, ...] = (25, 465), size_bytes: int = 200) -> None:
        self.ledger = Ledger()
        self._server = server
        self._body = "x" * 70 + "\r\n"
        self._lines = max(1, size_bytes // 72)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send_all, args=(port,), name=f"load {port}") for port in ports]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def goes_on(self, count: int = 6, *, seconds: float = 60.0) -> None:
        """Wait until so many more messages were answered with 250."""
        before = len(self.ledger.accepted)
        try:
            until(
                lambda: len(self.ledger.accepted) >= before + count,
                seconds=seconds,
                what=f"{count} more messages answered with 250",
            )
        except AssertionError as error:
            said = list(self.ledger.refused.values())[-3:]
            raise AssertionError(f"{error}; the last refusals: {said}; status: {self._server.status()}") from error

    def _send_all(self, port: int) -> None:
        while not self._stop.is_set():
            try:
                with self._connect(port) as connection:
                    for _ in range(MESSAGES_A_CONNECTION):
                        if self._stop.is_set():
                            break
                        self._send_one(connection, port)
                        time.sleep(PAUSE_SECONDS)
            except (smtplib.SMTPException, OSError):
                self.ledger.unreachable += 1
                time.sleep(PAUSE_SECONDS)

    def _connect(self, port: int) -> smtplib.SMTP:
        return self._server.smtp(port, login=None if port == 25 else USER)

    def _send_one(self, connection: smtplib.SMTP, port: int) -> None:
        name = f"{next(_numbers)}.load@mailu.test"
        sender, recipient = (STRANGER, USER) if port == 25 else (USER, OTHER)
        connection.ehlo_or_helo_if_needed()
        for command, argument in ((connection.mail, sender), (connection.rcpt, recipient)):
            code, reply = command(argument)
            if code >= 400:
                self.ledger.refused[name] = f"{code} {reply!r}"
                connection.rset()
                return
        self.ledger.unanswered.add(name)
        code, reply = connection.data(self._message(name, sender, recipient))
        self.ledger.unanswered.discard(name)
        if code == 250:
            self.ledger.accepted.append(name)
        else:
            self.ledger.refused[name] = f"{code} {reply!r}"

    def _message(self, name: str, sender: str, recipient: str) -> str:
        head = f"From: {sender}\r\nTo: {recipient}\r\nSubject: load {name}\r\nMessage-ID: <{name}>\r\n"
        date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
        return f"{head}Date: {date}\r\n\r\n{self._body * self._lines}"


def in_mailboxes(server: Server) -> Counter[str]:
    """How often each message is in a folder of a mailbox, by name."""
    return Counter(name for path in _mailbox_files(server) for name in _names_in(path)[:1])


def _mailbox_files(server: Server) -> list[Path]:
    return [path for kind in ("new", "cur") for path in (server.root / "mail").glob(f"**/{kind}/*")]


def unsigned(server: Server) -> set[str]:
    """Messages of the user in mailboxes that have left without a signature."""
    texts = {path: path.read_bytes() for path in _mailbox_files(server)}
    bare = [path for path, text in texts.items() if f"\nFrom: {USER}".encode() in text and b"DKIM-Sig" not in text]
    return {name for path in bare for name in _names_in(path)[:1]}


def in_queue(server: Server) -> set[str]:
    """The messages in Postfix's queue that it has taken whole: then it makes the file executable."""
    found: set[str] = set()
    for folder in ("incoming", "active", "deferred", "hold"):
        for path in (server.root / "mailqueue" / folder).glob("**/*"):
            try:
                whole = path.is_file() and path.stat().st_mode & stat.S_IXUSR
            except FileNotFoundError:
                continue
            found |= set(_names_in(path)[:1]) if whole else set()
    return found


def account(server: Server, load: Load, *, doubled: int = 0, seconds: float = 60.0) -> None:
    """Wait until the queue is empty; every message answered with 250 is in a mailbox then, and no refused one; our
    own are signed.

    *doubled*: how many may be there twice: those that LMTP had stored when Postfix, or the answer, died.
    """
    ledger = load.ledger
    assert ledger.accepted, f"nothing was accepted at all: {ledger}"
    assert_kept(server, load)
    until(lambda: not in_queue(server), seconds=seconds, what=f"an empty queue of {server.root}")
    stored = in_mailboxes(server)
    lost = set(ledger.accepted) - set(stored)
    assert not lost, f"{len(lost)} of {len(ledger.accepted)} messages answered with 250 are lost: {sorted(lost)[:5]}"
    assert not set(ledger.refused) & set(stored), "a message that was refused was delivered"
    assert not unsigned(server), "a message left without its signature"
    often = {
        name: count for name, count in stored.items() if count > 1 and name in {*ledger.accepted, *ledger.unanswered}
    }
    assert all(count == 2 for count in often.values()), often
    assert len(often) <= doubled, f"{len(often)} messages were delivered twice: {often}"


def assert_kept(server: Server, load: Load) -> None:
    """At this moment, everything answered with 250 is in a mailbox or in the queue."""
    accepted = set(load.ledger.accepted)
    # A message moves from the queue to a mailbox while we look: look at the queue first, and once more.
    missing = accepted - in_queue(server) - set(in_mailboxes(server))
    missing -= in_queue(server)
    assert not missing, f"neither in a mailbox nor in the queue: {sorted(missing)[:5]}"


def _names_in(path: Path) -> list[str]:
    try:
        return [found.decode() for found in _MARK.findall(path.read_bytes())]
    except FileNotFoundError:
        return []
