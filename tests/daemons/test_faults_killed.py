"""Killing what runs, one by one and all at once, while mail comes in."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

import pytest

from mailu.deploy.leftovers import all_processes, process_facts
from tests.daemons.conftest import NETWORK
from tests.daemons.load import QUICK_RETRIES, Load, account, assert_kept
from tests.daemons.server import MAILU, UP_SECONDS, Server, plain_environment, until

SERVICES = ["redis", "resolver", "antispam", "directory", "imap", "admin", "smtp", "front"]
IN_FLIGHT = 20
"""Deliveries to LMTP that Postfix has under way at the same time (default_destination_concurrency_limit)."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server(f"{NETWORK}.101", {"MESSAGE_RATELIMIT": "100000/day"})
    try:
        made.write_override("postfix/postfix.cf", QUICK_RETRIES)
        made.up()
        for name in ("user", "other"):
            made.add_user(name)
        yield made
    finally:
        made.remove()


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def family(leader: int) -> list[int]:
    """The daemon and everything that it started, the daemon first."""
    return sorted((facts.pid for facts in all_processes() if facts.session == leader), key=lambda pid: pid != leader)


def is_back(server: Server, service: str, killed: int) -> bool:
    now = server.service(service)
    return bool(now["ready"]) and now["pid"] not in (None, killed)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_killed_under_load_loses_no_mail(server: Server, service: str) -> None:
    with Load(server) as load:
        load.goes_on()
        for whole_family in (False, True):
            leader = server.service(service)["pid"]
            kill(family(leader) if whole_family else [leader])
            until(lambda pid=leader: is_back(server, service, pid), seconds=60, what=f"the return of {service}")  # type: ignore[misc]
            assert_kept(server, load)
            load.goes_on()
    account(server, load, doubled=2 * IN_FLIGHT if service in ("smtp", "imap") else 0)
    assert f"{service} was ended by SIGKILL (out of memory, or somebody killed it)" in server.log_text("mailu")


def test_a_killed_agent_takes_its_daemons_along_and_the_next_start_brings_all_back(server: Server) -> None:
    with Load(server) as load:
        load.goes_on()
        agent = server.status()["pids"][0]
        kill([agent])
        until(lambda: process_facts(agent) is None, what="the end of the agent")
        assert_kept(server, load)
        server.up()
        load.goes_on()
    account(server, load, doubled=IN_FLIGHT)


def test_everything_killed_at_once_comes_back_with_one_command(server: Server) -> None:
    with Load(server) as load:
        load.goes_on()
        kill(facts.pid for facts in server.processes())
        until(lambda: not server.processes(), what="the end of everything")
        assert_kept(server, load)
        assert server.command("status", check=False).returncode != 0
        # Two people start it at the same time: one of them does, the other is told.
        command = [str(MAILU), "--env", str(server.env_file), "up", "--detach"]
        both = [
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=plain_environment()
            )
            for _ in range(2)
        ]
        words = [process.communicate(timeout=UP_SECONDS)[1] for process in both]
        assert sorted(process.returncode for process in both) == [0, 1], words
        loser = words[[process.returncode for process in both].index(1)]
        assert f"Mailu already runs at {server.root} (pid {server.status()['pids'][0]})" in loser
        load.goes_on()
    account(server, load, doubled=IN_FLIGHT)


def test_told_to_stop_under_load_it_ends_what_it_took(server: Server) -> None:
    with Load(server) as load:
        load.goes_on()
        began = time.monotonic()
        server.down()
        assert time.monotonic() - began < 30
        assert_kept(server, load)
        server.up()
        load.goes_on()
    account(server, load)
    assert "stopping" in server.log_text("mailu")
