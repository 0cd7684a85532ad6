"""How mail goes to other servers: an exception that is made for a while, the operator's word for a destination, else
what the destination promises.

Postfix does DANE by itself (its level ``dane``), so a destination with DANE gets no answer from here: a policy of
MTA-STS must not override DANE (RFC 8461 s2). Without DANE an MTA-STS policy is enforced. What was fetched is kept for
as long as the policy says, and is asked for again when its id in DNS changed.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from mailu.address import AddressError, DomainName, parse_domain
from mailu.directory.snapshot import TlsExceptionEntry
from mailu.servers.receivers import NotKnown
from mailu.wire import BadRequest
from mailu.wire.mta_sts import StsPolicy, parse_policy, parse_record, postfix_policy

log = logging.getLogger("mailu.servers.outbound_tls")

RECHECK_SECONDS = 300.0
"""How long DNS is not asked again about a domain."""
MAX_DOMAINS = 10_000
_NEXT_HOP = re.compile(r"\[?([^\[\]:]+)\]?(?::\w+)?")


class Source(Protocol):
    """Where the facts come from; see ``receivers.Receivers``."""

    async def sts_texts(self, domain: str) -> list[str]: ...

    async def sts_policy(self, domain: str) -> bytes: ...

    async def has_dane(self, domain: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one domain. Moments are seconds of the clock."""

    checked_at: float
    id: str | None = None
    policy: StsPolicy | None = None
    expires_at: float = 0.0
    dane: bool = False


class OutboundTls:
    """Answers ``smtp_tls_policy_maps``."""

    def __init__(
        self,
        source: Source,
        *,
        levels: Mapping[str, str],
        enforce_testing: bool,
        respect_dane: bool,
        exceptions: Callable[[], Mapping[str, TlsExceptionEntry]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*levels*: destination to Postfix TLS level. *enforce_testing*: DEFER_ON_TLS_ERROR. *respect_dane*: Postfix'
        level is one of DANE's. *exceptions*: those that hold now, by domain or host.
        """
        self._exceptions = exceptions
        self._source = source
        self._levels = levels
        self._enforce_testing = enforce_testing
        self._respect_dane = respect_dane
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[_Known]] = {}

    async def policy(self, next_hop: str) -> str | None:
        """The TLS policy for *next_hop* as Postfix names it; None for the general one.

        Hosts in brackets, ports and parent domains (``.example.com``) have no MTA-STS (RFC 8461 s8.4 aside). Raises
        NotReady.
        """
        said = level_said(next_hop, self._exceptions(), self._levels)
        if isinstance(said, TlsExceptionEntry):
            log.info("TLS to %s: %s is enough until %s, by exception", next_hop, said.level, said.last_day)
            return said.level
        if said is not None:
            return said
        domain = _domain(next_hop)
        if domain is None:
            return None
        known = await self._up_to_date(domain)
        if known.policy is None or known.dane or known.expires_at <= self._clock():
            return None
        enforced = known.policy.mode == "enforce" or (known.policy.mode == "testing" and self._enforce_testing)
        return postfix_policy(known.policy) if enforced else None

    async def _up_to_date(self, domain: DomainName) -> _Known:
        """What is known of *domain*, asked for once however many want it."""
        known = self._known.get(domain)
        if known is not None and self._clock() - known.checked_at < RECHECK_SECONDS:
            self._known.move_to_end(domain)
            return known
        task = self._asking.get(domain)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._check(domain, known or _Known(0.0)))
            self._asking[domain] = task
            task.add_done_callback(lambda _task: self._asking.pop(domain, None))
        return await asyncio.shield(task)

    async def _check(self, domain: DomainName, before: _Known) -> _Known:
        now = self._clock()
        try:
            known = await self._ask(domain, before, now)
        except (NotKnown, BadRequest) as error:
            # With a policy in hand it stays in force; without one the domain has none (s3.3, last paragraph).
            log.info("MTA-STS of %s: %s", domain, error)
            known = replace(before, checked_at=now)
        self._known[domain] = known
        self._known.move_to_end(domain)
        while len(self._known) > MAX_DOMAINS:
            self._known.popitem(last=False)
        return known

    async def _ask(self, domain: DomainName, before: _Known, now: float) -> _Known:
        id_ = parse_record(await self._source.sts_texts(domain))
        if id_ is None:
            # The record may have been suppressed by an attacker; a policy in hand holds until it expires (s10.2).
            return replace(before, checked_at=now)
        dane = self._respect_dane and await self._source.has_dane(domain)
        if before.policy is not None and before.id == id_ and now < before.expires_at:
            return replace(before, checked_at=now, dane=dane, expires_at=now + before.policy.max_age_seconds)
        policy = parse_policy(await self._source.sts_policy(domain))
        return _Known(now, id_, policy, now + policy.max_age_seconds, dane)


def level_said(
    next_hop: str, exceptions: Mapping[str, TlsExceptionEntry], levels: Mapping[str, str]
) -> TlsExceptionEntry | str | None:
    """The exception for *next_hop*, or the level that the operator set for it; None: nobody said anything.

    Both hold for a name whether it is a domain or a host. An exception beats all else: it was made because of that.
    """
    name = _host(next_hop) or next_hop.lower()
    return exceptions.get(name) or levels.get(name)


def _host(next_hop: str) -> DomainName | None:
    """The name in a next hop of Postfix, without brackets and port; None for an address or a parent domain."""
    match = _NEXT_HOP.fullmatch(next_hop)
    return _domain(match[1]) if match is not None else None


def _domain(next_hop: str) -> DomainName | None:
    if next_hop.startswith((".", "[")) or ":" in next_hop or "." not in next_hop:
        return None
    try:
        return parse_domain(next_hop)
    except AddressError:
        return None
