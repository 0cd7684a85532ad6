"""What reading a document needs of other parts of the program, handed in by who puts them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mailu.directory.archive.attributes import KeyRecord


@dataclass(frozen=True, slots=True)
class Hashing:
    """What is to be known of passwords and their hashes (``mailu.auth``)."""

    hash_password: Callable[[str], str]
    hash_token: Callable[[str], str]
    verify: Callable[[bytes, str], bool]
    is_supported: Callable[[str], bool]
    without_prefix: Callable[[str], str]


class SigningKeys(Protocol):
    """The DKIM keys, which are files (``mailu.identity.dkim``). Each method raises ValueError with a sentence."""

    @property
    def main_selector(self) -> str:
        """The selector that ``dkim_key`` means."""

    def of(self, domain: str) -> Sequence[KeyRecord]:
        """All keys of *domain*."""

    def parse(self, text: str) -> str:
        """The canonical PEM text of a private key in PEM, or in base64 without the lines around it."""

    def generate(self) -> str:
        """A new key, in PEM."""


@dataclass(frozen=True, slots=True)
class Tools:
    """All of it."""

    hashing: Hashing
    keys: SigningKeys
    dns: Callable[[str], Mapping[str, Any]]
    """The export-only attributes of a domain that tell its DNS records."""
