"""Web sessions: who is logged in to the pages, since when, and for how long.

The browser holds a random name in a cookie; everything else lies in Redis, under a digest of that name, so that reading
Redis opens no session. Per account there is a list of its sessions, which people see and can end.

A session is bound to the account as it was when it began: to a MAC over the stored hash. It ends when the password is
changed, by whomever and wherever, and when the account is disabled or deleted, because ``load`` compares it with the
directory's snapshot each time; nobody has to remember to end it. A hash that is upgraded at a log-in is the exception:
the judge notes that the new hash stands for the same password before it is stored.

The webmail gets a token, ``token-<random>``, which stands for the session towards IMAP, SMTP and Sieve, and dies with
it. In Redis: ``session:<digest>``, ``sessions-of:<account>``, ``webmail-token:<digest>``, ``upgraded:<MAC>``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mailu.auth.shelf import Shelf, SteadyShelf
from mailu.directory.snapshot import UserEntry

TOKEN_PREFIX = "token-"  # noqa: S105 - how a token begins
_LONGEST_ID = 256
_MOST_DATA_BYTES = 16_384


class SessionsAway(Exception):
    """Redis does not answer, so nobody knows."""


class SessionTooLarge(ValueError):
    """More was to be kept in a session than 16 KiB of JSON."""


@dataclass(frozen=True, slots=True)
class SessionRules:
    """The settings of sessions; times in seconds."""

    idle_seconds: int
    """SESSION_TIMEOUT: the end without use."""
    lifetime_seconds: int
    """PERMANENT_SESSION_LIFETIME: the end in any case."""
    id_bits: int
    """SESSION_KEY_BITS."""
    key: bytes
    """For the MAC over stored hashes."""


@dataclass(slots=True)
class Session:
    """One session. ``data`` belongs to the pages; ``save`` keeps what they change in it."""

    id: str = field(repr=False)
    """What the cookie holds."""
    email: str
    created: float
    """Seconds since the epoch."""
    webmail_token: str = field(repr=False)
    client_ip: str
    user_agent: str
    data: dict[str, Any]
    bound: str = field(repr=False)

    @property
    def handle(self) -> str:
        """What names the session on a page, and opens nothing."""
        return _digest(self.id)


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session as its owner sees it in a list."""

    handle: str
    created: float
    last_seen: float
    client_ip: str
    user_agent: str


class Sessions:
    """All web sessions."""

    def __init__(self, shelf: Shelf, rules: SessionRules, *, clock: Callable[[], float] = time.time) -> None:
        self._shelf, self._rules, self._clock = shelf, rules, clock

    async def create(
        self,
        account: UserEntry,
        *,
        client_ip: str = "",
        user_agent: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> Session:
        """Begin a session of *account*, which has just logged in. Each log-in begins a new one, with a new name."""
        session = Session(
            id=secrets.token_urlsafe(-(-self._rules.id_bits // 8)),
            email=account.email,
            created=self._clock(),
            webmail_token=TOKEN_PREFIX + secrets.token_urlsafe(24),
            client_ip=client_ip,
            user_agent=user_agent[:300],
            data=dict(data or {}),
            bound=self._binding(account.email, account.password),
        )
        lifetime = self._rules.lifetime_seconds
        await self._shelf.put(_session(session.handle), _to_text(session), min(self._rules.idle_seconds, lifetime))
        await self._shelf.put(_webmail(session.webmail_token), session.handle, lifetime)
        await self._shelf.enlist(_of(account.email), session.handle, lifetime)
        return session

    async def load(self, session_id: str, find_account: Callable[[str], UserEntry | None]) -> Session | None:
        """Return the session that a cookie names, and keep it for another SESSION_TIMEOUT.

        None where it has ended, or must end because the account is not what it was. *find_account* looks into the
        directory's snapshot.
        """
        if not 0 < len(session_id) <= _LONGEST_ID:
            return None
        handle = _digest(session_id)
        session = _from_text(await self._shelf.get(_session(handle), self._rules.idle_seconds), session_id)
        if session is None:
            return None
        account = find_account(session.email)
        if account is None or not await self._is_good(session, account):
            await self._end([handle], session.email)
            return None
        if session.bound != self._binding(account.email, account.password):
            await self.rebind(session, account)
        return session

    async def save(self, session: Session) -> bool:
        """Keep what the pages changed in ``data``. False: the session has ended meanwhile, and stays ended.
        Raises SessionTooLarge."""
        return await self._shelf.replace(_session(session.handle), _to_text(session))

    async def end(self, session: Session) -> None:
        """End *session*: its owner logs out."""
        await self._end([session.handle], session.email)

    async def end_one(self, email: str, handle: str) -> bool:
        """End the session of *email* that a list names *handle*. False: there is none."""
        if handle not in await self._shelf.listed(_of(email)):
            return False
        return await self._end([handle], email) > 0

    async def end_all(self, email: str, *, keep: Session | None = None) -> int:
        """End all sessions of *email* but *keep*; return how many there were."""
        handles = [handle for handle in await self._shelf.listed(_of(email)) if not keep or handle != keep.handle]
        return await self._end(handles, email)

    async def rebind(self, session: Session, account: UserEntry) -> None:
        """Bind *session* to the account as it is now: its owner has just changed the password in it."""
        session.bound = self._binding(account.email, account.password)
        await self.save(session)

    async def of(self, email: str) -> list[SessionInfo]:
        """Return the sessions of *email*, last used first."""
        found = []
        for handle in await self._shelf.listed(_of(email)):
            session = _from_text(await self._shelf.get(_session(handle)), "")
            left = await self._shelf.left(_session(handle))
            if session and left is not None:
                last_seen = self._clock() - max(0.0, self._rules.idle_seconds - left)
                found.append(
                    SessionInfo(
                        handle, session.created, max(last_seen, session.created), session.client_ip, session.user_agent
                    )
                )
        return sorted(found, key=lambda info: info.last_seen, reverse=True)

    async def holds(self, token: str, account: UserEntry) -> bool:
        """Say whether *token* is the webmail token of a living session of *account*.

        Raises SessionsAway where it was not found and Redis does not answer.
        """
        if not token.startswith(TOKEN_PREFIX) or len(token) > _LONGEST_ID:
            return False
        handle = await self._shelf.get(_webmail(token))
        session = _from_text(await self._shelf.get(_session(handle)), "") if handle else None
        if session is None:
            if isinstance(self._shelf, SteadyShelf) and self._shelf.is_away:
                raise SessionsAway
            return False
        return session.email == account.email and await self._is_good(session, account)

    async def note_upgrade(self, email: str, stored: str, replacement: str) -> bool:
        """Note that *replacement* hashes the same password as *stored*. False where that could not be noted for all
        processes: then storing it would end sessions."""
        old, new = self._binding(email, stored), self._binding(email, replacement)
        await self._shelf.enlist(f"upgraded:{old}", new, self._rules.lifetime_seconds)
        return not (isinstance(self._shelf, SteadyShelf) and self._shelf.is_away)

    async def close(self) -> None:
        """Close connections."""
        await self._shelf.close()

    async def _is_good(self, session: Session, account: UserEntry) -> bool:
        if not account.enabled or account.email != session.email:
            return False
        if self._clock() >= session.created + self._rules.lifetime_seconds:
            return False
        now = self._binding(account.email, account.password)
        if hmac.compare_digest(session.bound, now):
            return True
        return now in await self._shelf.listed(f"upgraded:{session.bound}")

    async def _end(self, handles: list[str], email: str) -> int:
        ended = await self._shelf.drop([_session(handle) for handle in handles])
        await self._shelf.unlist(_of(email), handles)
        return ended

    def _binding(self, email: str, stored: str) -> str:
        return hmac.digest(self._rules.key, f"session\0{email}\0{stored}".encode(), "sha256").hex()[:32]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _session(handle: str) -> str:
    return f"session:{handle}"


def _of(email: str) -> str:
    return f"sessions-of:{email}"


def _webmail(token: str) -> str:
    return f"webmail-token:{_digest(token)}"


_KEPT = ("email", "created", "webmail_token", "client_ip", "user_agent", "data", "bound")


def _to_text(session: Session) -> str:
    text = json.dumps({name: getattr(session, name) for name in _KEPT})
    if len(text) > _MOST_DATA_BYTES:
        raise SessionTooLarge(f"a session holds at most {_MOST_DATA_BYTES} bytes")
    return text


def _from_text(text: str | None, session_id: str) -> Session | None:
    if text is None:
        return None
    kept = json.loads(text)
    return Session(id=session_id, **{name: kept[name] for name in _KEPT})
