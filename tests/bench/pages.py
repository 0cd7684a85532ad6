"""Pages: what each costs the server with 100, with 10,000 and with 100,000 mailboxes.

``python -m tests.bench.pages --save docs/performance.md`` writes the section of that name; other sections stay. Every
page of the route table is asked for by an administrator of three installations in turns, and CPU time is counted: of
the whole process, so of the database too, which is SQLite.

Other work on the machine only ever adds to a time (its caches and its share of a core are lost), so the least of many
is what a page costs. Pages whose ratio is above the goal are measured for longer, at every size alike: what is dear
stays dear, what was disturbed does not.
"""

from __future__ import annotations

import argparse
import gc
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy import insert

from mailu.directory.models import User
from mailu.servers.admin import Admin
from tests.bench.lists import write_section
from tests.bench.report import Figure, Report, machine
from tests.unit.web.addresses import ALLOWED, PEOPLE, address, looked_at
from tests.unit.web.conftest import HOST, Browser, make_admin

SIZES = (100, 10_000, 100_000)
RATIO_GOAL = 1.2
ROUNDS = 16
MOST_REPEATS = 3
"""How often as many rounds again are spent on the pages that are above the goal."""
SECTION = "Pages"
_ASKING_OTHERS = frozenset({"dns_check"})
"""Waits for name servers, whatever is here."""
_MORE = (
    ("mailboxes by used space", "/admin/user/list/example.test?sort=used&down=1"),
    ("mailboxes by last sign-in", "/admin/user/list/example.test?sort=login"),
    ("mailboxes that match", "/admin/user/list/example.test?q=box00"),
    ("search", "/admin/search?q=box00"),
)


def addresses(who: str = "admin") -> dict[str, str]:
    """Name and address of every page that *who* may see, and of the lists in other orders."""
    pages = [page for page in looked_at() if page.name not in _ASKING_OTHERS]
    found = {page.name: address(page) for page in pages if who in ALLOWED[page.permission.name]}
    return found | dict(_MORE)


def add_mailboxes(admin: Admin, number: int) -> None:
    """So many, in the domain that the pages are about."""
    rows = [
        {
            "email": f"box{n:06}@example.test", "localpart": f"box{n:06}", "domain_name": "example.test",
            "password": "$none$", "home": f"box{n:06}@example.test", "quota_bytes": 10**9,
            "quota_bytes_used": (n * 7919) % 10**9, "created_at": date(2026, 1, 1),
        }
        for n in range(number)
    ]  # fmt: skip
    with admin.control.store.session() as session:
        session.execute(insert(User), rows)


@contextmanager
def visitor(folder: Path, mailboxes: int) -> Iterator[Browser]:
    """An administrator who has signed on to an installation of so many mailboxes."""
    folder.mkdir()
    admin = make_admin(folder)
    add_mailboxes(admin, mailboxes)
    with TestClient(admin.app, base_url=f"https://{HOST}", follow_redirects=False) as client:
        while client.get("/ready").status_code != 200:
            time.sleep(0.01)
        browser = Browser(client, admin)
        assert browser.sign_on(PEOPLE["admin"]).status_code == 303
        yield browser


def measure(folder: Path, sizes: Sequence[int] = SIZES, rounds: int = ROUNDS) -> dict[str, dict[int, float]]:
    """Seconds of CPU of each page at each size: the least of interleaved rounds."""
    with ExitStack() as stack:
        browsers = {size: stack.enter_context(visitor(folder / str(size), size)) for size in sizes}
        pages = addresses()
        found = {name: dict.fromkeys(sizes, math.inf) for name in pages}
        _look(browsers, pages, found, rounds=2)
        found = {name: dict.fromkeys(sizes, math.inf) for name in pages}
        with _no_collections():
            _look(browsers, pages, found, rounds=rounds)
            for _ in range(MOST_REPEATS):
                dear = {name: pages[name] for name, times in found.items() if _ratio(times) > RATIO_GOAL}
                _look(browsers, dear, found, rounds=rounds)
    return found


def _look(
    browsers: Mapping[int, Browser], pages: Mapping[str, str], found: dict[str, dict[int, float]], *, rounds: int
) -> None:
    """Ask for every page at every size, in another order each time, and keep the least in *found*."""
    sizes = list(browsers)
    for turn in range(rounds):
        for name, path in pages.items():
            for number in range(len(sizes)):
                size = sizes[(turn + number) % len(sizes)]
                found[name][size] = min(found[name][size], _cost(browsers[size], path))
        gc.collect()


@contextmanager
def _no_collections() -> Iterator[None]:
    """Garbage is collected between rounds: in a page it would cost what the pages before have left behind."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def _ratio(times: Mapping[int, float]) -> float:
    """The worst of what the larger sizes cost, as a multiple of the smallest one."""
    return max(times.values()) / times[min(times)]


def _cost(browser: Browser, path: str) -> float:
    """Of the third of three requests: what a process keeps for its directory, another one here has just put out, and
    who looks through 100,000 mailboxes for it leaves the processor's caches full of them.
    """
    browser.get(path)
    browser.get(path)
    began = time.process_time()
    status = browser.get(path).status_code
    seconds = time.process_time() - began
    assert status < 500, (path, status)
    return seconds


def ratios(found: Mapping[str, Mapping[int, float]], size: int, least: int) -> dict[str, float]:
    """What each page costs at *size*, as a multiple of what it costs at *least*."""
    return {name: times[size] / times[least] for name, times in found.items()}


def tell(report: Report, found: Mapping[str, Mapping[int, float]], sizes: Sequence[int] = SIZES) -> None:
    """The dearest pages, the worst ratios, and the sum of all."""
    least = sizes[0]
    for size in sizes[1:]:
        worst = sorted(ratios(found, size, least).items(), key=lambda item: -item[1])
        name, value = worst[0]
        report.add(
            Figure(
                f"{len(found)} pages with {size:,} mailboxes, the worst of all", f"{value:.2f}",
                f"times its CPU with {least}: {name}", f"at most {RATIO_GOAL}", value <= RATIO_GOAL,
            )
        )  # fmt: skip
        whole = sum(times[size] for times in found.values()) / sum(times[least] for times in found.values())
        report.add(Figure(f"all of them together with {size:,}", f"{whole:.2f}", f"times the CPU with {least}"))
    for name, times in sorted(found.items(), key=lambda item: -item[1][sizes[-1]])[:8]:
        detail = " · ".join(f"{seconds * 1000:.1f} ms with {size:,}" for size, seconds in times.items())
        report.add(Figure(f"page {name}", f"{times[sizes[-1]] * 1000:.1f} ms", detail))


def main() -> None:
    """Measure, and write the section into a file."""
    parser = argparse.ArgumentParser(prog="pages", description="What pages cost with many mailboxes.")
    parser.add_argument("--save", type=Path, help="write the section into this Markdown file")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="mailboxes, two numbers or more")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="requests for each page, at each size")
    arguments = parser.parse_args()
    sizes = tuple(sorted(arguments.sizes))
    report = Report()
    with tempfile.TemporaryDirectory(prefix="mailu-pages-") as folder:
        tell(report, measure(Path(folder), sizes, arguments.rounds), sizes)
    if arguments.save:
        write_section(arguments.save, SECTION, f"{machine()}\n\n{report.markdown()}")


if __name__ == "__main__":
    main()
