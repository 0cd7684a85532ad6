"""Dovecot's dict protocol, server side, as the ``proxy`` client speaks it: how quota_clone tells us used bytes.

A client says ``H<major> <minor> <type> <user> <dict>`` and then sends commands, one a line, one letter each. Up to
version 2 the user stands in the greeting and holds for the connection; from 3 on (Dovecot 2.3.17 and later, 2.4) it
follows the look-up and the beginning of each transaction. Only look-ups, iterations and commits are answered, in
order; the asynchronous replies of the newer minor versions are optional for a server.

Source: Dovecot, lib-dict/dict-client.h; observed with Dovecot 2.3.19.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mailu.wire import BadRequest
from mailu.wire.lines import LineDecoder, escape, split_fields

MAX_LINE_BYTES = 65_536
MAX_TRANSACTIONS = 64
"""Open transactions on one connection; quota_clone has one."""
MAX_CHANGES = 256
"""Changes in one transaction; quota_clone makes two."""
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Hello:
    """A client's greeting."""

    major: int
    minor: int
    user: str
    dict_name: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """The value of a key is wanted. *user* is empty where none was given."""

    user: str
    key: str


@dataclass(frozen=True, slots=True)
class Iterate:
    """All keys below a path are wanted."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a transaction: ``value`` is set, or added to when *increment*; None removes the key."""

    key: str
    value: str | None
    increment: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction ends and takes effect, in the order of its changes."""

    id: int
    user: str
    changes: tuple[Change, ...]
    asynchronous: bool


Command = Hello | Lookup | Iterate | Commit


@dataclass(slots=True)
class _Transaction:
    user: str
    changes: list[Change]


class DictDecoder:
    """Takes one client's stream apart and gathers transactions until they are committed.

    Holds at most MAX_TRANSACTIONS transactions of MAX_CHANGES changes and one incomplete line of MAX_LINE_BYTES.
    """

    def __init__(self) -> None:
        self._lines = LineDecoder(MAX_LINE_BYTES)
        self._hello: Hello | None = None
        self._open: dict[int, _Transaction] = {}

    def feed(self, data: bytes) -> Iterator[Command]:
        """Yield each command that *data* completes and that the server must know of or answer.

        Raises BadRequest, after the good commands before it, for anything that Dovecot's own server would close
        the connection for: no greeting, an unknown command, a broken one, a transaction that was not begun.
        """
        for line in self._lines.feed(data):
            command = self._command(line)
            if command is not None:
                yield command

    def _command(self, line: bytes) -> Command | None:
        letter, fields = line[:1], split_fields(line[1:])
        if self._hello is None:
            self._hello = _hello(letter, fields)
            return self._hello
        match letter:
            case b"L":
                return Lookup(user=self._user(fields, 1), key=_text(fields[0]))
            case b"I":
                return Iterate()
            case b"B":
                self._begin(fields)
            case b"C" | b"D":
                return self._commit(fields, asynchronous=letter == b"D")
            case b"R":
                self._take(fields)
            case b"S" | b"U" | b"A":
                self._change(letter, fields)
            case b"T" | b"V":
                # The time of a change, and whether to keep values out of the log: nothing we act on.
                self._transaction(fields)
            case _:
                raise BadRequest("an unknown dict command")
        return None

    def _user(self, fields: list[bytes], index: int) -> str:
        assert self._hello is not None
        if self._hello.major < 3:
            return self._hello.user
        return _text(fields[index]) if index < len(fields) else ""

    def _begin(self, fields: list[bytes]) -> None:
        number = _number(fields[0])
        if number in self._open or len(self._open) >= MAX_TRANSACTIONS:
            raise BadRequest("a dict transaction begins twice, or too many are open")
        self._open[number] = _Transaction(self._user(fields, 1), [])

    def _transaction(self, fields: list[bytes]) -> _Transaction:
        transaction = self._open.get(_number(fields[0]))
        if transaction is None:
            raise BadRequest("a dict transaction was not begun")
        return transaction

    def _take(self, fields: list[bytes]) -> _Transaction:
        transaction = self._transaction(fields)
        del self._open[_number(fields[0])]
        return transaction

    def _commit(self, fields: list[bytes], *, asynchronous: bool) -> Commit:
        transaction = self._take(fields)
        return Commit(_number(fields[0]), transaction.user, tuple(transaction.changes), asynchronous)

    def _change(self, letter: bytes, fields: list[bytes]) -> None:
        transaction = self._transaction(fields)
        if len(fields) != (2 if letter == b"U" else 3):
            raise BadRequest("a dict change has the wrong number of fields")
        if len(transaction.changes) >= MAX_CHANGES:
            raise BadRequest(f"a dict transaction has more than {MAX_CHANGES} changes")
        value = None if letter == b"U" else _text(fields[2])
        transaction.changes.append(Change(_text(fields[1]), value, increment=letter == b"A"))


def encode_value(value: str) -> bytes:
    """The reply to a look-up that found something."""
    return b"O" + escape(value.encode()) + b"\n"


NOT_FOUND = b"N\n"
"""The reply to a look-up that found nothing."""

END_OF_ITERATION = b"\n"
"""The reply to an iteration after its last row; alone, it is an empty result."""


def encode_failure(reason: str) -> bytes:
    """The reply to a look-up that could not be made."""
    return b"F" + escape(reason.encode()) + b"\n"


def encode_committed(commit: Commit, *, failure: str | None = None) -> bytes:
    """The reply to a commit: done, or failed with a reason that Dovecot logs."""
    prefix = b"A" if commit.asynchronous else b""
    if failure is None:
        return prefix + b"O%d\n" % commit.id
    return prefix + b"F%d\t%b\n" % (commit.id, escape(failure.encode()))


def _hello(letter: bytes, fields: list[bytes]) -> Hello:
    if letter != b"H" or len(fields) < 5:
        raise BadRequest("a dict client does not begin with a greeting")
    hello = Hello(_number(fields[0]), _number(fields[1]), _text(fields[3]), _text(fields[4]))
    if hello.major < 2:
        raise BadRequest(f"version {hello.major} of the dict protocol is not spoken")
    return hello


def _number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise BadRequest("a number is missing where the dict protocol has one")
    return int(digits)


def _text(field: bytes) -> str:
    return field.decode("utf-8", "backslashreplace")
