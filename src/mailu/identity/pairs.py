"""A certificate and its key: two files, what is served of them, and which are ours. Nothing here reads certificates."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

SELF_SIGNED_FOLDER = "self-signed"
"""Below the certificates' folder; a pair in it is ours, and is never taken for a trusted one."""
_PLAIN = re.compile(r"[A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class Pair:
    """A chain file and the file of its private key."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Content:
    """What a server needs of a pair's files, in PEM; what else stood there is left out."""

    chain: bytes
    key: bytes = field(repr=False)


def is_self_signed_pair(chain: Path) -> bool:
    """Tell whether *chain* is the place of our own self-signed certificate. Looks at the path only."""
    return chain.parent.name == SELF_SIGNED_FOLDER


def copy_name(certs: Path, pair: Pair) -> str:
    """A folder name for a copy of *pair*: the path of its chain below *certs*, and a digest where that is unsafe."""
    parts = pair.chain.relative_to(certs).parts
    if all(_PLAIN.fullmatch(part) for part in parts):
        return "_".join(parts)
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()[:16]
