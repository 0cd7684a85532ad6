"""Where mail is stored: asked by Dovecot's LMTP with each delivery, by its indexer and by doveadm.

They ask here and not Dovecot's own auth process, which would hand each question to a worker, and the worker to us over
HTTP: a connection that is there already, one line, one answer from memory. When there is no clear answer it is "try
later": never "no such user", which bounces mail.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from email.header import Header

from mailu.address import address_or_none
from mailu.directory import lookup
from mailu.directory.sender_lists import ALLOW, DENY
from mailu.directory.snapshot import Snapshot, UserEntry
from mailu.places import Places
from mailu.servers.conversations import HangUp
from mailu.servers.keeper import NotReady
from mailu.servers.rule_scripts import script_location
from mailu.servers.senders import mark
from mailu.wire import BadRequest, dovecot_master
from mailu.wire.dovecot_master import Command, MasterDecoder, OtherQuestion, UserList, UserLookup, Version

POINTS = 15
"""X-Spam-Level has a star for each point; 15 points are all. What is filed has more than the tolerance, in percent."""
REPLY_BYTES = 5_000
"""A reply may have dovecot_master.MAX_REPLY_BYTES; everything but the text of the automatic reply needs less than the
rest. Nobody can store a longer text (directory/changes/values.py); if there should be one, mail comes all the same."""

MESSAGES_AT_ONCE = 4

_TAKEN_OUT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Mailboxes:
    """What answers are made of."""

    snapshot: Callable[[], Snapshot]
    used_bytes: Callable[[UserEntry], int]
    places: Places
    secret: str
    delimiters: str
    message_bytes: int
    """What the longest message has."""

    def fields(self, entry: UserEntry, question: UserLookup) -> dict[str, str]:
        """Userdb fields of one mailbox, as the asking Dovecot calls them."""
        found = {"home": f"{self.places.mail}/{entry.home}"}
        delivers = question.protocol == "lmtp"
        limit_bytes = 0 if delivers and self._has_room(entry) else entry.quota_bytes
        if question.dialect == "2.3":
            found["quota_rule"] = f"*:bytes={limit_bytes}"
        else:
            found["quota_storage_size"] = f"{limit_bytes}B" if limit_bytes > 0 else "unlimited"
            found["recipient_delimiter"] = self.delimiters
        if delivers:
            found |= self._for_scripts(entry, question)
        return found

    def _has_room(self, entry: UserEntry) -> bool:
        """Whether whatever comes fits, even several at once: then Dovecot need not count the mailbox beforehand."""
        return self.used_bytes(entry) + MESSAGES_AT_ONCE * self.message_bytes < entry.quota_bytes

    def _for_scripts(self, entry: UserEntry, question: UserLookup) -> dict[str, str]:
        marks = {f"{verdict}_mark": mark(self.secret, verdict, entry) for verdict in (ALLOW, DENY)}
        # An empty field would arrive as "yes"; one that is not there is empty in Sieve.
        environment = {name: text for name, text in (marks | sieve_environment(entry, _today())).items() if text}
        if question.dialect == "2.4":
            return {f"sieve_environment/{name}": text for name, text in environment.items()}
        # Dovecot 2.3 expands % in what becomes a plugin setting. Who has rules has a script made of them, between the
        # system's and their own; 2.4 always asks for one.
        settings = {f"sieve_env_{name}": text for name, text in environment.items()}
        if entry.mail_rules is not None:
            settings["sieve_before2"] = script_location(self.places.quota_dict)
        return {name: text.replace("%", "%%") for name, text in settings.items()}


class MailboxConversation:
    """One connection of a Dovecot process."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes
        self._decoder = MasterDecoder()

    def received(self, data: bytes) -> bytes:
        """Answer each command that *data* completes. Raises HangUp."""
        replies: list[bytes] = []
        try:
            for command in self._decoder.feed(data):
                replies.append(self._answer(command))
        except BadRequest as error:
            raise HangUp(b"".join(replies), error) from None
        return b"".join(replies)

    def _answer(self, command: Command) -> bytes:
        match command:
            case Version():
                return dovecot_master.handshake(os.getpid())
            case OtherQuestion():
                return dovecot_master.encode_failure(command.id, "this is not asked here")
        try:
            snapshot = self._mailboxes.snapshot()
        except NotReady as error:
            return dovecot_master.encode_failure(command.id, str(error))
        if isinstance(command, UserList):
            return dovecot_master.encode_list(command.id, sorted(snapshot.users))
        return self._look_up(snapshot, command)

    def _look_up(self, snapshot: Snapshot, question: UserLookup) -> bytes:
        """Disabled ones too: mail that was accepted must reach them, and doveadm must work on them."""
        address = address_or_none(question.user)
        entry = None if address is None else lookup.mailbox(snapshot, address)
        if entry is None:
            return dovecot_master.encode_not_found(question.id)
        return dovecot_master.encode_user(question.id, entry.email, self._mailboxes.fields(entry, question))


def sieve_environment(entry: UserEntry, today: date) -> dict[str, str]:
    """What the system's Sieve script reads (daemons/dovecot, system.sieve): spam and the automatic reply."""
    found: dict[str, str] = {}
    stars = max(entry.spam_threshold, 0) * POINTS // 100 + 1
    if entry.spam_enabled and stars <= POINTS:
        found["spam_level"] = r"\*" * stars + "*"
        found["spam_mark_as_read"] = "yes" if entry.spam_mark_as_read else "no"
    if entry.reply_enabled and entry.reply_startdate <= today <= entry.reply_enddate:
        found["reply"] = "yes"
        found["reply_from"] = mailbox_with_name(entry.displayed_name, entry.email)
        found["reply_subject"] = _one_line(entry.reply_subject or "")
        found["reply_body"] = shortened(entry.reply_body or "")
    return found


def mailbox_with_name(name: str, address: str) -> str:
    """``"Name" <address>``: whatever was typed is a name. In ASCII it is quoted (RFC 5322 s3.2.4), else it becomes
    encoded words (RFC 2047 s2).
    """
    name = _one_line(name)
    if not name:
        return address
    if name.isascii():
        quoted = re.sub(r'[\\"]', r"\\\g<0>", name)
        return f'"{quoted}" <{address}>'
    return f"{Header(name, 'utf-8', maxlinelen=75).encode(linesep='')} <{address}>"


def shortened(text: str) -> str:
    """The beginning of *text* that takes no more than REPLY_BYTES on its way."""
    text = _TAKEN_OUT.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    size = 0
    for place, character in enumerate(text):
        size += 2 if character in "\n\t%" else len(character.encode())
        if size > REPLY_BYTES:
            return text[:place] + "…"
    return text


def _one_line(text: str) -> str:
    return _CONTROLS.sub(" ", text).strip(" ")


def _today() -> date:
    """In the time zone of the server, which the agent gives to its services as TZ."""
    return datetime.now().astimezone().date()
