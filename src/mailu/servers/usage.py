"""How full mailboxes are: Dovecot's quota_clone tells us over its dict protocol after each change.

The answer is remembered at once, for the policy that refuses mail for a full mailbox, and written to the database in
batches. It is kept by the mailbox's home, which a re-created address does not share with its predecessor.

On the same socket Dovecot asks for the Sieve script made of a person's rules (``rule_scripts``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from mailu.directory import lookup
from mailu.directory.snapshot import Snapshot, UserEntry
from mailu.servers.conversations import HangUp
from mailu.servers.faults import Faults
from mailu.servers.keeper import NotReady
from mailu.servers.rule_scripts import SCRIPTS, RuleScripts
from mailu.wire import BadRequest, dovecot_dict
from mailu.wire.dovecot_dict import Commit, DictDecoder, Hello, Iterate, Lookup

log = logging.getLogger("mailu.servers.usage")

STORAGE_KEY = "priv/quota/storage"
"""Used bytes. The other key of quota_clone, ``priv/quota/messages``, is not kept."""

MAX_BYTES = 2**62


class Usage:
    """Used bytes of each mailbox: what the database said, and over it what Dovecot said since."""

    def __init__(self, changed: Callable[[str, int], None]) -> None:
        """*changed* is told the address and its used bytes; it must return at once."""
        self._used_bytes: dict[str, int] = {}
        self._changed = changed

    def used_bytes(self, entry: UserEntry) -> int:
        """Used bytes of one mailbox."""
        return self._used_bytes.get(entry.home, entry.quota_bytes_used)

    def set(self, entry: UserEntry, used_bytes: int) -> None:
        """Remember what a mailbox holds now."""
        used_bytes = min(max(used_bytes, 0), MAX_BYTES)
        if used_bytes != self.used_bytes(entry):
            self._used_bytes[entry.home] = used_bytes
            self._changed(entry.email, used_bytes)


class UsageConversation:
    """One connection of a Dovecot process."""

    def __init__(self, snapshot: Callable[[], Snapshot], usage: Usage, scripts: RuleScripts) -> None:
        self._snapshot = snapshot
        self._usage = usage
        self._scripts = scripts
        self._decoder = DictDecoder()
        self._faults = Faults(log)

    def received(self, data: bytes) -> bytes:
        """Answer each command that *data* completes. Raises HangUp."""
        replies: list[bytes] = []
        try:
            for command in self._decoder.feed(data):
                replies.append(self._answer(command))
        except BadRequest as error:
            raise HangUp(b"".join(replies), error) from None
        return b"".join(replies)

    def _answer(self, command: dovecot_dict.Command) -> bytes:
        match command:
            case Hello():
                return b""
            case Iterate():
                return dovecot_dict.END_OF_ITERATION
            case Lookup():
                return self._look_up(command)
            case Commit():
                return self._commit(command)

    def _look_up(self, question: Lookup) -> bytes:
        try:
            entry = lookup.account(self._snapshot(), question.user)
        except NotReady as error:
            return dovecot_dict.encode_failure(str(error))
        if entry is not None and question.key.startswith(SCRIPTS):
            text = self._scripts.look_up(entry, question.key)
            return dovecot_dict.NOT_FOUND if text is None else dovecot_dict.encode_value(text)
        if entry is None or question.key != STORAGE_KEY:
            return dovecot_dict.NOT_FOUND
        return dovecot_dict.encode_value(str(self._usage.used_bytes(entry)))

    def _commit(self, commit: Commit) -> bytes:
        """A commit is acknowledged even for an address that is no more: Dovecot could do nothing about it."""
        try:
            entry = lookup.account(self._snapshot(), commit.user)
        except NotReady as error:
            return dovecot_dict.encode_committed(commit, failure=str(error))
        if entry is not None:
            for change in commit.changes:
                self._apply(entry, change)
        return dovecot_dict.encode_committed(commit)

    def _apply(self, entry: UserEntry, change: dovecot_dict.Change) -> None:
        if change.key != STORAGE_KEY or change.value is None:
            return
        try:
            number = int(change.value)
        except ValueError:
            log.warning("Dovecot says that %s uses %.40r bytes, which is no number", entry.email, change.value)
            return
        self._usage.set(entry, number + self._usage.used_bytes(entry) if change.increment else number)
