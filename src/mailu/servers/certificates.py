"""The ``certificates`` process: ``python -m mailu.servers.certificates``, started by the agent as root.

It holds the private keys of all names, which the daemons read as root, and nothing listens but a socket for the agent.
Environment: ``MAILU_SETTINGS``, the path of settings.json; ``MAILU_DIRECTORY_PORT``, where the directory says which
further names there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import dns.exception
import dns.resolver

from mailu.directory_door import NoAnswer, NotServed, ask_directory
from mailu.identity.authoritative import own_resolver
from mailu.identity.issuing.certbot import KEY_TYPES, Office
from mailu.identity.issuing.preflight import (
    LookupFailed,
    NoAddress,
    Obstacle,
    fetch_over,
    is_own_address,
    look,
)
from mailu.identity.issuing.state import issuing_folder, request_folder
from mailu.places import Places
from mailu.servers.issuing import Clerk, Wanted, runner
from mailu.servers.listening import listen_unix
from mailu.servers.logs import set_up_logging
from mailu.settings import Settings

log = logging.getLogger("mailu.servers.certificates")

TICK_SECONDS = 1.0
ROUND_SECONDS = 60.0
DNS_SECONDS = 10.0
DIRECTORY_SECONDS = 5.0
HTTP_PORT = 80
WEB_ATTEMPTS = 30


def ready_socket(places: Places) -> Path:
    """Where the agent asks whether the process runs."""
    return places.run / "certificates" / "http"


def office_of(settings: Settings, places: Places) -> Office:
    """Where this root's certificates come from and go to."""
    credentials = places.certs / "dns.ini"
    return Office(
        server=settings.acme_server,
        contact=str(settings.postmaster_address),
        config=issuing_folder(places.certs),
        work=places.run / "certificates" / "work",
        logs=places.run / "certificates" / "log",
        webroot=places.acme,
        dns_plugin=settings.acme_dns_plugin,
        dns_credentials=credentials if credentials.exists() else None,
        dns_hooks=places.overrides / "certificates",
        dns_seconds=settings.acme_dns_seconds,
    )


def look_of(settings: Settings, places: Places) -> Callable[[str], Obstacle | None]:
    """What tells before each attempt whether it can succeed."""
    if settings.acme_dns_plugin == "hook":
        return partial(_look_for_hooks, places.overrides / "certificates")
    if settings.acme_dns_plugin is not None:
        return lambda _name: None
    return partial(
        look,
        webroot=places.acme,
        addresses=lambda name: addresses(name, name_server=own_resolver(places)),
        fetch=fetch_over(HTTP_PORT),
        is_ours=is_own_address,
    )


def _look_for_hooks(folder: Path, _name: str) -> Obstacle | None:
    for program in ("dns-add", "dns-remove"):
        if not os.access(folder / program, os.X_OK):
            return Obstacle(
                f"{folder / program} is not there or cannot be executed",
                "Write a program that adds (removes) the TXT record of $CERTBOT_VALIDATION at "
                "_acme-challenge.$CERTBOT_DOMAIN, or choose another ACME_DNS_PLUGIN.",
            )
    return None


def addresses(name: str, *, name_server: tuple[str, int] | None = None) -> list[str]:
    """A and AAAA of *name*. Raises NoAddress, LookupFailed."""
    resolver = dns.resolver.Resolver(configure=name_server is None)
    if name_server is not None:
        resolver.nameservers, resolver.port = [name_server[0]], name_server[1]
    resolver.lifetime = DNS_SECONDS
    found: list[str] = []
    for kind in ("A", "AAAA"):
        try:
            found += [record.address for record in resolver.resolve(name, kind, search=False)]
        except dns.resolver.NXDOMAIN:
            raise NoAddress(f"{name} is not in DNS") from None
        except dns.resolver.NoAnswer:
            continue
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailed(f"DNS does not answer about {name}: {error or type(error).__name__}") from None
    if not found:
        raise NoAddress(f"{name} has no address in DNS")
    return found


def wanted_names(settings: Settings, more: Sequence[str]) -> list[Wanted]:
    """Host names with all kinds of keys; further names, which only browsers and mail programs of today ask, ECDSA."""
    kinds = KEY_TYPES if settings.acme_rsa else KEY_TYPES[:1]
    hosts = [str(name) for name in settings.hostnames]
    return [Wanted(name, kinds) for name in hosts] + [Wanted(name) for name in more if name not in hosts]


class Names:
    """The further names, as the directory says; those of the last time while it does not answer."""

    def __init__(self, port: int, secret: Path) -> None:
        self._port, self._secret = port, secret
        self._last: list[str] | None = None

    def ask(self) -> list[str] | None:
        """The names; None when they were never known: then nothing may be forgotten either."""
        try:
            self._last = self._fetch()
        except (OSError, NoAnswer, NotServed, ValueError) as error:
            log.debug("the directory does not say which names there are: %s", error)
        return self._last

    def _fetch(self) -> list[str]:
        secret = self._secret.read_text(encoding="ascii").strip()
        body = ask_directory(self._port, secret, "GET", "/web-names", seconds=DIRECTORY_SECONDS)
        return [str(name) for name in json.loads(body)["names"]]


async def attend(clerk: Clerk, settings: Settings, names: Names) -> None:
    """Go round every minute, and at once when somebody asks for something."""
    await _until_web_answers(settings)
    while True:
        more = await asyncio.to_thread(names.ask)
        try:
            await asyncio.to_thread(clerk.round, wanted_names(settings, more or ()))
        except OSError as error:
            log.error("certificates could not be looked after: %s", error)
        for _ in range(round(ROUND_SECONDS / TICK_SECONDS)):
            if clerk.has_requests():
                break
            await asyncio.sleep(TICK_SECONDS)


async def _until_web_answers(settings: Settings) -> None:
    """Give nginx, which is started beside us, a moment: the first look would fail and cost a minute."""
    address = settings.bind_addresses[0] if settings.bind_addresses else "127.0.0.1"
    for _ in range(WEB_ATTEMPTS):
        try:
            _reader, writer = await asyncio.open_connection(address, HTTP_PORT)
        except OSError:
            await asyncio.sleep(TICK_SECONDS / 2)
            continue
        writer.close()
        return


async def serve(settings: Settings, environ: dict[str, str]) -> None:
    """Attend until told to end; a certbot under way is waited for by the agent, then ended."""
    places = Places(settings.root)
    ca_file = places.certs / settings.acme_roots if settings.acme_roots else None
    clerk = Clerk(
        places.certs,
        office_of(settings, places),
        look=look_of(settings, places),
        run=runner(ca_file),
    )
    request_folder(places.certs).mkdir(mode=0o700, parents=True, exist_ok=True)
    names = Names(int(environ.get("MAILU_DIRECTORY_PORT", "0")), places.service("directory") / "secret")
    server = await asyncio.start_unix_server(_say_ready, sock=listen_unix(ready_socket(places)))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work = asyncio.create_task(attend(clerk, settings, names))
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    server.close()
    if work.done():
        work.result()


async def _say_ready(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ValueError):
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nready\n")
        await writer.drain()
    writer.close()


def main() -> int:
    """Run the process. Returns 78 (EX_CONFIG) when it was started wrongly, 71 (EX_OSERR) when it cannot listen."""
    try:
        settings = Settings.from_json(Path(os.environ["MAILU_SETTINGS"]).read_text(encoding="utf-8"))
    except (KeyError, OSError, ValueError) as error:
        set_up_logging("INFO")
        log.critical("cannot start: %r", error)
        return os.EX_CONFIG
    set_up_logging(settings.log_level)
    try:
        asyncio.run(serve(settings, dict(os.environ)))
    except OSError as error:
        log.critical("cannot listen: %s", error)
        return os.EX_OSERR
    # A thread that waits for certbot must not hold the process: the agent ends its group.
    sys.stdout.flush()
    os._exit(os.EX_OK)


if __name__ == "__main__":
    sys.exit(main())
