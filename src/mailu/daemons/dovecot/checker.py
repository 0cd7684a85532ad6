"""Let Dovecot's own tools read a configuration before it is used.

``doveconf -n`` finds unknown settings and bad values, and ends well when a certificate is missing or belongs to another
key; so those are looked at here. Every line that it prints to stderr is a problem. Sieve scripts are compiled, which
also leaves the compiled form beside them, where a mail process could not write it.
"""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailu.daemons.dovecot import values
from mailu.daemons.room import CheckResult, RenderRequest

SECONDS = 60
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 1024
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
_LINE = re.compile(r"(?:doveconf|sievec)(?:\([^)]*\)\S*)?: (?:(?P<level>Debug|Info|Warning|Error|Fatal|Panic): )?")
OPERATOR = "operator.conf"
_OTHER_FILES = {"proxy.conf": "there is no proxy in front of the mailboxes"}


@dataclass(frozen=True, slots=True)
class _Said:
    """One line that a tool wrote to stderr."""

    level: str
    text: str


def check(request: RenderRequest, notes: Sequence[str] = (), enter: Sequence[str] = ()) -> CheckResult:
    """Read everything. Runs as root. *enter* is the beginning of a command that runs it in another tree.

    A warning about the operator's own file is a note: it may be meant. Of ours it is a problem, as an error is.
    """
    etc = request.etc
    configuration = str(etc / "dovecot.conf")
    said = _run([*enter, "/usr/bin/doveconf", "-c", configuration, "-n"])
    warnings = [line.text for line in said if _is_warning_for_operator(line)]
    problems = [line.text for line in said if not _is_warning_for_operator(line)]
    if not problems:
        problems = _certificate_problems(request)
    if not problems:
        # Dovecot follows links before it opens a script, and takes a compiled one only from where it was compiled.
        for script in (etc.resolve() / "sieve" / name for name in values.SIEVE_SCRIPTS):
            compiler = _run([*enter, "/usr/bin/sievec", "-c", configuration, str(script)])
            problems += [line.text for line in compiler if not _is_warning_for_operator(line)]
    told = dict.fromkeys(_in_the_operators_words(line, request) for line in problems)
    noted = dict.fromkeys(_in_the_operators_words(line, request) for line in warnings)
    return CheckResult(tuple(told), (*notes, *noted, *_notes(request)))


def _is_warning_for_operator(line: _Said) -> bool:
    return line.level == "Warning" and OPERATOR in line.text


def _run(command: list[str]) -> list[_Said]:
    """Run one of Dovecot's commands; what it says on stderr, without its name, and without what only LOG_LEVEL=DEBUG
    brings."""
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=SECONDS, env=_ENVIRONMENT, check=False
    )
    said = [_taken_apart(line) for line in done.stderr.splitlines() if line.strip()]
    said = [line for line in said if line.level not in ("Debug", "Info")]
    if done.returncode and not said:
        said.append(_Said("Fatal", f"{Path(command[0]).name} ended with exit code {done.returncode}"))
    return said


def _taken_apart(line: str) -> _Said:
    named = _LINE.match(line)
    return _Said("", line.strip()) if named is None else _Said(named["level"] or "", line[named.end() :].strip())


def _certificate_problems(request: RenderRequest) -> list[str]:
    """Certificates that are missing, unreadable, or do not fit their key."""
    if not request.settings.has_tls:
        return []
    found = values.certificates(request)
    if not found:
        return ["there is no certificate yet"]
    problems = []
    for certificate in found:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate.chain, certificate.key)
        except (OSError, ValueError) as error:
            problems.append(f"the certificate of {certificate.name}, {certificate.chain}: {_reason(error)}")
    return problems


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "it does not belong to its key"
        return f"it or its key cannot be read: {error.reason or error}"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _in_the_operators_words(line: str, request: RenderRequest) -> str:
    """Name the operator's own file where that is what is wrong."""
    return line.replace(str(request.etc / OPERATOR), "overrides/dovecot/dovecot.conf")


def _notes(request: RenderRequest) -> list[str]:
    notes = []
    for name in request.overrides:
        if name != "dovecot.conf":
            why = _OTHER_FILES.get(name, "only dovecot.conf is")
            notes.append(f"overrides/dovecot/{name} is not used: {why}")
    try:
        instances = int(INOTIFY.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return notes
    if instances < INOTIFY_WANTED:
        notes.append(
            f"fs.inotify.max_user_instances is {instances}: beyond that many waiting IMAP connections new mail is "
            f"shown late and memory is not saved; set it to {INOTIFY_WANTED * 8} (sysctl)"
        )
    return notes
