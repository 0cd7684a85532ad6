"""Following aliases and forwards to where mail ends.

A mailbox ends it, and so does an address elsewhere. A forward without a copy that leads nowhere, because it comes back
or its target is gone or disabled, leaves the mail in the mailbox that forwards: what was accepted is never lost. That
is decided for each mailbox by itself, so that Postfix, which asks again for every address of an answer, is told the
same wherever it begins, and never a loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mailu.address import AddressError, EmailAddress, parse_address, parse_domain
from mailu.directory.matching import Match, canonical_domain, match, with_detail
from mailu.directory.snapshot import AliasEntry, Snapshot, UserEntry

MAX_TARGETS = 1000
"""An address that leads to more is refused: better at once than after Postfix has deferred it for days."""

MAX_EXPANSION = 10_000
"""What Postfix's ``virtual_alias_expansion_limit`` has to be, or more. It asks again for each target; one that keeps a
copy names all its own targets again, and before it drops what it has already, Postfix counts them."""

MAX_FOLLOWED = 20_000
"""Destinations looked at for one address before it is refused: a tenth of a second, while nobody else is answered."""

MAX_STEPS = 200
"""Sentences kept for people."""

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Expansion:
    """The final addresses, each once; whether something disabled was met on the way; and the way in sentences."""

    targets: tuple[str, ...]
    met_disabled: bool
    steps: tuple[str, ...]


def expand(snapshot: Snapshot, address: EmailAddress) -> Expansion:
    """Follow *address*, which is of a local domain, to where its mail ends."""
    walk = _Walk(snapshot)
    try:
        walk.run(str(address))
        _require_few_answers(snapshot, tuple(walk.targets))
    except _TooMuch:
        return _too_much(walk, match(snapshot, address))
    return Expansion(tuple(walk.targets), walk.met_disabled, tuple(walk.steps))


def _too_much(walk: _Walk, found: Match | None) -> Expansion:
    """A mailbox keeps its mail, and its forward is not followed; anything else is refused."""
    why = f"It leads to more than {MAX_TARGETS} addresses or takes too many steps"
    if found is not None and isinstance(found.owner, UserEntry):
        walk.say(f"{why}: the forward is not followed, and the mail stays in the mailbox.", always=True)
        return Expansion((str(found.address),), False, tuple(walk.steps))
    walk.say(f"{why}, and is refused.", always=True)
    return Expansion((), False, tuple(walk.steps))


def _require_few_answers(snapshot: Snapshot, targets: tuple[str, ...]) -> None:
    """Raise _TooMuch if Postfix, asking again for each of *targets*, would gather more than MAX_EXPANSION."""
    keepers = [target for target in targets if _asks_for_more(snapshot, target)]
    if len(targets) * (1 + len(keepers)) <= MAX_EXPANSION:
        return
    gathered = followed = len(targets)
    for keeper in keepers:
        walk = _Walk(snapshot)
        walk.run(keeper)
        gathered += len(walk.targets) - 1
        followed += walk.followed
        if gathered > MAX_EXPANSION or followed > MAX_FOLLOWED:
            raise _TooMuch


def _asks_for_more(snapshot: Snapshot, target: str) -> bool:
    found = look_at(snapshot, target)
    return isinstance(found, Match) and isinstance(found.owner, UserEntry) and forwards(found.owner)


class _TooMuch(Exception):
    """The limits above were reached."""


@dataclass(frozen=True, slots=True)
class _Node:
    """One destination on the way, and the one that led to it."""

    text: str
    parent: _Node | None = None

    def is_below(self, text: str) -> bool:
        node = self.parent
        while node is not None and node.text != text:
            node = node.parent
        return node is not None


@dataclass(slots=True)
class _Walk:
    snapshot: Snapshot
    targets: dict[str, None] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    met_disabled: bool = False
    _seen: set[str] = field(default_factory=set)
    followed: int = 0

    def say(self, sentence: str, *, always: bool = False) -> None:
        if always or len(self.steps) < MAX_STEPS:
            self.steps.append(sentence)

    def run(self, text: str) -> None:
        """Visit *text* and all that it leads to, in the order they are listed. No recursion: chains may be long."""
        waiting = [_Node(text)]
        while waiting:
            node = waiting.pop()
            if node.text in self._seen:
                if len(self.steps) < MAX_STEPS and node.is_below(node.text):
                    self.say(f"{node.text} is where this began: a loop, not followed again.")
                continue
            self._seen.add(node.text)
            waiting += [_Node(next_text, node) for next_text in reversed(self._visit(node.text))]

    def _count(self, destinations: int) -> None:
        self.followed += 1 + destinations
        if self.followed > MAX_FOLLOWED or len(self.targets) > MAX_TARGETS:
            raise _TooMuch

    def _deliver(self, text: str) -> None:
        self.targets[text] = None
        if len(self.targets) > MAX_TARGETS:
            raise _TooMuch

    def _visit(self, text: str) -> tuple[str, ...]:
        """Note what *text* is, and return the destinations that it leads to."""
        found = look_at(self.snapshot, text)
        self._count(_width(found))
        domain = text.rpartition("@")[2].lower()
        if isinstance(found, Match) and found.address.domain != domain:
            self.say(f"{domain} is another name of {found.address.domain}.")
        if found is None:
            self.say(f"{text} cannot be mailed to and is left out.")
        elif isinstance(found, str):
            self._deliver(found)
            self.say(f"{found} is elsewhere.")
        elif isinstance(found.owner, UserEntry):
            return self._visit_user(found.owner, found)
        elif isinstance(found.owner, AliasEntry):
            return self._visit_alias(found.owner, found)
        else:
            self._visit_nobody(found)
        return ()

    def _visit_user(self, user: UserEntry, found: Match) -> tuple[str, ...]:
        here = str(found.address)
        named = user.email if here == user.email else f"{here} is {user.email} with a detail, which"
        if not user.enabled:
            self.met_disabled = True
            self.say(f"{named} is a disabled mailbox.")
            return ()
        if not forwards(user):
            self._deliver(here)
            self.say(f"{named} is a mailbox.")
            return ()
        own, others = divide(self.snapshot, user)
        for kept in ((here,) if user.forward_keep else ()) + own:
            self._deliver(kept)
        if user.forward_keep or own:
            self.say(f"{named} is a mailbox that keeps a copy and forwards to {_listed(others)}.")
            return others
        nowhere = self._why_nowhere(user, others)
        if nowhere:
            self._deliver(here)
            self.say(f"{named} is a mailbox whose forward to {_listed(others)} {nowhere}: the mail stays in it.")
            return ()
        self.say(f"{named} is a mailbox that forwards to {_listed(others)} and keeps no copy.")
        return others

    def _visit_alias(self, alias: AliasEntry, found: Match) -> tuple[str, ...]:
        self._mention_disabled(found)
        kind = f"fits the pattern {alias.email}, an alias" if alias.wildcard else "is an alias"
        self.say(f"{found.address} {kind} for {_listed(alias.destination)}.")
        if not found.detail:
            return alias.destination
        self.say(f"The detail {found.detail} is passed on.")
        return passed_on(self.snapshot, alias, found.detail)

    def _visit_nobody(self, found: Match) -> None:
        self._mention_disabled(found)
        if found.disabled_alias is None:
            self.say(f"{found.address} does not exist.")
        else:
            self.met_disabled = True

    def _mention_disabled(self, found: Match) -> None:
        if found.disabled_alias is not None:
            self.say(f"The alias {found.disabled_alias.email} or its owner is disabled.")

    def _why_nowhere(self, user: UserEntry, destinations: Iterable[str]) -> str:
        """Empty if any of *destinations* ends elsewhere or in a mailbox that takes it by its own will; else why not."""
        why = "leads nowhere"
        seen: set[str] = set()
        waiting = list(destinations)
        while waiting:
            text = waiting.pop()
            if text in seen:
                continue
            seen.add(text)
            found = look_at(self.snapshot, text)
            self._count(_width(found))
            if isinstance(found, str):
                return ""
            if found is None or found.owner is None:
                continue
            if isinstance(found.owner, AliasEntry):
                waiting += passed_on(self.snapshot, found.owner, found.detail)
            elif found.owner is user:
                why = "comes back to it, a loop"
            elif found.owner.enabled:
                own, others = divide(self.snapshot, found.owner)
                if own or found.owner.forward_keep or not forwards(found.owner):
                    return ""
                waiting += others
        return why


def passed_on(snapshot: Snapshot, alias: AliasEntry, detail: str) -> tuple[str, ...]:
    """The destinations of *alias* with *detail* put into them."""
    return tuple(with_detail(snapshot, destination, detail) for destination in alias.destination)


def forwards(user: UserEntry) -> bool:
    """Whether mail for *user* goes anywhere else."""
    return user.forward_enabled and bool(user.forward_destination)


def divide(snapshot: Snapshot, user: UserEntry) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The destinations of a forward that are the mailbox itself, however it is written, and the others.

    Listing oneself means keeping a copy; it is no loop.
    """
    own: dict[str, None] = {}
    others: list[str] = []
    for destination in user.forward_destination:
        found = look_at(snapshot, destination)
        if isinstance(found, Match) and found.owner is user:
            own[str(found.address)] = None
        else:
            others.append(destination)
    return tuple(own), tuple(others)


def look_at(snapshot: Snapshot, text: str) -> Match | str | None:
    """What *text* is: a match in a local domain, an address elsewhere as it is to be written, or None for neither."""
    try:
        address = parse_address(text)
    except AddressError:
        return _foreign(snapshot, text)
    return match(snapshot, address) or str(address)


def _width(found: Match | str | None) -> int:
    """How many destinations stand behind what was looked at."""
    match found:
        case Match(owner=AliasEntry() as alias):
            return len(alias.destination)
        case Match(owner=UserEntry() as user) if forwards(user):
            return len(user.forward_destination)
        case _:
            return 0


def _foreign(snapshot: Snapshot, text: str) -> str | None:
    """An address elsewhere may be stranger than ours; it has only to survive in a list with commas and blanks."""
    localpart, _, domain = text.rpartition("@")
    if not localpart or "@" in localpart or not text.isprintable() or any(sign in text for sign in ', \t"\\<>'):
        return None
    try:
        return None if canonical_domain(snapshot, parse_domain(domain)) else text
    except AddressError:
        return None


def _listed(destinations: tuple[str, ...]) -> str:
    more = len(destinations) - _NAMED
    if not destinations:
        return "nobody else"
    return ", ".join(destinations[:_NAMED]) + (f" and {more} more" if more > 0 else "")
