"""What is wrong with a document, where, and what was expected: all of it at once, not only the first thing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from mailu.directory.changes import ChangeError, Invalid

MOST_TOLD = 50
"""Problems that are collected before reading stops; whoever mends fifty can run it again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    path: str
    """Where it stands in the document, like ``user[3].quota_bytes``; empty: the document as a whole."""
    reason: str
    """What is wrong and what was expected."""
    line: int | None = None
    """Line of the text, from 1; None where it is not known."""

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else ""
        where = f"{self.path} ({place})" if self.path and place else self.path or place
        return f"{where}: {self.reason}" if where else self.reason


class ArchiveError(ValueError):
    """A document cannot be taken. Nothing was changed."""

    def __init__(self, problems: list[Problem], *, more: bool = False) -> None:
        super().__init__("; ".join(str(problem) for problem in problems[:3]))
        self.problems = problems
        self.more = more
        """There may be further problems than those that were collected."""

    def at_lines(self, lines: dict[str, int]) -> ArchiveError:
        """The same with the lines that are known, by path."""
        return ArchiveError(
            [replace(each, line=each.line or lines.get(each.path)) for each in self.problems], more=self.more
        )


@dataclass(slots=True)
class Problems:
    """Collects what is wrong while a document is read."""

    found: list[Problem] = field(default_factory=list)

    def add(self, path: str, reason: str) -> None:
        """Note a problem. Raises ArchiveError when there are many."""
        self.found.append(Problem(path, reason))
        if len(self.found) >= MOST_TOLD:
            raise ArchiveError(self.found, more=True)

    @contextmanager
    def at(self, path: str) -> Iterator[None]:
        """Turn a rule's objection in the block into a problem at *path*."""
        try:
            yield
        except Invalid as error:
            self.add(path, error.reason)
        except ChangeError as error:
            self.add(path, str(error))

    @contextmanager
    def within(self, place: str) -> Iterator[None]:
        """As ``at``, where the objection names the attribute of the thing at *place* itself."""
        try:
            yield
        except Invalid as error:
            self.add(f"{place}.{error.field}", error.reason)

    def raise_if_any(self) -> None:
        """Raise ArchiveError when something was noted."""
        if self.found:
            raise ArchiveError(self.found)
