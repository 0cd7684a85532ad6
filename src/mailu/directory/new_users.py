"""What new mailboxes get from the settings, whoever makes them."""

from __future__ import annotations

from typing import TypedDict

from mailu.settings import Settings


class Usual(TypedDict):
    """Fields of ``create_user`` that the settings give a default for."""

    quota_bytes: int
    spam_threshold: int


def usual_fields(settings: Settings, ceiling_bytes: int) -> Usual:
    """DEFAULT_QUOTA, or *ceiling_bytes* of the domain where that is lower (0: no ceiling); DEFAULT_SPAM_THRESHOLD."""
    return {
        "quota_bytes": usual_quota(settings.default_quota, ceiling_bytes),
        "spam_threshold": settings.default_spam_threshold,
    }


def usual_quota(usual_bytes: int, ceiling_bytes: int) -> int:
    """The usual quota within the ceiling; 0 is without limit for both."""
    if not ceiling_bytes:
        return usual_bytes
    return min(usual_bytes, ceiling_bytes) if usual_bytes else ceiling_bytes
