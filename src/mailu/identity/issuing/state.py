"""What is known of the certificate of each name; kept in a file that any process may read."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

Phase = Literal["new", "ok", "failed"]

FILE = "state.json"


@dataclass(frozen=True, slots=True)
class NameState:
    """One name. Moments are in UTC."""

    name: str
    phase: Phase = "new"
    """*ok*: the last attempt gave a certificate; *failed*: it did not; an older certificate may still be good."""
    reason: str = ""
    """Why not, for the operator."""
    advice: str = ""
    """What to do about it."""
    failure: str = ""
    """The kind of the last failure, one of ``plan.Failure``."""
    failures: int = 0
    """Attempts without success since the last success."""
    tried_at: datetime | None = None
    next_try_at: datetime | None = None
    """None: when the certificate is due."""
    expires_at: datetime | None = None
    pins: tuple[str, ...] = ()
    """Data of the TLSA records that fit the certificate in force; the files themselves are for root only."""
    notes: tuple[str, ...] = ()
    """What is good to know though nothing is wrong."""


@dataclass(frozen=True, slots=True)
class IssuingState:
    """All names that are wanted, or were."""

    names: dict[str, NameState] = field(default_factory=dict)

    def of(self, name: str) -> NameState:
        """What is known of *name*; a fresh state when nothing is."""
        return self.names.get(name) or NameState(name)

    def having(self, state: NameState) -> IssuingState:
        """The same with *state* in it."""
        return replace(self, names={**self.names, state.name: state})

    def only(self, wanted: Iterable[str]) -> IssuingState:
        """The same without names that nobody wants any more."""
        kept = set(wanted)
        return replace(self, names={name: state for name, state in self.names.items() if name in kept})


def issuing_folder(certs: Path) -> Path:
    """Where certbot keeps its things below the certificates' folder, and we the state."""
    return certs / "letsencrypt"


def state_file(certs: Path) -> Path:
    """The state's file. Beside what is served, so that a copied root brings along when the authority was asked."""
    return issuing_folder(certs) / "mailu" / FILE


def request_folder(certs: Path) -> Path:
    """Where others ask for something: one file a name, its content is ``renew`` or ``replace``."""
    return issuing_folder(certs) / "mailu" / "requests"


def chain_with_root(certs: Path, lineage: str) -> Path:
    """The chain of a certificate with its root: TLSA records that pin a root need it sent (RFC 7671 s5.2.2)."""
    return issuing_folder(certs) / "mailu" / "with-root" / f"{lineage}.pem"


def load_state(file: Path) -> IssuingState:
    """Read the state. A file that is not there or damaged means that nothing is known."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return IssuingState({item["name"]: _state_of(item) for item in document["names"]})
    except (OSError, ValueError, KeyError, TypeError):
        return IssuingState()


def save_state(file: Path, state: IssuingState) -> None:
    """Write the state; whoever reads meanwhile sees the old one or the new one."""
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    document = {"names": [to_json(one) for one in state.names.values()]}
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(document, stream, indent=1, ensure_ascii=False)
        os.fchmod(stream.fileno(), 0o644)
    Path(name).replace(file)


def to_json(state: NameState) -> dict[str, Any]:
    """One name's state with moments as text (RFC 3339)."""
    return {
        key: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
        for key, value in asdict(state).items()
    }


def _state_of(item: dict[str, Any]) -> NameState:
    moments = {
        key: datetime.fromisoformat(item[key]) if item.get(key) else None
        for key in ("tried_at", "next_try_at", "expires_at")
    }
    return NameState(
        name=str(item["name"]),
        phase=item["phase"],
        reason=str(item["reason"]),
        advice=str(item["advice"]),
        failure=str(item.get("failure", "")),
        failures=int(item["failures"]),
        pins=tuple(item.get("pins", ())),
        notes=tuple(item.get("notes", ())),
        **moments,
    )
