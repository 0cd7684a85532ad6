"""How a service is, as `mailu status` shows it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

State = Literal["waiting", "preparing", "starting", "ready", "degraded", "failed", "stopping", "stopped"]
Outcome = Literal["unchanged", "reloaded", "restarted", "started", "stopped", "rejected"]


@dataclass(slots=True)
class Status:
    """One service. *ready* means that it answers, whatever else is wrong.

    *degraded*: it serves, but not as configured now (*problems* says why). *failed*: it does not run, and
    is tried again.
    *since* is the time of the last change of *state*.
    """

    name: str
    state: State = "waiting"
    ready: bool = False
    pid: int | None = None
    since: str = ""
    restarts: int = 0
    reason: str = ""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The shape of one item of ``services`` in ``mailu status --json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Change:
    """What applying the settings did to one service."""

    service: str
    outcome: Outcome
    reasons: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The shape of one item of the answer to ``apply``."""
        return {"service": self.service, "outcome": self.outcome, "reasons": list(self.reasons)}
