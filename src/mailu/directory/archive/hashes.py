"""Passwords in a document: ready hashes, texts that are to be hashed, and secrets that were left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mailu.directory.archive.attributes import HIDDEN
from mailu.directory.archive.tools import Hashing
from mailu.directory.changes import Invalid, values


def wanted_hash(entry: Mapping[str, Any], present: str | None, hashing: Hashing, make: Callable[[str], str]) -> str:
    """The hash that is to be stored for the ``password`` of *entry*; *present* is the one there is.

    A text that is to be hashed and fits *present* leaves it alone. Raises Invalid, also where there is no password at
    all, neither here nor there.
    """
    given, is_text = entry.get("password"), entry.get("hash_password", False)
    if not isinstance(is_text, bool):
        raise Invalid("hash_password", "true or false is needed")
    if given is None or given == HIDDEN:
        if present is None:
            raise Invalid("password", _NEEDED if given is None else LEFT_OUT)
        return present
    if not isinstance(given, str) or not given:
        raise Invalid("password", "a text is needed; put it in quotes")
    return _of_text(given, present, hashing, make) if is_text else _of_hash(given, present, hashing)


_NEEDED = "this is needed: a hash, or a password with hash_password: true"
LEFT_OUT = "the secret was left out of this export; export with --secrets, or set another one"


def _of_text(given: str, present: str | None, hashing: Hashing, make: Callable[[str], str]) -> str:
    if present is not None and hashing.verify(given.encode(errors="replace"), present):
        return present
    try:
        return make(given)
    except ValueError as error:
        raise Invalid("password", str(error)) from None


def _of_hash(given: str, present: str | None, hashing: Hashing) -> str:
    if given == present:
        return given
    bare = hashing.without_prefix(given)
    if bare != present and not hashing.is_supported(bare):
        raise Invalid("password", "this is no hash of a known kind; a plain password needs hash_password: true")
    return values.password_hash("password", bare)
