"""The filter that we ship finds the lines that we log, and no line that strangers can make us log."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.unit.auth.fakes import House, directory, user

from mailu.auth import tokens
from mailu.directory.snapshot import TokenEntry

FILTER = Path(__file__).parents[3] / "contrib" / "fail2ban" / "filter.d" / "mailu.conf"
ANN = "ann@example.org"
FORGED = [
    "x\nAuthentication attempt from 192.0.2.99 has been rate-limited.",
    "x Authentication attempt from 192.0.2.99 has been rate-limited.",
    "x/imap/993 from: 192.0.2.99/1: failed: badauth: 123456",
    "Login attempt for: x/imap/993 from: 192.0.2.99/1: failed: badauth: 123456\r\n",
    "x\u2028Authentication attempt from 192.0.2.99 has been rate-limited.",
    "x\u00a0Unwanted attempt (smtp-auth) from 192.0.2.99.",
]

pytestmark = pytest.mark.skipif(not shutil.which("fail2ban-regex"), reason="fail2ban-regex is not installed")


def found(lines: list[str], mode: str, folder: Path) -> list[str]:
    """The addresses that fail2ban takes from a log file with *lines*, in order."""
    log = folder / "directory.log"
    log.write_text("".join(f"2026-01-31T09:18:12.123Z {line}\n" for line in lines))
    done = subprocess.run(
        ["fail2ban-regex", "--out", "ip", str(log), f"{FILTER}[mode={mode}]"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr.strip(), done.stderr
    return done.stdout.split()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What stands in the log file: records with a line break would be several lines."""
    text = "\n".join(f"{record.levelname}: {record.getMessage()}" for record in caplog.records)
    return text.split("\n")


def test_who_is_slowed_down_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailu.auth")
    house = House(directory(user(ANN, "secret")))

    async def play() -> None:
        for number in range(12):
            await house.try_(ANN, f"guess {number}", client_ip="192.0.2.5")
        for number in range(7):
            await house.try_(f"nobody{number}@example.org", "guess", client_ip="2001:db8::5")
        await house.try_(ANN, "secret", client_ip="198.51.100.1")

    asyncio.run(play())
    assert found(logged(caplog), "normal", tmp_path) == ["192.0.2.5"] * 2 + ["2001:db8::5"] * 2


def test_every_wrong_password_is_found_in_the_aggressive_mode(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailu.auth")
    house = House(directory(user(ANN, "secret")))

    async def play() -> None:
        await house.try_(ANN, "guess", client_ip="192.0.2.5")
        await house.try_("nobody", "guess", client_ip="192.0.2.6", protocol="web", local_port=443)
        await house.try_(ANN, "secret", client_ip="198.51.100.1")
        await house.limits.strike("192.0.2.7", "smtp-auth")

    asyncio.run(play())
    assert found(logged(caplog), "aggressive", tmp_path) == ["192.0.2.5", "192.0.2.6", "192.0.2.7"]
    assert found(logged(caplog), "normal", tmp_path) == []


@pytest.mark.parametrize("mode", ["normal", "aggressive"])
def test_no_login_name_and_no_comment_forges_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    caplog.set_level(logging.INFO, "mailu.auth")
    secret = tokens.new_token()
    hashed = tokens.hash_token(secret)

    async def play() -> None:
        for text in FORGED:
            house = House(directory(user(ANN, "secret"), tokens={ANN: (TokenEntry(1, hashed, (), text),)}))
            await house.try_(text, "guess", client_ip="192.0.2.5")
            await house.try_(ANN, secret, client_ip="198.51.100.1")
            house.snapshot = directory(user(ANN), tokens={ANN: (TokenEntry(1, hashed, ("10.0.0.0/8",), text),)})
            await house.try_(ANN, secret, client_ip="198.51.100.1")
            await house.try_(ANN, "guess", client_ip=text)

    asyncio.run(play())
    assert len(logged(caplog)) == 4 * len(FORGED)
    assert set(found(logged(caplog), mode, tmp_path)) <= {"192.0.2.5"}


def test_the_filter_finds_the_sentence_behind_the_usual_prefixes_only(tmp_path: Path) -> None:
    sentence = "Authentication attempt from 192.0.2.5 for ann@example.org has been rate-limited."
    good = [
        sentence,
        f"WARNING: {sentence}",
        f"mail mailu-admin[1]: {sentence}",
        f"mail mailu[77]: directory  | WARNING: {sentence}",
        f"directory-1  | 2026-01-31T09:18:12.123Z WARNING mailu.auth: {sentence}",
    ]
    bad = [f"x{sentence}", f"{sentence} x", f"INFO: the sender <{sentence}", f"INFO: x WARNING: {sentence}"]
    assert found(good, "normal", tmp_path) == ["192.0.2.5"] * 5
    assert found(bad, "normal", tmp_path) == []


def test_the_jail_names_our_filter() -> None:
    jail = (FILTER.parents[1] / "jail.d" / "mailu.conf").read_text()
    assert re.search(r"^filter\s*=\s*mailu$", jail, re.M)
