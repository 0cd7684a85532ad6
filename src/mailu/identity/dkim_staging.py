"""Changes of several DKIM keys at once, which are made or left together with a change of the database.

New keys are written beside the old ones first, and get their names in one go after the database has committed: what
can fail, fails before. A process that is killed between the two leaves the old keys in force; doing the same again
puts that right.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from mailu.address import DomainName
from mailu.identity import dkim
from mailu.identity.dkim import DkimKeyError, State

STATES: tuple[State, ...] = ("active", "pending", "retired")
_LINE = 64
_KINDS = ("PRIVATE KEY", "RSA PRIVATE KEY")


def canonical_pem(text: str) -> str:
    """Return the key of *text*, in the form in which keys are stored; *text* is PEM, or the base64 of it alone.

    Raises DkimKeyError.
    """
    if "-----BEGIN" in text:
        return dkim._pem(dkim._parse("\n".join(line.strip() for line in text.split("\n")).encode(errors="replace")))
    body = "".join(text.split())
    try:
        base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise DkimKeyError("this is neither a private key in PEM form nor the base64 of one") from None
    lines = "\n".join(body[at : at + _LINE] for at in range(0, len(body), _LINE))
    problem = DkimKeyError("this is not a private key")
    for kind in _KINDS:
        try:
            return dkim._pem(dkim._parse(f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n".encode()))
        except DkimKeyError as error:
            problem = error
    raise problem


def generated_pem(algorithm: dkim.Algorithm = "rsa") -> str:
    """Return a new key that is stored nowhere yet."""
    return dkim._generate(algorithm)


@dataclass(slots=True)
class StagedKeys:
    """A context: ``commit`` makes the changes; leaving it without makes none. Raises OSError and DkimKeyError."""

    folder: Path
    _puts: list[tuple[Path, DomainName, str, State]] = field(default_factory=list)
    _drops: list[tuple[DomainName, str | None]] = field(default_factory=list)

    def __enter__(self) -> StagedKeys:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        for temporary, *_ in self._puts:
            temporary.unlink(missing_ok=True)

    def put(self, domain: DomainName, selector: str, state: State, private_pem: str) -> None:
        """The key of *selector* is to be this one, in *state*."""
        dkim._require_label(selector)
        self._puts.append((dkim._temporary(self.folder, canonical_pem(private_pem)), domain, selector, state))

    def drop(self, domain: DomainName, selector: str | None = None) -> None:
        """The key of *selector*, or every key of *domain*, is to go."""
        self._drops.append((domain, selector))

    def commit(self) -> None:
        """Make the changes."""
        for domain, selector in self._drops:
            for path in _paths(self.folder, domain, selector):
                path.unlink(missing_ok=True)
        for temporary, domain, selector, state in self._puts:
            # Written by an earlier Mailu under the Unicode name: keep that one's name, so that there are not two.
            target = dkim._files(self.folder, domain, state).get(selector)
            target = target or dkim._path(self.folder, domain, selector, state)
            temporary.replace(target)
            for path in _paths(self.folder, domain, selector):
                if path != target:
                    path.unlink(missing_ok=True)


def _paths(folder: Path, domain: DomainName, selector: str | None) -> Iterator[Path]:
    for state in STATES:
        for found, path in dkim._files(folder, domain, state).items():
            if selector in (None, found):
                yield path
