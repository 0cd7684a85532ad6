"""What this machine is: the Debian release, the daemons' versions, what its network can do."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

OS_RELEASE = Path("/etc/os-release")
KNOWN_RELEASES = {12: "bookworm", 13: "trixie"}
_VERSION = re.compile(r"(\d+)\.(\d+)")


class UnknownSystem(Exception):
    """This is not a system that the configurations are written for; the text says what it is."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of the daemons that are installed, (0, 0) for one that is not."""

    dovecot: tuple[int, int]
    postfix: tuple[int, int]
    rspamd: tuple[int, int]


def debian_release(file: Path = OS_RELEASE) -> int:
    """The number of the Debian release. Raises UnknownSystem for anything else than Debian 12 and 13."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    facts = {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}
    version = facts.get("VERSION_ID", "")
    if facts.get("ID") == "debian" and version.isdigit() and int(version) in KNOWN_RELEASES:
        return int(version)
    system = facts.get("PRETTY_NAME") or "an unknown system"
    raise UnknownSystem(f"This machine runs {system}; Mailu runs on Debian 12 and Debian 13.")


def package_version(package: str, status: str) -> tuple[int, int]:
    """Major and minor version of an installed package; *status* is the text of dpkg's status file."""
    match = re.search(rf"^Package: {re.escape(package)}\n(?:.+\n)*?Version: (?:\d+:)?(.+)$", status, re.MULTILINE)
    if match is None:
        return (0, 0)
    number = _VERSION.match(match[1])
    return (int(number[1]), int(number[2])) if number else (0, 0)


def installed_versions(file: Path = Path("/var/lib/dpkg/status")) -> Versions:
    """The versions of the daemons, from dpkg's own list: asking the daemons would cost half a second."""
    try:
        status = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        status = ""
    return Versions(
        dovecot=package_version("dovecot-core", status),
        postfix=package_version("postfix", status),
        rspamd=package_version("rspamd", status),
    )


def has_ipv6(file: Path = Path("/proc/net/if_inet6")) -> bool:
    """Whether any IPv6 address is configured here, loopback's included."""
    try:
        return bool(file.read_text(encoding="ascii").strip())
    except OSError:
        return False


def processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))


def runs_systemd() -> bool:
    """Whether systemd is init here (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def text_of(command: list[str], *, seconds: float = 30) -> tuple[int, str]:
    """Run a program; its return code and everything it said. 127 when it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except FileNotFoundError:
        return 127, f"{command[0]} is not installed"
    return done.returncode, (done.stdout + done.stderr).strip()
