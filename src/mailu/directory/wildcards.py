"""Matching localparts against the patterns of wildcard aliases, fast also where a domain has thousands of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_ANY_RUN = "%"
_ANY_ONE = "_"


def matches(pattern: str, text: str) -> bool:
    """Whether *text* is LIKE *pattern*: ``%`` stands for any run of characters, none included, ``_`` for one.

    Runs in at most ``len(pattern) * len(text)`` steps: a pattern of many ``%`` cannot be made to take long, as it could
    with a regular expression, and a domain's manager chooses the pattern.
    """
    head, *rest = pattern.split(_ANY_RUN)
    if not rest:
        return len(head) == len(text) and _fits(head, text, 0)
    *middle, tail = rest
    if len(head) + len(tail) > len(text) or not _fits(head, text, 0) or not _fits(tail, text, len(text) - len(tail)):
        return False
    position, end = len(head), len(text) - len(tail)
    for piece in middle:
        found = _find(piece, text, position, end)
        if found is None:
            return False
        position = found + len(piece)
    return True


def _fits(piece: str, text: str, at: int) -> bool:
    if _ANY_ONE not in piece:
        return text.startswith(piece, at)
    return all(want in (_ANY_ONE, got) for want, got in zip(piece, text[at : at + len(piece)], strict=True))


def _find(piece: str, text: str, start: int, end: int) -> int | None:
    """The first place in ``text[start:end]`` where *piece* fits. Taking the first one never spoils a later piece."""
    if _ANY_ONE not in piece:
        found = text.find(piece, start, end)
        return None if found < 0 else found
    return next((at for at in range(start, end - len(piece) + 1) if _fits(piece, text, at)), None)


@dataclass(frozen=True, slots=True)
class _Ranked(Generic[T]):
    rank: int
    pattern: str
    entry: T


class WildcardIndex(Generic[T]):
    """The patterns of one domain. The longest one that matches wins; of equally long ones the first by letters.

    Patterns are kept by the plain text they begin with, and those that begin with ``%`` or ``_`` by what they end in,
    so that a look-up tries only those that have a chance.
    """

    __slots__ = ("_by_prefix", "_by_suffix", "_prefix_lengths", "_suffix_lengths")

    def __init__(self, patterns: Iterable[tuple[str, T]]) -> None:
        self._by_prefix: dict[str, list[_Ranked[T]]] = {}
        self._by_suffix: dict[str, list[_Ranked[T]]] = {}
        for rank, (pattern, entry) in enumerate(sorted(patterns, key=lambda item: (-len(item[0]), item[0]))):
            ranked = _Ranked(rank, pattern, entry)
            if prefix := _plain_start(pattern):
                self._by_prefix.setdefault(prefix, []).append(ranked)
            else:
                self._by_suffix.setdefault(_plain_start(pattern[::-1])[::-1], []).append(ranked)
        self._prefix_lengths = sorted({len(prefix) for prefix in self._by_prefix})
        self._suffix_lengths = sorted({len(suffix) for suffix in self._by_suffix})

    def find(self, localpart: str) -> T | None:
        """The entry of the longest pattern that *localpart* is like, or None."""
        best: _Ranked[T] | None = None
        for bucket in self._candidates(localpart):
            for ranked in bucket:
                if best is not None and ranked.rank > best.rank:
                    break
                if matches(ranked.pattern, localpart):
                    best = ranked
                    break
        return None if best is None else best.entry

    def _candidates(self, localpart: str) -> Iterable[list[_Ranked[T]]]:
        size = len(localpart)
        for length in self._prefix_lengths:
            if length <= size and (bucket := self._by_prefix.get(localpart[:length])):
                yield bucket
        for length in self._suffix_lengths:
            if length <= size and (bucket := self._by_suffix.get(localpart[size - length :])):
                yield bucket


def _plain_start(pattern: str) -> str:
    for index, character in enumerate(pattern):
        if character in (_ANY_RUN, _ANY_ONE):
            return pattern[:index]
    return pattern
