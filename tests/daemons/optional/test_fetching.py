"""Mail fetched from accounts elsewhere; here the other server is this one, under another name."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import pytest

from mailu.directory import changes
from mailu.directory.changes import Actor
from mailu.directory.models import Fetch
from mailu.directory.store import Store, open_store
from tests.daemons.server import OTHER, PASSWORD, USER, Server, until


@pytest.fixture
def store(full: Server) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{full.root}/data/main.db")
    yield opened
    with opened.session() as session:
        for fetch in session.query(Fetch).all():
            changes.delete_fetch(session, fetch.id, actor=Actor("test", "test"))


@pytest.fixture(autouse=True)
def trusted(full: Server) -> None:
    """fetchmail insists on a certificate that it can check: make the self-signed one such."""
    certificate = full.root / "certs" / "self-signed" / "cert.pem"
    copy = full.root / "trusted.pem"
    if not copy.exists():
        copy.write_bytes(certificate.read_bytes())
        copy.chmod(0o644)
        options = f"--sslcertfile {copy} --sslcommonname mail.{full.domain}"
        full.write_settings(FETCHMAIL_OPTIONS=options)
        full.command("apply")


def _add(store: Store, full: Server, **fields: object) -> int:
    given = {
        "protocol": "imap", "host": full.address, "port": 993, "tls": True, "username": OTHER, "password": PASSWORD,
        "folders": ["INBOX"],
    }  # fmt: skip
    with store.session() as session:
        fetch = changes.create_fetch(session, USER, actor=Actor("test", "test"), **(given | fields))  # type: ignore[arg-type]
        return fetch.id


def _state(store: Store, fetch_id: int) -> Fetch | None:
    with store.read() as session:
        found = session.get(Fetch, fetch_id)
        assert found is not None
        session.expunge(found)
        return found if found.last_check else None


def _error(store: Store, fetch_id: int) -> str | None:
    found = _state(store, fetch_id)
    return found.error if found else None


@pytest.mark.parametrize("scan", [False, True])
def test_mail_is_fetched_and_taken_from_there(full: Server, store: Store, scan: bool) -> None:
    subject = f"to be fetched, {scan}"
    full.send(OTHER, sender=USER, subject=subject)
    full.wait_for_message(OTHER, subject=subject)
    fetch = _add(store, full, scan=scan)
    message = full.wait_for_message(USER, subject=subject, seconds=60)
    assert ("X-Spam-Level" in message or "Authentication-Results" in message or "X-Spamd-Bar" in message) or not scan
    until(lambda: not full.messages(OTHER), what="the emptying of the other mailbox")
    state = until(lambda: _state(store, fetch), what="the first round")
    assert state is not None
    assert state.error is None


def test_mail_that_is_kept_there_is_fetched_once(full: Server, store: Store) -> None:
    full.send(OTHER, sender=USER, subject="to be kept")
    full.wait_for_message(OTHER, subject="to be kept")
    fetch = _add(store, full, protocol="pop3", port=995, keep=True)
    full.wait_for_message(USER, subject="to be kept", seconds=60)
    first = until(lambda: _state(store, fetch))
    assert first is not None
    until(lambda: (found := _state(store, fetch)) and found.last_check != first.last_check, what="another round")
    assert [found["Subject"] for found in full.messages(USER)].count("to be kept") == 1
    assert [found["Subject"] for found in full.messages(OTHER)].count("to be kept") == 1


def test_what_goes_wrong_is_written_down(full: Server, store: Store) -> None:
    fetch = _add(store, full, password='wrong"\\ x')
    error = until(lambda: _error(store, fetch), seconds=60, what="the error")
    assert "refused the user name or the password" in error
    assert 'wrong"' not in error + full.log_text("fetchmail")


class _Plain(socketserver.StreamRequestHandler):
    """An IMAP server without TLS that remembers what it is told."""

    heard: list[bytes] = []  # noqa: RUF012

    def handle(self) -> None:
        self.wfile.write(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n")
        while line := self.rfile.readline():
            self.heard.append(line)
            tag = line.split()[0]
            if b"CAPABILITY" in line.upper():
                self.wfile.write(b"* CAPABILITY IMAP4rev1\r\n")
            self.wfile.write(tag + b" OK done\r\n")


def test_a_password_is_never_sent_in_the_clear(full: Server, store: Store) -> None:
    """Without the TLS flag STARTTLS is insisted on. 127.0.24.x is loopback, so the name must hide that."""
    with socketserver.ThreadingTCPServer((full.address, 0), _Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fetch = _add(store, full, host=f"{full.address}.", port=server.server_address[1], tls=False)
        until(lambda: _error(store, fetch), seconds=60, what="the error")
        server.shutdown()
    assert not any(PASSWORD.split()[0].encode() in line or b"LOGIN" in line.upper() for line in _Plain.heard)
