"""Log-ins of mail clients at Postfix: its smtpd asks in Dovecot's auth protocol, the judge decides.

"I cannot say now" and "too many attempts" close the connection, which Postfix turns into ``454 4.7.0 Temporary
authentication failure``: a mail program then tries again and does not ask for a new password (RFC 4954 s6). A ``FAIL``
would be a 535 whatever it says.

The listener that only the webmail reaches has ``smtpd_sasl_service = webmail-smtp``, which smtpd passes on; no client
can choose it.
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
from collections.abc import Awaitable, Callable

from mailu.auth.attempt import Accepted, Decision, LoginAttempt, Reason, Refused
from mailu.servers.conversations import HangUp
from mailu.wire import BadRequest, dovecot_auth, sasl
from mailu.wire.dovecot_auth import AuthDecoder, AuthRequest, Cancellation, Continuation, Version

log = logging.getLogger("mailu.servers.sasl")

MAX_OPEN_EXCHANGES = 16
"""Log-ins begun and not ended on one connection. Postfix has one; it does not say when its client gives up."""

_connections = itertools.count(1)

Decide = Callable[[LoginAttempt], Awaitable[Decision]]


class SaslConversation:
    """One connection of an smtpd process."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._decoder = AuthDecoder()
        self._open: dict[int, tuple[AuthRequest, sasl.Exchange]] = {}

    def greeting(self) -> bytes:
        """Our half of the handshake."""
        return dovecot_auth.handshake(
            mechanisms=sasl.MECHANISMS,
            pid=os.getpid(),
            connection=next(_connections),
            cookie=secrets.token_bytes(16),
        )

    async def received(self, data: bytes) -> bytes:
        """Answer each command that *data* completes. Raises HangUp."""
        replies: list[bytes] = []
        try:
            for command in self._decoder.feed(data):
                replies.append(await self._answer(command))
        except BadRequest as error:
            raise HangUp(b"".join(replies), error) from None
        except HangUp as hang_up:
            raise HangUp(b"".join([*replies, hang_up.last_reply]), hang_up.reason) from None
        return b"".join(replies)

    async def _answer(self, command: dovecot_auth.Command) -> bytes:
        match command:
            case Version(major=major) if major != dovecot_auth.MAJOR_VERSION:
                raise BadRequest(f"version {major} of the auth protocol is not spoken")
            case AuthRequest():
                return await self._begin(command)
            case Continuation():
                return await self._proceed(command)
            case Cancellation():
                self._open.pop(command.id, None)
        return b""

    async def _begin(self, request: AuthRequest) -> bytes:
        exchange = sasl.exchange(request.mechanism)
        if exchange is None:
            return dovecot_auth.encode_fail(request.id, "this mechanism is not offered")
        try:
            first = request.initial_response
            step = exchange.begin(None if first is None else dovecot_auth.decode_response(first))
        except BadRequest as error:
            return dovecot_auth.encode_fail(request.id, str(error))
        return await self._step(request, exchange, step)

    async def _proceed(self, continuation: Continuation) -> bytes:
        request, exchange = self._open.pop(continuation.id, (None, None))
        if request is None or exchange is None:
            return dovecot_auth.encode_fail(continuation.id, "this log-in was not begun")
        try:
            step = exchange.proceed(dovecot_auth.decode_response(continuation.response))
        except BadRequest as error:
            return dovecot_auth.encode_fail(request.id, str(error))
        return await self._step(request, exchange, step)

    async def _step(
        self, request: AuthRequest, exchange: sasl.Exchange, step: sasl.Challenge | sasl.Credentials
    ) -> bytes:
        if isinstance(step, sasl.Challenge):
            while len(self._open) >= MAX_OPEN_EXCHANGES:
                del self._open[next(iter(self._open))]
            self._open[request.id] = request, exchange
            return dovecot_auth.encode_challenge(request.id, step.text)
        return encode_decision(request.id, await self._decide(_attempt(request, step)))


def encode_decision(request_id: int, decision: Decision) -> bytes:
    """Turn a decision into Postfix' terms. Raises HangUp for one that is to be made later."""
    if isinstance(decision, Accepted):
        return dovecot_auth.encode_ok(request_id, decision.email)
    if isinstance(decision, Refused) and decision.reason is not Reason.RATE_LIMITED:
        return dovecot_auth.encode_fail(request_id, decision.message)
    raise HangUp


def _attempt(request: AuthRequest, credentials: sasl.Credentials) -> LoginAttempt:
    return LoginAttempt(
        login=credentials.login,
        password=credentials.password,
        protocol="webmail-smtp" if request.service == "webmail-smtp" else "smtp",
        client_ip=request.client_ip,
        client_port=request.client_port,
        local_port=request.local_port,
        tls=request.secured,
    )
