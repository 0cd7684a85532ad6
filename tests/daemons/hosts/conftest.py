"""Two of our servers that know each other by DNS only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemons.hosts import network
from tests.daemons.hosts.names import KNOT
from tests.daemons.hosts.network import PREFIX
from tests.daemons.hosts.world import HostedServer, World


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    """The network and its DNS."""
    if not KNOT.exists():
        pytest.skip("knot is not installed: ./mailu install --tests")
    if not network.can_be_made():
        pytest.skip("no right to make network namespaces here")
    made = World()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="package")
def a(world: World) -> HostedServer:
    """mail.a.test."""
    return world.server("a", 20)


@pytest.fixture(scope="package")
def b(world: World) -> HostedServer:
    """mail.b.test, which is called in.b.test and mx.b.test too."""
    for name in ("in", "mx"):
        world.names.publish(**{f"b_{name}": f"{name}.b.test. 60 IN A {PREFIX}30\n"})
    return world.server(
        "b",
        30,
        {"HOSTNAMES": "mail.b.test,in.b.test,mx.b.test"},
        certified=["in.b.test", "mta-sts.sts.test", "mta-sts.unfit.test"],
    )


@pytest.fixture(scope="package")
def c(world: World) -> HostedServer:
    """mail.c.test, whose certificate is not that of b."""
    return world.server("c", 40)
