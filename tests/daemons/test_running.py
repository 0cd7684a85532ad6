"""Starting, changing, breaking and stopping a whole server."""

from __future__ import annotations

import os
import signal
import stat
import time

import pytest

from mailu.deploy.leftovers import process_facts
from tests.daemons.conftest import NewServer
from tests.daemons.server import OTHER, Server, until


def test_every_service_answers_after_up(stack: Server) -> None:
    status = stack.status()
    assert status["ready"]
    assert {item["name"] for item in status["services"]} >= {"redis", "directory", "imap", "smtp", "antispam", "front"}
    assert stack.command("status").returncode == 0


def test_a_second_up_names_the_first(stack: Server) -> None:
    refused = stack.command("up", "--detach", check=False)
    assert refused.returncode == 1
    assert f"pid {stack.status()['pids'][0]}" in refused.stderr


def test_settings_are_for_root_only(stack: Server) -> None:
    assert stat.S_IMODE(stack.env_file.stat().st_mode) == 0o600
    generated = stack.root / "run" / "directory" / "etc" / "settings.json"
    assert stat.S_IMODE(generated.stat().st_mode) == 0o640


def test_a_killed_daemon_comes_back(stack: Server) -> None:
    pid = stack.service("imap")["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: stack.service("imap")["ready"] and stack.service("imap")["pid"] != pid, what="the return of imap")
    assert "was ended by SIGKILL" in stack.log_text("mailu")
    stack.send(OTHER, subject="after the fall")
    stack.wait_for_message(OTHER, subject="after the fall")


def test_a_changed_setting_is_in_force_without_a_restart(stack: Server) -> None:
    pid = stack.service("smtp")["pid"]
    stack.write_settings(MESSAGE_SIZE_LIMIT="1234567")
    try:
        stack.command("apply")
        with stack.smtp(25) as connection:
            connection.ehlo()
            assert connection.esmtp_features["size"] == "1234567"
        assert stack.service("smtp")["pid"] == pid
    finally:
        stack.write_settings(MESSAGE_SIZE_LIMIT=None)
        stack.command("apply")


def test_settings_that_make_no_sense_change_nothing(stack: Server) -> None:
    stack.write_settings(MESSAGE_SIZE_LIMIT="plenty")
    try:
        refused = stack.command("apply", check=False)
        assert refused.returncode == 1
        assert "MESSAGE_SIZE_LIMIT=plenty" in refused.stdout
        assert stack.status()["ready"]
    finally:
        stack.write_settings(MESSAGE_SIZE_LIMIT=None)
        stack.command("apply")


def test_an_override_that_the_daemon_refuses_is_named_and_left_out(stack: Server) -> None:
    folder = stack.root / "overrides" / "dovecot"
    folder.mkdir(parents=True)
    override = folder / "dovecot.conf"
    override.write_text("no_such_setting = yes\n")
    try:
        refused = stack.command("apply", check=False)
        assert refused.returncode == 1
        assert "no_such_setting" in refused.stdout
        service = stack.service("imap")
        assert (service["ready"], service["state"]) == (True, "degraded")
        stack.messages(OTHER)
    finally:
        override.unlink()
        stack.command("apply")
    assert stack.service("imap")["state"] == "ready"


def test_logs_of_all_services_come_in_one_order(stack: Server) -> None:
    lines = stack.command("logs", "--lines", "200").stdout.splitlines()
    assert len({line.split()[1] for line in lines}) > 2
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)


def test_a_killed_agent_leaves_nothing_that_hinders_the_next_start(new_server: NewServer) -> None:
    server = new_server({})
    server.up()
    agent = server.status()["pids"][0]
    os.kill(agent, signal.SIGKILL)
    until(lambda: process_facts(agent) is None, what="the end of the agent")
    assert not server.status()["running"]
    old = {facts.pid for facts in server.processes()}
    server.up()
    assert not old & {facts.pid for facts in server.processes()}
    assert server.status()["ready"]


def test_two_servers_stand_side_by_side(stack: Server, new_server: NewServer) -> None:
    other = new_server({})
    other.up()
    other.send(f"admin@{other.domain}", sender=f"admin@{other.domain}", subject="only there")
    other.wait_for_message(f"admin@{other.domain}", subject="only there")
    assert "only there" not in [message["Subject"] for message in stack.messages(f"admin@{stack.domain}")]


def test_a_port_that_is_taken_is_named_with_its_owner(stack: Server, new_server: NewServer) -> None:
    other = new_server({"BIND_ADDRESS4": stack.address})
    refused = other.command("up", "--detach", check=False)
    assert refused.returncode == 1
    assert f"25 on {stack.address}" in refused.stderr
    assert f"master (pid {stack.service('smtp')['pid']})" in refused.stderr


def test_a_second_start_is_quick(new_server: NewServer) -> None:
    server = new_server({})
    server.up()
    server.down()
    began = time.monotonic()
    server.up()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_in_order(new_server: NewServer, number: signal.Signals) -> None:
    server = new_server({})
    server.up()
    agent = server.status()["pids"][0]
    os.kill(agent, number)
    until(lambda: process_facts(agent) is None, what="the end of the agent")
    assert server.processes() == []
