"""The values that pass between the judge and the limits: a question, and the ticket or the refusal it gets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from mailu.auth.clients import Client


class Standing(Enum):
    """What a client is to an account."""

    EXEMPT = "exempt"
    KNOWN = "known"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Question:
    """Somebody at *client_ip* wants to try a password on *account*."""

    account: str
    """Its address, or what stands for an unknown name; no control characters, at most 255 characters."""
    exists: bool
    client_ip: str
    fingerprint: str
    """Stands for the password."""
    device: str | None = None
    """Nonce of a valid device cookie for this account."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """An attempt that was let in. Say how it ended (``failed``, ``succeeded``), and ``release`` it in any case."""

    question: Question
    client: Client
    standing: Standing
    noisy: bool = False
    """The client's network is noisy: a wrong password is answered after a second, as "try later"."""
    pending: tuple[str, ...] = ()

    @property
    def hopeless(self) -> bool:
        """There is no such account, and the network has had its fill of being told so with all the effort."""
        return self.noisy and not self.question.exists


@dataclass(frozen=True, slots=True)
class Limited:
    """An attempt that is not looked at now."""

    retry_after_seconds: int
    about: Literal["account", "network"]
    noisy: bool = False
    """To be told after a second, as all that is wrong in a noisy network; the seconds say nothing there."""
