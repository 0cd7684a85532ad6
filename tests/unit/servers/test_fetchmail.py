"""One account in fetchmail's words."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.room_harness import make_settings

from mailu.places import Places
from mailu.servers.fetching import delivery_of
from mailu.servers.fetchmail import PROGRAM, Account, Delivery, command, control_file, outcome

ACCOUNT = Account(
    id=7, email="user@example.org", protocol="imap", host="mail.example.net", port=993, tls=True, username="u",
    password="p", keep=False, scan=False, invisible=False, folders=("INBOX",),
)  # fmt: skip
LMTP = Delivery("/run/lmtp", lmtp=True)


def test_a_control_file_says_everything() -> None:
    text = control_file(replace(ACCOUNT, keep=True, invisible=True), LMTP)
    assert text.splitlines() == [
        "set no bouncemail",
        "set softbounce",
        "set invisible",
        r'poll "mail\x2eexample\x2enet" proto imap',
        "port 993",
        "timeout 120",
        r'user "u" password "p" is "user\x40example\x2eorg" here',
        "ssl",
        "sslproto 'auto' sslcertck",
        r'smtphost "\x2frun\x2flmtp"',
        "lmtp",
        'folder "INBOX"',
        "keep",
    ]


def test_without_the_tls_flag_starttls_is_insisted_on() -> None:
    text = control_file(replace(ACCOUNT, tls=False, port=143), LMTP)
    assert "\nssl\n" not in text
    assert "sslproto 'auto' sslcertck" in text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "LOCALHOST."])
def test_this_very_machine_may_do_without(host: str) -> None:
    assert "sslproto ''" in control_file(replace(ACCOUNT, host=host, tls=False), LMTP)
    assert "sslcertck" in control_file(replace(ACCOUNT, host=host, tls=True), LMTP)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_nothing_that_is_typed_leaves_its_string(text: str) -> None:
    hostile = replace(ACCOUNT, host=text, username=text, password=text, folders=(text,))
    made = control_file(hostile, LMTP)
    assert len(made.splitlines()) == len(control_file(ACCOUNT, LMTP).splitlines())
    assert all(re.fullmatch(r"(?:[A-Za-z0-9]|\\x[0-9a-f]{2})*", inside) for inside in re.findall(r'"([^"]*)"', made))


@pytest.mark.skipif(not shutil.which(PROGRAM), reason="needs fetchmail")
def test_fetchmail_reads_back_what_was_typed(tmp_path: Path) -> None:
    """--configdump prints what it understood (as Python)."""
    typed = "a\"b\\c' x20ba\tü#{}"
    file = tmp_path / "rc"
    file.write_text(control_file(replace(ACCOUNT, username=typed, password=typed), LMTP))
    file.chmod(0o600)
    done = subprocess.run([PROGRAM, "-f", str(file), "--configdump"], capture_output=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    assert rb"a\"b\\c" in done.stdout or rb"a\"b\\c" in done.stdout


@pytest.mark.parametrize(
    ("name", "encoded"), [("Entwürfe", "Entw&APw-rfe"), ("Tom & Ann", "Tom &- Ann"), ("日本語", "&ZeVnLIqe-")]
)
def test_folders_are_named_in_modified_utf_7(name: str, encoded: str) -> None:
    text = control_file(replace(ACCOUNT, folders=(name,)), LMTP)
    octets = re.search(r'folder "([^"]*)"', text)
    assert octets
    assert re.sub(r"\\x(..)", lambda match: chr(int(match[1], 16)), octets[1]) == encoded


def test_pop3_knows_no_folders() -> None:
    text = control_file(replace(ACCOUNT, protocol="pop3"), LMTP)
    assert "folder" not in text
    assert "uidl" in text


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (0, "1 message", None),
        (1, "", None),
        (3, "fetchmail: Authorization failure on u@h\nfetchmail: Query status=3 (AUTHFAIL)\n", "Authorization failure"),
        (2, "", "no connection to the server"),
        (99, "fetchmail: odd\x1b[31m\n", "fetchmail ended with 99: odd[31m"),
    ],
)
def test_exit_codes_become_sentences(code: int, said: str, expected: str | None) -> None:
    text = outcome(code, said)
    assert text is None if expected is None else text is not None and expected in text


def test_passwords_are_in_no_command_and_in_no_log() -> None:
    account = replace(ACCOUNT, password="hunter2")
    assert "hunter2" not in " ".join(command(account, Path("/x"), ["-v"])) + repr(account)


@pytest.mark.parametrize(
    ("variables", "scan", "expected"),
    [
        ({}, False, Delivery("/mailu/run/fetched/lmtp", lmtp=True)),
        ({"BIND_ADDRESS4": "192.0.2.1"}, True, Delivery("192.0.2.1/25", lmtp=False)),
        ({"SMTP_ADDRESS": "smtp"}, True, Delivery("smtp/25", lmtp=False)),
        ({"PROXY_PROTOCOL": "25", "REAL_IP_FROM": "192.0.2.9"}, True, None),
    ],
)
def test_mail_goes_through_the_filter_only_when_it_is_to_be_scanned(
    variables: dict[str, str], scan: bool, expected: Delivery | None
) -> None:
    settings = make_settings(Path("/mailu"), **variables)
    assert delivery_of(settings, Places(settings.root), replace(ACCOUNT, scan=scan)) == expected
