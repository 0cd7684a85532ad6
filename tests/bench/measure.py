"""The measurements, one function a question. Each adds its figures to the report."""

from __future__ import annotations

import os
import pwd
import socket
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mailu.auth.passwords import hash_password
from mailu.directory import changes
from mailu.directory.changes import SYSTEM
from mailu.wire import netstring
from tests.bench import loads, reference
from tests.bench.loads import Rate, Target
from tests.bench.parts import watching
from tests.bench.processes import cpu_seconds, own_cpu_seconds, pss_kib, wait_until
from tests.bench.report import Figure, Report, ratio, spread
from tests.bench.stack import POSTFIX_FOR_LOADS, WITHOUT_FILTER, Stack, fill, open_directory, prepared

OURS, THEIRS, SAME = "127.0.9.22", "127.0.9.23", "127.0.9.24"
DOMAINS = 10
PASSWORD = "correct horse battery"
ROOT = Path("/tmp/mailu-bench")


def certificate() -> tuple[Path, Path]:
    """A certificate for both sides: chain and key."""
    chain, key = ROOT / "cert.pem", ROOT / "key.pem"
    if not chain.exists():
        subject = ["-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:mail.d0.test"]
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        files = ["-keyout", str(key), "-out", str(chain), "-days", "30"]
        subprocess.run(["openssl", "req", "-x509", *kind, "-nodes", *files, *subject], check=True, capture_output=True)
    return chain, key


def interleave(rounds: int, *sides: Callable[[], Rate]) -> list[list[Rate]]:
    """Let every side run in turn, *rounds* times after one that does not count."""
    for side in sides:
        side()
    results: list[list[Rate]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, result in zip(sides, results, strict=True):
            result.append(side())
    return results


@contextmanager
def all_three(users: list[str]) -> Iterator[tuple[Stack, reference.Reference, reference.Reference]]:
    """Ours, the bare daemons, and those with our features, running for *users*."""
    reference_of = partial(reference.running, users=users, password=PASSWORD, pair=certificate())
    with (
        prepared(ROOT / "ours", address=OURS, domain="d0.test") as ours,
        reference_of(ROOT / "bare", address=THEIRS) as bare,
        reference_of(ROOT / "same", address=SAME, features=True) as same,
    ):
        fill(ours, users, [hash_password(PASSWORD)] * len(users))
        ours.up()
        yield ours, bare, same


def mail_and_logins(report: Report, *, each: int, rounds: int) -> None:
    """Messages per second, CPU a message, log-ins and submissions: ours beside the daemons alone."""
    users = loads.recipients(DOMAINS, each)
    with all_three(users) as (ours, bare, same):
        people = [(user, PASSWORD) for user in users]
        _messages(report, ours, bare.target, same.target, each, rounds)
        _filtered(report, ours, each, rounds)
        _logins(report, ours, bare.target, people, rounds)
        _submissions(report, ours, bare.target, same.target, people[: max(100, len(people) // 2)], rounds)


def parts(report: Report, *, each: int, rounds: int) -> None:
    """Where the CPU time of a message goes, process by process: ours with and without the filter, the references."""
    users = loads.recipients(DOMAINS, each)
    with all_three(users) as (ours, bare, same):
        names = {"ours, with the filter": POSTFIX_FOR_LOADS, "ours": WITHOUT_FILTER, "same": "", "bare": ""}
        found: dict[str, list[Counter[str]]] = {name: [] for name in names}
        for number in range(rounds + 1):
            for name, override in names.items():
                if override:
                    ours.override(override)
                everything = ("smtp", "imap", "directory", "antispam", "redis")
                target = {"same": same.target, "bare": bare.target}.get(name) or ours.target(*everything)
                with watching(target) as seen:
                    loads.deliver(target, domains=DOMAINS, each=each)
                if number:  # the first does not count
                    found[name].append(seen.by_name())
        asked = _looked_up(ours)
    for name, counted in found.items():
        report.add(_parts_of(name, counted, DOMAINS * each))
    messages = DOMAINS * each * 2 * (rounds + 1)
    detail = ", ".join(f"{name} {count / messages:.2f}" for name, count in asked.items())
    report.add(Figure("Look-ups of a message", f"{sum(asked.values()) / messages:.2f}", detail))


def _parts_of(name: str, counted: Sequence[Counter[str]], messages: int) -> Figure:
    """Medians in CPU milliseconds a message, the largest first."""
    least = {
        process: statistics.median(each[process] for each in counted) * 1000 / messages
        for process in set().union(*counted)
    }
    largest = sorted(least.items(), key=lambda item: -item[1])
    detail = ", ".join(f"{process} {milliseconds:.2f}" for process, milliseconds in largest if milliseconds >= 0.01)
    return Figure(f"CPU of a message, {name}", f"{sum(least.values()):.2f} ms", detail)


def _looked_up(ours: Stack) -> dict[str, int]:
    """How often each map was asked so far."""
    return {
        line.split('"')[1]: int(float(line.split()[-1]))
        for line in ours.metrics().splitlines()
        if line.startswith("mailu_directory_lookups_total{")
    }


def _messages(report: Report, ours: Stack, bare: Target, same: Target, each: int, rounds: int) -> None:
    ours.override(WITHOUT_FILTER)
    plain = ours.target("smtp", "imap", "directory")
    sides = [partial(loads.deliver, side, domains=DOMAINS, each=each) for side in (plain, same, bare)]
    found, featured, alone = interleave(rounds, *sides)
    _compare(
        report, "Messages end to end, without filter, to the daemons alone with our features", found, featured, 0.97
    )
    _compare(report, "Messages end to end, without filter, to the bare daemons", found, alone, 0.97)
    _compare(report, "Of that, the features: the daemons alone with them to the bare ones", featured, alone, None)


def _filtered(report: Report, ours: Stack, each: int, rounds: int) -> None:
    """The same stack with and without its filter, in turns."""
    ours.override(POSTFIX_FOR_LOADS)
    target = ours.target("smtp", "imap", "directory", "antispam", "redis")
    with_filter: list[Rate] = []
    without: list[Rate] = []
    loads.deliver(target, domains=DOMAINS, each=each)
    for _ in range(rounds):
        with_filter.append(loads.deliver(target, domains=DOMAINS, each=each))
        ours.override(WITHOUT_FILTER)
        without.append(loads.deliver(target, domains=DOMAINS, each=each))
        ours.override(POSTFIX_FOR_LOADS)
    _compare(report, "Messages end to end, with Rspamd, to without", with_filter, without, 0.73)


def _compare(report: Report, name: str, ours: Sequence[Rate], theirs: Sequence[Rate], goal: float | None) -> None:
    found = ratio([rate.per_second for rate in ours], [rate.per_second for rate in theirs])
    cpu = ratio([rate.cpu_ms for rate in theirs], [rate.cpu_ms for rate in ours])
    detail = (
        f"{spread([rate.per_second for rate in ours])} to {spread([rate.per_second for rate in theirs])} a second; "
        f"CPU {spread([rate.cpu_ms for rate in ours], 2)} to {spread([rate.cpu_ms for rate in theirs], 2)} ms each: "
        f"by CPU {cpu:.2f}"
    )
    if goal is None:
        report.add(Figure(name, f"{found:.2f}", detail))
    else:
        report.add(Figure(name, f"{found:.2f}", detail, f">= {goal}", found >= goal))


def _logins(report: Report, ours: Stack, theirs: Target, people: list[tuple[str, str]], rounds: int) -> None:
    target = ours.target("imap", "directory")
    cold = loads.logins(target, people)
    warm, bare = interleave(rounds, lambda: loads.logins(target, people), lambda: loads.logins(theirs, people))
    _compare(report, "IMAP log-ins, warm", warm, bare, 0.94)
    detail = f"{cold.per_second:.0f} a second, {cold.cpu_ms:.1f} ms CPU each: every password is hashed (argon2id)"
    report.add(
        Figure("IMAP log-ins, cold", f"{cold.per_second / statistics.median(r.per_second for r in bare):.2f}", detail)
    )


def _submissions(
    report: Report, ours: Stack, bare: Target, same: Target, people: list[tuple[str, str]], rounds: int
) -> None:
    ours.override(WITHOUT_FILTER)
    plain = ours.target("smtp", "imap", "directory", "redis")
    found, featured, alone = interleave(
        rounds, *(partial(loads.submissions, side, people) for side in (plain, same, bare))
    )
    name = "Submissions with TLS and AUTH, without filter, to the"
    _compare(report, f"{name} daemons alone with our features", found, featured, None)
    _compare(report, f"{name} bare daemons", found, alone, None)


def slow_neighbours(report: Report) -> None:
    """What a fast log-in waits behind ten slow ones (bcrypt with cost 13, as Mailu stored)."""
    import bcrypt

    users = loads.recipients(1, 11)
    slow = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(13)).decode()
    with prepared(ROOT / "ours", address=OURS, domain="d0.test") as ours:
        fill(ours, users, [*[slow] * 10, hash_password(PASSWORD)])
        ours.up()
        crowd = [(user, PASSWORD) for user in users[:10]]
        alone, together = loads.beside_slow(OURS, slow=crowd, fast=(users[10], PASSWORD))
    detail = (
        f"{together * 1000:.0f} ms; alone {alone * 1000:.0f} ms; ten bcrypt-13 hashes take about 2.3 s on two cores"
    )
    report.add(Figure("A fast log-in behind ten slow ones", f"{together * 1000:.0f} ms", detail))


MAPS = ("domain", "mailbox", "alias", "transport", "relay", "sender-login")


def lookups(report: Report, *, sizes: tuple[int, int], count: int) -> None:
    """Look-ups per second of each map with a small and a large directory, in turns; how soon a change is in effect."""
    hashed = hash_password(PASSWORD)
    with (  # the directory is the same on a small host, and all the rest starts sooner
        prepared(ROOT / "small", address=OURS, domain="d0.test", SMALL_HOST="true") as small,
        prepared(ROOT / "large", address=SAME, domain="d0.test", SMALL_HOST="true") as large,
    ):
        for stack, size in zip((small, large), sizes, strict=True):
            users = loads.recipients(DOMAINS, size // DOMAINS)
            fill(stack, users, [hashed] * len(users), aliases=size // 10)
            stack.up()
        _effect(report, large)
        targets = [stack.target("directory") for stack in (small, large)]
        for name in MAPS:
            rates: list[list[Rate]] = [[], []]
            for _ in range(5):
                for stack, target, found in zip((small, large), targets, rates, strict=True):
                    found.append(_lookup_rate(stack.root / "run/lookups/map", target, name, count))
            value = ratio([rate.cpu_ms for rate in rates[0]], [rate.cpu_ms for rate in rates[1]])
            seconds, cpu = (
                [spread([getattr(rate, what) * factor for rate in found], digits) for found in rates]
                for what, factor, digits in (("per_second", 1, 0), ("cpu_ms", 1000, 1))
            )
            detail = (
                f"by CPU: {cpu[1]} us each with {sizes[1]:,} mailboxes, {cpu[0]} with {sizes[0]:,}; "
                f"{seconds[1]} to {seconds[0]} a second"
            )
            report.add(Figure(f"Look-ups: {name}", f"{value:.2f}", detail, ">= 0.9 (no slower)", value >= 0.9))


def _lookup_rate(path: Path, target: Target, name: str, count: int) -> Rate:
    users = loads.recipients(DOMAINS, 100)
    keys = [user.partition("@")[2] if name in {"domain", "relay"} else user for user in users]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        cpu, begin = target.cpu_seconds(), time.perf_counter()
        for number in range(count):
            connection.sendall(_question(name, keys[number % len(keys)]))
            connection.recv(65536)
        seconds = time.perf_counter() - begin
        return Rate(count / seconds, (target.cpu_seconds() - cpu) / count * 1000)


def _question(name: str, key: str) -> bytes:
    return netstring.encode(f"{name} {key}".encode())


def _effect(report: Report, ours: Stack) -> None:
    """Seconds from the commit of a new alias until Postfix is told of it, with the large directory."""
    store, target = open_directory(ours), ours.target("directory")
    waits, used = list[float](), list[float]()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(ours.root / "run/lookups/map"))
        for number in range(3):
            email = f"fresh{number}@d0.test"
            with store.session() as session:
                changes.create_alias(session, email, destination=["1u@d0.test"], actor=SYSTEM, enforce_limits=False)
            cpu, begin = target.cpu_seconds(), time.perf_counter()

            def known(email: str = email) -> bool:
                connection.sendall(_question("alias", email))
                return b"OK" in connection.recv(65536)

            wait_until(known, seconds=30, what="the change to be in effect", every=0.005)
            waits.append(time.perf_counter() - begin)
            used.append((target.cpu_seconds() - cpu) * 1000)
    store.close()
    _give_back(ours)
    value = statistics.median(waits)
    detail = f"{spread(waits, 2)} s after the commit; {spread(used)} ms CPU, the questions meanwhile included"
    report.add(Figure("A change takes effect", f"{value:.2f} s", detail, "<= 1 s", value <= 1))


def _give_back(ours: Stack) -> None:
    owner = pwd.getpwnam("mailu")
    for path in (ours.root / "data").iterdir():
        os.chown(path, owner.pw_uid, owner.pw_gid)


UNCHANGED_SECONDS = 50
"""Memory that has not sunk for so long does not sink any more: Dovecot puts a connection away after 30 seconds, and a
process that is left over ends after 10."""


def idle(report: Report, *, connections: int) -> None:
    """Memory of idle IMAP connections, hibernated."""
    users = loads.recipients(DOMAINS, 10)
    with prepared(ROOT / "ours", address=OURS, domain="d0.test", AUTH_RATELIMIT_EXEMPTION="127.0.0.0/8") as ours:
        fill(ours, users, [hash_password(PASSWORD)] * len(users))
        ours.up()
        pids = ours.target("imap").processes
        before = pss_kib(pids)

        def settled() -> int:
            least = pss_kib(pids)
            sunk, end = time.monotonic(), time.monotonic() + 240
            while time.monotonic() < min(sunk + UNCHANGED_SECONDS, end):
                time.sleep(2)
                now = pss_kib(pids)
                if now < least - 1024:
                    sunk = time.monotonic()
                least = min(least, now)
            return least

        after = loads.idle_connections(OURS, [(user, PASSWORD) for user in users], connections, settled)
    assert isinstance(after, int)
    each = (after - before) / connections
    detail = f"{connections} connections with TLS in IDLE: {before // 1024} MiB before, {after // 1024} MiB with them"
    report.add(Figure("An idle IMAP connection", f"{each:.0f} KiB", detail, "<= 110 KiB", each <= 110))


def memory_and_start(report: Report, *, warm_starts: int, small_too: bool, idle_seconds: float) -> None:
    """Seconds from ``up`` to ready, cold and warm, and memory of the idle stack, as it comes and for a small host."""
    kinds: list[tuple[str, int, dict[str, str]]] = [("", 300, {}), (", SMALL_HOST", 160, {"SMALL_HOST": "true"})]
    for name, goal, more in kinds if small_too else kinds[:1]:
        with prepared(ROOT / "ours", address=OURS, domain="d0.test", **more) as ours:
            fill(ours, ["1u@d0.test"], [hash_password(PASSWORD)])
            cold = _again(ours)
            warm = [_again(ours) for _ in range(warm_starts)]
            ours.up()
            services = tuple(item["pid"] for item in ours.status() if item["pid"])
            cpu = cpu_seconds(services) + own_cpu_seconds(ours.hosts())
            time.sleep(idle_seconds)  # what starts late has started, and what only the start needs has ended
            by_service = {item["name"]: pss_kib([item["pid"]]) / 1024 for item in ours.status() if item["pid"]}
            total = sum(by_service.values()) + _agent_memory(ours) / 1024
        parts = ", ".join(f"{service} {size:.0f}" for service, size in by_service.items())
        parts += f", agents {total - sum(by_service.values()):.0f}"
        report.add(
            Figure(f"Memory of the idle stack{name}", f"{total:.0f} MiB", parts, f"<= {goal} MiB", total <= goal)
        )
        median = statistics.median(warm)
        detail = f"{spread(warm, 1)} s; the services and their agents have used {cpu:.1f} s CPU then"
        report.add(Figure(f"From up to ready, warm{name}", f"{median:.1f} s", detail, "<= 5 s", median <= 5))
        report.add(Figure(f"From up to ready, cold{name}", f"{cold:.1f} s", "an empty root; packages are installed"))


def _again(ours: Stack) -> float:
    seconds = ours.up()
    ours.down()
    return seconds


def _agent_memory(ours: Stack) -> int:
    """PSS of the processes that host the agents, alone, in KiB."""
    text = "".join(Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in ours.hosts())
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
