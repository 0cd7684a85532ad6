"""Lists and imports: what a page costs at 1,000 and at 100,000 users, and what importing 100,000 of them takes.

``python -m tests.bench.lists --save docs/performance.md`` writes the section of that name; other sections stay.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Select, event, select

from mailu.api.lists import ALIASES, USERS
from mailu.api.schemas import alias_object, in_list, user_object
from mailu.configuration import Configuration
from mailu.directory.archive import read_document
from mailu.directory.changes import SYSTEM
from mailu.directory.listing import Listing, PageRequest, page_of
from mailu.directory.models import Alias, User
from mailu.directory.store import Store, open_store
from mailu.settings import load_settings
from tests.bench.report import Figure, Report, machine, ratio

SMALL, LARGE = 1_000, 100_000
RATIO_GOAL = 1.2
SECTION = "Lists and imports"
_HASH = "$pbkdf2-sha256$1$MSZEyLk3JqR0zvn/HwMAoA$aWsz/G1xs0V2nVdX5x96s5Vd6y61lLGHT8Zqu"
_DOMAINS = 10


@dataclass(frozen=True, slots=True)
class Listed:
    """One list, in one order."""

    name: str
    statement: Select[Any]
    listing: Listing[Any]
    shape: Callable[[Any], dict[str, Any]]
    request: PageRequest


def lists() -> list[Listed]:
    """Every list and order that 100,000 users make long, of the whole server and of one domain."""
    found = []
    for scope, users, aliases in (
        ("all", select(User), select(Alias)),
        (
            "one domain",
            select(User).where(User.domain_name == "d1.test"),
            select(Alias).where(Alias.domain_name == "d1.test"),
        ),
    ):
        for sort in USERS.sorts:
            found.append(Listed(f"users, {scope}, {sort}", users, USERS, user_object, PageRequest(sort=sort)))
        for sort in ALIASES.sorts:
            found.append(Listed(f"aliases, {scope}, {sort}", aliases, ALIASES, alias_object, PageRequest(sort=sort)))
    return found


def measure_lists(report: Report, small: Store, large: Store, *, rounds: int = 60) -> None:
    """Add the ratio of first pages for every list, measured in turns."""
    worst = 0.0
    for listed in lists():
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(rounds + 5):
            for store, into in zip((small, large), times, strict=True):
                seconds = _first_page(store, listed)
                if turn >= 5:
                    into.append(seconds)
        found = ratio(times[1], times[0])
        worst = max(worst, found)
        median = statistics.median(times[1]) * 1000
        report.add(
            Figure(f"first page: {listed.name}", f"{median:.2f} ms", f"{found:.2f} times that of {SMALL:,} users")
        )
    goal = f"at most {RATIO_GOAL}"
    report.add(
        Figure(
            "first page, the worst of all", f"{worst:.2f}", f"{LARGE:,} to {SMALL:,} users", goal, worst <= RATIO_GOAL
        )
    )


def _first_page(store: Store, listed: Listed) -> float:
    """Seconds of CPU: the database works in this thread too, and others on this machine do not count."""
    began = time.thread_time()
    with store.read() as session:
        page = page_of(session, listed.statement, listed.listing, listed.request)
        text = json.dumps([in_list(listed.shape(row)) for row in page.items])
    seconds = time.thread_time() - began
    assert len(page.items) == 50
    assert text
    return seconds


def sorts_in_memory(store: Store) -> list[str]:
    """The names of lists for which the database does not walk an index (none, or the ratio is luck)."""
    found = []
    for listed in lists():
        for descending in (False, True):
            if any("TEMP B-TREE" in line for line in _plan(store, listed, descending=descending)):
                found.append(listed.name)
    return found


def _plan(store: Store, listed: Listed, *, descending: bool) -> list[str]:
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append((statement, parameters))

    request = PageRequest(sort=listed.request.sort, descending=descending)
    with store.read() as session:
        event.listen(session.get_bind(), "before_cursor_execute", note)
        try:
            page_of(session, listed.statement, listed.listing, request)
        finally:
            event.remove(session.get_bind(), "before_cursor_execute", note)
        statement, parameters = next(each for each in seen if each[0].startswith("SELECT"))
        rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    return [str(row[3]) for row in rows]


# Imports


def document(users: int) -> Iterator[str]:
    """A configuration with so many users, and as many aliases with two destinations each."""
    yield "domain:\n" + "".join(f"  - name: d{number}.test\n" for number in range(_DOMAINS))
    yield "user:\n"
    for number in range(users):
        yield f"  - email: user{number}@d{number % _DOMAINS}.test\n    displayed_name: User Number {number}\n"
        yield f"    quota_bytes: 2000000000\n    password: {_HASH}{number:06d}\n"
    yield "alias:\n"
    for number in range(users):
        yield f"  - email: alias{number}@d{number % _DOMAINS}.test\n    destination:\n"
        yield f"      - user{number}@d{number % _DOMAINS}.test\n      - somebody{number}@elsewhere.test\n"


def make_root(folder: Path) -> Configuration:
    """An empty installation below *folder*."""
    for name in ("data", "dkim"):
        (folder / name).mkdir(parents=True)
    environ = {"SECRET_KEY": "0123456789ABCDEF", "DOMAIN": "d0.test", "HOSTNAMES": "mail.d0.test"}
    (folder / "mailu.env").write_text("".join(f"{name}={value}\n" for name, value in environ.items()))
    settings = load_settings(None, {**environ, "ROOT": str(folder)})
    store = open_store(settings.database_uri)
    store.upgrade()
    return Configuration(settings, store)


def fill(configuration: Configuration, users: int) -> None:
    """Import so many users in this process."""
    configuration.apply(read_document("".join(document(users))), actor=SYSTEM)


def measure_import(report: Report, folder: Path, users: int = LARGE) -> Configuration:
    """Add seconds and memory of the commands on *users* users; returns the installation, filled."""
    configuration, source = make_root(folder), folder / "big.yml"
    source.write_text("".join(document(users)))
    size = source.stat().st_size / 1e6
    for name, arguments in (
        (f"import {users:,} users and {users:,} aliases ({size:.0f} MB of YAML)", ["config-import", "-q", str(source)]),
        ("import the same again: nothing to do", ["config-import", "-q", str(source)]),
        ("export them all", ["config-export", "-s", "-o", str(folder / "out.yml")]),
    ):
        seconds, cpu, memory = _run([sys.executable, "-m", "mailu.cli", "--root", str(folder), *arguments])
        report.add(Figure(name, f"{seconds:.1f} s", f"{cpu:.1f} s of CPU, {memory} MiB"))
    return configuration


def _run(command: Sequence[str]) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and most memory (MiB) of a command that must succeed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": "src"})
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024


def write_section(path: Path, title: str, body: str) -> None:
    """Put a section into a Markdown file, in the place of the one with that title."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Performance\n"
    section = f"## {title}\n\n{body.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    replaced, times = pattern.subn(lambda _found: section + "\n", text)
    text = replaced if times else f"{text.rstrip()}\n\n{section}"
    path.write_text(text.rstrip() + "\n", encoding="utf-8")


def measure(report: Report) -> None:
    """All of it, in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="mailu-lists-") as name:
        large = measure_import(report, Path(name) / "large")
        small = make_root(Path(name) / "small")
        fill(small, SMALL)
        measure_lists(report, small.store, large.store)
        for configuration in (small, large):
            configuration.store.close()


def main() -> None:
    """Measure, and write the section into a file."""
    parser = argparse.ArgumentParser(prog="lists", description="What lists and imports cost.")
    parser.add_argument("--save", type=Path, help="write the section into this Markdown file")
    arguments = parser.parse_args()
    report = Report()
    measure(report)
    if arguments.save:
        write_section(arguments.save, SECTION, f"{machine()}\n\n{report.markdown()}")


if __name__ == "__main__":
    main()
