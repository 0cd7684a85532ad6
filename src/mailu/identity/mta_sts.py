"""The MTA-STS policy of a domain, and the id that tells senders when it changed (RFC 8461)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from mailu.address import DomainName

Mode = Literal["enforce", "testing", "none"]

MAX_AGE_SECONDS = 604_800
"""A week: long enough to protect, short enough to leave (RFC 8461 s3.2 has 31,557,600 as the most)."""

_ID_LENGTH = 20


def policy(hosts: Sequence[DomainName], mode: Mode = "enforce", max_age_seconds: int = MAX_AGE_SECONDS) -> str:
    """Return the text of ``/.well-known/mta-sts.txt`` for a domain whose MX names are *hosts*."""
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in hosts), f"max_age: {max_age_seconds}"]
    return "".join(f"{line}\r\n" for line in lines)


def policy_id(policy_text: str) -> str:
    """Return the ``id`` for the DNS record: it changes exactly when the policy does, and needs no memory.

    At most 32 letters and digits (RFC 8461 s3.1).
    """
    return hashlib.sha256(policy_text.encode("ascii")).hexdigest()[:_ID_LENGTH]
