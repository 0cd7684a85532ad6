"""Everything beside settings, directory and mail: calendars, webmail, certificates, the filter's memory."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mailu.identity.certificates import inspect_pair
from mailu.migrate.ownership import Owner, owner_of
from mailu.migrate.parts import Condition, Look, Part, look_at
from mailu.migrate.record import Record
from mailu.migrate.report import Outcome, Report
from mailu.migrate.trees import Skip, nothing
from mailu.places import Places
from mailu.settings import Settings

_FETCHED = "data/fetchmail"
_RDB = re.compile(rb"REDIS(\d{4})")
_RDB_OF_REDIS = ((8, 0, 12), (7, 4, 12), (7, 2, 11), (7, 0, 10), (5, 0, 9))
"""From which version (major, minor) on which format of dump can be read, newest first."""
_FILTER_FILES = frozenset({"rspamd_dynamic", "rspamd.rrd", "stats.ucl"})
_NOT_TAKEN = {
    "clamav": "virus signatures are fetched anew",
}


def look_at_others(root: Path, settings: Settings, record: Record, report: Report) -> list[tuple[str, Look]]:
    """The parts of *root* that are copied as they are, compared with what is here, each with its area."""
    places = Places(settings.root)
    found = []
    for area, part in _parts(root, places, report):
        look = look_at(part, record)
        _tell(area, look, report)
        found.append((area, look))
    _certificates(root, settings, report)
    for name, why in _NOT_TAKEN.items():
        if (root / name).is_dir():
            report.add("other", name, "explained", f"not taken: {why}")
    if (root / "data" / "instance").exists():
        report.add("other", "data/instance", "explained", "not taken: no statistics are sent")
    return found


def _parts(root: Path, places: Places, report: Report) -> Iterator[tuple[str, Part]]:
    yield from _part("dav", root / "dav", places.dav, owner_of("mailu-webdav"), "dav")
    yield from _part("other", root / "data/fetchmail", places.data / "fetchmail", owner_of("mailu-fetch"), _FETCHED)
    yield from _part("certificates", root / "certs", places.certs, owner_of("root"), "certs", _is_no_certificate)
    yield from _filter(root, places, report)
    yield from _redis(root, places, report)
    yield from _webmail(root / "webmail", places.webmail, owner_of("mailu-webmail"), report)


def _part(
    area: str, source: Path, target: Path, owner: Owner, name: str, skip: Skip = nothing
) -> Iterator[tuple[str, Part]]:
    if source.is_dir() and any(source.iterdir()):
        yield area, Part(name, source, target, owner, skip)


def _is_no_certificate(path: str) -> bool:
    """Certbot's log and what this program makes for itself."""
    return path.startswith("self-signed") or path.endswith(".lock")


def _filter(root: Path, places: Places, report: Report) -> Iterator[tuple[str, Part]]:
    source = root / "filter"
    if not source.is_dir():
        return
    names = {path.name for path in source.iterdir()}
    if names & _FILTER_FILES:
        yield "filter", Part("filter", source, places.filter, owner_of("_rspamd"), _is_made_again)
    if rest := len(names - _FILTER_FILES):
        report.add("filter", "filter", "explained", f"{rest} files are left: the filter makes them again", rest)


def _is_made_again(path: str) -> bool:
    return path not in _FILTER_FILES


def _redis(root: Path, places: Places, report: Report) -> Iterator[tuple[str, Part]]:
    """What the filter has learnt lies in Redis' dump, which an older Redis cannot read."""
    dump = root / "redis" / "dump.rdb"
    if not dump.is_file():
        return
    with dump.open("rb") as stream:
        match = _RDB.match(stream.read(9))
    here = newest_dump_format()
    if match is None:
        report.add("filter", "redis/dump.rdb", "explained", "not taken: this is no dump of Redis")
    elif here is None or int(match[1]) > here:
        text = (
            f"not taken: it has format {int(match[1])}, and the Redis here reads {here or 'an unknown one'} at most; "
            "the filter learns anew, or copy the keys with a Redis that speaks both (redis-cli MIGRATE) later"
        )
        report.add("filter", "redis/dump.rdb", "explained", text)
    else:
        yield "filter", Part("redis", dump.parent, places.redis, owner_of("redis"), lambda path: path != "dump.rdb")


def newest_dump_format() -> int | None:
    """The newest format of dump that the Redis of this machine reads; None where that is not known."""
    try:
        done = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v=(\d+)\.(\d+)", done.stdout)
    if match is None:
        return None
    version = (int(match[1]), int(match[2]))
    return next((number for major, minor, number in _RDB_OF_REDIS if version >= (major, minor)), None)


def _webmail(source: Path, target: Path, owner: Owner, report: Report) -> Iterator[tuple[str, Part]]:
    if not source.is_dir():
        return
    wanted = [name for name in ("roundcube.db", "gpg") if (source / name).exists()]
    if wanted:
        yield "webmail", Part("webmail", source, target, owner, lambda path: path.split("/")[0] not in wanted)
    for path in sorted(source.iterdir()):
        if path.name.startswith("_data_"):
            text = "not taken: SnappyMail's contacts and settings; people export their contacts there and import them"
            report.add("webmail", path.name, "explained", text)
        elif path.name not in wanted:
            report.add("webmail", path.name, "explained", "left: the webmail does not need it")


def _tell(area: str, look: Look, report: Report) -> None:
    name, number = look.part.name, len(look.todo.copy)
    if look.condition in (Condition.IN_USE, Condition.FOREIGN):
        since = "in use here since the last run" if look.condition is Condition.IN_USE else "something is here already"
        outcome: Outcome = "unchanged" if look.todo.is_empty or look.condition is Condition.IN_USE else "warning"
        report.add(area, name, outcome, f"{since}: left as it is", len(look.wanted.files))
    elif look.todo.is_empty:
        report.add(area, name, "unchanged", "everything is here already", look.todo.same)
    else:
        report.will_change(area)
        removed = f", {len(look.todo.remove)} removed" if look.todo.remove else ""
        report.add(area, name, "copied", f"{number} files to copy{removed}", number)


def is_taken(look: Look) -> bool:
    """Whether a part is to be copied."""
    return look.condition in (Condition.FREE, Condition.OURS) and not look.todo.is_empty


def _certificates(root: Path, settings: Settings, report: Report) -> None:
    """What is wrong with the pair; nothing of it stands in the way, a self-signed one stands in."""
    chain, key = (root / "certs" / name for name in (settings.tls_cert_filename, settings.tls_keypair_filename))
    if not chain.exists() and not key.exists():
        return
    for problem in inspect_pair(chain, key, settings.hostnames):
        report.add("certificates", chain.name, "warning", problem.text)
