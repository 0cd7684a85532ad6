"""Senders that a mailbox, a domain or the server lets in or keeps out. What the lists mean: ``sender_lists``."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypedDict, Unpack

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from mailu.directory.changes import values
from mailu.directory.changes.errors import Conflict, Invalid, LimitReached, NotFound
from mailu.directory.changes.journal import Actor, note
from mailu.directory.changes.names import get_domain, get_user
from mailu.directory.models import ListedSender
from mailu.directory.sender_lists import ALLOW, DENY, SERVER

MOST_SENDERS = {"user": 1_000, "domain": 5_000, "server": 50_000}
"""How many a list may have, by whose it is."""

_WIDEST = {4: 8, 6: 16}
"""Shortest prefix of a network: what is wider is a slip of the finger."""


class SenderFields(TypedDict, total=False):
    """What can be set of an entry."""

    verdict: str
    comment: str


RULES: Mapping[str, values.Rule] = {"verdict": values.one_of(ALLOW, DENY), "comment": values.text(255)}


def list_sender(
    session: Session, owner: str, sender: str, verdict: str, *, actor: Actor, comment: str = ""
) -> ListedSender:
    """Put *sender* on the list of *owner*: an address, a domain, or SERVER.

    Raises NotFound, Invalid, LimitReached, and Conflict where it stands there already, whatever the verdict.
    """
    owned = _owned(session, owner)
    canonical = checked_sender("sender", sender, owner=owner, verdict=verdict)
    if find_sender(session, owned.owner, canonical) is not None:
        raise Conflict(canonical, "an entry of this list")
    _require_room(session, owned)
    owned.sender = canonical
    owned.created_by = actor.name[:255]
    values.apply(owned, {"verdict": verdict, "comment": comment}, RULES)
    session.add(owned)
    session.flush()
    note(session, actor, f"sender.{verdict}", owned.owner, {"sender": canonical, "comment": comment})
    return owned


def update_sender(session: Session, number: int, *, actor: Actor, **fields: Unpack[SenderFields]) -> ListedSender:
    """Change verdict or comment of an entry. Raises NotFound and Invalid."""
    entry = get_sender(session, number)
    checked_sender("sender", entry.sender, owner=entry.owner, verdict=fields.get("verdict", entry.verdict))
    changed = values.apply(entry, fields, RULES)
    if changed:
        note(session, actor, "sender.update", entry.owner, {"sender": entry.sender, **changed})
    return entry


def set_sender(
    session: Session, owner: str, sender: str, verdict: str, *, actor: Actor, comment: str | None = None
) -> ListedSender:
    """As ``list_sender``; one that stands there already gets the verdict, and the comment where one is given."""
    canonical = checked_sender("sender", sender, owner=owner, verdict=verdict)
    present = find_sender(session, _owned(session, owner).owner, canonical)
    if present is None:
        return list_sender(session, owner, canonical, verdict, actor=actor, comment=comment or "")
    fields: SenderFields = {"verdict": verdict} if comment is None else {"verdict": verdict, "comment": comment}
    return update_sender(session, present.id, actor=actor, **fields)


def unlist_sender(session: Session, number: int, *, actor: Actor) -> None:
    """Take an entry off its list. Raises NotFound."""
    entry = get_sender(session, number)
    session.delete(entry)
    session.flush()
    note(session, actor, "sender.delete", entry.owner, {"sender": entry.sender, "verdict": entry.verdict})


def get_sender(session: Session, number: int) -> ListedSender:
    """The entry of this number. Raises NotFound."""
    entry = session.get(ListedSender, number)
    if entry is None:
        raise NotFound("listed sender", number)
    return entry


def find_sender(session: Session, owner: str, sender: str) -> ListedSender | None:
    """The entry for *sender* (canonical) on the list of *owner* (canonical), None where there is none."""
    return session.scalars(select(ListedSender).where(on_list(owner), ListedSender.sender == sender)).first()


def on_list(owner: str) -> ColumnElement[bool]:
    """The condition that an entry is on the list of *owner* (canonical)."""
    if "@" in owner:
        return ListedSender.user_email == owner
    if owner:
        return ListedSender.domain_name == owner
    return and_(ListedSender.user_email.is_(None), ListedSender.domain_name.is_(None))


def checked_sender(field: str, value: str, *, owner: str, verdict: str) -> str:
    """One sender in canonical form. Raises Invalid.

    ``@example.org`` and ``*@example.org`` are the domain. Networks are for the server's list only: a person knows
    senders, and what a network does is decided before anybody says for whom the mail is.
    """
    text = values.required(values.text(255))(field, value.strip() if isinstance(value, str) else value)
    network = _network(field, text)
    if network is not None:
        if owner != SERVER:
            raise Invalid(field, "addresses of machines can only stand on the list of the whole server")
        return str(network)
    text = text.removeprefix("*").removeprefix("@") if text.startswith(("@", "*@")) else text
    if text.startswith(("*.", ".")):
        raise Invalid(field, f"write {text.lstrip('*.')}: a domain stands for all that is below it too")
    if "@" in text:
        return str(values.address(field, text))
    domain = values.domain_name(field, text)
    if verdict == ALLOW and "." not in domain:
        raise Invalid(field, f"{domain} is a whole top-level domain, which can be denied but not allowed")
    return domain


def _network(field: str, text: str) -> IPv4Network | IPv6Network | None:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        if "/" in text and "@" not in text:
            raise Invalid(field, f"{text!r} is not a network like 192.0.2.0/24") from None
        return None
    if network.prefixlen < _WIDEST[network.version]:
        raise Invalid(field, f"{network} is too wide: at least /{_WIDEST[network.version]} is needed")
    return network


def _owned(session: Session, owner: str) -> ListedSender:
    """A new entry of *owner*, who is there; not added yet."""
    if owner == SERVER:
        return ListedSender()
    if "@" in owner:
        return ListedSender(user_email=get_user(session, owner).email)
    return ListedSender(domain_name=get_domain(session, owner).name)


def _require_room(session: Session, owned: ListedSender) -> None:
    maximum = MOST_SENDERS["user" if owned.user_email else "domain" if owned.domain_name else "server"]
    there = session.scalar(select(func.count()).select_from(ListedSender).where(on_list(owned.owner)))
    if (there or 0) >= maximum:
        raise LimitReached(owned.owner or "the server", "senders", maximum)
