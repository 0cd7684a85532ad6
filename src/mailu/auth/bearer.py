"""The API's tokens: the operator's, which may do everything, and those made in the administration, which may do less.

The operator's token is as long as the operator chose (Mailu took four characters), so it can be guessed, and wrong
ones count against the client's network. Clients that gave a right one are known from then on, and nobody can lock them
out.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mailu.auth.admission import Limited, Question
from mailu.auth.limits import Limits
from mailu.auth.lines import Fingerprints, limited_line, log, printable
from mailu.directory.api_tokens import ApiTokenEntry

ACCOUNT = "api-token"
"""The name that wrong tokens are counted under; no account can have it."""

BearerDecision: TypeAlias = Literal["operator", "wrong"] | ApiTokenEntry | Limited


@dataclass(frozen=True, slots=True)
class BearerJudge:
    """Decides about API tokens."""

    limits: Limits
    token: str
    """API_TOKEN; empty: no token may do everything."""
    fingerprints: Fingerprints
    look_up: Callable[[str], Awaitable[ApiTokenEntry | None]]
    """Finds the token that was made in the administration; None for one that does not exist or has expired."""

    async def decide(self, given: str, client_ip: str) -> BearerDecision:
        """Say whose token *given* is. ``Limited`` (HTTP 429) is not looked at. Raises what *look_up* raises."""
        secret = given.encode(errors="surrogatepass")
        question = Question(ACCOUNT, True, client_ip, self.fingerprints.of(secret))
        ticket = await self.limits.admit(question)
        if isinstance(ticket, Limited):
            limited_line(client_ip, None)
            return ticket
        try:
            found = await self._find(given, secret)
            if found is None:
                await self.limits.failed(ticket)
                log.info("Wrong API token from %s: %s", printable(client_ip), question.fingerprint)
                return "wrong"
            await self.limits.succeeded(ticket)
            return found
        finally:
            self.limits.release(ticket)

    async def _find(self, given: str, secret: bytes) -> Literal["operator"] | ApiTokenEntry | None:
        if self.token and _same(secret, self.token.encode()):
            return "operator"
        return await self.look_up(given)


def _same(one: bytes, other: bytes) -> bool:
    """Whether two secrets are equal, in a time that tells nothing of either, not even its length."""
    return hmac.compare_digest(hashlib.sha256(one).digest(), hashlib.sha256(other).digest())
