"""How people read and sort their mail: IMAP, POP3, ManageSieve, folders, replies, learning."""

from __future__ import annotations

import base64
import http.client
import imaplib
import json
import poplib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from mailu.places import Places
from tests.daemons.conversation import api, wait_for_recipient
from tests.daemons.server import DOMAIN, OTHER, PASSWORD, STRANGER, USER, Server, make_message, trusting, until


def test_the_usual_folders_are_there_with_their_uses(stack: Server) -> None:
    with stack.imap(USER) as session:
        listed = b"\n".join(line for line in session.list()[1] if isinstance(line, bytes))
    for name, use in (("Trash", b"\\Trash"), ("Drafts", b"\\Drafts"), ("Sent", b"\\Sent"), ("Junk", b"\\Junk")):
        line = next(line for line in listed.splitlines() if line.endswith(name.encode()))
        assert use in line


def test_a_waiting_client_is_told_of_new_mail_at_once(stack: Server) -> None:
    with stack.imap(OTHER) as session:
        session.select("INBOX")
        session.send(b"a1 IDLE\r\n")
        assert session.readline().startswith(b"+")
        stack.send(OTHER, sender=STRANGER, subject="wake up", port=25)
        session.sock.settimeout(20)
        while b"EXISTS" not in (line := session.readline()):
            assert line, "the server closed the connection"
        session.send(b"DONE\r\n")
        while not session.readline().startswith(b"a1 "):
            pass


def test_pop3_takes_mail_away(stack: Server) -> None:
    address = stack.add_user("popper")
    wait_for_recipient(stack, address)
    stack.send(address, sender=STRANGER, subject="by pop", port=25)
    stack.wait_for_message(address, subject="by pop")
    session = poplib.POP3_SSL(stack.address, 995, context=trusting(), timeout=30)
    session.user(address)
    session.pass_(PASSWORD)
    assert session.stat()[0] == 1
    assert b"Subject: by pop" in session.retr(1)[1]
    session.dele(1)
    session.quit()
    assert stack.messages(address) == []


def test_starttls_ports_take_no_password_in_clear(stack: Server) -> None:
    session = imaplib.IMAP4(stack.address, 143, timeout=30)
    assert "STARTTLS" in session.capabilities
    session.starttls(trusting())
    assert session.login(USER, PASSWORD)[0] == "OK"
    session.logout()


def test_a_protocol_that_is_switched_off_for_somebody_is_off(stack: Server) -> None:
    address = stack.add_user("imaponly")
    api(stack, "PATCH", f"/user/{address}", enable_pop=False)

    def refused() -> bool:
        session = poplib.POP3_SSL(stack.address, 995, context=trusting(), timeout=30)
        session.user(address)
        try:
            session.pass_(PASSWORD)
        except poplib.error_proto:
            return True
        finally:
            session.close()
        return False

    until(refused, what="the refusal")
    until(lambda: _can_log_in(stack, address, PASSWORD), what="the IMAP log-in")


def _can_log_in(stack: Server, login: str, password: str) -> bool:
    try:
        with stack.imap(login):
            return True
    except imaplib.IMAP4.error:
        return False


def test_passwords_in_any_script_log_in_everywhere(stack: Server) -> None:
    password = "pässwörd 密码 🔑"
    address = stack.add_user("polyglot", password=password)
    wait_for_recipient(stack, address)
    session = imaplib.IMAP4_SSL(stack.address, 993, ssl_context=trusting(), timeout=30)
    plain = b"\0" + address.encode() + b"\0" + password.encode()
    assert session.authenticate("PLAIN", lambda _: plain)[0] == "OK"
    session.logout()
    smtp = stack.smtp(465)
    smtp.ehlo("client.example.org")
    assert smtp.docmd("AUTH PLAIN", base64.b64encode(plain).decode())[0] == 235
    smtp.close()


def test_mail_flows_over_ipv6(new_server) -> None:  # type: ignore[no-untyped-def]
    server = new_server({"BIND_ADDRESS6": "::1", "PORTS": "25,465,993"})
    server.up()
    with socket.create_connection(("::1", 25), 20) as connection:
        assert connection.recv(100).startswith(b"220 ")
    server.address = "::1"
    server.send("admin@mailu.test", sender="admin@mailu.test", subject="six")
    found = server.wait_for_message("admin@mailu.test", subject="six")
    assert found["Subject"] == "six"


class Sieve:
    """As much of ManageSieve as a script needs (RFC 5804)."""

    def __init__(self, stack: Server, login: str) -> None:
        self.socket = socket.create_connection((stack.address, 4190), 20)
        self.file = self.socket.makefile("rb")
        self.answer()
        self.say(b"STARTTLS")
        self.socket = trusting().wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")
        self.answer()
        plain = base64.b64encode(f"\0{login}\0{PASSWORD}".encode()).decode()
        self.say(f'AUTHENTICATE "PLAIN" "{plain}"'.encode())

    def answer(self) -> bytes:
        text = b""
        while line := self.file.readline():
            text += line
            if line.startswith((b"OK", b"NO", b"BYE")):
                break
        assert line.startswith(b"OK"), text
        return text

    def say(self, line: bytes) -> bytes:
        self.socket.sendall(line + b"\r\n")
        return self.answer()

    def put(self, name: str, script: str) -> None:
        octets = script.encode()
        self.say(f'PUTSCRIPT "{name}" {{{len(octets)}+}}\r\n'.encode() + octets)
        self.say(f'SETACTIVE "{name}"'.encode())

    def close(self) -> None:
        self.socket.close()


def test_a_filter_put_by_managesieve_sorts_mail(stack: Server) -> None:
    sieve = Sieve(stack, USER)
    script = 'require ["fileinto", "mailbox"]; if header :contains "subject" "sort me" { fileinto :create "Sorted"; }'
    sieve.put("main", script)
    try:
        stack.send(USER, sender=STRANGER, subject="sort me", port=25)
        stack.wait_for_message(USER, subject="sort me", folder="Sorted")
    finally:
        sieve.say(b'SETACTIVE ""')
        sieve.close()


def test_an_automatic_reply_answers_people_once_and_machines_never(stack: Server) -> None:
    api(stack, "PATCH", f"/user/{OTHER}", reply_enabled=True, reply_subject="Away", reply_body="Back on Monday.")
    try:
        time_limit = time.monotonic() + 5

        def answered() -> bool:
            stack.send(OTHER, sender=USER, subject="are you there?")
            return any(message["Subject"] == "Away" for message in stack.messages(USER))

        until(answered, what="the reply")
        assert time.monotonic() < time_limit + 30
        reply = next(message for message in stack.messages(USER) if message["Subject"] == "Away")
        assert reply.get_content().strip() == "Back on Monday."
        assert OTHER in str(reply["From"])
        stack.send(OTHER, sender=USER, subject="again")
        stack.wait_for_message(OTHER, subject="again")
        assert [message["Subject"] for message in stack.messages(USER)].count("Away") == 1
    finally:
        api(stack, "PATCH", f"/user/{OTHER}", reply_enabled=False)


GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def test_certain_spam_is_refused_while_it_is_offered(stack: Server) -> None:
    with stack.smtp(25) as connection:
        connection.ehlo("client.example.org")
        connection.mail(STRANGER)
        connection.rcpt(USER)
        code, _text = connection.data(make_message(STRANGER, USER, text=GTUBE).as_bytes())
    assert 550 <= code < 560


def test_moving_to_junk_and_back_teaches_the_filter(stack: Server) -> None:
    stack.send(USER, sender=STRANGER, subject="learn from me", text="cheap watches and pills\n" * 20, port=25)
    raw = stack.wait_for_message(USER, subject="learn from me").as_bytes()
    before = _lessons(stack)
    with stack.imap(USER) as session:
        session.select("INBOX")
        number = session.search(None, 'SUBJECT "learn from me"')[1][0].split()[0].decode()
        assert session.copy(number, "Junk")[0] == "OK"
        session.store(number, "+FLAGS", "\\Deleted")
        session.expunge()
        until(lambda: _lessons(stack) == before + 1, what="the lesson that it is spam")
        assert "already learned as spam" in _ask_filter(stack, "POST", "/learnspam", raw)["error"]
        session.select("Junk")
        number = session.search(None, 'SUBJECT "learn from me"')[1][0].split()[0].decode()
        assert session.copy(number, "INBOX")[0] == "OK"
        until(lambda: _lessons(stack) == before + 2, what="the lesson that it is not")
        assert "already learned as ham" in _ask_filter(stack, "POST", "/learnham", raw)["error"]


def _lessons(stack: Server) -> int:
    """How many messages the filter was taught since it started."""
    return int(_ask_filter(stack, "GET", "/stat")["learned"])


def _ask_filter(stack: Server, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with closing(connection):
        connection.sock.connect(str(Places(stack.root).filter_controller))
        connection.request(method, path, body)
        answer: dict[str, Any] = json.load(connection.getresponse())
    return answer


def test_two_hundred_people_log_in_from_one_address_while_a_guesser_is_slowed(stack: Server) -> None:
    people = [f"person{number}@{DOMAIN}" for number in range(200)]
    guessed = f"guessed@{DOMAIN}"
    for address in [guessed, *people]:
        api(stack, "POST", "/user", email=address, raw_password=PASSWORD)
    wait_for_recipient(stack, people[-1])
    with _guesser(stack, guessed) as outcomes:
        begin = time.monotonic()
        for address in people:
            assert _can_log_in_as(stack, address, PASSWORD), address
        took = time.monotonic() - begin
        until(lambda: len(outcomes) >= 12, what="twelve guesses beside the log-ins")
    assert took < 60
    assert not any(outcomes)
    stack.wait_for_log("directory", "has been rate-limited")


@contextmanager
def _guesser(stack: Server, login: str) -> Iterator[list[bool]]:
    """Somebody who tries one wrong password after another meanwhile; whether each of them opened."""
    outcomes: list[bool] = []
    enough = threading.Event()

    def guess() -> None:
        while not enough.is_set():
            outcomes.append(_can_log_in_as(stack, login, f"guess {len(outcomes)}"))

    thread = threading.Thread(target=guess)
    thread.start()
    try:
        yield outcomes
    finally:
        enough.set()
        thread.join()


def _can_log_in_as(stack: Server, login: str, password: str) -> bool:
    session = imaplib.IMAP4_SSL(stack.address, 993, ssl_context=trusting(), timeout=30)
    try:
        return session.login(login, password)[0] == "OK"
    except imaplib.IMAP4.error:
        return False
    finally:
        session.shutdown()
