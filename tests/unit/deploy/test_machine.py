"""What the machine is, read from files that a test can write."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailu.deploy.machine import UnknownSystem, debian_release, has_ipv6, installed_versions, text_of

STATUS = """Package: dovecot-core
Status: install ok installed
Architecture: amd64
Version: 1:2.3.19.1+dfsg1-2.1+deb12u1
Description: secure POP3/IMAP server - core files
 Version: 9.9 is not this line

Package: postfix
Status: install ok installed
Version: 3.7.11-0+deb12u1

Package: rspamd-extra
Version: 9.9-1
"""


@pytest.mark.parametrize(("number", "name"), [(12, "bookworm"), (13, "trixie")])
def test_known_releases(tmp_path: Path, number: int, name: str) -> None:
    file = tmp_path / "os-release"
    file.write_text(f'ID=debian\nVERSION_ID="{number}"\nVERSION_CODENAME={name}\n')
    assert debian_release(file) == number


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('ID=debian\nVERSION_ID="11"\nPRETTY_NAME="Debian GNU/Linux 11"\n', "Debian GNU/Linux 11"),
        ('ID=ubuntu\nVERSION_ID="12"\nPRETTY_NAME="Ubuntu 12"\n', "Ubuntu 12"),
        ('ID=debian\nPRETTY_NAME="Debian GNU/Linux forky/sid"\n', "forky/sid"),
        ("", "an unknown system"),
    ],
)
def test_other_systems_are_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "os-release"
    file.write_text(text)
    with pytest.raises(UnknownSystem, match=words):
        debian_release(file)
    with pytest.raises(UnknownSystem, match="an unknown system"):
        debian_release(tmp_path / "absent")


def test_versions_come_from_dpkgs_list(tmp_path: Path) -> None:
    file = tmp_path / "status"
    file.write_text(STATUS)
    versions = installed_versions(file)
    assert (versions.dovecot, versions.postfix, versions.rspamd) == ((2, 3), (3, 7), (0, 0))
    assert installed_versions(tmp_path / "absent").postfix == (0, 0)


def test_ipv6_is_there_when_an_address_is(tmp_path: Path) -> None:
    file = tmp_path / "if_inet6"
    assert not has_ipv6(file)
    file.write_text("")
    assert not has_ipv6(file)
    file.write_text("00000000000000000000000000000001 01 80 10 80       lo\n")
    assert has_ipv6(file)


def test_a_program_that_is_absent_is_named() -> None:
    assert text_of(["no-such-program"]) == (127, "no-such-program is not installed")
    assert text_of(["sh", "-c", "echo out; echo err >&2; exit 3"]) == (3, "out\nerr")
