"""The clock of the machine jumps, forward by days and back, while mail comes in."""

from __future__ import annotations

import imaplib
import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mailu.deploy import bootstrap, machine
from tests.daemons import jumping_clock
from tests.daemons.conftest import NETWORK
from tests.daemons.load import QUICK_RETRIES, Load, account
from tests.daemons.server import CHECKOUT, OTHER, UP_SECONDS, USER, Server, plain_environment, until

IMPORTED = " ".join(jumping_clock.VARIABLES)


class ServerWithClock(Server):
    """Its processes see the time that jump() says."""

    _running: subprocess.Popen[bytes] | None = None

    def jump(self, days: int) -> None:
        """Set the clock to so many days from the true time."""
        self._offset.write_text(f"{days * 86_400}\n")

    @property
    def _offset(self) -> Path:
        return self.root / "clock"

    @property
    def _said(self) -> Path:
        return self.root / "up.log"

    def up(self) -> None:
        self.jump(0)
        self._offset.chmod(0o644)
        library = jumping_clock.build(self.root)
        if library is None:
            pytest.skip("there is no C compiler")
        python = bootstrap.ensure_environment(str(CHECKOUT / "requirements.lock"), bootstrap.STATE)
        source = bootstrap.readable_source(str(CHECKOUT / "src"), bootstrap.STATE)
        variables = {"PYTHONPATH": source, "PYTHONPYCACHEPREFIX": f"{bootstrap.STATE}/pycache"}
        command = [python, str(Path(jumping_clock.__file__)), "--env", str(self.env_file), "up"]
        with self._said.open("w") as said:
            # In the foreground: the process in the background is another program, which knows nothing of clocks.
            self._running = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**plain_environment(), **variables, **jumping_clock.environment(library, self._offset)},
            )
        until(self._is_ready, seconds=UP_SECONDS, what="readiness")

    def _is_ready(self) -> bool:
        assert self._running is not None
        assert self._running.poll() is None, self._said.read_text()[-8000:]
        answer = self.command("status", "--json", check=False).stdout
        return bool(answer) and bool(json.loads(answer)["ready"])

    def remove(self) -> None:
        try:
            super().remove()
        finally:
            if self._running is not None:
                self._running.wait(60)


@pytest.fixture
def server() -> Iterator[ServerWithClock]:
    if machine.debian_release() != 12:
        pytest.skip("Dovecot is told what to hand on in the words of 2.3")
    made = ServerWithClock(f"{NETWORK}.105", {"MESSAGE_RATELIMIT": "100000/day", "POSTMASTER": "admin"})
    try:
        made.write_override("postfix/postfix.cf", f"{QUICK_RETRIES}import_environment = MAIL_CONFIG TZ {IMPORTED}\n")
        made.write_override("dovecot/dovecot.conf", f"import_environment = TZ {IMPORTED}\n")
        made.up()
        for name in ("user", "other"):
            made.add_user(name)
        yield made
    finally:
        made.remove()


def can_read(server: Server, login: str) -> bool:
    with suppress(OSError, imaplib.IMAP4.error), server.imap(login) as session:
        session.select("INBOX", readonly=True)
        return bool(session.fetch("1", "(BODY.PEEK[])")[1][0])
    return False


def test_a_clock_that_jumps_stops_nothing(server: ServerWithClock) -> None:
    with Load(server) as load:
        load.goes_on()
        for days in (3, -1, 0):
            server.jump(days)
            load.goes_on()
            # Dovecot's processes end when time goes backwards, and no new ones are started for three minutes; the
            # agent starts Dovecot anew.
            for login in (USER, OTHER):
                try:
                    until(lambda login=login: can_read(server, login), seconds=150, what=f"{login} reads on day {days}")  # type: ignore[misc]
                except AssertionError as error:
                    raise AssertionError(f"{error}\n{server.log_text('imap')[-4000:]}") from error
        until(lambda: server.status()["ready"], what="readiness")
    # Dovecot is ended while it stores; see load.py.
    account(server, load, doubled=4, seconds=90)
    # Postfix's lines too: what it took on one day may have been stored on another.
    received = [str(line) for message in server.messages(USER) for line in message.get_all("Received", [])]
    dates = {line.rpartition(";")[2].split()[1] for line in received}
    assert len(dates) >= 3, f"the clock did not jump: {dates}"
