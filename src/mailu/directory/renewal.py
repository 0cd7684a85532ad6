"""Making a new snapshot of the last one and of what has changed since: milliseconds, where loading everything takes
tenths of a second, and seconds on a busy machine. What changed is read from the trail (``trail``).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypeVar

from mailu.directory import trail
from mailu.directory.snapshot import (
    Snapshot,
    UserEntry,
    load_snapshot,
    read_aliases,
    read_users,
    read_version,
    spoofers_of,
    targets_of,
    with_the_rest,
    without_collector,
)
from mailu.directory.store import Store

_Entry = TypeVar("_Entry")

WHOLE_SECONDS = 3600.0
"""At a change that comes later than this after everything was loaded, everything is loaded again."""


class SnapshotLoader:
    """Loads one snapshot after another, and of each but the first no more than has changed."""

    def __init__(self, store: Store, *, delimiters: str = "+", wildcard_senders: Collection[str] = frozenset()) -> None:
        self._store = store
        self._delimiters = delimiters
        self._wildcard_senders = wildcard_senders
        self._last: Snapshot | None = None
        self._place: object = None
        self._whole_at = 0.0

    def __call__(self) -> Snapshot:
        """The directory as it is now. Raises as ``load_snapshot`` does."""
        place, now = self._store.place(), time.monotonic()
        # Another file in the place of the database has a history of its own. And whatever else there may be that the
        # trail does not know, it is forgotten within the hour.
        old = self._last if place == self._place and now - self._whole_at < WHOLE_SECONDS else None
        found = renew_snapshot(self._store, old) if old is not None else None
        if found is None:
            found = load_snapshot(self._store, delimiters=self._delimiters, wildcard_senders=self._wildcard_senders)
            self._place, self._whole_at = place, now
        self._last = found
        return found


def renew_snapshot(store: Store, old: Snapshot) -> Snapshot | None:
    """What ``load_snapshot`` would return, made of *old* and of the mailboxes and aliases that changed since then.

    None where everything has to be loaded: much was touched or nobody knows what, or one change has consequences for
    many entries. Raises as ``load_snapshot`` does.
    """
    with store.reading() as connection, without_collector():
        version = read_version(connection)
        touched = trail.read(connection, after=old.version, until=version)
        if touched is None:
            return None
        users = _patched(old.users, touched.users, read_users(connection, touched.users))
        if any(_is_switched(old.users.get(email), users.get(email)) for email in touched.users):
            return None  # the aliases of a person are enabled with the person
        exact, patterns = read_aliases(connection, users, touched.aliases)
        aliases = _patched(old.aliases, touched.aliases, exact)
        if patterns:
            return None
        found = with_the_rest(connection, replace(old, version=version, users=users, aliases=aliases))
        if found.alternatives != old.alternatives:
            return None
        spoofers = [each[email] for each in (old.users, users) for email in touched.users if email in each]
        return replace(
            found,
            led_to=_led_to_patched(old, found, touched.users | touched.aliases),
            spoofers=spoofers_of(users) if any(user.allow_spoofing for user in spoofers) else old.spoofers,
        )


def _patched(old: Mapping[str, _Entry], touched: Collection[str], fresh: Mapping[str, _Entry]) -> dict[str, _Entry]:
    """*old* with *fresh* in the places of those *touched*; what was touched and is not there any more goes."""
    found = dict(old)
    for name in touched:
        if name in fresh:
            found[name] = fresh[name]
        else:
            found.pop(name, None)
    return found


def _is_switched(before: UserEntry | None, after: UserEntry | None) -> bool:
    """Whether a mailbox was switched on or off, or is gone. A new one owns nothing yet."""
    return before is not None and (after is None or before.enabled != after.enabled)


def _led_to_patched(old: Snapshot, new: Snapshot, touched: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """``old.led_to`` with the ways of *touched* aliases (no patterns) and mailboxes as they are in *new*."""
    found = dict(old.led_to)
    for source in touched:
        before, after = _ways(old, source), _ways(new, source)
        for target in before - after:
            left = tuple(each for each in found[target] if each != source)
            found[target] = left
            if not left:
                del found[target]
        for target in after - before:
            found[target] = tuple(sorted({*found.get(target, ()), source}))
    return found


def _ways(snapshot: Snapshot, source: str) -> set[str]:
    alias, user = snapshot.aliases.get(source), snapshot.users.get(source)
    ways = set[str]()
    if alias is not None and alias.enabled:
        ways |= targets_of(alias.destination, snapshot.alternatives, snapshot.delimiters)
    if user is not None and user.forward_enabled and user.enabled:
        ways |= targets_of(user.forward_destination, snapshot.alternatives, snapshot.delimiters)
    return ways
