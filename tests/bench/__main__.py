"""``python -m tests.bench [--quick] [--save FILE]``: all measurements, as root, on this machine."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench import measure
from tests.bench.report import Report, machine


def steps(quick: bool) -> dict[str, Callable[[Report], None]]:
    """What is measured, by name; a quick run does less of each."""
    found: dict[str, Callable[[Report], None]] = {
        "start": partial(
            measure.memory_and_start,
            warm_starts=1 if quick else 3,
            small_too=not quick,
            idle_seconds=5 if quick else 30,
        ),
        "mail": partial(measure.mail_and_logins, each=15 if quick else 100, rounds=1 if quick else 5),
        "lookups": partial(
            measure.lookups, sizes=(1_000, 10_000 if quick else 100_000), count=3_000 if quick else 20_000
        ),
    }
    if not quick:  # a start more, and minutes until connections hibernate
        found["slow"] = measure.slow_neighbours
        found["idle"] = partial(measure.idle, connections=1_000)
        found["parts"] = partial(measure.parts, each=50, rounds=3)
    return found


LIMIT_SECONDS = 3600
QUICK_LIMIT_SECONDS = 600


def _end(number: int, _frame: object) -> None:
    """Leave by an exception, so that everything that was started is stopped."""
    sys.exit(f"ended by {signal.Signals(number).name}")


def main() -> int:
    """Measure, print as it goes, and save a table."""
    parser = argparse.ArgumentParser(prog="bench", description="This stack beside a bare Postfix and Dovecot.")
    parser.add_argument(
        "--quick", action="store_true", help="less of everything; under two minutes on a machine that does nothing else"
    )
    parser.add_argument("--only", choices=steps(False), action="append", help="this step only; may be repeated")
    parser.add_argument("--save", type=Path, help="write the table in Markdown to this file")
    arguments = parser.parse_args()
    measure.ROOT.mkdir(exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _end)
    signal.alarm(QUICK_LIMIT_SECONDS if arguments.quick else LIMIT_SECONDS)
    report = Report()
    print(machine(), flush=True)
    try:
        for name, step in steps(arguments.quick).items():
            if not arguments.only or name in arguments.only:
                step(report)
    finally:
        shutil.rmtree(measure.ROOT, ignore_errors=True)
    if arguments.save:
        arguments.save.write_text(f"{machine()}\n\n{report.markdown()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
