"""Real servers for the scenarios below this folder: one that all share, and a factory for others."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.daemons.conversation import WITH_API
from tests.daemons.server import Server

NETWORK = os.environ.get("MAILU_TEST_NETWORK", "127.0.18")
"""The addresses of the servers; two runs side by side need two of these."""
_hosts = itertools.count(11)

NewServer = Callable[[Mapping[str, str]], Server]


LONG = (
    "hosts",
    "test_dns_01",
    "test_doctor",
    "test_faults",
    "test_flavors",
    "test_identity",
    "test_issuing",
    "test_migrate",
    "test_proven",
    "test_signing",
    "test_strangers",
    "test_tls",
    "optional",
)
"""Files and folders whose scenarios take many minutes together: ``make long`` runs them, ``make test`` does not."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts daemons, and takes its time."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.daemons)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(300))
            if item.path.relative_to(here).parts[0].startswith(LONG):
                item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def stack() -> Iterator[Server]:
    """The server that all scenarios share, with its people in it. Leave it as you found it."""
    server = Server(f"{NETWORK}.10", WITH_API)
    try:
        server.up()
        server.populate()
        yield server
    finally:
        server.remove()


@pytest.fixture
def new_server() -> Iterator[NewServer]:
    """Make servers with other settings, each on an address of its own, not started yet. They are ended and removed."""
    made: list[Server] = []

    def make(settings: Mapping[str, str]) -> Server:
        made.append(Server(f"{NETWORK}.{next(_hosts)}", settings))
        return made[-1]

    yield make
    for server in made:
        server.remove()
