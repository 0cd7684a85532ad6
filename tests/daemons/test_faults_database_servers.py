"""The whole server on PostgreSQL and on MariaDB, which go away and come back while mail comes in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.daemons.conftest import NETWORK
from tests.daemons.load import QUICK_RETRIES, Load, account, assert_kept
from tests.daemons.server import DOMAIN, PASSWORD, STRANGER, USER, Server, until
from tests.databases import servers
from tests.databases.servers import DatabaseServer

EFFECT_SECONDS = 5.0
"""A change takes effect within a second; the rest is for a busy machine."""
HOSTS = {"postgresql": 106, "mariadb": 107}


@dataclass
class Installation:
    """A server, and the database server that it asks."""

    server: Server
    database: DatabaseServer


@pytest.fixture(scope="module", params=servers.KINDS)
def installation(request: pytest.FixtureRequest) -> Iterator[Installation]:
    kind: str = request.param
    if not servers.installed(kind):
        pytest.skip(f"{kind} is not installed")
    with servers.KINDS[kind]() as database:
        uri = database.database()
        settings = {"SQLALCHEMY_DATABASE_URI": uri, "MESSAGE_RATELIMIT": "100000/day", "POSTMASTER": "admin"}
        server = Server(f"{NETWORK}.{HOSTS[kind]}", settings)
        try:
            server.write_override("postfix/postfix.cf", QUICK_RETRIES)
            server.up()
            for name in ("user", "other"):
                server.add_user(name)
            yield Installation(server, database)
        finally:
            server.remove()


def takes_mail_for(server: Server, address: str) -> bool:
    with server.smtp(25) as connection:
        connection.ehlo("client.example.org")
        connection.mail(STRANGER)
        return connection.rcpt(address)[0] == 250


def test_a_change_takes_effect_at_once_and_mail_arrives(installation: Installation) -> None:
    server = installation.server
    assert not (server.root / "data" / "main.db").exists()
    assert not takes_mail_for(server, f"new@{DOMAIN}")
    address = server.add_user("new")
    began = time.monotonic()
    until(lambda: takes_mail_for(server, address), seconds=EFFECT_SECONDS, what="mail for a new user")
    print(f"a new user could be written to {time.monotonic() - began:.2f} s after the command")
    server.send(address, sender=STRANGER, subject="welcome", port=25)
    server.wait_for_message(address, subject="welcome")
    server.command("user-delete", address)
    until(lambda: not takes_mail_for(server, address), seconds=EFFECT_SECONDS, what="the end of a closed mailbox")


def test_without_its_database_server_it_answers_from_what_it_knew(installation: Installation) -> None:
    server = installation.server
    with Load(server) as load:
        load.goes_on()
        installation.database.stop()
        try:
            server.wait_for_log("directory", "the database does not answer")
            load.goes_on(12)
            server.messages(USER)
            refused = server.command("user", "late", server.domain, PASSWORD, check=False)
            assert refused.returncode != 0
            assert "database" in refused.stderr
            assert "Traceback" not in refused.stderr
            assert_kept(server, load)
        finally:
            installation.database.start()
        server.wait_for_log("directory", "the database answers")
        load.goes_on()
        address = server.add_user("late")
        until(lambda: takes_mail_for(server, address), what="mail for a user who was made after the return")
    account(server, load)
    assert not [reply for reply in load.ledger.refused.values() if not reply.startswith("4")]
