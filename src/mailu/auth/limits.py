"""Limits on guessing passwords: who may try again, and when.

The aim is that somebody who guesses gets slow, and that nobody else notices. Two settings say how much is too much:
AUTH_RATELIMIT_USER (50 different wrong passwords a day for an account) and AUTH_RATELIMIT_IP (5 different accounts an
hour that a network fails at). What is beyond is never forbidden until a window has passed; it is paced: the next
attempt is looked at 5 s after the last wrong one, then 10, 20, 40 ... up to 15 minutes. Attempts in between are refused
without a look at the password, and do not count.

Who tries decides which bucket counts:

1. *Exempt*: the operator's networks (AUTH_RATELIMIT_EXEMPTION). Never limited. App tokens do not come here at all, they
   cannot be guessed; nor does the webmail, which holds session tokens.
2. *Known*: a browser with this account's device cookie, or an address that logged in to this account within
   AUTH_RATELIMIT_EXEMPTION_LENGTH. It has a bucket of its own (50 a day); nothing that others do is held against it.
3. *Strangers*: everybody else. They are measured three times:
   - account and network together: 10 a day (a fifth of AUTH_RATELIMIT_USER), so one network cannot use up the account's
     allowance alone;
   - the account: 50 a day over all strangers. Then only networks that have not failed at it yet are let in, once each,
     up to another 50; the others are paced together;
   - the network: once it has failed at 5 accounts in an hour (existing or not; port 25 and wrong API tokens count too)
     it is *noisy*. In a noisy network an account's right password still opens, on a first to third try without delay.
     All else is told after a second, as "try later", be it a wrong password, an unknown account or a limit. Wrong
     guesses at existing accounts have a budget: 50 an hour, and 5 more for each account that logged in from there
     for the first time in that hour; beyond it the network's strangers are paced together.

The same wrong password twice counts once (a truncated MAC stands for it), and so does the same account. Who fails and
then logs in takes his strike against the network back.

What this stops, and what each of it costs the owner of an account:

- *Guessing from one place*: 10 tries, then ever slower. Owner: nothing.
- *Locking the owner out* by failing on purpose: the owner's devices and addresses are known, each with a bucket nobody
  else can fill. From a new place and without a cookie he shares the strangers' allowance; to use that up too, an
  attacker needs more than fifty networks a day.
- *A botnet at one account*: at most about 200 tries a day over all networks.
- *Spraying*: one password at many accounts from one network: 5, then 50 an hour, then one in 15 minutes.
- *Listing accounts*: unknown accounts are counted, paced and answered as existing ones, and cost the same hashing while
  the network is quiet; afterwards nothing at all.
- *Hiding behind a shared address* (NAT, a proxy): the neighbours log in as before. Only those who never logged in from
  there, and at whose accounts somebody there guessed three times already, are paced with the guesser.
- *Buying exemption with an own account*: being known is a matter of account and source; it helps with no other account.
- *Burning CPU*: this comes before any hashing, and what was admitted and is not decided yet counts as wrong meanwhile.
- *A program with an old password*: it counts once, and costs no hashing.

Everything is counted in Redis under readable keys, as far as there is a Redis: ``LIMITER/auth-ip/<network>/...``,
``LIMITER/auth-user/<account>/...``, ``exempt-<source>``.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mailu.auth.admission import Limited, Question, Standing, Ticket
from mailu.auth.buckets import Buckets, LimitRules
from mailu.auth.clients import Client, locate
from mailu.auth.counters import Bucket, Counters, Level, Mark, MemoryCounters
from mailu.auth.lines import unwanted_line

FIRST_PACE_SECONDS = 5
SLOWEST_PACE_SECONDS = 900
NOISY_TRIES = 3
"""Tries at one account from a noisy network before they are paced."""
NOISY_BUDGET = 10
"""Wrong guesses at existing accounts from a noisy network, as a multiple of AUTH_RATELIMIT_IP."""
GUESSES_PER_NEWCOMER = 5
"""How many more for each account that logs in from there and was not known there."""
_TRUST_SECONDS = 10
"""How long a known source whose own bucket is empty is let through without asking the counters again."""
_MOST_REMEMBERED = 50_000
_MOST_UNKNOWN = 20_000
"""Buckets of unknown names. They lie in memory, so that strangers cannot fill Redis with names they make up."""


@dataclass(slots=True)
class _Trusted:
    """What is remembered of a known source for moments, so that its log-ins do not wait for Redis."""

    empty_until: float = 0.0
    refresh_at: float = 0.0


@dataclass(slots=True)
class _View:
    """The levels that decide about a stranger."""

    pair: Level
    account: Level
    strikes: Level
    guesses: Level
    newcomers: Level


def pace(over: int) -> int:
    """Return after how many seconds the next attempt is looked at, with *over* wrong ones beyond the allowance."""
    return min(SLOWEST_PACE_SECONDS, FIRST_PACE_SECONDS << min(over, 16))


class Limits:
    """Applies *rules*, counting with *counters*. Used from one event loop."""

    def __init__(self, rules: LimitRules, counters: Counters, *, clock: Callable[[], float] = time.time) -> None:
        """*clock* gives seconds since the epoch; the same for all who count in one Redis."""
        self.rules, self.counters, self.clock = rules, counters, clock
        self.buckets = Buckets(rules)
        self._unknown = MemoryCounters(size=_MOST_UNKNOWN, clock=clock)
        self._pending: dict[str, list[str]] = {}
        self._trusted: OrderedDict[tuple[str, str], _Trusted] = OrderedDict()

    async def admit(self, question: Question) -> Ticket | Limited:
        """Say whether the attempt may be looked at. An attempt that is let in counts as wrong until it is released."""
        client = self.locate(question.client_ip)
        if client.exempt:
            return Ticket(question, client, Standing.EXEMPT)
        if question.device is None:
            if self._is_trusted(question.account, client):
                return self._known(question, client, Level())
            known, own, view = await self._look(question, client)
            return self._known(question, client, own) if known else self._stranger(question, client, view)
        own_bucket = self.buckets.own(question.account, client, question.device)
        (own,) = await self.counters.look([(own_bucket, question.fingerprint)])
        return self._known(question, client, own)

    async def failed(self, ticket: Ticket) -> None:
        """Count a wrong password, or an account that does not exist."""
        question, client = ticket.question, ticket.client
        self._trusted.pop((question.account, client.source), None)
        if ticket.standing is Standing.KNOWN:
            own = self.buckets.own(question.account, client, question.device)
            await self.counters.mark([self._guess(own, question)])
        elif ticket.standing is Standing.STRANGER:
            pair, account = self.buckets.pair(question.account, client), self.buckets.account(question.account)
            guesses = [self._guess(pair, question), self._guess(account, question)]
            if question.exists:
                await self.counters.mark(guesses + self._strikes(ticket))
            else:
                await self._unknown.mark([] if ticket.hopeless else guesses)
                await self.counters.mark(self._strikes(ticket))

    async def succeeded(self, ticket: Ticket) -> None:
        """Remember that the client logged in: it is known from now on, and its strike is taken back."""
        question, client = ticket.question, ticket.client
        if ticket.standing is Standing.STRANGER:
            await self.counters.unmark([(self.buckets.strikes(client), question.account)])
            await self.counters.mark([Mark(self.buckets.newcomers(client), question.account, keep=10_000)])
        await self.greet(question.account, client)

    async def greet(self, account: str, client: Client) -> None:
        """Make *client* known for *account*. Those who come all day are written down every few minutes only."""
        if client.exempt or not self.rules.known_seconds:
            return
        now = self.clock()
        trusted = self._trusted.setdefault((account, client.source), _Trusted())
        self._trusted.move_to_end((account, client.source))
        if len(self._trusted) > _MOST_REMEMBERED:
            self._trusted.popitem(last=False)
        if now < trusted.refresh_at:
            return
        trusted.refresh_at = now + min(300.0, self.rules.known_seconds / 4)
        await self.counters.mark([Mark(self.buckets.known(client), account, keep=10_000, refresh=True)])

    def release(self, ticket: Ticket) -> None:
        """The attempt is decided, or nobody waits for it any more."""
        for key in ticket.pending:
            waiting = self._pending[key]
            waiting.remove(ticket.question.fingerprint)
            if not waiting:
                del self._pending[key]

    async def strike(self, client_ip: str, what: str) -> bool:
        """Count something else that strangers do: *what* is ``smtp-auth`` for AUTH on port 25, for example.

        It counts once in the window for each address, and not at all for addresses that somebody logged in from: a
        printer with a wrong setting does not make its whole network noisy. Returns whether it counted.
        """
        unwanted_line(client_ip, what)
        client = self.locate(client_ip)
        if client.exempt or self.rules.per_network is None:
            return False
        (known,) = await self.counters.look([(self.buckets.known(client), "")])
        if known.count:
            return False
        strikes = self.buckets.strikes(client)
        await self.counters.mark([Mark(strikes, f"{what} {client.source}", keep=self._most_strikes())])
        return True

    async def close(self) -> None:
        """Close connections."""
        await self.counters.close()

    def locate(self, client_ip: str) -> Client:
        """Return where *client_ip* is, in networks of the configured size."""
        rules = self.rules
        return locate(client_ip, v4_mask=rules.v4_mask, v6_mask=rules.v6_mask, exempt=rules.exempt)

    # Who is it?

    def _is_trusted(self, account: str, client: Client) -> bool:
        trusted = self._trusted.get((account, client.source))
        return trusted is not None and self.clock() < trusted.empty_until

    async def _look(self, question: Question, client: Client) -> tuple[bool, Level, _View]:
        account, fingerprint = question.account, question.fingerprint
        shared = [
            (self.buckets.strikes(client), account),
            (self.buckets.guesses(client), ""),
            (self.buckets.newcomers(client), account),
        ]
        about_account = [
            (self.buckets.pair(account, client), fingerprint),
            (self.buckets.account(account), fingerprint),
            (self.buckets.known(client), account),
            (self.buckets.own(account, client, None), fingerprint),
        ]
        if question.exists:
            strikes, guesses, newcomers, pair, of_account, known, own = await self.counters.look(shared + about_account)
        else:
            strikes, guesses, newcomers = await self.counters.look(shared)
            pair, of_account, known, own = await self._unknown.look(about_account)
        return known.marked, own, _View(pair, of_account, strikes, guesses, newcomers)

    def _known(self, question: Question, client: Client, own: Level) -> Ticket | Limited:
        rate = self.rules.per_account
        if rate is None:
            return Ticket(question, client, Standing.KNOWN)
        bucket = self.buckets.own(question.account, client, question.device)
        if wait := self._wait(bucket, own, rate.count, question.fingerprint):
            return Limited(wait, "account")
        if not own.count and question.device is None:
            trusted = self._trusted.setdefault((question.account, client.source), _Trusted())
            trusted.empty_until = max(trusted.empty_until, self.clock() + _TRUST_SECONDS)
        return self._ticket(question, client, Standing.KNOWN, [bucket])

    def _stranger(self, question: Question, client: Client, view: _View) -> Ticket | Limited:
        noisy = self.rules.per_network is not None and view.strikes.count >= self.rules.per_network.count
        pair, account = self.buckets.pair(question.account, client), self.buckets.account(question.account)
        if noisy:
            if self._wait_for_account(question, view, pair, account) or self._wait_for_network(question, client, view):
                return Limited(FIRST_PACE_SECONDS, "network", noisy=True)
        elif wait := self._wait_for_account(question, view, pair, account):
            return Limited(wait, "account")
        return self._ticket(question, client, Standing.STRANGER, [pair, account], noisy=noisy)

    def _wait_for_account(self, question: Question, view: _View, pair: Bucket, account: Bucket) -> int:
        rate = self.rules.per_account
        if rate is None:
            return 0
        wait = self._wait(pair, view.pair, self.rules.share_of_one_network, question.fingerprint)
        first_try = not view.pair.count and pair.key not in self._pending
        allowed = rate.count * 2 if first_try else rate.count
        return max(wait, self._wait(account, view.account, allowed, question.fingerprint))

    def _wait_for_network(self, question: Question, client: Client, view: _View) -> int:
        assert self.rules.per_network is not None  # only such networks are noisy
        pair = self.buckets.pair(question.account, client)
        wait = self._wait(pair, view.pair, NOISY_TRIES, question.fingerprint)
        allowed = self.rules.per_network.count * NOISY_BUDGET + view.newcomers.count * GUESSES_PER_NEWCOMER
        return max(wait, self._wait(self.buckets.guesses(client), view.guesses, allowed, question.fingerprint))

    def _wait(self, bucket: Bucket, level: Level, allowed: int, fingerprint: str) -> int:
        """Return how many seconds an attempt has to wait for *bucket*; 0 when it may be looked at now."""
        under_way = {other for other in self._pending.get(bucket.key, ()) if other != fingerprint}
        if level.count + len(under_way) < allowed:
            return 0
        if under_way:
            return pace(max(0, level.count - allowed))
        return max(0, math.ceil(level.newest + pace(level.count - allowed) - self.clock()))

    def _ticket(
        self, question: Question, client: Client, standing: Standing, buckets: list[Bucket], *, noisy: bool = False
    ) -> Ticket:
        for bucket in buckets:
            self._pending.setdefault(bucket.key, []).append(question.fingerprint)
        return Ticket(question, client, standing, noisy, tuple(bucket.key for bucket in buckets))

    def _guess(self, bucket: Bucket, question: Question) -> Mark:
        keep = 2 * self.rules.per_account.count + 16 if self.rules.per_account else 100
        return Mark(bucket, question.fingerprint, keep)

    def _strikes(self, ticket: Ticket) -> list[Mark]:
        if self.rules.per_network is None:
            return []
        question, client = ticket.question, ticket.client
        marks = [Mark(self.buckets.strikes(client), question.account, self._most_strikes())]
        if ticket.noisy and question.exists:
            name = f"{question.account} {question.fingerprint}"
            marks.append(Mark(self.buckets.guesses(client), name, keep=100_000))
        return marks

    def _most_strikes(self) -> int:
        return self.rules.per_network.count + 100 if self.rules.per_network else 0
