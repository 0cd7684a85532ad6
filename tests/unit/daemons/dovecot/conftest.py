"""One running Dovecot for the tests of a module: the installed one, and another Debian's where one is given.

``DOVECOT_OTHER_SYSTEM`` names a tree made by debootstrap(8) with python3, the packages of Dovecot 2.4 (or 2.3) and this
machine's ``/etc/passwd`` and ``/etc/group``; without it only the installed version is tested.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.room_harness import make_request, root_folder, running, this_host
from tests.unit.daemons.dovecot.house import ADDRESS, PLAIN, House, make_certificate
from tests.unit.daemons.dovecot.surroundings import surroundings

from mailu.daemons.dovecot.room import DovecotRoom
from mailu.deploy.machine import installed_versions
from mailu.places import Places

OTHER = os.environ.get("DOVECOT_OTHER_SYSTEM")


def _systems() -> list[Path]:
    return [Path("/"), *([Path(OTHER)] if OTHER else [])]


@contextmanager
def _seen_in(system: Path, root: Path) -> Iterator[None]:
    """Show *root* at the same place in *system*."""
    if system == Path("/"):
        yield
        return
    inside = system / root.relative_to("/")
    inside.mkdir(parents=True)
    subprocess.run(["mount", "--bind", root, inside], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", inside], check=True)
        inside.rmdir()


@contextmanager
def house(system: Path, variables: dict[str, str], names: tuple[str, ...] = ()) -> Iterator[House]:
    """Dovecot of *system* on a root of its own, with everything around it, and certificates for *names*."""
    version = installed_versions(system / "var/lib/dpkg/status").dovecot
    with root_folder("dc") as root, _seen_in(system, root), surroundings(Places(root)) as around:
        host = this_host(directory_port=around.port, dovecot=version)
        certificates = [make_certificate(root, name) for name in names]
        request = make_request(PLAIN | variables, root=root, service="imap", host=host, certificates=certificates)
        # As the agent has it: a numbered folder, and a link to it.
        request = replace(request, etc=request.etc.with_name("etc.1"))
        request.etc.parent.mkdir(parents=True)
        request.etc.with_name("etc").symlink_to("etc.1")
        room = DovecotRoom(system)
        with running(room, request) as daemon:
            yield House(room, request, daemon, around, system)


_IDS = ["installed", "other"]


@pytest.fixture(scope="module", params=_systems(), ids=_IDS[: len(_systems())])
def encrypted(request: pytest.FixtureRequest) -> Iterator[House]:
    """Dovecot with TLS on every port, two names, and a proxy in front of port 993."""
    variables = {
        "TLS_FLAVOR": "cert",
        "PORTS": "110,143,993,995,4190",
        "PROXY_PROTOCOL": "993",
        "REAL_IP_FROM": "127.0.0.0/8",
        "COMPRESSION": "gz",
    }
    with house(request.param, variables, ("mail.example.org", "mx.example.org")) as built:
        yield built


@pytest.fixture(scope="module", params=_systems(), ids=_IDS[: len(_systems())])
def offloaded(request: pytest.FixtureRequest) -> Iterator[House]:
    """Dovecot with TLS that ends before it on port 993, and ends in it on the others."""
    variables = {"TLS_FLAVOR": "cert", "PORTS": "143,993", "TLS": "443,465,995", "BIND_ADDRESS4": "127.0.16.3"}
    with house(request.param, variables, ("mail.example.org",)) as built:
        yield built


@pytest.fixture(scope="module", params=_systems(), ids=_IDS[: len(_systems())])
def home(request: pytest.FixtureRequest) -> Iterator[House]:
    """Dovecot without TLS on ADDRESS, with short times."""
    with house(request.param, {"BIND_ADDRESS4": ADDRESS, "SMALL_HOST": "true", "RECIPIENT_DELIMITER": "+-"}) as built:
        yield built
