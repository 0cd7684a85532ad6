"""Taking over a real root of an earlier Mailu, and being that server from then on."""

from __future__ import annotations

import gzip
import imaplib
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlencode

import dkim
import httpx
import pytest

from mailu.address import DomainName
from mailu.directory import srs
from mailu.identity.dkim import load_keys
from mailu.settings import load_settings
from tests.daemons.conftest import NETWORK
from tests.daemons.conversation import smtp_words
from tests.daemons.server import Server, make_message, until
from tests.unit.migrate import sources

ADMIN, ANNA, DORA, EMIL, FRITZ, CARL, BOB = (
    "admin@example.org", "anna@example.org", "dora@example.org", "emil@example.org", "fritz@example.org",
    "carl@zweite-example.org", "bob/with/slash@example.org",
)  # fmt: skip
EVERYWHERE, SOMEWHERE = "fedcba9876543210fedcba9876543210", "0123456789abcdef0123456789abcdef"
_hosts = itertools.count(80)


@dataclass(frozen=True)
class Moved:
    """A server that has taken over a root."""

    server: Server
    source: Path
    kind: str
    before: str
    """Fingerprint of the source before anything was done."""
    report: dict[str, object]


def place_for(address: str) -> Server:
    """A new place that says nothing but where it is."""
    server = Server(address, domain="example.org")
    kept = {"ROOT", "BIND_ADDRESS4", "PORTS", "RESOLVER"}
    server.write_settings(**{name: None for name in server.settings if name not in kept})
    return server


def compressed(source: Path) -> None:
    """One more message, compressed as COMPRESSION=gz leaves it: the size in its name is that of the whole text."""
    text = b"From: <friend@example.net>\r\nTo: <anna@example.org>\r\nSubject: compressed\r\n\r\nSmall.\r\n"
    file = source / "mail" / ANNA / "cur" / f"1795423900.M1P1.vm,S={len(text)},W={len(text)}:2,S"
    file.write_bytes(gzip.compress(text))
    shutil.chown(file, 8, 8)
    file.chmod(0o600)


@pytest.fixture(scope="module", params=sources.KINDS)
def moved(request: pytest.FixtureRequest) -> Iterator[Moved]:
    with tempfile.TemporaryDirectory(prefix="mo-", dir="/tmp") as folder:
        source = sources.unpack(request.param, Path(folder))
        compressed(source)
        before = sources.fingerprint(source)
        server = place_for(f"{NETWORK}.{next(_hosts)}")
        try:
            said = server.command("migrate", "--from", str(source), "--json", seconds=120)
            server.up()
            yield Moved(server, source, request.param, before, json.loads(said.stdout))
        finally:
            server.remove()


def judged(server: Server, login: str, password: str, client_ip: str, protocol: str = "imap") -> str:
    """What the directory says to a log-in from *client_ip*."""
    run = server.root / "run"
    port = json.loads((run / "ports.json").read_text())["directory"]
    answer = httpx.post(
        f"http://127.0.0.1:{port}/auth",
        content=urlencode(
            {"login": login, "password": password, "protocol": protocol, "client_ip": client_ip, "client_port": "1",
             "local_port": "993", "tls": "true"}
        ),
        headers={
            "X-Mailu-Secret": (run / "directory" / "secret").read_text(),
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )  # fmt: skip
    assert answer.status_code == 200
    return str(answer.json()["result"])


def test_the_source_is_as_it_was(moved: Moved) -> None:
    assert sources.fingerprint(moved.source) == moved.before
    assert moved.report["outcome"] == "done"


@pytest.mark.parametrize(
    ("login", "password"),
    [(ADMIN, "Fixture-admin"), (ANNA, "Fixture-anna"), (EMIL, "Fixture-emil"), (FRITZ, "Fixture-fritz"),
     (BOB, "password")],
)  # fmt: skip
def test_old_passwords_open_the_mailboxes(moved: Moved, login: str, password: str) -> None:
    with moved.server.imap(login, password) as session:
        assert session.select("INBOX")[0] == "OK"


def test_who_had_no_imap_or_was_switched_off_still_is(moved: Moved) -> None:
    for login, password in ((DORA, "Fixture-dora"), (CARL, "Fixture-carl"), (ANNA, "Fixture-dora")):
        with pytest.raises(imaplib.IMAP4.error), moved.server.imap(login, password):
            pass
    assert judged(moved.server, DORA, "Fixture-dora", "203.0.113.1", "smtp") == "ok"
    assert judged(moved.server, CARL, "Fixture-carl", "203.0.113.1", "smtp") == "disabled"


def test_old_tokens_work_from_where_they_may(moved: Moved) -> None:
    with moved.server.imap(ANNA, EVERYWHERE) as session:
        assert session.select("INBOX")[0] == "OK"
    assert judged(moved.server, ANNA, SOMEWHERE, "192.0.2.77") == "ok"
    assert judged(moved.server, ANNA, SOMEWHERE, "2001:db8::9") == "ok"
    assert judged(moved.server, ANNA, SOMEWHERE, "198.51.100.1") != "ok"


def test_clients_find_the_same_messages_under_the_same_numbers(moved: Moved) -> None:
    lines = (moved.source / "mail" / ANNA / "dovecot-uidlist").read_text().split("\n")
    validity = lines[0].split()[1].removeprefix("V")
    with moved.server.imap(ANNA, "Fixture-anna") as session:
        session.select("INBOX", readonly=True)
        assert session.response("UIDVALIDITY")[1] == [validity.encode()]
        found = session.uid("fetch", "1:5", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        flags = {
            int(match[1]): match[2].split()
            for part in found
            if isinstance(part, tuple) and (match := re.search(rb"UID (\d+) FLAGS \(([^)]*)\)", part[0]))
        }
    assert {uid: sorted(set(words) - {b"\\Recent"}) for uid, words in flags.items()} == {
        1: [],
        2: [b"$Important", b"\\Flagged", b"\\Seen"],
        4: [],
        5: [],
    }


def test_clients_that_remember_change_numbers_are_not_sent_back(moved: Moved) -> None:
    """HIGHESTMODSEQ must not be lower than what a client has seen (RFC 7162 s3.1.2)."""
    with moved.server.imap(ANNA, "Fixture-anna") as session:
        session.enable("CONDSTORE")
        session.select("INBOX", readonly=True)
        highest = session.response("HIGHESTMODSEQ")[1][0]
    assert highest is not None
    assert int(highest) > 2


def test_folders_and_subscriptions_are_there(moved: Moved) -> None:
    with moved.server.imap(ANNA, "Fixture-anna") as session:
        subscribed = b" ".join(line for line in session.lsub()[1] if isinstance(line, bytes))
        assert b"Projects.Gr&APYA3w-e" in subscribed
        assert session.select('"Projects.Gr&APYA3w-e"', readonly=True) == ("OK", [b"1"])
        listed = (moved.source / "mail" / ANNA / ".Projects.Gr&APYA3w-e" / "dovecot-uidlist").read_text()
        assert session.response("UIDVALIDITY")[1] == [listed.split()[1].removeprefix("V").encode()]


def test_a_compressed_message_is_read(moved: Moved) -> None:
    found = next(
        each for each in moved.server.messages(ANNA, password="Fixture-anna") if each["Subject"] == "compressed"
    )
    assert str(found.get_payload()).strip() == "Small."


def test_the_old_script_sorts_new_mail(moved: Moved) -> None:
    with moved.server.imap(ANNA, "Fixture-anna") as session:
        session.create("Projects")
    moved.server.send(ANNA, sender="someone@example.net", subject="an invoice", port=25)
    until(
        lambda: any(
            each["Subject"] == "an invoice"
            for each in moved.server.messages(ANNA, folder="Projects", password="Fixture-anna")
        ),
        what="sorting",
    )


def test_mail_is_signed_with_the_key_that_dns_has(moved: Moved) -> None:
    record = load_keys(moved.source / "dkim", DomainName("example.org"))[0].record

    def dns(name: bytes, timeout: int = 5) -> bytes | None:
        return record.encode() if name == b"dkim._domainkey.example.org." else None

    moved.server.send(EMIL, sender=ANNA, subject="signed", port=465, password="Fixture-anna")
    with moved.server.imap(EMIL, "Fixture-emil") as session:

        def raw() -> bytes | None:
            session.select("INBOX", readonly=True)
            numbers = session.search(None, "SUBJECT", "signed")[1][0].split()
            if not numbers:
                return None
            parts = session.fetch(numbers[-1].decode(), "(BODY.PEEK[])")[1]
            return next((part[1] for part in parts if isinstance(part, tuple)), None)

        text = until(raw, what="the arrival")
    signatures = re.findall(rb"(?m)^DKIM-Signature:(?:.*\n)(?:[ \t].*\n)*", text.replace(b"\r\n", b"\n"))
    with_rsa = [index for index, signature in enumerate(signatures) if b"s=dkim;" in signature]
    assert with_rsa, signatures
    assert dkim.DKIM(text).verify(idx=with_rsa[0], dnsfunc=dns)


def test_bounces_to_rewritten_senders_come_back(moved: Moved) -> None:
    """An address as the old server would have issued it today; the one it did issue is tried with its own day."""
    settings = load_settings(moved.source / "mailu.env", {})
    today = datetime.now(UTC).date()
    issued = srs.forward("alice@example.net", settings.srs_keys[0], "example.org", today)
    with smtp_words(moved.server.address) as words:
        assert words.say("MAIL FROM:<>")[0] == 250
        assert words.say(f"RCPT TO:<{issued}>")[0] == 250
        assert words.say("RCPT TO:<SRS0=xxxx=JM=example.net=alice@example.org>")[0] == 550


def test_aliases_lead_where_they_led(moved: Moved) -> None:
    with smtp_words(moved.server.address) as words:
        words.say("MAIL FROM:<someone@example.net>")
        for address in ("team@example.org", "sales.any@example.org", "anna@alt-example.org", "anna+tag@example.org"):
            assert words.say(f"RCPT TO:<{address}>")[0] == 250, address
        disabled = 550 if moved.kind == "master" else 250
        assert words.say("RCPT TO:<old.apple@example.org>")[0] == disabled


def test_settings_and_overrides_are_in_force(moved: Moved) -> None:
    with moved.server.smtp(25) as connection:
        connection.ehlo()
        assert connection.esmtp_features["size"] == "50000000"
    main_cf = (moved.server.root / "run/smtp/etc/main.cf").read_text()
    assert "smtp_destination_concurrency_limit = 5" in main_cf
    assert "ESMTP example" in main_cf
    slow = (moved.server.root / "run/smtp/etc/slow_destinations").read_text()
    assert "slow.example.com polite" in slow
    assert "slower.example.com turtle" in slow
    assert "reject = 20" in (moved.server.root / "run/antispam/etc/local.d/actions.conf").read_text()
    assert "mail_max_userip_connections = 50" in (moved.server.root / "run/imap/etc/dovecot.conf").read_text()
    answer = httpx.get(f"http://{moved.server.address}/hello", follow_redirects=False)
    if answer.is_redirect:
        answer = httpx.get(f"https://{moved.server.address}/hello", verify=False)
    assert answer.text == "hi"


def test_a_second_run_refuses_while_it_runs(moved: Moved) -> None:
    refused = moved.server.command("migrate", "--from", str(moved.source), check=False)
    assert refused.returncode == 1
    assert "mailu down" in refused.stderr


def test_late_mail_joins_a_mailbox_that_is_in_use(moved: Moved) -> None:
    """The last of this file: it stops the server, and the source gets one message more."""
    server, message = moved.server, EmailMessage()
    message["Subject"], message["From"] = "late", "friend@example.net"
    message.set_content("Still here?\n")
    late = moved.source / "mail" / ANNA / "new" / "1795430000.M1P1.vm"
    late.write_bytes(message.as_bytes())
    mine = make_message("friend@example.net", ANNA, subject="arrived here")
    server.send(ANNA, sender="friend@example.net", message=mine, port=25)
    until(
        lambda: any(each["Subject"] == "arrived here" for each in server.messages(ANNA, password="Fixture-anna")),
        what="delivery",
    )
    server.down()
    said = json.loads(server.command("migrate", "--from", str(moved.source), "--json", seconds=120).stdout)
    assert said["outcome"] == "done"
    server.up()
    subjects = [each["Subject"] for each in server.messages(ANNA, password="Fixture-anna")]
    assert subjects.count("late") == 1
    assert subjects.count("arrived here") == 1
    server.down()
    again = json.loads(server.command("migrate", "--from", str(moved.source), "--json", seconds=120).stdout)
    assert again["outcome"] == "unchanged"


def test_mail_that_waited_in_the_old_queue_arrives_here() -> None:
    """It waits at a real Postfix whose way to anna is closed; it arrives once the queue and anna are at one place."""
    old = Server(f"{NETWORK}.{next(_hosts)}", domain="old.test")
    new = place_for(f"{NETWORK}.{next(_hosts)}")
    try:
        old.up()
        old.send(ANNA, sender="admin@old.test", subject="it waited", port=465)
        until(lambda: '"deferred"' in old.command("queue", "list", "--json").stdout, what="being deferred", seconds=90)
        old.down()
        with tempfile.TemporaryDirectory(prefix="mo-", dir="/tmp") as folder:
            source = sources.unpack("master", Path(folder))
            shutil.rmtree(source / "mailqueue")
            shutil.copytree(old.root / "mailqueue", source / "mailqueue", ignore=_sockets_and_pipes)
            left = json.loads(new.command("migrate", "--from", str(source), "--dry-run", "--json", seconds=120).stdout)
            assert [each["outcome"] for each in left["items"] if each["name"] == "mailqueue"] == ["warning"]
            new.command("migrate", "--from", str(source), "--queue", seconds=120)
        new.up()
        new.command("queue", "retry")
        found = until(lambda: arrived(new, "it waited"), what="the arrival")
        assert found["From"] == "admin@old.test"
        assert json.loads(new.command("queue", "list", "--json").stdout) == []
    finally:
        old.remove()
        new.remove()


def _sockets_and_pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not (Path(folder, name).is_dir() or Path(folder, name).is_file())]


def arrived(server: Server, subject: str) -> EmailMessage | None:
    """The message in anna's INBOX."""
    found = server.messages(ANNA, password="Fixture-anna")
    return next((each for each in found if each["Subject"] == subject), None)
