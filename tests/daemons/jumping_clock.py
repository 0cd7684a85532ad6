"""``mailu`` with a clock that can be set: ``python jumping_clock.py ARGUMENTS`` with the variables of environment().

The agent and every daemon run with a small library (clock.c) that adds an offset, read from a file at each look, to the
time of day. The monotonic clock stays as it is, as when somebody sets the clock of a machine. Times of files stay true,
which a machine's clock would not leave them: Postfix sees a disk whose clock is wrong, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

VARIABLES = ("LD_PRELOAD", "CLOCK_OFFSET_FILE")
SOURCE = Path(__file__).with_name("clock.c")


def build(folder: Path) -> Path | None:
    """Compile the library; None where there is no compiler."""
    compiler = next((found for name in ("cc", "gcc", "tcc") if (found := shutil.which(name))), None)
    if compiler is None:
        return None
    library = folder / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-nostdlib", "-o", str(library), str(SOURCE)], check=True)
    library.chmod(0o755)
    return library


def environment(library: Path, offset_file: Path) -> dict[str, str]:
    """The variables that make a process look at the file."""
    return {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(offset_file)}


def main() -> None:
    """Become the command line, with every daemon's environment extended."""
    from mailu.cli import main as command_line
    from mailu.deploy.agent import Agent
    from mailu.deploy.configuration import Applied
    from mailu.deploy.process import Command

    kept = {name: os.environ[name] for name in VARIABLES}
    usual = Agent._command

    def command(agent: Agent, applied: Applied) -> Command:
        plain = usual(agent, applied)
        return replace(plain, environment={**plain.environment, **kept})

    Agent._command = command  # type: ignore[method-assign,assignment]
    command_line()


if __name__ == "__main__":
    main()
