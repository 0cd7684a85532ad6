"""The bundle for those who help: everything they ask for first, and nothing that opens a door.

Secrets are taken out twice: settings are shown without those marked as secret, and then every secret that this root
has (settings, keys, the directory's) is looked for in the whole text and blotted out wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from mailu.deploy.doctor import Finding
from mailu.deploy.examination import secret_files, versions
from mailu.deploy.log_reader import log_files
from mailu.places import Places
from mailu.settings import Settings
from mailu.settings.model import VARIABLES

HIDDEN = "<hidden>"
SHORTEST_SECRET = 6
LOG_TAIL_BYTES = 512_000
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*:)[^\s@/]+@")
_ADDRESS = re.compile(r"[\w.+=~%&'*/!#$?^`{|}-]+@(?=[\w-])")
_IPV4 = re.compile(r"\b(\d{1,3}\.\d{1,3})\.\d{1,3}\.\d{1,3}\b")
_IPV6 = re.compile(r"(?i)\b([0-9a-f]{1,4}:[0-9a-f]{1,4}):[0-9a-f:]*:[0-9a-f:.]+\b")


def write_bundle(
    stream: TextIO,
    settings: Settings,
    places: Places,
    examine: Callable[[], Sequence[Finding]],
    *,
    lines: int,
    addresses: bool,
) -> None:
    """Write the bundle. *addresses*: leave localparts and network addresses of people as they are."""
    # Everything that needs root's rights is read before `examine`, which may give them up.
    known = list(secrets_of(settings, places))
    parts = [
        ("versions", "\n".join(f"{name}: {value}" for name, value in versions(places).items())),
        ("settings", "\n".join(f"{variable.name}={settings.shown(variable)}" for variable in VARIABLES)),
        *((f"log of {path.stem}", tail) for path, tail in _logs(places, lines)),
    ]
    parts.insert(2, ("findings", "\n".join(finding.line() for finding in examine())))
    for title, text in parts:
        clean = redact(text, known)
        stream.write(f"== {title}\n{clean if addresses else without_people(clean)}\n\n")


def secrets_of(settings: Settings, places: Places) -> Iterator[str]:
    """Every secret of the root, the longest pieces of keys included."""
    for variable in VARIABLES:
        if variable.secret and (text := settings.text_of(variable)):
            yield text
    for path in secret_files(places):
        if path.suffix in (".json", ".db") or ".db" in path.name:
            continue
        try:
            content = path.read_text(encoding="ascii")
        except (OSError, ValueError):
            continue
        # A settings file is not secret as a whole; its secret variables were named above.
        if path != places.env_file:
            for line in content.splitlines():
                if not line.startswith("-----"):
                    yield line.strip()
                    yield line.partition("=")[2].strip()  # the value in dns.ini; of keys, no more than their padding
    for name in ("ROUNDCUBE", "REDIS"):
        yield settings.service_key(name)


def redact(text: str, known: Iterable[str]) -> str:
    """*text* without *known* secrets, private keys, and passwords in URLs."""
    text = _PEM.sub(HIDDEN, text)
    text = _URL_PASSWORD.sub(rf"\g<1>{HIDDEN}@", text)
    for secret in sorted(set(known), key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return text


def without_people(text: str) -> str:
    """*text* with localparts blotted out and network addresses cut to their network; loopback addresses stay."""
    text = _ADDRESS.sub("…@", text)
    text = _IPV4.sub(lambda match: match[0] if match[1].startswith("127.") else f"{match[1]}.x.x", text)
    return _IPV6.sub(r"\1:x:x", text)


def _logs(places: Places, lines: int) -> Iterator[tuple[Path, str]]:
    for path in log_files(places.logs, None):
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - LOG_TAIL_BYTES))
            tail = stream.read().decode("utf-8", "replace").splitlines()[-lines:]
        yield path, "\n".join(tail)
