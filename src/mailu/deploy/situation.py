"""What configurations are made from at one moment: settings, the machine, the certificates in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailu.daemons.room import Host, RenderRequest
from mailu.places import Places
from mailu.settings import Settings

OVERRIDE_FILE_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything an agent hands to its room, apart from the operator's overrides."""

    settings: Settings
    places: Places
    host: Host
    certificates: Sequence[tuple[str, Path, Path]] = ()
    rsa_certificates: Sequence[tuple[str, Path, Path]] = ()
    web_certificates: Sequence[tuple[str, Path, Path]] = ()
    chains_with_root: Mapping[Path, Path] = field(default_factory=dict)
    certificate_problems: Sequence[tuple[str, str]] = ()

    def request(self, etc: Path, overrides_folder: str | None) -> RenderRequest:
        """The request for a configuration that will stand in *etc*. Reads the overrides from the disk.

        Raises UnreadableOverride for a file that is no UTF-8 text or too large.
        """
        overrides = read_overrides(self.places.overrides / overrides_folder) if overrides_folder else {}
        return RenderRequest(
            settings=self.settings,
            places=self.places,
            host=self.host,
            etc=etc,
            overrides=overrides,
            certificates=self.certificates,
            rsa_certificates=self.rsa_certificates,
            web_certificates=self.web_certificates,
            chains_with_root=self.chains_with_root,
            certificate_problems=self.certificate_problems,
        )


class UnreadableOverride(ValueError):
    """A file below overrides/ cannot be read as text; the message names it."""


def read_overrides(folder: Path) -> dict[str, str]:
    """Relative path to text for every file below *folder*; hidden files and editors' back-ups are passed over."""
    if not folder.is_dir():
        return {}
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.name.startswith(".") or path.name.endswith(("~", ".bak", ".swp")):
            continue
        if path.stat().st_size > OVERRIDE_FILE_LIMIT_BYTES:
            raise UnreadableOverride(f"{path} is larger than {OVERRIDE_FILE_LIMIT_BYTES} bytes")
        try:
            found[name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UnreadableOverride(f"{path} is not UTF-8 text: {error}") from error
        if "\0" in found[name]:
            # Dovecot reads no further in such a line and finds no fault; a power cut leaves files full of them.
            raise UnreadableOverride(f"{path} holds NUL bytes: it is damaged")
    return found
