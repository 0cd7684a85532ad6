"""Full disks: under the queue, under the mail, under the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.daemons.conftest import NETWORK
from tests.daemons.load import QUICK_RETRIES, Load, account, assert_kept, in_queue
from tests.daemons.server import USER, Server, until
from tests.daemons.small_disk import SmallDisk


@dataclass
class Disks:
    """A server and the small file systems below it."""

    server: Server
    queue: SmallDisk
    mail: SmallDisk
    data: SmallDisk


@pytest.fixture(scope="module")
def disks() -> Iterator[Disks]:
    server = Server(
        f"{NETWORK}.102", {"MESSAGE_RATELIMIT": "100000/day", "MESSAGE_SIZE_LIMIT": "1000000", "POSTMASTER": "admin"}
    )
    mounted: list[SmallDisk] = []
    try:
        for folder, megabytes in (("mailqueue", 24), ("mail", 24), ("data", 8)):
            mounted.append(SmallDisk(server.root / folder, megabytes=megabytes))
        server.write_override("postfix/postfix.cf", QUICK_RETRIES)
        server.up()
        for name in ("user", "other"):
            server.add_user(name)
        yield Disks(server, *mounted)
    finally:
        try:
            server.down()
        finally:
            for disk in mounted:
                disk.unmount()
            server.remove()


def warned(server: Server, *words: str) -> bool:
    return any(all(word in text for word in words) for text in server.status()["warnings"])


def test_a_full_disk_under_the_queue_turns_mail_away_until_there_is_room(disks: Disks) -> None:
    with Load(disks.server) as load:
        load.goes_on()
        with disks.queue.full():
            until(lambda: any("452 " in reply for reply in load.ledger.refused.values()), what="a refusal with 452")
            assert warned(disks.server, "mailqueue", "full")
            disks.server.wait_for_log("mailu", "mailqueue is full")
            assert_kept(disks.server, load)
        load.goes_on()
        with disks.queue.without_inodes():
            # Postfix's cleanup(8) keeps the client waiting and tries every ten seconds.
            disks.server.wait_for_log("smtp", "No space left on device")
            assert warned(disks.server, "mailqueue", "no more files can be made")
            assert_kept(disks.server, load)
        load.goes_on()
    account(disks.server, load)
    assert not [reply for reply in load.ledger.refused.values() if not reply.startswith("4")]
    assert not warned(disks.server, "mailqueue")


def test_a_full_disk_under_the_mail_keeps_messages_in_the_queue_until_there_is_room(disks: Disks) -> None:
    with Load(disks.server) as load:
        load.goes_on()
        with disks.mail.full():
            load.goes_on(12)
            until(lambda: len(in_queue(disks.server)) > 8, what="messages that wait in the queue")
            assert_kept(disks.server, load)
            assert warned(disks.server, "mail", "full")
            disks.server.wait_for_log("imap", "No space left on device")
        load.goes_on()
    account(disks.server, load, doubled=0)


def test_a_full_disk_under_the_database_hinders_changes_and_no_mail(disks: Disks) -> None:
    server = disks.server
    with Load(server) as load:
        load.goes_on()
        with disks.data.full():
            failed = server.command("user", "late", server.domain, "a good pass phrase", check=False)
            assert failed.returncode != 0
            assert "full" in failed.stderr
            assert "Traceback" not in failed.stderr
            assert warned(server, "data", "full")
            load.goes_on(12)
            # Log-ins and used quota are written down now and then: that fails, too, and nothing else does.
            server.messages(USER)
            server.wait_for_log("directory", "cannot be stored")
        server.add_user("late")
        load.goes_on()
    account(server, load)
    assert server.status()["ready"]
