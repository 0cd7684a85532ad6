"""A second server that takes mail for a domain while the first one is away, and hands it over afterwards."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator

import pytest

from tests.daemons.hosts.world import HostedServer, World
from tests.daemons.server import until

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]

SENDER = "user@c.test"


@pytest.fixture
def backup(world: World, a: HostedServer, b: HostedServer) -> Iterator[HostedServer]:
    """a, which takes mail for b.test where b does not: it passes it on as DNS says."""
    records = b.records()
    assert "b.test. 600 IN MX 10 mail.b.test." in records
    world.names.publish(b=f"{records}b.test. 600 IN MX 20 mail.a.test.\n")
    a.command("relays", "set", "b.test")
    yield a
    a.command("relays", "remove", "b.test")
    world.names.publish(b=records)


def offered(by: HostedServer, to: HostedServer, recipient: str) -> tuple[int, str]:
    """What one machine is told by another about a recipient."""
    with by.machine.here(), smtplib.SMTP(to.address, 25, timeout=60) as session:
        session.ehlo(f"mail.{by.domain}")
        session.mail(SENDER)
        code, text = session.rcpt(recipient)
    return code, text.decode()


def test_a_backup_takes_mail_for_those_it_knows_while_the_primary_is_away(
    world: World, backup: HostedServer, b: HostedServer, c: HostedServer
) -> None:
    known, unknown, never_heard_of = "user@b.test", "nobody@b.test", "stranger@b.test"
    until(lambda: offered(c, backup, known)[0] == 250 or None, what="the new relayed domain")
    code, why = offered(c, backup, unknown)
    assert code == 550
    assert "User unknown" in why
    b.down()
    try:
        c.send(known, sender=SENDER, subject="while you were out")
        why = until(lambda: backup.why(known), what="mail that waits at the backup")
        assert "mail.b.test" in why
        assert offered(c, backup, unknown)[0] == 550
        assert offered(c, backup, never_heard_of)[0] == 450
        assert all(message["recipients"][0]["address"] == known for message in backup.queue())
    finally:
        b.up()
    backup.deliver(b, known, "while you were out")
    until(lambda: not backup.queue() or None, what="an empty queue at the backup")
    c.send(known, sender=SENDER, subject="back again")
    way = " ".join(b.wait_for_message(known, subject="back again").get_all("Received", []))
    assert "mail.c.test" in way
    assert "mail.a.test" not in way
