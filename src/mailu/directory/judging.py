"""What the lists of senders say about a message to an address: asked for every mailbox that the address leads to.

Through other names of domains, details, aliases, patterns and forwards: whose mailbox it is, decides. What a mailbox
denies, it does not forward to others either. Pure functions of the snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mailu.address import EmailAddress, split_detail
from mailu.directory.expansion import divide, forwards, look_at, passed_on
from mailu.directory.matching import Match
from mailu.directory.sender_lists import DENY, SERVER, Listed, Sender
from mailu.directory.snapshot import AliasEntry, Snapshot, UserEntry

ALWAYS_REACHABLE = frozenset({"postmaster", "abuse"})
"""Localparts where complaints about being kept out arrive (RFC 5321 s4.5.1, RFC 2142): the lists of domains and of the
server do not count there, only that of the mailbox."""

_MOST_LEAVES = 1000
_MOST_SEEN = 5000


@dataclass(frozen=True, slots=True)
class Leaf:
    """One place where mail for an address ends: a mailbox here, or an address elsewhere (*mailbox* None)."""

    mailbox: UserEntry | None
    target: str
    listed: Listed | None

    @property
    def verdict(self) -> str | None:
        """``allow``, ``deny``, or None where no entry fits."""
        return self.listed.entry.verdict if self.listed else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the lists say about one message to one address."""

    leaves: tuple[Leaf, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether nobody behind the address takes it."""
        return bool(self.leaves) and all(leaf.verdict == DENY for leaf in self.leaves)


def judge(snapshot: Snapshot, recipient: EmailAddress, sender: Sender) -> Judgement:
    """What the lists say about mail of *sender* for *recipient*; nothing about an address that nobody has."""
    if not snapshot.sender_lists.mention(sender):
        return Judgement()
    walk = _Walk(snapshot, sender)
    walk.run(recipient)
    return Judgement(tuple(walk.leaves))


@dataclass(slots=True)
class _Walk:
    """Follows an address to its mailboxes, as ``expansion`` does."""

    snapshot: Snapshot
    sender: Sender
    leaves: list[Leaf] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _waiting: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """Destinations still to be looked at, and whose lists count should they be elsewhere."""

    def run(self, recipient: EmailAddress) -> None:
        localpart = split_detail(recipient.localpart, self.snapshot.delimiters)[0]
        general = (SERVER,) if localpart not in ALWAYS_REACHABLE else ()
        self._waiting.append((str(recipient), general))
        while self._waiting:
            if len(self.leaves) >= _MOST_LEAVES or len(self._seen) >= _MOST_SEEN:
                self.leaves.append(Leaf(None, "", None))  # the rest, of which nobody knows what they say
                return
            text, elsewhere = self._waiting.pop()
            if text not in self._seen:
                self._seen.add(text)
                self._visit(text, elsewhere, general=bool(general))

    def _visit(self, text: str, elsewhere: tuple[str, ...], *, general: bool) -> None:
        found = look_at(self.snapshot, text)
        if isinstance(found, str):
            self._end(None, found, self._listed(elsewhere))
        elif isinstance(found, Match) and isinstance(found.owner, AliasEntry):
            owners = (found.owner.domain_name, SERVER) if general else ()
            self._waiting += [(each, owners) for each in passed_on(self.snapshot, found.owner, found.detail)]
        elif isinstance(found, Match) and isinstance(found.owner, UserEntry) and found.owner.enabled:
            user = found.owner
            self._visit_mailbox(user, (user.email, *((user.domain_name, SERVER) if general else ())))

    def _visit_mailbox(self, user: UserEntry, owners: tuple[str, ...]) -> None:
        listed = self._listed(owners)
        own, others = divide(self.snapshot, user) if forwards(user) else ((), ())
        denies = listed is not None and listed.entry.verdict == DENY
        if denies or user.forward_keep or own or not others:
            self._end(user, user.email, listed)
        if not denies:
            self._waiting += [(each, owners) for each in others]

    def _listed(self, owners: tuple[str, ...]) -> Listed | None:
        return self.snapshot.sender_lists.listed(owners, self.sender)

    def _end(self, mailbox: UserEntry | None, target: str, listed: Listed | None) -> None:
        self.leaves.append(Leaf(mailbox, target, listed))
