"""DKIM keys in a document: ``dkim_key`` is the one that signs under the main selector, ``dkim_keys`` are the others.

Keys that a document does not speak of stay, also in a replacing import: their records stand in DNS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mailu.directory.archive.attributes import GENERATE, HIDDEN, KeyRecord
from mailu.directory.archive.errors import ArchiveError, Problems
from mailu.directory.archive.tools import SigningKeys
from mailu.directory.changes import Invalid

_STATES = ("active", "pending", "retired")


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key that is to be stored, or (*key* None) removed."""

    domain: str
    selector: str
    key: KeyRecord | None


@dataclass(slots=True)
class KeyReader:
    """Collects what is to be done about keys."""

    keys: SigningKeys
    problems: Problems
    changes: list[KeyChange] = field(default_factory=list)

    def read(self, domain: str, entry: Mapping[str, Any], place: str) -> None:
        """Read what the *entry* of a domain says of its keys."""
        if entry.get("dkim_key", HIDDEN) == HIDDEN and not entry.get("dkim_keys"):
            return
        with self._at(place):
            present = {key.selector: key for key in self.keys.of(domain)}
        if "dkim_key" in entry:
            with self._at(f"{place}.dkim_key"):
                self._main(domain, entry["dkim_key"], present)
        others = entry.get("dkim_keys") or ()
        if not isinstance(others, list | tuple):
            self.problems.add(f"{place}.dkim_keys", "a list is needed")
            return
        for number, other in enumerate(others):
            with self._at(f"{place}.dkim_keys[{number}]"):
                self._other(domain, other, present)

    def _main(self, domain: str, given: Any, present: Mapping[str, KeyRecord]) -> None:
        selector = self.keys.main_selector
        if given == HIDDEN:
            return
        if given is None or given == "":
            if selector in present:
                self.changes.append(KeyChange(domain, selector, None))
            return
        pem = self.keys.generate() if given == GENERATE else self.keys.parse(_text_of(given))
        self._store(domain, KeyRecord(selector, "active", pem), present)

    def _other(self, domain: str, given: Any, present: Mapping[str, KeyRecord]) -> None:
        if not isinstance(given, Mapping) or not {"selector", "private_key"} <= given.keys():
            raise Invalid("dkim_keys", "a mapping with selector, state and private_key is needed")
        state = given.get("state", "active")
        if state not in _STATES:
            raise Invalid("state", f"one of {', '.join(_STATES)} is needed")
        selector, pem = str(given["selector"]), given["private_key"]
        if pem == HIDDEN:
            if selector in present and state != present[selector].state:
                self._store(domain, present[selector]._replace(state=state), present)
            return
        self._store(domain, KeyRecord(selector, state, self.keys.parse(_text_of(pem))), present)

    def _store(self, domain: str, key: KeyRecord, present: Mapping[str, KeyRecord]) -> None:
        if present.get(key.selector) != key:
            self.changes.append(KeyChange(domain, key.selector, key))

    def _at(self, place: str) -> Any:
        return _TakesValueErrors(self.problems, place)


@dataclass(frozen=True, slots=True)
class _TakesValueErrors:
    """As ``Problems.at``, also for what the keys' own functions say is wrong."""

    problems: Problems
    place: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, ValueError) or isinstance(error, ArchiveError):
            return False
        self.problems.add(self.place, error.reason if isinstance(error, Invalid) else str(error))
        return True


def _text_of(given: Any) -> str:
    """A text, or its lines."""
    if isinstance(given, list) and all(isinstance(line, str) for line in given):
        return "\n".join(given)
    if not isinstance(given, str):
        raise Invalid("dkim_key", "a private key in PEM form is needed, as a text or a list of lines")
    return given
