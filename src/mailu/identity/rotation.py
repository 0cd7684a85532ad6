"""Changing DKIM keys without a failed signature: publish, wait until it is seen, sign, keep the old record for a while.

A rotation makes new keys, which are *pending*: their records are shown, nobody signs with them. Once every name server
of the domain answers with the records the new keys sign and the old ones are *retired*: verifiers still find their
records, for mail that is under way. After that they are withdrawn: the private key is deleted, and the record may go.

When a key entered its state is the time of its file. Nothing else is remembered, so a copied folder rotates on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from mailu.address import DomainName
from mailu.identity import dkim
from mailu.identity.dkim import DkimKeyError, Selector, SigningKey, State

STATES: tuple[State, ...] = ("active", "pending", "retired")
MARGIN = timedelta(days=2)
"""Beyond the time a queue keeps mail: for receivers that verify late, and for answers that caches keep."""

Verdict = Literal["seen", "missing", "unknown"]


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One key of a domain, for people. *since*: when it entered its state."""

    key: SigningKey
    since: datetime
    leaves_at: datetime | None = None
    """When a retired key is withdrawn."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was done: *what* is ``began``, ``activated``, ``retired`` or ``withdrawn``."""

    what: Literal["began", "activated", "retired", "withdrawn", "cancelled"]
    domain: DomainName
    selector: str

    def __str__(self) -> str:
        words = {
            "began": "waits until its DNS record is seen",
            "activated": "signs now",
            "retired": "no longer signs; its DNS record must stay for a while",
            "withdrawn": "is deleted; its DNS record can go",
            "cancelled": "was given up before it signed; its DNS record can go",
        }
        return f"the key {self.selector} of {self.domain} {words[self.what]}"


class RotationUnderWay(DkimKeyError):
    """New keys wait already; the text names them."""


def keys(folder: Path, domain: DomainName, *, keep: timedelta) -> list[KeyStatus]:
    """Every key of *domain*: those that sign first, then pending, then retired. Raises DkimKeyError, OSError."""
    found = []
    for state in STATES:
        for key in dkim.load_keys(folder, domain, (state,)):
            since = _since(folder, domain, key)
            found.append(KeyStatus(key, since, since + keep if state == "retired" else None))
    return found


def published(folder: Path, domain: DomainName) -> list[SigningKey]:
    """The keys whose records belong into DNS: those that sign first, pending and retired after them."""
    return [key for state in STATES for key in dkim.load_keys(folder, domain, (state,))]


def keep_for(queue_lifetime_seconds: int) -> timedelta:
    """How long a retired key's record stays: as long as mail may be under way, and a margin."""
    return timedelta(seconds=queue_lifetime_seconds) + MARGIN


def begin(folder: Path, domain: DomainName, base: str = "dkim", *, now: datetime | None = None) -> list[Step]:
    """Make new keys, one RSA and one Ed25519, that wait for their records; the first keys of a domain sign at once.

    *base* begins the selectors; the month and, within it, a number follow. Raises RotationUnderWay, DkimKeyError.
    """
    waiting = dkim.load_keys(folder, domain, ("pending",))
    if waiting:
        raise RotationUnderWay(
            f"{', '.join(key.selector for key in waiting)} of {domain} already wait for their records"
        )
    used = {key.selector for key in published(folder, domain)}
    stem = _fresh_stem(base, used, now or datetime.now(UTC))
    dkim.ensure_keys(folder, domain, [Selector(stem, "rsa"), Selector(f"{stem}-ed25519", "ed25519")])
    made = [key for key in published(folder, domain) if key.selector not in used]
    return [Step("activated" if key.state == "active" else "began", domain, key.selector) for key in made]


def _fresh_stem(base: str, used: set[str], now: datetime) -> str:
    stem = f"{base}{now:%Y%m}"
    number = 1
    while stem in used or f"{stem}-ed25519" in used:
        number += 1
        stem = f"{base}{now:%Y%m}n{number}"
    return stem


def is_due(folder: Path, domain: DomainName, every: timedelta, *, now: datetime | None = None) -> bool:
    """Whether the schedule asks for a rotation: nothing waits, and all keys that sign are older than *every*."""
    if dkim.selectors_in(folder, domain, "pending"):
        return False
    ages = [_entered(folder, domain, selector, "active") for selector in dkim.selectors_in(folder, domain)]
    return bool(ages) and max(ages) + every <= (now or datetime.now(UTC))


def advance(
    folder: Path,
    domain: DomainName,
    *,
    seen: Callable[[SigningKey], Verdict],
    keep: timedelta,
    now: datetime | None = None,
) -> list[Step]:
    """Do what is due: let pending keys sign once all their records are *seen*, withdraw retired ones after *keep*.

    "Unknown" waits as "missing" does: a key must not sign before it is certain that verifiers find it.
    """
    when = now or datetime.now(UTC)
    steps: list[Step] = []
    waiting = dkim.load_keys(folder, domain, ("pending",))
    if waiting and all(seen(key) == "seen" for key in waiting):
        steps += activate(folder, domain)
    for key in dkim.load_keys(folder, domain, ("retired",)):
        if _since(folder, domain, key) + keep <= when:
            dkim.remove_key(folder, domain, key.selector)
            steps.append(Step("withdrawn", domain, key.selector))
    return steps


def activate(folder: Path, domain: DomainName) -> list[Step]:
    """Let the pending keys sign, whether or not anybody sees their records, and retire those that signed.

    A pending key of an algorithm retires the active ones of that algorithm; others sign on. Raises DkimKeyError when
    none waits.
    """
    waiting = dkim.load_keys(folder, domain, ("pending",))
    if not waiting:
        raise DkimKeyError(f"no key of {domain} waits to sign")
    algorithms = {key.algorithm for key in waiting}
    old = [key for key in dkim.load_keys(folder, domain) if key.algorithm in algorithms]
    # First the new ones: a mail that is signed in between has one signature more, never one less.
    steps = [_move(folder, domain, key, "active", "activated") for key in waiting]
    return steps + [_move(folder, domain, key, "retired", "retired") for key in old]


def cancel(folder: Path, domain: DomainName) -> list[Step]:
    """Give up a rotation: the pending keys are deleted."""
    steps = []
    for key in dkim.load_keys(folder, domain, ("pending",)):
        dkim.remove_key(folder, domain, key.selector)
        steps.append(Step("cancelled", domain, key.selector))
    return steps


def _move(
    folder: Path, domain: DomainName, key: SigningKey, state: State, what: Literal["activated", "retired"]
) -> Step:
    dkim.change_state(folder, domain, key.selector, state)
    return Step(what, domain, key.selector)


def _since(folder: Path, domain: DomainName, key: SigningKey) -> datetime:
    return _entered(folder, domain, key.selector, key.state)


def _entered(folder: Path, domain: DomainName, selector: str, state: State) -> datetime:
    return datetime.fromtimestamp(dkim.key_file(folder, domain, selector, state).stat().st_mtime, UTC)


def verdict(
    key: SigningKey,
    names: Sequence[DomainName],
    ask: Callable[[str], list[str] | None],
    *,
    signing: Sequence[str] = (),
) -> Verdict:
    """Whether the record of *key* is published at the first of *names*, the domain, and at its other names.

    *ask* gives the TXT records that every name server answers with for a name, None when they cannot be asked. Another
    name counts when it publishes one of the selectors *signing* now: else nobody set it up, and nothing gets worse.
    """
    for index, name in enumerate(names):
        found = ask(f"{key.selector}._domainkey.{name}")
        if found is not None and any(same_key(text, key.record) for text in found):
            continue
        if found is None:
            return "unknown"
        in_use = [ask(f"{selector}._domainkey.{name}") for selector in signing] if index else []
        if index == 0 or any(in_use):
            return "missing"
        if None in in_use:
            return "unknown"
    return "seen"


def same_key(found: str, wanted: str) -> bool:
    """Whether two DKIM records hold the same key, however they are spaced (RFC 6376 s3.6.1)."""
    return _tags(found).get("p") == _tags(wanted).get("p") and _tags(found).get("k", "rsa") == _tags(wanted).get(
        "k", "rsa"
    )


def _tags(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip(): "".join(value.split()) for name, _, value in pairs}
