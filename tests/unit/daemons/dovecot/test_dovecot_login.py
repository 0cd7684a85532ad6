"""Logging in: what the directory is asked, and what people see of its answer."""

from __future__ import annotations

import base64
import imaplib
import poplib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from tests.unit.daemons.dovecot.house import ADDRESS, House, eventually

pytestmark = pytest.mark.daemons


@pytest.fixture
def anew(home: House) -> Iterator[House]:
    """The house with a directory that works, and is left so."""
    yield home
    home.around.directory.result = None
    home.around.directory.status = None


@pytest.mark.parametrize("password", ["secret", "pässwörd", 'a b%20&+="\\', "%u %{user}", "密码"])
def test_a_password_arrives_as_it_was_typed(home: House, password: str) -> None:
    address = home.person(password=password)
    assert home.imap(address, password).logout()[0] == "BYE"


def test_a_wrong_password_is_called_wrong(home: House) -> None:
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        home.imap(home.person(), "guess")


def test_the_directory_hears_who_comes_from_where(home: House) -> None:
    address = home.person()
    session = home.imap(address)
    client_port = session.socket().getsockname()[1]
    session.logout()
    attempt = home.around.directory.attempts[-1]
    said = {name: attempt[name] for name in ("auth-user", "auth-protocol", "auth-port", "auth-ssl")}
    assert said == {"auth-user": address, "auth-protocol": "imap", "auth-port": "143", "auth-ssl": "no"}
    assert (attempt["client-ip"], attempt["client-port"]) == ("127.0.0.1", str(client_port))


def test_a_log_in_asks_the_directory_once(home: House) -> None:
    address = home.person()
    asked, attempts = len(home.around.directory.asked), len(home.around.directory.attempts)
    home.imap(address).logout()
    assert (len(home.around.directory.asked) - asked, len(home.around.directory.attempts) - attempts) == (0, 1)


@pytest.mark.parametrize("fault", [{"status": 500}, {"result": {"result": "temp"}}, {"result": {"result": "?"}}])
def test_no_decision_means_try_later_and_never_a_wrong_password(anew: House, fault: dict[str, object]) -> None:
    address = anew.person()
    for name, value in fault.items():
        setattr(anew.around.directory, name, value)
    with pytest.raises(imaplib.IMAP4.error, match="UNAVAILABLE"):
        anew.imap(address)


def test_the_reason_for_no_decision_is_in_the_log(anew: House) -> None:
    anew.around.directory.result = {"result": "temp", "code": "rate-limited"}
    with pytest.raises(imaplib.IMAP4.error):
        anew.imap(anew.person())
    assert "not decided: rate-limited" in anew.daemon.said()


def test_a_disabled_account_does_not_get_in(anew: House) -> None:
    anew.around.directory.result = {"result": "disabled"}
    with pytest.raises(imaplib.IMAP4.error, match=r"AUTHENTICATIONFAILED|AUTHORIZATIONFAILED"):
        anew.imap(anew.person())


def test_an_answer_without_a_home_lets_nobody_in(anew: House) -> None:
    anew.around.directory.result = {"result": "ok", "user": "somebody@example.org"}
    with pytest.raises(imaplib.IMAP4.error, match="UNAVAILABLE"):
        anew.imap(anew.person())


def test_a_password_that_takes_long_to_verify_holds_up_nobody_else(home: House) -> None:
    slow, quick = home.person(), home.person()
    home.around.directory.delay_seconds[slow] = 1.5
    waiting = threading.Thread(target=lambda: home.imap(slow).logout())
    waiting.start()
    time.sleep(0.2)
    began = time.monotonic()
    home.imap(quick).logout()
    took_seconds = time.monotonic() - began
    waiting.join()
    assert took_seconds < 1


@pytest.mark.parametrize(
    ("address", "folder"),
    [
        ("bob/with/slash@example.org", "bob%2Fwith%2Fslash@example.org"),
        ("50%off@example.org", "50%off@example.org"),
        ("bob@xn--bcher-kva.example", "bob@xn--bcher-kva.example.2"),
    ],
)
def test_the_home_is_the_one_that_the_directory_names(home: House, address: str, folder: str) -> None:
    home.around.directory.add(address, home=folder)
    assert home.deliver(address).startswith("250 ")
    assert len(home.messages(address)) == 1
    assert (home.request.places.mail / folder / "cur").is_dir()
    assert (home.request.places.mail / folder).stat().st_uid == home.request.places.mail.stat().st_uid


def test_the_name_that_was_typed_may_be_another_than_the_accounts(home: House) -> None:
    address = home.person()
    assert home.deliver(address).startswith("250 ")
    home.around.directory.accounts["Other@Example.ORG".lower()] = home.around.directory.accounts[address]
    home.around.directory.passwords["Other@Example.ORG"] = b"secret"
    home.around.directory.passwords["other@example.org"] = b"secret"
    assert len(home.messages("other@example.org")) == 1


def test_pop3(home: House) -> None:
    address = home.person()
    home.deliver(address)
    session = poplib.POP3(ADDRESS, timeout=30)
    session.user(address)
    session.pass_("secret")
    assert session.stat()[0] == 1
    session.quit()
    assert home.around.directory.attempts[-1]["auth-protocol"] == "pop3"


def test_a_script_is_stored_over_managesieve_and_sorts_mail(home: House) -> None:
    address = home.person()
    script = (
        b'require ["fileinto", "mailbox", "subaddress", "envelope"];\r\n'
        b'if envelope :detail "to" "news" { fileinto :create "News"; }\r\n'
    )
    with socket.create_connection((ADDRESS, 4190), 30) as connection:
        stream = connection.makefile("rwb")

        def until_ok() -> bytes:
            lines = b""
            while not lines.rpartition(b"\r\n")[0].rpartition(b"\r\n")[2].startswith((b"OK", b"NO", b"BYE")):
                lines += stream.readline()
            return lines

        def say(line: bytes) -> bytes:
            stream.write(line + b"\r\n")
            stream.flush()
            return until_ok()

        capabilities = until_ok()
        token = base64.b64encode(f"\0{address}\0secret".encode())
        assert b"OK" in say(b'AUTHENTICATE "PLAIN" "' + token + b'"')
        assert b"OK" in say(b'PUTSCRIPT "mine" {%d+}\r\n%b' % (len(script), script))
        assert b"OK" in say(b'SETACTIVE "mine"')
        assert b"NO" in say(b'CHECKSCRIPT {44+}\r\nrequire "vnd.dovecot.pipe"; pipe "learn" "ham";')
    assert all(each in capabilities for each in (b"editheader", b"spamtestplus", b"vacation"))
    home.around.directory.accounts[address.replace("@", "+news@")] = home.around.directory.accounts[address]
    said = home.deliver(address.replace("@", "+news@"))
    assert said.startswith("250 "), home.daemon.said()[-3000:]
    assert len(home.messages(address, "News")) == 1
    assert (home.home_of(address) / "sieve" / "mine.sieve").is_file()
    session = home.imap(address)
    folders = [line.rpartition(b" ")[2] for line in session.list()[1] if isinstance(line, bytes)]
    session.logout()
    assert sorted(folders) == [b"Drafts", b"INBOX", b"Junk", b"News", b"Sent", b"Trash"], "no folder called dovecot"


def test_twenty_connections_of_one_person_from_one_address(home: House) -> None:
    address = home.person()
    sessions = [home.imap(address) for _ in range(20)]
    with pytest.raises(imaplib.IMAP4.error, match="LIMIT"):
        home.imap(address)
    for session in sessions:
        session.logout()


def test_a_directory_that_was_away_is_asked_again(home: House) -> None:
    """The connection that was kept is dead after a restart of the directory."""
    address = home.person()
    home.imap(address).logout()
    with home.around.directory_away():
        with pytest.raises(imaplib.IMAP4.error, match="UNAVAILABLE"):
            home.imap(address)
        assert home.deliver(address).startswith("451 4.3.0")
    home.imap(address).logout()
    # An LMTP process may notice that its connection is dead when it asks, and say once more that mail has to wait.
    assert eventually(lambda: home.deliver(address).startswith("250 "))
