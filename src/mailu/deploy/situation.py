"""What configurations are made from at one moment: settings, the machine, the certificates in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailu.daemons.room import ConfigFile, Host, RenderRequest
from mailu.identity.pairs import SELF_SIGNED_FOLDER, Content, Pair, copy_name, is_self_signed_pair
from mailu.places import Places
from mailu.settings import Settings

COPIES_FOLDER = "tls"
"""Below a generated configuration: the certificates and keys that it names."""
OVERRIDE_FILE_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything an agent hands to its room, apart from the operator's overrides.

    Certificates are named by where the operator or certbot keeps them. The rooms get copies of what was read there and
    found good, which are part of each generated configuration: no daemon reads what others may change.
    """

    settings: Settings
    places: Places
    host: Host
    certificates: Sequence[tuple[str, Path, Path]] = ()
    rsa_certificates: Sequence[tuple[str, Path, Path]] = ()
    web_certificates: Sequence[tuple[str, Path, Path]] = ()
    contents: Mapping[Pair, Content] = field(default_factory=dict)
    """What is served of each of these pairs."""
    chains_with_root: Mapping[Pair, bytes] = field(default_factory=dict)
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
            certificates=self._copies(self.certificates, etc),
            rsa_certificates=self._copies(self.rsa_certificates, etc),
            web_certificates=self._copies(self.web_certificates, etc),
            chains_with_root={
                etc / self._copy(pair, "cert.pem"): etc / self._copy(pair, "with-root.pem")
                for pair in self.chains_with_root
            },
            certificate_problems=self.certificate_problems,
        )

    def pair_files(self) -> dict[str, ConfigFile]:
        """The copies of all pairs, by their paths below a generated configuration."""
        files = {}
        for pair, content in self.contents.items():
            files[self._copy(pair, "cert.pem")] = ConfigFile(content.chain.decode("ascii"))
            files[self._copy(pair, "key.pem")] = ConfigFile(content.key.decode("ascii"), mode=0o600)
        for pair, chain in self.chains_with_root.items():
            files[self._copy(pair, "with-root.pem")] = ConfigFile(chain.decode("ascii"))
        return files

    def _copies(self, served: Sequence[tuple[str, Path, Path]], etc: Path) -> list[tuple[str, Path, Path]]:
        pairs = [(name, Pair(chain, key)) for name, chain, key in served]
        return [(name, etc / self._copy(pair, "cert.pem"), etc / self._copy(pair, "key.pem")) for name, pair in pairs]

    def _copy(self, pair: Pair, file: str) -> str:
        ours = is_self_signed_pair(pair.chain)
        name = SELF_SIGNED_FOLDER if ours else copy_name(self.places.certs, pair)
        return f"{COPIES_FOLDER}/{name}/{file}"


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
