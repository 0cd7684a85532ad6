"""What ``rspamadm`` does before Rspamd is started: reads the configuration, and compiles its expressions."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_CHECK_SECONDS = 60
_COMPILE_SECONDS = 300
_STAMP = "compiled"
_MESSAGE = "From: postmaster@localhost\r\nSubject: none\r\n\r\nhttp://localhost/\r\n"


def configuration_problems(program: Sequence[str], configuration: Path) -> tuple[str, ...]:
    """Return what ``configtest -s`` has against *configuration*. *program* is rspamadm with its variables."""
    done = subprocess.run(
        [*program, "configtest", "-s", "-c", str(configuration)],
        capture_output=True,
        text=True,
        timeout=_CHECK_SECONDS,
        check=False,
    )
    if done.returncode == 0:
        return ()
    return read_words(done.stdout + done.stderr) or (f"rspamadm configtest ended with {done.returncode}",)


def read_words(said: str) -> tuple[str, ...]:
    """Leave out the lines that are no problem: names that could not be looked up just now."""
    lines = (line.strip() for line in said.splitlines())
    return tuple(line for line in lines if line and not line.startswith(("address resolution", "syntax OK")))


def compile_expressions(program: Sequence[str], configuration: Path, folder: Path, *, small: bool) -> None:
    """Have the large tables in *folder* compiled by a process that ends, once for each version and size.

    Rspamd would do so at its first start and keep the memory that it took, in all its processes together 170 MiB, until
    the second. A failure is no trouble: then Rspamd does it by itself.
    """
    stamp = folder / _STAMP
    wanted = f"{_version()} {'small' if small else 'full'}"
    if _text(stamp) == wanted:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".eml") as message:
        message.write(_MESSAGE)
        message.flush()
        command = [*program, "mime", "-c", str(configuration), "stat", message.name]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_COMPILE_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return
    if done.returncode == 0:
        stamp.write_text(wanted, encoding="ascii")


def _version() -> str:
    """The package's version, by its largest file: asking the program takes longer."""
    try:
        status = Path("/usr/bin/rspamd").stat()
    except OSError:
        return "unknown"
    return f"{status.st_size}-{status.st_mtime_ns}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
