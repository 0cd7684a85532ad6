"""What others depend on hangs, is away, or is replaced by garbage, while mail comes in."""

from __future__ import annotations

import os
import signal
import smtplib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.daemons.conftest import NETWORK
from tests.daemons.load import QUICK_RETRIES, Load, account, assert_kept
from tests.daemons.server import OTHER, STRANGER, USER, Server, until

HUNG_SECONDS = 60.0
"""Until the agent has ended what hangs, and it is back."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server(f"{NETWORK}.103", {"MESSAGE_RATELIMIT": "100000/day", "POSTMASTER": "admin"})
    try:
        made.write_override("postfix/postfix.cf", QUICK_RETRIES)
        made.up()
        for name in ("user", "other"):
            made.add_user(name)
        yield made
    finally:
        made.remove()


def stop(server: Server, service: str) -> int:
    """Stop all processes of a service where they stand: they live, and do nothing. Returns the daemon's number."""
    leader: int = server.service(service)["pid"]
    os.killpg(leader, signal.SIGSTOP)
    return leader


def is_back(server: Server, service: str, hung: int) -> bool:
    now = server.service(service)
    return bool(now["ready"]) and now["pid"] != hung


def test_services_that_hang_are_noticed_ended_and_started_again(server: Server) -> None:
    names = ("redis", "resolver", "antispam", "admin")
    with Load(server) as load:
        load.goes_on()
        hung = {name: stop(server, name) for name in names}
        until(lambda: not server.status()["ready"], what="a status that says so")
        # Nothing passes unfiltered: new mail is told to come again, in time for the next try.
        for name, pid in hung.items():
            until(lambda name=name, pid=pid: is_back(server, name, pid), seconds=HUNG_SECONDS, what=f"{name} again")  # type: ignore[misc]
        assert_kept(server, load)
        load.goes_on()
    account(server, load)
    assert not [reply for reply in load.ledger.refused.values() if not reply.startswith("4")]
    for name in names:
        server.wait_for_log("mailu", f"{name} does not answer: ")
        server.wait_for_log("mailu", f"{name} has not answered for ")


def test_without_redis_mail_and_log_ins_go_on(server: Server) -> None:
    with Load(server) as load:
        load.goes_on()
        leader = stop(server, "redis")
        try:
            server.messages(USER)
            load.goes_on()
        finally:
            os.killpg(leader, signal.SIGCONT)
        until(lambda: server.service("redis")["ready"], what="redis")
        load.goes_on()
    account(server, load)


def test_a_directory_that_hangs_delays_and_loses_nothing(server: Server) -> None:
    with Load(server) as load:
        load.goes_on()
        hung = stop(server, "directory")
        until(lambda: is_back(server, "directory", hung), seconds=HUNG_SECONDS, what="the directory again")
        load.goes_on()
    account(server, load)
    assert not [reply for reply in load.ledger.refused.values() if not reply.startswith("4")]


def test_mail_of_our_own_waits_while_its_keys_cannot_be_read(server: Server) -> None:
    keys, away = server.root / "dkim", server.root / "dkim-away"
    keys.rename(away)
    time.sleep(1.5)  # the filter believes an answer for a second
    try:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            server.send(OTHER, login=USER, subject="never unsigned")
        assert refused.value.smtp_code == 451
        server.send(USER, sender=STRANGER, port=25, subject="from outside meanwhile")
        server.wait_for_message(USER, subject="from outside meanwhile")
    finally:
        away.rename(keys)
    server.send(OTHER, login=USER, subject="signed at last")
    assert len(server.wait_for_message(OTHER, subject="signed at last").get_all("DKIM-Signature", [])) == 2
    assert "never unsigned" not in [message["Subject"] for message in server.messages(OTHER)]


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Somebody else writes, and does not end."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def test_a_locked_database_hinders_changes_and_no_mail(server: Server) -> None:
    with Load(server) as load, locked(server.root / "data" / "main.db"):
        load.goes_on()
        refused = server.command("user", "late", server.domain, "a good pass phrase", check=False)
        assert refused.returncode != 0
        assert "locked" in refused.stderr
        assert "Traceback" not in refused.stderr
        server.messages(USER)
        load.goes_on()
    account(server, load)
    server.add_user("late")


def test_a_database_that_is_gone_is_told_and_mail_goes_on_with_what_was_known(server: Server) -> None:
    database = server.root / "data" / "main.db"
    away = {path: path.with_name(f"away-{path.name}") for path in database.parent.glob("main.db*")}
    with Load(server) as load:
        load.goes_on()
        for path, place in away.items():
            path.rename(place)
        try:
            server.wait_for_log("directory", "database")
            server.messages(USER)
            load.goes_on()
            # Nobody put an empty one in its place.
            assert not database.exists() or database.stat().st_size == 0
        finally:
            for path, place in away.items():
                place.replace(path)
        server.wait_for_log("directory", "the database answers")
        load.goes_on()
        server.add_user("later")
    account(server, load)


def test_garbage_in_place_of_certificate_and_overrides_is_told_and_not_used(server: Server) -> None:
    certificate = server.root / "certs" / "cert.pem"
    with Load(server) as load:
        load.goes_on()
        server.write_override("dovecot/dovecot.conf", "garbage {{{\n" + "\0" * 512)
        server.write_override("nginx/garbage.conf", "server { listen banana; }\n")
        server.write_override("rspamd/options.inc", "= = {\n")
        postfix = server.write_override("postfix/postfix.cf", "this is no parameter\n")
        until(lambda: server.service("imap")["problems"], what="a problem of imap")
        until(lambda: server.service("smtp")["problems"], what="a problem of smtp")
        load.goes_on()
        server.messages(OTHER)
        (server.root / "certs").mkdir(exist_ok=True)
        certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\nnone\n" + os.urandom(300))
        until(lambda: any("certificate" in text for text in server.status()["warnings"]), what="a warning")
        load.goes_on()
        server.messages(OTHER)
        certificate.unlink()
        for path in ("dovecot/dovecot.conf", "nginx/garbage.conf", "rspamd/options.inc"):
            (server.root / "overrides" / path).unlink()
        postfix.write_text(QUICK_RETRIES)
        until(lambda: all(item["state"] == "ready" for item in server.status()["services"]), what="peace")
        load.goes_on()
    account(server, load)
