"""Let Postfix's own tools read a configuration before it is used.

``postfix check`` ends well with a misspelt parameter, a missing table, an unknown restriction: it only prints a
warning, or nothing. So every line that a tool prints is a problem, tables are asked, and restrictions are compared with
the words that smtpd(8) knows.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mailu.daemons.postfix import parameters, services
from mailu.daemons.postfix.values import outbound_tls
from mailu.daemons.room import CheckResult, RenderRequest

SECONDS = 60
COOLING_SECONDS = 10
SMTPD = Path("/usr/lib/postfix/sbin/smtpd")
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}
_PREFIX = re.compile(
    r"(?:/?[\w./-]*/)?(?:postfix|postconf|postmap|postsuper|postfix-script|postlog)(?:/[\w-]+)*(?:\[\d+\])?: "
)
_NOISE = (
    # The package keeps makedefs.out below /usr/share and links to it; postfix-script mistrusts links out of the folder.
    re.compile(r"warning: symlink leaves directory: /etc/postfix/"),
    # Said whenever a queue is new; the folders are what the check is asked to make.
    re.compile(r"the Postfix mail system is not running"),
)
_UNUSED = re.compile(r"unused parameter: ([A-Za-z0-9_]+)=")
_RESTRICTION = re.compile(r"(?:permit|reject|defer|check|warn)_[a-z0-9_]+")
_LISTS = ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data", "etrn")
_RELAY_RIGHTS = frozenset({"mynetworks", "mynetworks_style", "smtpd_relay_restrictions"})
_FOREIGN = {
    "mta-sts-daemon.yml": "MTA-STS is the directory's work now",
    "logrotate.conf": "Postfix writes no log file",
}


def check(request: RenderRequest, own_tables: Mapping[str, str]) -> CheckResult:
    """Make the operator's tables, then read everything. Runs as root; makes the queue's folders as a side effect."""
    etc = request.etc
    _cool(etc)
    problems = [line for name in sorted(own_tables) for line in _run("postmap", etc, f"lmdb:{etc / name}")]
    problems += _run("postfix", etc, "check")
    if not any("fatal" in line for line in problems):  # the others would say the same, a second each
        problems += _run("postconf", etc, "-n")
        problems += [line for table in _tables(etc, own_tables) for line in _ask(etc, table)]
        problems += _unknown_restrictions(etc)
    notes = [*_doubts(request), *_unused_files(request, own_tables)]
    told = dict.fromkeys(words for line in problems if (words := _in_the_operators_words(line, request)))
    return CheckResult(problems=tuple(told), notes=tuple(notes))


def _cool(etc: Path) -> None:
    """Make the files look older: every Postfix program waits until a file it reads is two seconds old, fearing that
    somebody is still writing it. These are complete; nobody has to wait."""
    moment = time.time() - COOLING_SECONDS
    for path in etc.iterdir():
        os.utime(path, (moment, moment))


def _run(tool: str, etc: Path, *arguments: str) -> list[str]:
    """Run one of Postfix's commands on *etc*; what it says, without its name and what is known to be harmless."""
    done = subprocess.run(
        [f"/usr/sbin/{tool}", "-c", str(etc), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS,
        env=_ENVIRONMENT,
        check=False,
    )
    lines = [_PREFIX.sub("", line).strip() for line in done.stderr.splitlines()]
    said = [line for line in lines if line and not any(noise.search(line) for noise in _NOISE)]
    if done.returncode and not said and tool != "postmap":
        said.append(f"{tool} ended with exit code {done.returncode}")
    return said


def _tables(etc: Path, own_tables: Mapping[str, str]) -> list[str]:
    """Every table of the folder that Postfix opens, with its type."""
    texthash = ("slow_destinations", "relay_password", "relay_tls", *own_tables)
    regexp = (
        "reject_footers", "certificate_reasons", "submission_headers", "submission_mime_headers", "srs_addresses",
        "srs_senders",
    )  # fmt: skip
    tables = [f"regexp:{etc / name}" for name in regexp]
    return tables + [f"texthash:{etc / name}" for name in texthash if (etc / name).exists()]


def _ask(etc: Path, table: str) -> list[str]:
    """Open *table* with a key that it does not have; only a broken one makes words."""
    return _run("postmap", etc, "-q", "nobody", table)


def _unknown_restrictions(etc: Path) -> list[str]:
    names = [f"smtpd_{name}_restrictions" for name in _LISTS]
    in_main = _output("postconf", etc, "-xh", "smtpd_restriction_classes", *names)
    in_master = _output("postconf", etc, "-Px", *(f"*/*/{name}" for name in names))
    classes = set(re.findall(r"\w+", in_main.partition("\n")[0]))
    used = dict.fromkeys(re.findall(r"(?<![\w$./:-])[a-z_0-9]+(?![\w./:=-])", f"{in_main}\n{in_master}"))
    suspects = [word for word in used if _RESTRICTION.fullmatch(word) and word not in classes]
    return [f"unknown restriction {word}" for word in suspects if not smtpd_knows(word)]


def _output(tool: str, etc: Path, *arguments: str) -> str:
    return subprocess.run(
        [f"/usr/sbin/{tool}", "-c", str(etc), *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=_ENVIRONMENT,
        check=False,
    ).stdout


def smtpd_knows(word: str) -> bool:
    """Whether the installed smtpd(8) knows a restriction: it is a string in the program, or the end of one."""
    return word.encode() + b"\0" in _smtpd()


@cache
def _smtpd() -> bytes:
    return SMTPD.read_bytes()


def _in_the_operators_words(line: str, request: RenderRequest) -> str | None:
    """Name the operator's own file and line instead of the generated one; None for what is no problem after all."""
    if unused := _UNUSED.search(line):
        return _unused(unused[1], in_master="master.cf" in line, request=request)
    for name in request.overrides:
        line = line.replace(str(request.etc / name), f"overrides/postfix/{name}")
    return line


def _unused(name: str, *, in_master: bool, request: RenderRequest) -> str | None:
    """A name that Postfix does not know is misspelt, or one of ours that an override has taken out of use."""
    if in_master:
        return f"{services.SOURCE}: Postfix has no parameter {name}"
    for parameter in parameters.parse(request.overrides.get("postfix.cf", "")):
        if parameter.name == name:
            return f"{parameters.SOURCE} line {parameter.line}: Postfix has no parameter {name}"
    return None


def _doubts(request: RenderRequest) -> list[str]:
    """What is not as it was asked for."""
    settings, host = request.settings, request.host
    outbound = outbound_tls(settings, resolver_validates=host.resolver_validates)
    opened = [
        f"{parameters.SOURCE} line {parameter.line}: {parameter.name} decides who may send to others without a log-in; "
        "RELAYNETS is the setting for that"
        for parameter in parameters.parse(request.overrides.get("postfix.cf", ""))
        if parameter.name in _RELAY_RIGHTS
    ]
    unresolved = "Nobody resolves names: the domains of senders are not checked, and mail for others waits."
    return [*([outbound.note] if outbound.note else []), *([] if host.resolves else [unresolved]), *opened]


def _unused_files(request: RenderRequest, own_tables: Mapping[str, str]) -> list[str]:
    notes = []
    for name in request.overrides:
        if name in _FOREIGN:
            notes.append(f"overrides/postfix/{name} has no effect: {_FOREIGN[name]}")
        elif name not in ("postfix.cf", "postfix.master") and name not in own_tables:
            notes.append(f"overrides/postfix/{name} is not used: only postfix.cf, postfix.master and *.map are")
    return notes
