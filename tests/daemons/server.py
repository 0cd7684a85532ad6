"""A whole Mailu server for tests: started with ``./mailu up --detach`` on an address of its own, and spoken to."""

from __future__ import annotations

import email
import email.policy
import imaplib
import json
import os
import shutil
import smtplib
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any, TypeVar

from mailu.deploy import bootstrap
from mailu.deploy.leftovers import ProcessFacts, all_processes

T = TypeVar("T")

CHECKOUT = Path(__file__).parents[2]
MAILU = CHECKOUT / "mailu"
DOMAIN = "mailu.test"
ADMIN, MANAGER, USER, OTHER = (f"{name}@{DOMAIN}" for name in ("admin", "manager", "user", "other"))
STRANGER = "stranger@example.org"
PASSWORD = "correct horse battery"
"""Everybody's."""
UP_SECONDS = 280
COMMAND_SECONDS = 60
ARRIVAL_SECONDS = 30.0
PATIENCE_SECONDS = 120
"""How long a client waits for a reply: after 50 MB the filter has something to read."""
ALL_PORTS = "25,80,110,143,443,465,587,993,995,4190"
NAMES = """server:
    local-zone: "." static
    local-data: ". 3600 IN SOA a.test. nobody.test. 1 3600 3600 3600 3600"
    local-data: "example.org. 3600 IN MX 10 mail.example.org."
    local-data: "mail.example.org. 3600 IN A 192.0.2.1"
    local-data: "example.net. 3600 IN MX 10 mail.example.net."
    local-data: "mail.example.net. 3600 IN A 192.0.2.2"
"""
"""The whole DNS as the server sees it: nothing a test does leaves the machine."""
EXPRESSIONS = Path(bootstrap.STATE, "test-expressions")
"""What Rspamd compiled, kept from one run to the next: with it the first start takes seconds."""


class CommandFailed(AssertionError):
    """A command line ended with an error; the text is all it said."""


def trusting() -> ssl.SSLContext:
    """A TLS client that takes the self-signed certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def until(condition: Callable[[], T | None], *, seconds: float = ARRIVAL_SECONDS, what: str = "it") -> T:
    """Wait until *condition* gives something true, and return that. Fails after *seconds*."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)
    return found


class Server:
    """One root. *settings* are further variables of mailu.env; the people are made by populate()."""

    def __init__(self, address: str, settings: Mapping[str, str] | None = None, *, domain: str = DOMAIN) -> None:
        self.address = address
        self.domain = domain
        self.root = Path(tempfile.mkdtemp(prefix="mt-", dir="/tmp"))
        self.root.chmod(0o755)
        self.env_file = self.root / "mailu.env"
        self.settings = {
            "SECRET_KEY": "0123456789ABCDEF0123456789ABCDEF",
            "ROOT": str(self.root),
            "DOMAIN": domain,
            "HOSTNAMES": f"mail.{domain}",
            "BIND_ADDRESS4": address,
            "PORTS": ALL_PORTS,
            "INITIAL_ADMIN_ACCOUNT": "admin",
            "INITIAL_ADMIN_DOMAIN": domain,
            "INITIAL_ADMIN_PW": PASSWORD,
            "RESOLVER": "unbound",
            **(settings or {}),
        }
        self.program = [str(MAILU)]
        """How the command line is called."""
        self.write_settings()
        self.write_override("unbound/names.conf", NAMES)

    # -- running it

    def write_override(self, path: str, text: str) -> Path:
        """Write a file below overrides/."""
        file = self.root / "overrides" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def write_settings(self, **changes: str | None) -> None:
        """Write mailu.env, with *changes* to the variables; None removes one. A running server notices by itself."""
        self.settings = {name: value for name, value in (self.settings | changes).items() if value is not None}
        scratch = self.env_file.with_suffix(".new")
        scratch.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        scratch.chmod(0o600)
        scratch.replace(self.env_file)

    def command(
        self, *arguments: str, check: bool = True, seconds: float = COMMAND_SECONDS, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``./mailu --env FILE ARGUMENTS``. Raises CommandFailed unless *check* is false."""
        done = subprocess.run(
            [*self.program, "--env", str(self.env_file), *arguments],
            input=given if given is not None else "",
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=plain_environment(),
        )
        if check and done.returncode != 0:
            raise CommandFailed(
                f"mailu {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def up(self) -> None:
        """Start everything and wait until every service answers."""
        self._take_compiled_expressions()
        try:
            self.command("up", "--detach", seconds=UP_SECONDS)
        except CommandFailed as error:
            raise CommandFailed(f"{error}\n{self.log_text()[-8000:]}") from error
        self._keep_compiled_expressions()

    def _take_compiled_expressions(self) -> None:
        """Rspamd compiles its expressions for ten seconds when it starts first; an earlier server has done it."""
        folder = self.root / "filter"
        if folder.exists() or not EXPRESSIONS.is_dir():
            return
        folder.mkdir()
        shutil.chown(folder, "_rspamd", "_rspamd")
        for path in EXPRESSIONS.iterdir():
            shutil.copy2(path, folder)
            shutil.chown(folder / path.name, "_rspamd", "_rspamd")

    def _keep_compiled_expressions(self) -> None:
        """For the servers after this one, until there is another Rspamd."""
        folder = self.root / "filter"
        stamps = [_text_of(place / "compiled") for place in (folder, EXPRESSIONS)]
        if not stamps[0] or stamps[0] == stamps[1]:
            return
        scratch = Path(tempfile.mkdtemp(prefix=f"{EXPRESSIONS.name}.", dir=EXPRESSIONS.parent))
        for path in folder.iterdir():
            if path.suffix in (".hs", ".hsmc", ".hsmp", ".unser") or path.name == "compiled":
                shutil.copy2(path, scratch)
        shutil.rmtree(EXPRESSIONS, ignore_errors=True)
        try:
            scratch.rename(EXPRESSIONS)
        except OSError:  # another run was faster
            shutil.rmtree(scratch)

    def down(self) -> None:
        """Stop everything; fails when a process of this root is left."""
        self.command("down", seconds=UP_SECONDS)
        left = self.processes()
        assert not left, f"left after `mailu down`: {left}"

    def remove(self) -> None:
        """Stop everything, however it is, and remove the root."""
        try:
            self.down()
        finally:
            for facts in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(facts.pid, 9)
            shutil.rmtree(self.root, ignore_errors=True)

    def processes(self) -> list[ProcessFacts]:
        """Living processes that work below this root or name it in their arguments."""
        return [facts for facts in all_processes() if self._is_ours(facts.pid)]

    def _is_ours(self, pid: int) -> bool:
        if pid == os.getpid():
            return False
        with suppress(OSError):
            if str(Path(f"/proc/{pid}/cwd").readlink()).startswith(str(self.root)):
                return True
            return str(self.root).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        return False

    def status(self) -> dict[str, Any]:
        """The answer of ``mailu status --json``."""
        answer: dict[str, Any] = json.loads(self.command("status", "--json", check=False).stdout)
        return answer

    def service(self, name: str) -> dict[str, Any]:
        """One service of the status."""
        found: dict[str, Any] = next(item for item in self.status()["services"] if item["name"] == name)
        return found

    def log_text(self, service: str | None = None) -> str:
        """What a service, or all of them, said so far."""
        folder = self.root / "run" / "log"
        files = sorted(folder.glob(f"{service or '*'}.log"))
        return "".join(f"== {path.stem}\n{path.read_text(errors='replace')}" for path in files)

    def wait_for_log(self, service: str, text: str, *, seconds: float = ARRIVAL_SECONDS) -> str:
        """Wait for a line with *text* in the log of *service*; return the line."""
        return until(
            lambda: next((line for line in self.log_text(service).splitlines() if text in line), None),
            seconds=seconds,
            what=f"{text!r} in the log of {service}",
        )

    # -- people

    def populate(self) -> None:
        """The people of all tests beside the administrator: a manager, a user, another one."""
        for name in ("manager", "user", "other"):
            self.add_user(name)
        self.command("setmanager", self.domain, "manager")

    def add_user(self, localpart: str, *, domain: str | None = None, password: str = PASSWORD) -> str:
        """Create a mailbox; its domain too when it is missing. Returns the address."""
        self.command("user", localpart, domain or self.domain, password)
        return f"{localpart}@{domain or self.domain}"

    # -- mail

    def smtp(self, port: int = 25, *, login: str | None = None, password: str = PASSWORD) -> smtplib.SMTP:
        """A connection, with TLS where the port has it, logged in as *login* when given."""
        if port == 465:
            tls = trusting()
            connection: smtplib.SMTP = smtplib.SMTP_SSL(self.address, port, timeout=PATIENCE_SECONDS, context=tls)
        else:
            connection = smtplib.SMTP(self.address, port, timeout=PATIENCE_SECONDS)
            if port == 587:
                connection.starttls(context=trusting())
        try:
            if login is not None:
                connection.login(login, password)
        except smtplib.SMTPException:
            connection.close()
            raise
        return connection

    def send(
        self,
        recipient: str,
        *,
        sender: str = USER,
        subject: str = "a message",
        text: str = "Hello.\n",
        port: int = 465,
        login: str | None = None,
        password: str = PASSWORD,
        message: EmailMessage | None = None,
    ) -> EmailMessage:
        """Send one message: by default as the sender, logged in, on port 465; port 25 is what strangers use.

        Returns what was sent. Raises smtplib's exceptions when it is refused.
        """
        whole = message or make_message(sender, recipient, subject=subject, text=text)
        account = login or (sender if port != 25 else None)
        with self.smtp(port, login=account, password=password) as connection:
            connection.send_message(whole, from_addr=sender, to_addrs=[recipient])
        return whole

    @contextmanager
    def imap(self, login: str, password: str = PASSWORD, *, port: int = 993) -> Iterator[imaplib.IMAP4]:
        """An IMAP session, logged in."""
        if port == 993:
            session: imaplib.IMAP4 = imaplib.IMAP4_SSL(
                self.address, port, ssl_context=trusting(), timeout=PATIENCE_SECONDS
            )
        else:
            session = imaplib.IMAP4(self.address, port, timeout=PATIENCE_SECONDS)
            session.starttls(trusting())
        try:
            session.login(login, password)
            yield session
        finally:
            with suppress(imaplib.IMAP4.error, OSError):
                session.logout()
            with suppress(OSError):
                session.shutdown()  # logout() leaves the socket open when it fails

    def messages(self, login: str, *, folder: str = "INBOX", password: str = PASSWORD) -> list[EmailMessage]:
        """Everything in a folder; empty when the folder is not there."""
        with self.imap(login, password) as session:
            if session.select(f'"{folder}"', readonly=True)[0] != "OK":
                return []
            numbers = session.search(None, "ALL")[1][0].split()
            return [_parse(session.fetch(number.decode(), "(BODY.PEEK[])")[1]) for number in numbers]

    def wait_for_message(
        self, login: str, *, subject: str, folder: str = "INBOX", seconds: float = ARRIVAL_SECONDS
    ) -> EmailMessage:
        """Wait until a message with this subject is in the folder."""

        def look() -> EmailMessage | None:
            return next((found for found in self.messages(login, folder=folder) if found["Subject"] == subject), None)

        try:
            return until(look, seconds=seconds, what=f"the arrival of {subject!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_text('smtp')[-4000:]}") from error


def make_message(sender: str, recipient: str, *, subject: str = "a message", text: str = "Hello.\n") -> EmailMessage:
    """A message that no filter dislikes."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid(domain=sender.partition("@")[2] or "localhost")
    message.set_content(text)
    return message


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _parse(answer: list[Any]) -> EmailMessage:
    raw = next(part[1] for part in answer if isinstance(part, tuple))
    return email.message_from_bytes(raw, policy=email.policy.default)


def plain_environment() -> dict[str, str]:
    """What a shell of root's would have, and what pip needs to know of the network here."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "http", "no_proxy"))}
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", **kept}
