"""What asking DNS comes to, for those who judge answers: they need no DNS library."""

from __future__ import annotations

from dataclasses import dataclass


class DnsUnknown(Exception):
    """DNS does not answer: it is not known what is there. The text says who did not answer."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a name. Values have zone syntax, those of TXT are the joined texts."""

    values: tuple[str, ...]
    servers: tuple[str, ...] = ()
    """Addresses of the name servers that were asked; empty when only the resolver was."""
    differing: tuple[str, ...] = ()
    """Those that answered otherwise than the first."""
    secure: bool = False
    """Whether the resolver vouches for the answer by DNSSEC."""
    common: tuple[str, ...] = ()
    """The values that every server answered with."""
