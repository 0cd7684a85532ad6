"""The world of these tests: a name server, and our own servers on machines of their own."""

from __future__ import annotations

import imaplib
import json
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.daemons.hosts.names import NameServer, pointer_of
from tests.daemons.hosts.network import PREFIX, Machine, Network, trust
from tests.daemons.server import PASSWORD, Server, until
from tests.pki import TestAuthority

NAME_SERVER = 10
SMALL = {"WEBMAIL": "none", "FULL_TEXT_SEARCH": "off"}


class HostedServer(Server):
    """A whole server on a machine of its own. Commands, connections and mail programs run there too."""

    def __init__(self, machine: Machine, names: NameServer, settings: Mapping[str, str], *, domain: str) -> None:
        self.machine = machine
        super().__init__(machine.address, {**SMALL, **settings}, domain=domain)
        self.program = [*machine.command, *self.program]
        self.write_override("unbound/names.conf", names.unbound())

    def smtp(self, port: int = 25, *, login: str | None = None, password: str = PASSWORD) -> smtplib.SMTP:
        with self.machine.here():
            return super().smtp(port, login=login, password=password)

    @contextmanager
    def imap(self, login: str, password: str = PASSWORD, *, port: int = 993) -> Iterator[imaplib.IMAP4]:
        with self.machine.here():
            session = super().imap(login, password, port=port)
            with session as opened:
                yield opened

    def records(self, domain: str | None = None) -> str:
        """The records that the product says have to be published for a domain, as lines of a zone file."""
        return self.command("dns", domain or self.domain, "--zone").stdout

    @property
    def asks_for_dane(self) -> bool:
        """Whether Postfix was told that its resolver validates."""
        return "smtp_tls_security_level = dane\n" in (self.root / "run/smtp/etc/main.cf").read_text()

    def raw_messages(self, login: str) -> list[bytes]:
        """Everything in the inbox, octet by octet."""
        with self.imap(login) as session:
            session.select("INBOX", readonly=True)
            numbers = session.search(None, "ALL")[1][0].split()
            answers = [session.fetch(number.decode(), "(BODY.PEEK[])")[1] for number in numbers]
            return [part[1] for answer in answers for part in answer if isinstance(part, tuple)]

    def why(self, recipient: str) -> str | None:
        """What `mailu queue why` says of the message that waits for a recipient; None where none does."""
        for message in self.queue():
            reasons = {one["address"]: one.get("delay_reason") for one in message["recipients"]}
            if reasons.get(recipient):
                return self.command("queue", "why", message["queue_id"]).stdout
        return None

    def has(self, login: str, subject: str) -> bool:
        """Whether a message with this subject is in the inbox."""
        return any(message["Subject"] == subject for message in self.messages(login))

    def send_until_one_waits(self, to: HostedServer, recipient: str, subject: str) -> tuple[str, str]:
        """Send one message after another until one waits, and return its subject and why it waits.

        Resolvers remember for a moment what DNS said before, so the first may arrive.
        """
        for number in range(20):
            named = f"{subject} {number}"
            self.send(recipient, sender=f"user@{self.domain}", subject=named)
            until(partial(self._is_decided, to, recipient, named), seconds=120, what=f"the fate of {named!r}")
            if why := self.why(recipient):
                return named, why
        raise AssertionError(f"nothing waits for {recipient}")

    def _is_decided(self, to: HostedServer, recipient: str, subject: str) -> bool:
        return self.why(recipient) is not None or to.has(recipient, subject)

    def deliver(self, to: HostedServer, recipient: str, subject: str) -> None:
        """Have waiting mail tried until it arrives; resolvers remember here too."""

        def arrived() -> bool:
            self.command("queue", "retry")
            return to.has(recipient, subject)

        until(arrived, seconds=120, what=f"the arrival of {subject!r}")

    def queue(self) -> list[dict[str, Any]]:
        """What waits here."""
        waiting: list[dict[str, Any]] = json.loads(self.command("queue", "list", "--json").stdout)
        return waiting


class World:
    """Machines, names and servers; ``server`` adds one of ours."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mt-world-", dir="/tmp"))
        self.network = Network()
        self.authority = TestAuthority.make()
        self.servers: list[HostedServer] = []
        self.pins: dict[str, str] = {}
        """Data of the TLSA records of the servers' certificates."""

    names: NameServer

    def start(self) -> None:
        """The network, and the DNS on it."""
        self.network.start()
        machine = self.network.add("dns", NAME_SERVER, name_server=f"{PREFIX}{NAME_SERVER}")
        self.names = NameServer(machine, self.folder)
        self.names.start()

    def server(
        self, letter: str, number: int, settings: Mapping[str, str] | None = None, *, certified: Sequence[str] = ()
    ) -> HostedServer:
        """The server ``mail.<letter>.test``, running, with its certificate, its records and *user* in it.

        *certified*: further names in the certificate.
        """
        domain, host = f"{letter}.test", f"mail.{letter}.test"
        machine = self.network.add(letter, number, name_server=self.names.machine.address)
        trust(machine, self.authority)
        made = HostedServer(machine, self.names, settings or {}, domain=domain)
        self.servers.append(made)
        self.pins[letter] = self.authority.issue(
            made.root / "certs", *_names(letter), *certified, files=("cert.pem", "key.pem")
        )
        self.names.publish(**{f"{letter}_host": f"{host}. 60 IN A {machine.address}\n"})
        self.names.point({pointer_of(machine.address): host})
        made.up()
        made.add_user("user")
        self.names.publish(**{letter: made.records()})
        until(lambda: made.asks_for_dane or None, seconds=60, what=f"DANE at {host}")
        return made

    def remove(self) -> None:
        """End and remove everything, whatever fails."""
        problems: list[Exception] = []
        for server in self.servers:
            try:
                server.remove()
            except Exception as error:
                problems.append(error)
        self.names.stop()
        self.network.remove()
        subprocess.run(["rm", "-rf", str(self.folder)], check=False)
        if problems:
            raise ExceptionGroup("servers did not end as they should", problems)


def _names(letter: str) -> tuple[str, ...]:
    return f"mail.{letter}.test", f"mta-sts.{letter}.test"
