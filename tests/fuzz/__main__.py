"""Coverage-guided fuzzing: ``python -m tests.fuzz SECONDS [TARGET ...]``; ``make fuzz SECONDS=60``.

Needs atheris (``pip install atheris``), which the tests do without. Each target runs in a process of its own, begins
with its corpus and adds to it what reached new code. The input of a crash is printed: mend the parser, and keep the
input in the upper part of the corpus with a line that says what it was.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LONGEST_BYTES = 4096
SLOWEST_SECONDS = 60
"""libFuzzer looks at the clock, not at the processor: on a busy machine an input of three milliseconds took eleven
seconds."""


def main(arguments: list[str]) -> int:
    """Run every target, or those that are named, for so many seconds each; 1 when one of them crashed."""
    if arguments[:1] == ["--one"]:
        return run_one(arguments[1], arguments[2:])
    from tests.fuzz.targets import TARGETS

    seconds, names = int(arguments[0]), arguments[1:] or list(TARGETS)
    crashed = [name for name in names if not explore(name, seconds)]
    print("crashed: " + ", ".join(crashed) if crashed else f"{len(names)} targets, {seconds} s each: no crash")
    return 1 if crashed else 0


def explore(name: str, seconds: int) -> bool:
    """Fuzz one target, then keep what reached new code. Returns whether it stood."""
    from tests.fuzz import corpus

    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        inputs, crashes = Path(scratch, "inputs"), Path(scratch, "crashes")
        inputs.mkdir()
        crashes.mkdir()
        for number, data in enumerate(corpus.read(name)):
            (inputs / str(number)).write_bytes(data)
        limits = [f"-max_len={LONGEST_BYTES}", f"-timeout={SLOWEST_SECONDS}", "-rss_limit_mb=2048"]
        options = [f"-max_total_time={seconds}", *limits]
        command = [sys.executable, "-m", "tests.fuzz", "--one", name, str(inputs), f"-artifact_prefix={crashes}/"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, errors="replace", check=False)
        added = corpus.add(name, [path.read_bytes() for path in inputs.iterdir()])
        rate = next((line for line in done.stderr.splitlines() if line.startswith("Done ")), "ended early")
        print(f"{name}: {rate}; {added} inputs kept", flush=True)
        for path in crashes.iterdir():
            print(f"{name}: {path.name}: {corpus.escape(path.read_bytes())}")
    if done.returncode != 0:
        print(done.stderr[-3000:])
    return done.returncode == 0


def run_one(name: str, options: list[str]) -> int:
    """In the child: hand the process to libFuzzer."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["mailu", "tests.fuzz", "h11", "idna"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
