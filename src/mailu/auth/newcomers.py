"""How many accounts one network may make for itself, and how many names it may try on the way.

People sign up a few times in their lives; whoever does so all day wants to send spam, or to learn which addresses
exist. SIGNUP_RATELIMIT says how many accounts (and domains) a network gets; ten times as many tries may fail. Networks
are those of the limits on passwords, as are those that are never limited.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from mailu.auth.counters import Bucket, Mark
from mailu.auth.limits import Limits
from mailu.settings.values import Rate

TRIES_FOR_EACH = 10
_PREFIX = "LIMITER/sign-up/"


@dataclass(frozen=True, slots=True)
class Place:
    """One of the accounts that a network may make now. Give it back (``give_back``) when nothing came of it."""

    bucket: Bucket | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Counts with the counters of *limits*. *rate* None: no limit."""

    limits: Limits
    rate: Rate | None

    async def take(self, client_ip: str) -> Place | None:
        """A place for somebody at *client_ip*; None when the network has had its share.

        The place is taken first and counted then, so that many at once do not get more than there are.
        """
        client = self.limits.locate(client_ip)
        if self.rate is None or client.exempt:
            return Place()
        tried, made = (Bucket(f"{_PREFIX}{client.network}/{what}", self.rate.seconds) for what in ("tried", "made"))
        place = Place(made, secrets.token_hex(8))
        most = self.rate.count * TRIES_FOR_EACH
        marks = [Mark(tried, place.name, keep=most + 1), Mark(made, place.name, keep=self.rate.count * 2 + 100)]
        await self.limits.counters.mark(marks)
        tries, taken = await self.limits.counters.look([(tried, ""), (made, "")])
        if tries.count > most or taken.count > self.rate.count:
            await self.give_back(place)
            return None
        return place

    async def give_back(self, place: Place) -> None:
        """Nothing was made after all; that it was tried stays counted."""
        if place.bucket is not None:
            await self.limits.counters.unmark([(place.bucket, place.name)])
