"""Who is slowed down now, and how an operator lets somebody go: for ``mailu limits``, the API and the pages.

Any process with a Redis client sees and clears the limits of all. While there is no Redis each process counts for
itself, and only the one that judges (the directory) knows: ask that one then (``Limits.counters.is_shared`` tells).
"""

from __future__ import annotations

from dataclasses import dataclass

from mailu.auth.buckets import ACCOUNTS, NETWORKS, Kind, Named
from mailu.auth.clients import parse_ip
from mailu.auth.counters import Level
from mailu.auth.limits import Limits, pace


@dataclass(frozen=True, slots=True)
class InForce:
    """A limit that slows somebody down."""

    key: str
    kind: Kind
    account: str | None
    """The account, or the name that is none; None where a whole network is meant."""
    origin: str | None
    """First address of the network, address, or nonce of the device; None for all strangers at an account."""
    count: int
    """Different wrong passwords, or different accounts failed at, that count now."""
    allowed: int
    retry_after_seconds: int
    """Until the next attempt would be looked at; 0: it would be now."""


async def list_in_force(limits: Limits) -> list[InForce]:
    """Return all limits that are exceeded now, networks first, those with most against them first."""
    keys = [*await limits.counters.keys(NETWORKS), *await limits.counters.keys(ACCOUNTS)]
    known = [found for key in keys if (found := limits.buckets.named(key))]
    levels = await limits.counters.look([(bucket, "") for _, bucket in known])
    shown = [
        _in_force(limits, bucket.key, named, level)
        for (named, bucket), level in zip(known, levels, strict=True)
        if level.count >= _allowed(limits, bucket.key, named)
    ]
    return sorted(shown, key=lambda each: (each.kind != "network", -each.count, each.key))


async def clear(limits: Limits, *, account: str | None = None, address: str | None = None) -> int:
    """Forget what is held against *account*, against the network around *address*, or (neither given) against anybody.

    With both: what is held against the account from there. Returns how many buckets there were. Addresses that are
    known for an account stay known.
    """
    keys = [*await limits.counters.keys(NETWORKS), *await limits.counters.keys(ACCOUNTS)]
    origins = _origins(limits, address) if address is not None else None
    chosen = []
    for key in keys:
        found = limits.buckets.named(key)
        if found and _is_meant(found[0], account, origins):
            chosen.append(key)
    return await limits.counters.clear(chosen)


def _is_meant(named: Named, account: str | None, origins: set[str] | None) -> bool:
    if account is not None and named.account != account:
        return False
    return origins is None or named.origin in origins


def _origins(limits: Limits, address: str) -> set[str]:
    """The names under which *address* (or a network, ``192.0.2.0/24``) is counted. Raises ValueError."""
    if parse_ip(address.partition("/")[0]) is None:
        raise ValueError(f"{address!r} is no address")
    client = limits.locate(address.partition("/")[0])
    return {client.source, client.network}


def _in_force(limits: Limits, key: str, named: Named, level: Level) -> InForce:
    allowed = _allowed(limits, key, named)
    ready = level.newest + pace(level.count - allowed)
    return InForce(
        key, named.kind, named.account, named.origin, level.count, allowed, max(0, round(ready - limits.clock()))
    )


def _allowed(limits: Limits, key: str, named: Named) -> int:
    """How much may be counted before it slows anybody down; the budget of a noisy network grows with its newcomers, so
    only its strikes are shown."""
    rules = limits.rules
    never = 1_000_000_000
    if named.kind == "network":
        return rules.per_network.count if rules.per_network and key.endswith("/strikes") else never
    if rules.per_account is None:
        return never
    return rules.share_of_one_network if named.kind == "account from network" else rules.per_account.count
