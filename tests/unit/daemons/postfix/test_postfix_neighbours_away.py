"""When the directory, the filter or the mailboxes are away mail waits; it is neither lost nor passed unfiltered."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from tests.unit.daemons.postfix.dialogue import Dialogue
from tests.unit.daemons.postfix.stage import PASSWORD, Stage, address

from mailu.auth.passwords import hash_password
from mailu.daemons.room import CheckResult
from mailu.directory.changes import SYSTEM, create_domain, create_user

pytestmark = pytest.mark.daemons


@pytest.fixture(scope="module")
def lonely() -> Iterator[Stage]:
    """A stage of which parts are taken away."""
    with Stage(bind_address4=address(12)) as standing:
        yield standing


def test_without_the_directory_others_try_again_and_it_goes_on_by_itself(lonely: Stage) -> None:
    with lonely.connect() as client:
        lonely.stop_directory()
        assert client.mail("stranger@remote.example", "ann@example.com").startswith("451 4.3.0")
        client.say("RSET")
        assert client.mail("stranger@remote.example", "nobody@example.com").startswith("451 4.3.0")
    lonely.start_directory()
    time.sleep(1.5)
    with lonely.connect() as client:
        assert client.mail("stranger@remote.example", "ann@example.com").startswith("250")


def test_a_new_domain_counts_at_once_even_for_who_was_refused_before(lonely: Stage) -> None:
    with lonely.connect() as client:
        assert client.mail("stranger@remote.example", "eve@new.example").startswith("554 5.7.1")
    lonely.change(new_domain)
    time.sleep(2)
    with lonely.connect() as client:
        assert client.mail("stranger@remote.example", "eve@new.example").startswith("250")


def test_without_the_directory_a_log_in_is_to_be_tried_again_and_not_wrong(lonely: Stage) -> None:
    with lonely.connect(465) as client:
        lonely.stop_directory()
        assert client.log_in("ann@example.com", PASSWORD).startswith("454 4.7.0")
        lonely.start_directory()
        assert client.log_in("ann@example.com", PASSWORD).startswith("235")


def test_without_the_filter_nothing_is_taken_on_any_port(lonely: Stage) -> None:
    aside = moved(lonely.places.milter)
    try:
        with lonely.connect() as client:
            assert client.mail("stranger@remote.example", "ann@example.com").startswith("451")
        with lonely.connect(465) as client:
            client.log_in("ann@example.com", PASSWORD)
            assert client.mail("ann@example.com", "far@remote.example").startswith("451")
    finally:
        aside.rename(lonely.places.milter)
    with lonely.connect() as client:
        assert client.mail("stranger@remote.example", "ann@example.com").startswith("250")


def test_without_the_mailboxes_mail_waits_in_the_queue(lonely: Stage) -> None:
    aside = moved(lonely.places.lmtp)
    try:
        with lonely.connect() as client:
            body = b"Subject: waits\r\n\r\nx\r\n"
            assert client.mail("Some.One@remote.example", "ann@example.com", body=body).startswith("250")
        lonely.hear("status=deferred")
        assert "ann@example.com" in lonely.run("postqueue", "-p")
    finally:
        aside.rename(lonely.places.lmtp)
    lonely.run("postqueue", "-f")
    assert lonely.mailboxes.wait("waits").sender == "Some.One@remote.example"


def test_open_sessions_survive_a_reload(lonely: Stage) -> None:
    with lonely.connect() as client:
        lonely.reload()
        assert client.mail("stranger@remote.example", "ann@example.com").startswith("250")


def test_ports_are_opened_and_closed_by_a_reload(lonely: Stage) -> None:
    usual = lonely.settings
    try:
        lonely.settings = dataclasses.replace(usual, ports=frozenset({25, 465}))
        assert lonely.apply() == CheckResult()
        lonely.reload()
        with pytest.raises(ConnectionRefusedError):
            lonely.connect(587)
    finally:
        lonely.settings = usual
    lonely.apply()
    lonely.reload()
    lonely.connect(587).close()


def test_the_service_socket_of_this_machine_sends_through_the_filter(lonely: Stage) -> None:
    script = (
        "import smtplib, socket, sys\n"
        "class Unix(smtplib.SMTP):\n"
        "    def _get_socket(self, host, port, timeout):\n"
        "        s = socket.socket(socket.AF_UNIX); s.connect(host); return s\n"
        "client = Unix(sys.argv[1])\n"
        "client.sendmail('stranger@remote.example', ['far@remote.example'], 'Subject: injected\\r\\n\\r\\nx\\r\\n')\n"
    )
    socket_path = lonely.places.mail_queue / "public" / "inject"
    assert run_python(script, socket_path, group="postdrop") == 0
    assert run_python(script, socket_path, group="nogroup") != 0
    assert lonely.remote.wait("injected").sender.startswith("SRS0=")
    assert any(b"injected" in packet for packet in lonely.filtered)


def test_its_clients_have_no_rights_on_other_ports(lonely: Stage) -> None:
    with Dialogue(lonely.settings.bind_address4, 25, source="127.0.0.1") as client:
        client.say("EHLO x")
        assert client.mail("ann@example.com", "far@remote.example").startswith("554 5.7.1")


def new_domain(session: Session) -> None:
    create_domain(session, "new.example", actor=SYSTEM)
    create_user(session, "eve@new.example", password_hash=hash_password(PASSWORD), actor=SYSTEM)


def moved(path: Path) -> Path:
    """Put a socket out of reach; returns where it is."""
    aside = path.with_suffix(".away")
    path.rename(aside)
    return aside


def run_python(script: str, argument: Path, *, group: str) -> int:
    """Run *script* as an ordinary user of *group*; its exit code."""
    command = [sys.executable, "-c", script, str(argument)]
    done = subprocess.run(command, user="vmail", group=group, extra_groups=[], capture_output=True, check=False)
    return done.returncode
