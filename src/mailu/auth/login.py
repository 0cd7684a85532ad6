"""The judge of credentials: one ``LoginAttempt`` in, one ``Decision`` out, for every protocol.

The order of the questions is Mailu's: a session token (webmail only), an app token (cheap, cannot be guessed, so before
any limit; a right one from a wrong address ends the matter), the limits, and only then the account's password. Whether
the account is enabled, may use the protocol and needs a token is told only to those who gave the right password.

The login name is the full address of the mailbox, in any case, with the domain in Unicode or A-labels. Addresses below
alternative domains and aliases do not log in, as they never did: one account has one name, so that what is logged,
limited and checked against senders is one thing. A name without a domain is nobody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailu.auth import devices, passwords, tokens
from mailu.auth.accounts import LoginRecord, Upgrade
from mailu.auth.admission import Limited, Question, Standing, Ticket
from mailu.auth.attempt import Accepted, Decision, LoginAttempt, Protocol, Reason, Refused, TryLater
from mailu.auth.decoys import Decoys
from mailu.auth.limits import FIRST_PACE_SECONDS, Limits
from mailu.auth.lines import Fingerprints, limited_line, login_line
from mailu.auth.pool import PoolFull, Turn
from mailu.auth.sessions import Sessions, SessionsAway
from mailu.auth.subject import Subject, find_subject
from mailu.auth.verifier import Verifier
from mailu.directory.snapshot import Snapshot, TokenEntry, UserEntry

__all__ = ["Accepted", "Decision", "Judge", "LoginAttempt", "LoginRules", "Protocol", "Reason", "Refused", "TryLater"]

log = logging.getLogger("mailu.auth")

NOISY_ANSWER_SECONDS = 1.0
"""A wrong answer to a noisy network comes this long after the question, whether or not there was anything to hash."""
_MOST_HELD = 1000
_RECORD_SECONDS = 600
_MOST_RECORDED = 50_000

_MAIL: frozenset[Protocol] = frozenset({"imap", "pop3", "smtp", "sieve"})
_WEBMAIL: frozenset[Protocol] = frozenset({"webmail-imap", "webmail-smtp", "webmail-sieve"})
_WITH_TOKEN_ONLY = _MAIL | {"dav"}
"""Where AUTH_REQUIRE_TOKENS does not take the password."""

_WRONG = Refused(Reason.BAD_CREDENTIALS, "wrong address or password")
_BUSY = TryLater("too many people are logging in at once, try again in a moment")
_BROKEN = TryLater("log-ins cannot be checked right now, try again later")


@dataclass(frozen=True, slots=True)
class LoginRules:
    """The settings that decide about a log-in, and the keys it needs."""

    require_tokens: bool
    """AUTH_REQUIRE_TOKENS."""
    require_tls: bool
    """Passwords of mail protocols never cross a network in clear text (all but TLS_FLAVOR=notls)."""
    device_key: bytes
    """DEVICE_COOKIE_KEY."""
    fingerprint_key: bytes
    """TRUNCATED_PW_KEY."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One attempt, and what was true when it came."""

    attempt: LoginAttempt
    subject: Subject
    snapshot: Snapshot
    fingerprint: str
    started: float
    """Of the monotonic clock."""

    def log(self, outcome: str) -> None:
        login_line(self.attempt, self.subject.shown, outcome)


class Judge:
    """Decides about log-ins. Made once a process by ``mailu.auth.assembly.build_judge``; used from one event loop.

    *record* is called on the event loop after log-ins that are worth writing down: at most one in ten minutes an
    account, and every one with an upgraded hash. It must return at once, so it queues.
    """

    def __init__(
        self,
        *,
        snapshot: Callable[[], Snapshot],
        limits: Limits,
        verifier: Verifier,
        sessions: Sessions | None,
        rules: LoginRules,
        record: Callable[[LoginRecord], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._snapshot, self._limits, self._verifier = snapshot, limits, verifier
        self._sessions, self._rules, self._record = sessions, rules, record
        self._sleep = sleep
        self._fingerprints = Fingerprints(rules.fingerprint_key)
        self._decoys = Decoys()
        self._recorded: OrderedDict[str, float] = OrderedDict()
        self._held = 0
        self._under_way: set[asyncio.Task[Decision]] = set()

    async def decide(self, attempt: LoginAttempt) -> Decision:
        """Decide about *attempt*. Never raises; what cannot be found out is ``TryLater``."""
        return await self._safely(self._decide(attempt))

    async def _safely(self, deciding: Awaitable[Decision]) -> Decision:
        try:
            return await deciding
        except PoolFull:
            log.warning("Too many passwords wait to be checked; clients are told to try later.")
            return _BUSY
        except SessionsAway:
            return _BROKEN
        except Exception:
            log.exception("A log-in could not be decided.")
            return _BROKEN

    async def close(self) -> None:
        """End threads and close connections, of the limits and sessions too."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._verifier.close()
        await self._limits.close()
        if self._sessions:
            await self._sessions.close()

    async def _decide(self, attempt: LoginAttempt) -> Decision:
        snapshot = self._snapshot()
        subject = find_subject(snapshot, attempt.login)
        case = _Case(attempt, subject, snapshot, self._fingerprints.of(attempt.password), time.monotonic())
        if attempt.protocol in _WEBMAIL:
            return await self._judge_session_token(case)
        if self._rules.require_tls and not attempt.tls and attempt.protocol in _MAIL:
            return Refused(Reason.TLS_REQUIRED, "switch to TLS before you log in")
        quick, slow = self._tokens_of(case)
        if subject.account and (token := tokens.find_token(quick, attempt.password)):
            return await self._token_given(case, subject.account, token)
        admitted = await self._limits.admit(self._question(case))
        if isinstance(admitted, Limited):
            return await self._limited(case, admitted)
        # It is decided, counted and logged even if the client hangs up: otherwise guesses could burn CPU for nothing.
        task = asyncio.create_task(self._safely(self._judge_and_release(case, admitted, slow)))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    def _question(self, case: _Case) -> Question:
        return Question(
            account=case.subject.key,
            exists=case.subject.account is not None,
            client_ip=case.attempt.client_ip,
            fingerprint=case.fingerprint,
            device=devices.read_cookie(case.attempt.device, case.subject.key, self._rules.device_key),
        )

    async def _judge_and_release(self, case: _Case, ticket: Ticket, slow: list[TokenEntry]) -> Decision:
        try:
            return await self._judge_admitted(case, ticket, slow)
        finally:
            self._limits.release(ticket)

    async def _judge_admitted(self, case: _Case, ticket: Ticket, slow: list[TokenEntry]) -> Decision:
        """Decide about an attempt that the limits let in."""
        if account := case.subject.account:
            if token := await self._find_old_token(case, account, ticket, slow):
                return await self._token_given(case, account, token, ticket)
            if await self._is_password(case, account, ticket):
                return await self._password_given(case, account, ticket)
        elif not ticket.hopeless:
            await self._pretend(case, ticket)
        return await self._wrong(case, ticket)

    # Tokens

    async def _judge_session_token(self, case: _Case) -> Decision:
        token, account = case.attempt.password.decode(errors="replace"), case.subject.account
        if account is None or self._sessions is None or not await self._sessions.holds(token, account):
            case.log(f"failed: badauth: {case.fingerprint}")
            return _WRONG
        case.log("success: webmail-token")
        return Accepted(account.email, "webmail-token")

    def _tokens_of(self, case: _Case) -> tuple[list[TokenEntry], list[TokenEntry]]:
        """The account's tokens that are checked in microseconds, and the others; none where it is no token."""
        if case.attempt.protocol == "web" or not tokens.looks_like_token(case.attempt.password):
            return [], []  # what a program knows must not open the pages, where passwords are changed
        every = case.snapshot.tokens.get(case.subject.key, ())
        return [token for token in every if tokens.is_quick(token)], [
            token for token in every if not tokens.is_quick(token)
        ]

    async def _find_old_token(
        self, case: _Case, account: UserEntry, ticket: Ticket, slow: list[TokenEntry]
    ) -> TokenEntry | None:
        """Look for the token among those whose hashes take long, and have its hash replaced."""
        password = case.attempt.password
        for token in slow:
            name, turn = f"{account.email}#{token.id}", self._turn(ticket, token.password)
            if (await self._verifier.verify(name, token.password, password, turn, upgrade=False)).right:
                replacement = tokens.hash_token(password.decode())
                self._write_down(account.email, Upgrade(token.id, token.password, replacement))
                return token
        return None

    async def _token_given(
        self, case: _Case, account: UserEntry, token: TokenEntry, ticket: Ticket | None = None
    ) -> Decision:
        """Decide about the right *token*, which ends the matter either way."""
        method = f"token-{token.id}"
        if not tokens.may_come_from(token.ip, case.attempt.client_ip):
            case.log(f"failed: badip: {method}: {token.comment or ''!r}")
            return Refused(Reason.BAD_ADDRESS, "this app token cannot be used from your network")
        if refusal := self._refusal(case, account):
            return refusal
        if ticket:
            await self._limits.succeeded(ticket)
        else:
            await self._limits.greet(account.email, self._limits.locate(case.attempt.client_ip))
        case.log(f"success: {method}: {token.comment or ''!r}")
        self._write_down(account.email)
        return Accepted(account.email, method, token.comment or "")

    # Passwords

    async def _is_password(self, case: _Case, account: UserEntry, ticket: Ticket) -> bool:
        if case.attempt.protocol == "api":
            return False
        if not account.password:
            await self._pretend(case, ticket)
            return False
        stored, turn = account.password, self._turn(ticket, account.password)
        verdict = await self._verifier.verify(account.email, stored, case.attempt.password, turn)
        if verdict.replacement:
            await self._upgrade(account.email, stored, verdict.replacement)
        return verdict.right

    async def _pretend(self, case: _Case, ticket: Ticket) -> None:
        """Do the work of checking a password where there is none to check."""
        if case.attempt.protocol != "api":
            stored = self._decoys.stored_for(case.subject.key, case.snapshot)
            turn = self._turn(ticket, stored)
            await self._verifier.verify(case.subject.key, stored, case.attempt.password, turn, upgrade=False)

    async def _password_given(self, case: _Case, account: UserEntry, ticket: Ticket) -> Decision:
        protocol = case.attempt.protocol
        if refusal := self._refusal(case, account):
            return refusal
        alone = account.email not in case.snapshot.second_factors
        if protocol in _WITH_TOKEN_ONLY and (self._rules.require_tokens or not alone):
            case.log("failed: password ok, but a token is required")
            return Refused(Reason.TOKEN_REQUIRED, "mail programs need an app token here, not the password")
        await self._limits.succeeded(ticket)
        case.log("success: password")
        self._write_down(account.email)
        must_change = account.change_pw_next_login and protocol == "web"
        return Accepted(account.email, "password", must_change_password=must_change)

    async def _wrong(self, case: _Case, ticket: Ticket) -> Decision:
        await self._limits.failed(ticket)
        case.log(f"failed: badauth: {case.fingerprint}")
        if ticket.noisy:
            return await self._limited(case, Limited(FIRST_PACE_SECONDS, "network", noisy=True))
        return _WRONG

    def _turn(self, ticket: Ticket, stored: str) -> Turn:
        known = ticket.standing is not Standing.STRANGER
        source = ticket.client.source if known else ticket.client.network
        return Turn(source, known=known, slow=passwords.is_slow(stored))

    # What all of them share

    def _refusal(self, case: _Case, account: UserEntry) -> Refused | None:
        """Say why *account* may not log in here although its credentials are right; None where it may."""
        protocol = case.attempt.protocol
        allowed = {"imap": account.enable_imap, "pop3": account.enable_pop}.get(protocol, True)
        if account.enabled and allowed:
            return None
        case.log("failed: account disabled")
        if not account.enabled:
            return Refused(Reason.ACCOUNT_DISABLED, "this account is disabled")
        return Refused(Reason.PROTOCOL_DISABLED, f"{protocol.upper()} is switched off for this account")

    async def _limited(self, case: _Case, limited: Limited) -> Refused:
        if limited.noisy:
            await self._hold_until(case.started + NOISY_ANSWER_SECONDS)
        limited_line(case.attempt.client_ip, case.subject.shown if limited.about == "account" else None)
        return Refused(Reason.RATE_LIMITED, "too many wrong passwords, try again later", limited.retry_after_seconds)

    async def _hold_until(self, moment: float) -> None:
        remaining = moment - time.monotonic()
        if remaining <= 0 or self._held >= _MOST_HELD:
            return
        self._held += 1
        try:
            await self._sleep(remaining)
        finally:
            self._held -= 1

    async def _upgrade(self, email: str, stored: str, replacement: str) -> None:
        """Have the hash replaced. The account's web sessions hang on it, so they are told first."""
        if self._sessions is None or await self._sessions.note_upgrade(email, stored, replacement):
            self._write_down(email, Upgrade(None, stored, replacement))

    def _write_down(self, email: str, upgrade: Upgrade | None = None) -> None:
        now = self._limits.clock()
        if upgrade is None and now - self._recorded.get(email, 0.0) < _RECORD_SECONDS:
            return
        self._recorded[email] = now
        self._recorded.move_to_end(email)
        if len(self._recorded) > _MOST_RECORDED:
            self._recorded.popitem(last=False)
        self._record(LoginRecord(email, now, upgrade))
