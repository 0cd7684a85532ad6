"""The ``directory`` process: ``python -m mailu.servers.directory``, started by the agent as user ``mailu``.

It answers Postfix (look-ups, policy, log-ins), Dovecot (log-ins, mailboxes, scripts, used quota) and Rspamd (keys,
domains) from memory. Environment: ``MAILU_SETTINGS``, the path of settings.json; ``MAILU_DIRECTORY_PORT``, the TCP port
on 127.0.0.1 for HTTP; optionally ``MAILU_RESOLVER_PORT``, where Unbound answers on 127.0.0.1. The secret of the HTTP
port is in ``run/directory/secret``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from mailu.auth.assembly import build_counters, build_judge, build_limits
from mailu.auth.attempt import Accepted, Decision, LoginAttempt, Refused, TryLater
from mailu.directory import lookup
from mailu.directory.models import today
from mailu.directory.renewal import SnapshotLoader
from mailu.directory.snapshot import Snapshot
from mailu.directory.store import open_store
from mailu.identity.dkim import default_selectors
from mailu.places import Places
from mailu.servers.apart import run_regularly
from mailu.servers.bookkeeping import Bookkeeping
from mailu.servers.conversations import PatientServer, PromptServer
from mailu.servers.http import Answers, HttpConversation, HttpHandlers
from mailu.servers.keeper import SnapshotKeeper, UpgradedVersion
from mailu.servers.listening import listen_loopback, listen_unix
from mailu.servers.logs import set_up_logging
from mailu.servers.mailboxes import MailboxConversation, Mailboxes
from mailu.servers.maps import MapConversation, Maps
from mailu.servers.outbound_tls import OutboundTls
from mailu.servers.policy import Policy, PolicyConversation
from mailu.servers.receivers import Receivers
from mailu.servers.rotation import Rotations
from mailu.servers.rule_scripts import RuleScripts
from mailu.servers.sasl import SaslConversation
from mailu.servers.sending import SendingLimits
from mailu.servers.signing import SigningKeys
from mailu.servers.usage import Usage, UsageConversation
from mailu.servers.writing import write_batch
from mailu.settings import Settings

log = logging.getLogger("mailu.servers.directory")

MAX_CONNECTIONS = 4_096
"""Of each listener; Postfix' process limit is 100 by default, and each process has a few connections."""
IDLE_SECONDS = 3_600.0
"""Postfix and Dovecot close what they do not use after some minutes by themselves."""
HTTP_IDLE_SECONDS = 120.0
DNS_FIRST_SECONDS = 900.0
DNS_SECONDS = 86_400.0
FLUSH_SECONDS = 0.6
"""What the last write to the database may take at the end; the whole stop is to take less than a second."""


class CannotStart(Exception):
    """The process cannot run as it was started; the text says what is missing, for the operator."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the process is told at its start."""

    settings: Settings
    places: Places
    port: int
    secret: str
    name_server: tuple[str, int] | None = None
    """Whom to ask about DNS; None: what /etc/resolv.conf names."""


def read_configuration(environ: dict[str, str]) -> Configuration:
    """Read the environment and the files that it names. Raises CannotStart."""
    try:
        settings = Settings.from_json(Path(environ["MAILU_SETTINGS"]).read_text(encoding="utf-8"))
        places = Places(settings.root)
        secret = (places.service("directory") / "secret").read_text(encoding="ascii").strip()
        port = int(environ["MAILU_DIRECTORY_PORT"])
    except KeyError as error:
        raise CannotStart(f"{error.args[0]} is not set") from None
    except (OSError, ValueError) as error:
        raise CannotStart(str(error)) from None
    resolver = environ.get("MAILU_RESOLVER_PORT", "")
    if len(secret) < 16:
        raise CannotStart(f"the secret in {places.service('directory') / 'secret'} is too short")
    return Configuration(settings, places, port, secret, ("127.0.0.1", int(resolver)) if resolver.isdigit() else None)


class Directory:
    """All parts of the process, put together."""

    def __init__(self, configuration: Configuration) -> None:
        settings, places = configuration.settings, configuration.places
        self._configuration = configuration
        self.store = open_store(settings.database_uri)
        self.keeper = SnapshotKeeper(
            version=UpgradedVersion(self.store),
            load=SnapshotLoader(
                self.store,
                delimiters=settings.recipient_delimiter,
                wildcard_senders=[str(address) for address in settings.wildcard_senders],
            ),
        )
        self.bookkeeping = Bookkeeping(partial(write_batch, self.store))
        self.usage = Usage(self.bookkeeping.usage_changed)
        counters = build_counters(settings)
        limits = build_limits(settings, counters)
        self.judge = build_judge(settings, self.snapshot, self.bookkeeping.logged_in, limits=limits)
        self.signing = SigningKeys(places.dkim, default_selectors(settings.dkim_selector))
        self.rotations = Rotations(settings, places)
        self.receivers = Receivers(configuration.name_server)
        self.maps = Maps(
            self.snapshot,
            srs_keys=settings.srs_keys,
            srs_domain=settings.domain,
            tls_policy=OutboundTls(
                self.receivers,
                levels={routed.domain: routed.treatment for routed in settings.outbound_tls_destinations},
                enforce_testing=settings.defer_on_tls_error,
                respect_dane=settings.outbound_tls_level in ("dane", "dane-only"),
                exceptions=lambda: lookup.tls_exceptions(self.snapshot(), today()),
            ).policy,
        )
        self.policy = Policy(
            self.snapshot,
            self.usage,
            SendingLimits(
                counters,
                settings.message_ratelimit,
                [str(address) for address in settings.message_ratelimit_exemption],
            ),
        )
        self.logins: Counter[tuple[str, str]] = Counter()
        """Decisions by protocol and outcome."""
        handlers = HttpHandlers(
            Answers(
                secret=configuration.secret,
                snapshot=self.snapshot,
                decide=self.decide,
                usage=self.usage,
                signing=self.signing,
                metrics=self.metrics,
                limits=limits,
                mail_counted=self.bookkeeping.mail_counted,
            )
        )
        prompt = partial(PromptServer, max_connections=MAX_CONNECTIONS, idle_seconds=IDLE_SECONDS)
        patient = partial(PatientServer, max_connections=MAX_CONNECTIONS, idle_seconds=IDLE_SECONDS)
        scripts = RuleScripts()
        self.map_server = prompt("map", lambda: MapConversation(self.maps))
        self.usage_server = prompt("usage", lambda: UsageConversation(self.snapshot, self.usage, scripts))
        mailboxes = Mailboxes(
            self.snapshot,
            self.usage.used_bytes,
            places,
            secret=configuration.secret,
            delimiters=settings.recipient_delimiter,
            message_bytes=settings.message_size_limit,
        )
        self.mailbox_server = prompt("mailboxes", lambda: MailboxConversation(mailboxes))
        self.policy_server = prompt("policy", lambda: PolicyConversation(self.policy.answer))
        self.sasl_server = patient("sasl", lambda: SaslConversation(self.decide))
        self.http_server = PatientServer(
            "http",
            lambda: HttpConversation(handlers),
            max_connections=MAX_CONNECTIONS,
            idle_seconds=HTTP_IDLE_SECONDS,
        )
        self.servers: list[PromptServer | PatientServer] = [
            self.map_server,
            self.usage_server,
            self.mailbox_server,
            self.policy_server,
            self.sasl_server,
            self.http_server,
        ]

    def snapshot(self) -> Snapshot:
        """The newest snapshot. Raises NotReady before the first one."""
        return self.keeper.snapshot

    def metrics(self) -> bytes:
        """Numbers for Prometheus."""
        from mailu.servers.metrics import DirectoryMetrics  # here: a library for those who ask

        return DirectoryMetrics(
            keeper=self.keeper,
            bookkeeping=self.bookkeeping,
            lookups=self.maps.asked,
            policy=self.policy.said,
            logins=self.logins,
            connections=lambda: {server.name: len(server.connections) for server in self.servers},
        ).text()

    async def decide(self, attempt: LoginAttempt) -> Decision:
        """Ask the judge, and count what it says."""
        if not self.keeper.ready:
            return TryLater("the directory has not been read yet")
        decision = await self.judge.decide(attempt)
        match decision:
            case Accepted():
                outcome = "accepted"
            case Refused(reason=reason):
                outcome = reason.value
            case _:
                outcome = "try-later"
        self.logins[attempt.protocol, outcome] += 1
        return decision


async def serve(directory: Directory, configuration: Configuration, stop: asyncio.Event) -> None:
    """Listen, follow the database, and answer until *stop* is set; then end within a second."""
    places = configuration.places
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(directory.judge.close)
        stack.push_async_callback(directory.receivers.close)
        stack.push_async_callback(directory.bookkeeping.close, FLUSH_SECONDS)
        stack.callback(directory.signing.close)
        directory.keeper.changed.append(directory.signing.snapshot_changed)
        for part in (
            directory.keeper.run(),
            directory.bookkeeping.run(),
            directory.signing.run(directory.snapshot),
            directory.rotations.run(directory.snapshot),
            run_regularly("mailu.servers.dns_watch", first_seconds=DNS_FIRST_SECONDS, every_seconds=DNS_SECONDS),
        ):
            await stack.enter_async_context(_running(part))
        listeners: list[tuple[PromptServer | PatientServer, Callable[[], socket.socket]]] = [
            (directory.map_server, lambda: listen_unix(places.socketmap)),
            (directory.policy_server, lambda: listen_unix(places.policy)),
            (directory.sasl_server, lambda: listen_unix(places.sasl)),
            (directory.usage_server, lambda: listen_unix(places.quota_dict)),
            (directory.mailbox_server, lambda: listen_unix(places.mailbox_lookups)),
            (directory.http_server, lambda: listen_loopback(configuration.port)),
        ]
        for server, listen in listeners:
            await server.start(listen())
            stack.push_async_callback(server.stop)
        log.info("listening on the sockets of %s and on 127.0.0.1:%d", places.root, configuration.port)
        await stop.wait()
        log.info("stopping")


@contextlib.asynccontextmanager
async def _running(part: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run *part* beside what is inside. A part that ends by itself is a fault, and ends the process."""
    task = asyncio.get_running_loop().create_task(part)
    task.add_done_callback(_must_not_end)
    try:
        yield
    finally:
        task.remove_done_callback(_must_not_end)
        task.cancel()
        await asyncio.wait([task], timeout=0.2)


def _must_not_end(task: asyncio.Task[None]) -> None:
    """A process with a dead part would answer from an old snapshot for ever; the agent starts a new one."""
    if not task.cancelled():
        log.critical("a part of the directory ended", exc_info=task.exception())
        os.kill(os.getpid(), signal.SIGTERM)


async def run(configuration: Configuration) -> None:
    """The whole life of the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(Directory(configuration), configuration, stop)


def main() -> int:
    """Run the process. Returns 78 (EX_CONFIG) when it was started wrongly, 71 (EX_OSERR) when it cannot listen."""
    try:
        configuration = read_configuration(dict(os.environ))
    except CannotStart as error:
        set_up_logging("INFO")
        log.critical("cannot start: %s", error)
        return os.EX_CONFIG
    set_up_logging(configuration.settings.log_level)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        uvloop.run(run(configuration))
    except OSError as error:
        log.critical("cannot listen: %s", error)
        return os.EX_OSERR
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
