"""Mail for a relayed domain is taken for those who exist there, and refused while its sender is there to be told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session
from tests.unit.daemons.postfix.neighbours import Inbox
from tests.unit.daemons.postfix.stage import Stage, address, people

from mailu.directory.changes import SYSTEM, create_relay

pytestmark = pytest.mark.daemons

STRANGER = "stranger@remote.example"
PRIMARY = (address(44), 2526)


def relays(session: Session) -> None:
    """One domain of each kind, and one whose server speaks LMTP."""
    people(session)
    target = "{}:{}".format(*PRIMARY)
    create_relay(session, "asked.example", smtp=target, actor=SYSTEM)
    create_relay(session, "lmtp.example", smtp=f"lmtp:{target}", actor=SYSTEM)
    create_relay(session, "any.example", smtp=target, recipients="any", actor=SYSTEM)
    create_relay(
        session, "listed.example", smtp=target, recipients="listed", listed_recipients=["ann", "bob"], actor=SYSTEM
    )


@pytest.fixture(scope="module")
def backup() -> Iterator[Stage]:
    """A server that takes mail for others; no table but the directory says where it goes."""
    with Stage(bind_address4=address(18), overrides={"transport.map": "# none\n"}, populate=relays) as standing:
        standing.primary, _ = standing.neighbours.smtp(*PRIMARY)  # type: ignore[attr-defined]
        yield standing


@pytest.fixture
def primary(backup: Stage) -> Iterator[Inbox]:
    """The server that has the mailboxes: Ann's in each domain."""
    inbox: Inbox = backup.primary  # type: ignore[attr-defined]
    inbox.known = {f"ann@{name}.example" for name in ("asked", "lmtp", "listed", "any")}
    yield inbox
    inbox.away = False


def offer(backup: Stage, recipient: str, sender: str = STRANGER) -> str:
    """The reply to a recipient; no message follows."""
    with backup.connect() as client:
        assert client.say(f"MAIL FROM:<{sender}>").startswith("250")
        return client.say(f"RCPT TO:<{recipient}>")


@pytest.mark.parametrize("domain", ["asked.example", "lmtp.example"])
def test_the_target_server_says_whom_it_knows(backup: Stage, primary: Inbox, domain: str) -> None:
    assert offer(backup, f"ann@{domain}").startswith("250")
    refusal = offer(backup, f"nobody@{domain}")
    assert refusal.startswith("550 5.1.1")
    assert "No such user" in refusal
    assert {f"ann@{domain}", f"nobody@{domain}"} <= set(primary.offered)


def test_what_was_asked_once_is_remembered_and_no_message_is_sent_for_it(backup: Stage, primary: Inbox) -> None:
    primary.known = {"once@asked.example"}
    before = len(primary.deliveries)
    for _ in range(3):
        assert offer(backup, "once@asked.example").startswith("250")
        assert offer(backup, "never@asked.example").startswith("550")
    assert primary.offered.count("once@asked.example") == primary.offered.count("never@asked.example") == 1
    assert len(primary.deliveries) == before


def test_mail_for_somebody_known_arrives(backup: Stage, primary: Inbox) -> None:
    with backup.connect() as client:
        body = b"Subject: for Ann\r\n\r\nx\r\n"
        assert client.mail(STRANGER, "ann@asked.example", body=body).startswith("250")
    assert primary.wait("for Ann").recipients[0].startswith("RCPT TO:<ann@asked.example>")


def test_while_the_target_is_away_the_known_are_taken_and_the_others_wait(backup: Stage, primary: Inbox) -> None:
    primary.known = {"known@asked.example", "new@asked.example"}
    assert offer(backup, "known@asked.example").startswith("250")
    assert offer(backup, "unknown@asked.example").startswith("550")
    primary.away = True
    with backup.connect() as client:
        assert client.mail(STRANGER, "known@asked.example", body=b"Subject: kept\r\n\r\nx\r\n").startswith("250")
    assert offer(backup, "unknown@asked.example").startswith("550")
    assert offer(backup, "new@asked.example").startswith("450 4.1.1")
    primary.away = False
    backup.run("postqueue", "-f")
    primary.wait("kept")


def test_what_is_known_survives_a_new_start_and_an_empty_run_folder(backup: Stage, primary: Inbox) -> None:
    assert offer(backup, "ann@asked.example").startswith("250")
    primary.away = True
    backup.restart_postfix()
    assert offer(backup, "ann@asked.example").startswith("250")
    assert list((backup.places.mail_queue / "cache").iterdir())
    assert "non-postfix directory" not in backup.words()


def test_a_list_decides_without_asking(backup: Stage, primary: Inbox) -> None:
    primary.away = True
    assert offer(backup, "ann@listed.example").startswith("250")
    assert offer(backup, "bob+news@listed.example").startswith("250")
    assert offer(backup, "nobody@listed.example").startswith("550 5.1.1")


def test_where_everybody_is_taken_nobody_is_asked_for(backup: Stage, primary: Inbox) -> None:
    assert offer(backup, "whoever@any.example").startswith("250")
    assert "whoever@any.example" not in primary.offered


def test_our_own_people_and_local_domains_wait_for_nobody(backup: Stage, primary: Inbox) -> None:
    primary.away = True
    assert offer(backup, "ann@example.com").startswith("250")
    with backup.logged_in() as client:
        assert client.mail("ann@example.com", "somebody@asked.example").startswith("250")
        assert client.say("MAIL FROM:<ann@example.com>").startswith("250")
        assert client.say("RCPT TO:<nobody@listed.example>").startswith("550")
