"""Postfix' policy questions: is the mailbox switched off or full, does somebody keep the sender out, may this log-in
use that sender, is it too much.

Asked in ``smtpd_recipient_restrictions``, after ``reject_unauth_destination`` and friends, so that only recipients
that would be accepted count. Unknown recipients are Postfix' own matter. Every refusal says what to do about it;
Postfix puts the address and "Recipient address rejected" before the text.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Coroutine

from mailu.address import address_or_none
from mailu.directory import lookup, senders
from mailu.directory.snapshot import Snapshot, UserEntry
from mailu.servers.conversations import Reply, in_turn
from mailu.servers.faults import Faults
from mailu.servers.keeper import NotReady
from mailu.servers.senders import refusal as sender_refusal
from mailu.servers.sending import SendingLimits
from mailu.servers.usage import Usage
from mailu.wire import BadRequest, policy
from mailu.wire.policy import PolicyDecoder, PolicyRequest

log = logging.getLogger("mailu.servers.policy")

NO_OBJECTION = "DUNNO"
TRY_LATER = "451 4.3.0 The directory of this server does not answer now, please try again later"
ASK_THE_TARGET = "reject_unverified_recipient"
"""Postfix's own restriction, which a policy may answer with (access(5), OTHER ACTIONS)."""

_MAX_SHOWN = 100


class Policy:
    """Answers one question after another."""

    def __init__(self, snapshot: Callable[[], Snapshot], usage: Usage, limits: SendingLimits) -> None:
        self._snapshot = snapshot
        self._usage = usage
        self._limits = limits
        self._faults = Faults(log)
        self.said: Counter[str] = Counter()
        """How often each answer was given, by its first word, for the metrics: DUNNO, a reply code, ASK_THE_TARGET."""

    def answer(self, request: PolicyRequest) -> str | Coroutine[None, None, str]:
        """Return the action for *request*: at once, or later where what somebody sends is counted. Never raises: what
        cannot be said now is "try later"."""
        try:
            snapshot = self._snapshot()
            refusal = self._objection(snapshot, request)
        except Exception as error:
            return self._try_later(error)
        if refusal is None and request.protocol_state == "RCPT" and request.sasl_username:
            return self._count(snapshot, request.sasl_username)
        return self._say(refusal)

    async def _count(self, snapshot: Snapshot, login: str) -> str:
        try:
            return self._say(await self._limits.objection(snapshot, login))
        except Exception as error:
            return self._try_later(error)

    def _say(self, refusal: str | None) -> str:
        action = refusal or NO_OBJECTION
        self.said[action.partition(" ")[0]] += 1
        return action

    def _try_later(self, error: Exception) -> str:
        if not isinstance(error, NotReady):
            self._faults.report("answering a policy question", error)
        return self._say(TRY_LATER)

    def _objection(self, snapshot: Snapshot, request: PolicyRequest) -> str | None:
        if request.protocol_state == "MAIL" and request.sasl_username:
            return sender_objection(snapshot, request.sasl_username, request.sender)
        if request.protocol_state == "END-OF-MESSAGE" and request.recipient:
            return self._recipient_objection(snapshot, request)
        if request.protocol_state != "RCPT":
            return None
        if request.sasl_username:
            refusal = sender_objection(snapshot, request.sasl_username, request.sender)
            if refusal:
                return refusal
        refusal = self._recipient_objection(snapshot, request) or sender_refusal(
            snapshot, request.recipient, request.sender, request.client_address
        )
        if refusal is None and not request.sasl_username and _must_be_asked(snapshot, request.recipient):
            return ASK_THE_TARGET
        return refusal

    def _recipient_objection(self, snapshot: Snapshot, request: PolicyRequest) -> str | None:
        return recipient_objection(snapshot, request.recipient, request.size_bytes, self._usage.used_bytes)


def recipient_objection(
    snapshot: Snapshot, recipient: str, size_bytes: int, used_bytes: Callable[[UserEntry], int]
) -> str | None:
    """Say why mail of *size_bytes* (0: not known) for *recipient* is refused; None for no objection.

    A full mailbox matters only where it alone would get the mail: with other targets the mail is taken, and a forward
    that keeps no copy fills nothing.
    """
    address = address_or_none(recipient)
    if address is None or not lookup.is_local_domain(snapshot, address.domain):
        return None
    resolution = lookup.resolve(snapshot, address)
    if resolution.kind == "disabled":
        return "550 5.2.1 this mailbox is switched off and takes no mail"
    if len(resolution.deliver) != 1:
        return None
    entry = _mailbox(snapshot, resolution.deliver[0])
    if entry is not None and is_full(entry, used_bytes(entry), size_bytes):
        return (
            "552 5.2.2 this mailbox is full. Please tell its owner by other means, and send the message again "
            "when there is room"
        )
    return None


def is_full(entry: UserEntry, used_bytes: int, size_bytes: int) -> bool:
    """Whether a message of *size_bytes* does not fit; one of unknown size fits where one byte does."""
    return entry.quota_bytes > 0 and used_bytes + max(size_bytes, 1) > entry.quota_bytes


def sender_objection(snapshot: Snapshot, login: str, sender: str) -> str | None:
    """Say why *login* may not send as *sender* (empty: the null sender); None for no objection."""
    account = lookup.account(snapshot, login)
    if account is None or not account.enabled:
        return f"550 5.7.1 the account {_short(login)} is switched off and cannot send"
    address = address_or_none(sender) if sender else None
    if (address is not None or not sender) and senders.may_send_as(snapshot, account.email, address):
        return None
    return (
        f"553 5.7.1 you are logged in as {account.email} and cannot send as <{_short(sender)}>; "
        f"{account.email} may send as {_rights(snapshot, account)}"
    )


def _rights(snapshot: Snapshot, account: UserEntry) -> str:
    """What an account may send as, as much of it as an SMTP reply holds."""
    shown, length = list[str](), 0
    addresses = senders.addresses_of(snapshot, account.email)
    for address in addresses:
        length += len(address) + 2
        if length > 240:
            shown.append("and others")
            break
        shown.append(address)
    return ", ".join(shown)


def _must_be_asked(snapshot: Snapshot, recipient: str) -> bool:
    """Whether another server has to say whether it knows *recipient*. Not for our own people: what cannot be delivered
    comes back to them, and they need not wait for a server that is away.
    """
    address = address_or_none(recipient)
    return address is not None and lookup.must_be_asked(snapshot, address)


class PolicyConversation:
    """One connection of an smtpd process."""

    def __init__(self, answer: Callable[[PolicyRequest], str | Coroutine[None, None, str]]) -> None:
        self._answer = answer
        self._decoder = PolicyDecoder()

    def received(self, data: bytes) -> Reply:
        """Answer each request that *data* completes. Raises HangUp."""
        replies: list[Reply] = []
        try:
            for request in self._decoder.feed(data):
                action = self._answer(request)
                replies.append(policy.encode_action(action) if isinstance(action, str) else _encode_later(action))
        except BadRequest as error:
            return in_turn(replies, error)
        return in_turn(replies)


async def _encode_later(action: Coroutine[None, None, str]) -> bytes:
    return policy.encode_action(await action)


def _mailbox(snapshot: Snapshot, target: str) -> UserEntry | None:
    address = address_or_none(target)
    return None if address is None else lookup.mailbox(snapshot, address)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
