"""Telling people about a key that does not exist, with the one that they may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def unknown_attribute(name: str, known: Iterable[str]) -> str:
    """A sentence about the unknown key *name*."""
    names = sorted(known)
    close = get_close_matches(name.lstrip("-"), names, n=1)
    if close:
        return f"there is no such attribute; did you mean {close[0]}?"
    return f"there is no such attribute; expected one of {', '.join(names)}"
