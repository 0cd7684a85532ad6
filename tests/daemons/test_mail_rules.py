"""What people want done with their mail, from the directory to the folder."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import imaplib
import itertools
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest

from mailu.directory.mail_rules import read_rules, sieve_script
from tests.daemons.conversation import api
from tests.daemons.server import OTHER, PASSWORD, Server, make_message, trusting, until
from tests.daemons.test_pages import visitor

LIST = {"field": "list-id", "test": "is", "value": "news.example.org"}


_names = itertools.count(1)


@pytest.fixture
def ruled(stack: Server) -> Iterator[str]:
    """Somebody new, without rules yet; never one whose name was somebody else's a moment ago."""
    email = f"ruled{next(_names)}@{stack.domain}"
    api(stack, "POST", "/user", email=email, raw_password=PASSWORD, change_pw_next_login=False)
    until(lambda: _is_known(stack, email), what="a new mailbox")
    yield email
    api(stack, "DELETE", f"/user/{email}")


def _is_known(server: Server, email: str) -> bool:
    with contextlib.suppress(imaplib.IMAP4.error), server.imap(email):
        return True
    return False


def set_rules(server: Server, email: str, *rules: dict[str, Any]) -> None:
    """Give somebody rules, and wait until the directory answers Dovecot from them."""
    api(server, "PATCH", f"/user/{email}", mail_rules=list(rules))
    script = sieve_script(read_rules(list(rules)))
    answer = f"O{hashlib.sha256(script.encode()).hexdigest()[:32]}" if script else "N"
    until(lambda: script_in_force(server, email) == answer, seconds=10, what="a change of rules")


def script_in_force(server: Server, email: str) -> str:
    """What Dovecot is told, asked as Dovecot asks."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(server.root / "run" / "usage" / "dict"))
        connection.sendall(f"H3\t2\t0\t{email}\trules\nLpriv/sieve/name/rules\t{email}\n".encode())
        return connection.makefile("r").readline().strip()


def subject_is(value: str) -> list[dict[str, str]]:
    return [{"field": "subject", "test": "is", "value": value}]


def flags_of(server: Server, email: str, folder: str) -> list[str]:
    """The flags of each message in *folder*."""
    with server.imap(email) as session:
        session.select(f'"{folder}"', readonly=True)
        answer = cast(list[bytes], session.fetch("1:*", "(FLAGS)")[1])
        return [" ".join(flag.decode() for flag in imaplib.ParseFlags(line)) for line in answer if line]


def test_mail_goes_where_the_rules_say(stack: Server, ruled: str) -> None:
    sly = '"; discard; stop; # ${x} \\'
    set_rules(
        stack, ruled,
        {"conditions": subject_is(sly), "folder": 'Sly "folder"', "mark_read": True},
        {"match": "any", "conditions": [LIST, *subject_is("listed")], "folder": "Lists/News"},
        {"conditions": subject_is("gone"), "discard": True},
        {"conditions": subject_is("star"), "mark_flagged": True},
        {"conditions": subject_is("copied"), "forward": OTHER, "stop": False},
        {"conditions": [{"field": "from", "test": "is-not", "value": OTHER}], "folder": "Strangers"},
        {"match": "always", "enabled": False, "discard": True},
    )  # fmt: skip
    listed = make_message(OTHER, ruled, subject="a letter")
    listed["List-Id"] = "News <news.example.org>"
    stack.send(ruled, sender=OTHER, message=listed)
    for subject in (sly, "gone", "star", "copied", "last"):
        stack.send(ruled, sender=OTHER, subject=subject)
    stack.wait_for_message(ruled, subject="last")
    stack.wait_for_message(ruled, subject="copied")
    stack.wait_for_message(OTHER, subject="copied")
    stack.wait_for_message(ruled, subject="a letter", folder="Lists.News")
    stack.wait_for_message(ruled, subject=sly, folder='Sly \\"folder\\"')
    assert "\\Seen" in flags_of(stack, ruled, 'Sly \\"folder\\"')[0]
    stack.wait_for_message(ruled, subject="star")
    assert sorted(message["Subject"] for message in stack.messages(ruled)) == ["copied", "last", "star"]
    assert any("\\Flagged" in flags for flags in flags_of(stack, ruled, "INBOX"))
    assert "error" not in stack.log_text("imap").split(ruled)[-1]


def test_a_changed_rule_holds_for_the_next_message(stack: Server, ruled: str) -> None:
    for folder in ("First", "Second"):
        set_rules(stack, ruled, {"match": "always", "folder": folder})
        stack.send(ruled, sender=OTHER, subject=f"to {folder}")
        stack.wait_for_message(ruled, subject=f"to {folder}", folder=folder)
    set_rules(stack, ruled)
    stack.send(ruled, sender=OTHER, subject="no rules")
    stack.wait_for_message(ruled, subject="no rules")


def test_a_script_of_ones_own_goes_on_with_what_no_rule_filed(stack: Server, ruled: str) -> None:
    """The rules leave alone what somebody made in the webmail or a mail program, and come before it."""
    put_script(stack, ruled, b'require ["fileinto","mailbox"];\r\nfileinto :create "Own";\r\n')
    set_rules(
        stack, ruled,
        {"conditions": subject_is("ruled"), "folder": "Rules"},
        {"conditions": subject_is("starred"), "mark_flagged": True, "stop": True},
    )  # fmt: skip
    for subject in ("ruled", "starred", "other"):
        stack.send(ruled, sender=OTHER, subject=subject)
    stack.wait_for_message(ruled, subject="ruled", folder="Rules")
    stack.wait_for_message(ruled, subject="starred", folder="Own")
    stack.wait_for_message(ruled, subject="other", folder="Own")
    assert stack.messages(ruled) == []
    set_rules(stack, ruled)
    stack.send(ruled, sender=OTHER, subject="without rules")
    stack.wait_for_message(ruled, subject="without rules", folder="Own")


def test_the_page_of_rules_names_a_script_that_was_made_elsewhere(stack: Server, ruled: str) -> None:
    with visitor(stack, ruled) as person:
        assert "is active as well" not in person.get("/admin/user/rules").text
        put_script(stack, ruled, b"keep;\r\n")
        assert (
            "The script own, made in the webmail or a mail program, is active" in person.get("/admin/user/rules").text
        )


def put_script(server: Server, email: str, script: bytes) -> None:
    """What Roundcube does, by ManageSieve (RFC 5804)."""
    with socket.create_connection((server.address, 4190), timeout=30) as plain:
        file = plain.makefile("rb")

        def answer() -> bytes:
            while not (line := file.readline()).startswith((b"OK", b"NO", b"BYE")):
                assert line
            return line

        assert answer().startswith(b"OK")
        plain.sendall(b"STARTTLS\r\n")
        assert answer().startswith(b"OK")
        with trusting().wrap_socket(plain) as secure:
            file = secure.makefile("rb")
            assert answer().startswith(b"OK")
            secret = base64.b64encode(f"\0{email}\0{PASSWORD}".encode())
            for command in (
                b'AUTHENTICATE "PLAIN" "%b"' % secret,
                b'PUTSCRIPT "own" {%d+}\r\n%b' % (len(script), script),
                b'SETACTIVE "own"',
            ):
                secure.sendall(command + b"\r\n")
                assert answer().startswith(b"OK")


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ([{"match": "always", "forward": "nobody"}], "not an address"),
        ([{"conditions": [{"field": "subject"}]}], "the text to look for is missing"),
    ],
)
def test_what_is_no_rule_is_refused_whole(stack: Server, ruled: str, rules: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        set_rules(stack, ruled, *rules)
    assert api(stack, "GET", f"/user/{ruled}")["mail_rules"] is None
