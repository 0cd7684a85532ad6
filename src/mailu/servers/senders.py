"""The lists of senders, asked at two moments: by Postfix at RCPT TO, and by Rspamd once the header is there.

At RCPT TO nobody knows yet whether the sender is proven or what the header says, so only what is certain is refused:
an allow entry that may turn out to apply keeps a deny entry behind it from refusing. The filter then knows the rest.
It asks before it looks at a message, is told what follows from each thing that it may find proven, and picks.

A message has one answer for all its recipients. Where they disagree it is taken; each mailbox finds in a header whether
its lists allowed or denied the sender: words that only this server can make, one for each mailbox and verdict.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any

from mailu.address import address_or_none
from mailu.directory.judging import Leaf, judge
from mailu.directory.sender_lists import ALLOW, DENY, Sender, identity, sender_of
from mailu.directory.snapshot import Snapshot, UserEntry
from mailu.wire import BadRequest

REFUSAL = "550 5.7.1 mail from this sender is not accepted for this recipient"

QUIET_SECONDS = 0.5
"""While there is no list at all the filter asks no more often than this, not for each message."""

_MARK_LETTERS = 24


def refusal(snapshot: Snapshot, recipient: str, mail_from: str, client: str) -> str | None:
    """What to say at RCPT TO; None for no objection."""
    sender = sender_of(mail_from, client=client, proven=True)
    if not snapshot.sender_lists.mention(sender):
        return None
    address = address_or_none(recipient)
    return REFUSAL if address is not None and judge(snapshot, address, sender).is_refused else None


def mark(secret: str, verdict: str, mailbox: UserEntry) -> str:
    """The word that says, to *mailbox* only, what its lists say about a sender."""
    return hmac.digest(secret.encode(), f"sender {verdict} {mailbox.home}".encode(), "sha256").hex()[:_MARK_LETTERS]


def filter_answer(snapshot: Snapshot, secret: str, question: bytes) -> dict[str, Any]:
    """Answer the filter about one message. Raises BadRequest.

    The question: ``mail_from``, ``from`` (addresses of the header), ``client``, ``recipients``, and ``more`` where it
    has left some out. The answer is empty where no list says anything; where there is no list at all it has
    ``quiet_seconds``, how long that may be believed. Else it has ``cases`` by what is proven, any of ``e`` (the
    envelope's sender) and ``h`` (the header's), or ``none``: ``refuse``; ``allow`` (``all`` or ``some`` of those whom
    the message is for); ``marks``.
    """
    asked = _question(question)
    if not snapshot.sender_lists.by_owner:
        return {"quiet_seconds": QUIET_SECONDS}
    mail_from, header = str(asked.get("mail_from", "")), _texts(asked.get("from"))
    client = str(asked.get("client", ""))
    if not snapshot.sender_lists.mention(sender_of(mail_from, header, client=client)):
        return {}
    recipients = [address for text in _texts(asked.get("recipients")) if (address := address_or_none(text))]
    cases = {}
    for proven in ("none", "e", "h", "eh"):
        sender = _sender(mail_from, header, client, proven)
        leaves = [judge(snapshot, recipient, sender).leaves for recipient in recipients]
        cases[proven] = _case(secret, leaves, whole=not asked.get("more"))
    return {"cases": cases} if any(cases.values()) else {}


def _sender(mail_from: str, header: list[str], client: str, proven: str) -> Sender:
    identities = [identity(mail_from, proven=proven in ("e", "eh"))]
    identities += [identity(text, proven=proven in ("h", "eh")) for text in header]
    return Sender(tuple(each for each in identities if each is not None), sender_of("", client=client).client)


def _case(secret: str, found: list[tuple[Leaf, ...]], *, whole: bool) -> dict[str, Any]:
    leaves = [leaf for each in found for leaf in each]
    verdicts = {leaf.verdict for leaf in leaves}
    whole = whole and bool(leaves) and all(found)
    if whole and verdicts == {DENY}:
        return {"refuse": True}
    if whole and verdicts == {ALLOW}:
        return {"allow": "all"}
    case: dict[str, Any] = {"marks": sorted(_marks(secret, leaves))} if verdicts - {None} else {}
    return {**case, "allow": "some"} if ALLOW in verdicts else case


def _marks(secret: str, leaves: Iterable[Leaf]) -> set[str]:
    return {mark(secret, leaf.verdict, leaf.mailbox) for leaf in leaves if leaf.verdict and leaf.mailbox}


def _question(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        raise BadRequest("a question about senders is not JSON") from None
    if not isinstance(found, dict):
        raise BadRequest("a question about senders is no object")
    return found


def _texts(given: object) -> list[str]:
    return [text for text in given if isinstance(text, str)] if isinstance(given, list) else []
