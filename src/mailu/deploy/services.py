"""The services of Mailu: what runs, when it is wanted, what must run before it, how patient its agent is.

Everything that starts Mailu somewhere (one machine, containers, systemd) reads this table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mailu.daemons.room import Folder, RenderRequest, Room
from mailu.deploy.python_room import PythonRoom, RousedRoom
from mailu.identity.issuing.state import issuing_folder
from mailu.settings import Settings

HUNG_SECONDS = 30.0
"""So long a daemon may be silent: more than the busiest one needs, less than those who wait for it."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service. *needs*: services that must answer before this one is started; *address*: the setting that says
    that it runs on another machine; *hung_seconds*: see Terms. Strangers can keep all places at the public ports: that
    these do not answer is no reason to end what goes on there, and each question would stand in the logs.
    """

    name: str
    room: Callable[[], Room]
    wanted: Callable[[Settings], bool] = lambda _: True
    needs: tuple[str, ...] = ()
    stop_seconds: float = 10.0
    hung_seconds: float | None = HUNG_SECONDS
    address: str | None = None
    own_resolv_conf: bool = False
    """It learns of resolvers by /etc/resolv.conf only, and should ask ours (`name_service`)."""


def _daemon(package: str) -> Callable[[], Room]:
    def load() -> Room:
        room: Room = importlib.import_module(f"mailu.daemons.{package}").ROOM
        return room

    return load


def _directory_folders(request: RenderRequest) -> Sequence[Folder]:
    places = request.places
    return [
        # Files of an earlier server, or out of a backup, come as root's, or as a user's of another machine.
        Folder(places.data, "mailu", "mailu", 0o750, adopts="*.db*"),
        Folder(places.dkim, "mailu", "mailu", 0o700, adopts="*.key*"),
        Folder(places.lookups, "mailu", "postfix", 0o2750),
        Folder(places.quota_dict.parent, "mailu", "vmail", 0o2750),
    ]


def _admin_folders(request: RenderRequest) -> Sequence[Folder]:
    return [Folder(request.places.admin_socket.parent, "mailu", "www-data", 0o2750)]


DIRECTORY = PythonRoom(
    name="directory",
    module="mailu.servers.directory",
    account="mailu",
    door=lambda request: request.host.directory_port,
    documented=lambda _: False,
    more_folders=_directory_folders,
)
ADMIN = RousedRoom(
    name="admin",
    module="mailu.servers.admin",
    account="mailu",
    door=lambda request: request.places.admin_socket,
    documented=lambda settings: settings.api,  # the API describes itself by its docstrings
    more_folders=_admin_folders,
)


def _certificates_folders(request: RenderRequest) -> Sequence[Folder]:
    # Private: certbot's logs and the operator's credentials pass through it.
    return [Folder(request.places.acme), Folder(issuing_folder(request.places.certs), mode=0o755)]


CERTIFICATES = PythonRoom(
    name="certificates",
    module="mailu.servers.certificates",
    account="root",
    door=lambda request: request.places.run / "certificates" / "http",
    more_folders=_certificates_folders,
)


def _issued(settings: Settings) -> bool:
    return settings.tls_flavor == "letsencrypt"


FETCHING = PythonRoom(
    name="fetchmail",
    module="mailu.servers.fetching",
    account="root",
    door=lambda request: request.places.fetch_ready,
    more_folders=lambda request: [Folder(request.places.fetchmail, "mailu-fetch", "mailu-fetch", 0o700)],
)
"""Root reads the database, fetchmail runs as a user of its own."""


def _freshclam() -> Room:
    room: Room = importlib.import_module("mailu.daemons.clamav").FRESHCLAM
    return room


def _keeps_signatures(settings: Settings) -> bool:
    """Beside the scanner, on the same machine."""
    return settings.antivirus is not None and settings.antivirus_address is None


def _has_web(settings: Settings) -> bool:
    """Without a port for HTTP there is nothing that nginx could do."""
    return bool(settings.listening_ports & {80, 443})


SERVICES: tuple[Service, ...] = (
    Service("redis", _daemon("redis"), address="redis_address"),
    Service("resolver", _daemon("unbound"), address="resolver_address"),
    Service(
        "antivirus",
        _daemon("clamav"),
        wanted=lambda settings: settings.antivirus is not None,
        # It reads its signatures for a minute, and again whenever there are new ones.
        hung_seconds=None,
        address="antivirus_address",
    ),
    Service("signatures", _freshclam, wanted=_keeps_signatures),
    Service("oletools", _daemon("oletools"), wanted=lambda settings: settings.scan_macros, address="oletools_address"),
    Service("antispam", _daemon("rspamd"), needs=("redis",), address="antispam_address"),
    Service("directory", lambda: DIRECTORY, address="directory_address"),
    Service("imap", _daemon("dovecot"), hung_seconds=None, address="imap_address"),
    Service("admin", lambda: ADMIN, address="admin_address"),
    Service("certificates", lambda: CERTIFICATES, wanted=_issued),
    # Without the directory's SASL socket Postfix's submission gives up, and master waits a minute with the next try.
    Service(
        "smtp",
        _daemon("postfix"),
        needs=("directory",),
        hung_seconds=None,
        address="smtp_address",
        own_resolv_conf=True,
    ),
    Service(
        "webmail",
        _daemon("roundcube"),
        wanted=lambda settings: settings.webmail is not None,
        # Each question would start a process; there is none while nobody reads mail.
        hung_seconds=None,
        address="webmail_address",
    ),
    Service(
        "webdav",
        _daemon("radicale"),
        wanted=lambda settings: settings.webdav is not None,
        address="webdav_address",
    ),
    Service("fetchmail", lambda: FETCHING, wanted=lambda settings: settings.fetchmail_enabled, needs=("directory",)),
    Service("front", _daemon("nginx"), wanted=_has_web, hung_seconds=None, address="front_address"),
)
"""In the order of starting; stopping goes the other way round."""


class UnknownService(Exception):
    """There is no service of this name, or the settings do not want it here; the text says which there are."""


def wanted_services(settings: Settings) -> list[Service]:
    """The services that run on this machine with *settings*, in the order of starting."""
    return [service for service in SERVICES if service.wanted(settings) and not _elsewhere(service, settings)]


def find_service(name: str, settings: Settings) -> Service:
    """The service called *name*. Raises UnknownService when these settings do not want it."""
    names = [service.name for service in SERVICES]
    for service in SERVICES:
        if service.name == name:
            if not service.wanted(settings):
                raise UnknownService(f"The settings switch {name} off.")
            return service
    raise UnknownService(f"There is no service {name!r}; there are {', '.join(names)}.")


def stop_order(names: Iterable[str]) -> list[str]:
    """*names* in the order of stopping: those who ask first, those who are asked last."""
    position = {service.name: index for index, service in enumerate(SERVICES)}
    return sorted(names, key=lambda name: -position.get(name, len(SERVICES)))


def _elsewhere(service: Service, settings: Settings) -> bool:
    return service.address is not None and getattr(settings, service.address) is not None
