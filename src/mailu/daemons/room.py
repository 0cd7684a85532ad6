"""What every daemon's room offers to the agent that runs it.

A room knows one daemon: its native configuration, how it is checked, started, reloaded and known to be ready. It is
handed settings and plain values and never looks at the database or the environment. ``render`` is pure: the same
values give the same files, which is what the golden tests compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from mailu.places import Places
from mailu.settings import Settings


@dataclass(frozen=True, slots=True)
class Host:
    """What a room must know of the machine, found out once by the agent."""

    debian: int
    dovecot: tuple[int, int]
    postfix: tuple[int, int]
    rspamd: tuple[int, int]
    cpus: int
    ipv6: bool
    resolver_validates: bool
    directory_port: int
    """TCP port on 127.0.0.1 where the directory answers HTTP (Dovecot's Lua client and Rspamd speak no unix socket)."""
    directory_secret: str
    """What a client of that port must send in the header ``X-Mailu-Secret``; new for each root."""
    resolver_port: int = 0
    """UDP and TCP port on 127.0.0.1 where Unbound answers; 0 when the system's resolver is used."""
    resolves: bool = True
    """Whether names of the outside world are resolved at all."""
    unbound_port: int = 0
    """UDP and TCP port on 127.0.0.1 where Unbound has to listen, whether or not it is used yet."""
    unbound_address: str = ""
    """Loopback address where Unbound listens on port 53 too, for Postfix, which takes no other port; empty for none."""
    fuzzy_port: int = 0
    """UDP port on 127.0.0.1 for Rspamd's store of fingerprints, which speaks nothing else; 0 for none."""
    oletools_port: int = 0
    """TCP port on 127.0.0.1 where the macro scanner answers; 0 for the usual one."""
    webmail_imap_port: int = 0
    """TCP port on 127.0.0.1 where Dovecot takes the webmail's session tokens, and nothing else; 0 for none."""
    webmail_sieve_port: int = 0
    """The same for ManageSieve."""
    webmail_smtp_port: int = 0
    """The same for Postfix."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One rendered file: its text, and who may read it."""

    text: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that must exist before the daemon is checked or started."""

    path: Path
    owner: str = "root"
    group: str = "root"
    mode: int = 0o755
    adopts: str = ""
    """A pattern of files in it that are to be the owner's, whoever put them there."""


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """Everything a configuration is made from."""

    settings: Settings
    places: Places
    host: Host
    etc: Path
    """The folder the files will stand in when the daemon reads them."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """The operator's files for this daemon: path below ``overrides/NAME`` to text."""
    certificates: Sequence[tuple[str, Path, Path]] = ()
    """Host name, chain file, key file; the first is the default one. Empty only before any was made."""
    rsa_certificates: Sequence[tuple[str, Path, Path]] = ()
    """Host name, chain file, key file of an RSA pair for a name whose pair in *certificates* is ECDSA: for daemons that
    can serve both and let the client choose."""
    web_certificates: Sequence[tuple[str, Path, Path]] = ()
    """The same for further names that only the web answers for, such as ``mta-sts.example.org``."""
    chains_with_root: Mapping[Path, Path] = field(default_factory=dict)
    """Chain file to one that holds the root as well, for port 25: TLSA records may pin the root."""
    certificate_problems: Sequence[tuple[str, str]] = ()
    """Host name and why clients will not trust its certificate: for the page that says so."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the daemon's own checker said. *problems* block the new configuration; *notes* are shown and logged."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Reload = Literal["HUP", "restart"]


class Room(Protocol):
    """One daemon, as its agent sees it."""

    name: str
    """Service name: front, smtp, imap, antispam, redis, resolver, ..."""
    overrides_folder: str | None
    """Name below ``overrides/`` whose files are read for this room."""
    reload: Reload

    def folders(self, request: RenderRequest) -> list[Folder]:
        """Folders to make, in order, before the check."""

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """Relative path below ``request.etc`` to file. Pure. Raises OverrideError for an override it cannot use."""

    def check(self, request: RenderRequest) -> CheckResult:
        """Let the daemon's own checker read ``request.etc``. Runs as root; may take seconds."""

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """The daemon in the foreground, reading *etc*; the first item is an absolute path."""

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Variables for the daemon beside PATH, LANG and TZ. No secrets."""

    def user(self) -> str | None:
        """The user the agent starts the command as; None for a daemon that drops rights by itself."""

    def ready(self, request: RenderRequest) -> str | None:
        """Ask the running daemon for its banner (time-out at most 1 s); None when it answers, else why not."""


@runtime_checkable
class Tidy(Protocol):
    """A room whose daemon keeps what it needs no more."""

    def tidy(self, daemon: int) -> None:
        """Give back what the running daemon, the process *daemon*, needs no more. Called every few seconds."""


@runtime_checkable
class Unhurried(Protocol):
    """A room whose daemon, simply told to end, would cut off what it has begun."""

    def end(self, request: RenderRequest, daemon: int) -> None:
        """Tell the running daemon, the process *daemon*, to end when that is done; may take seconds."""


class OverrideError(ValueError):
    """An operator's file cannot be used; the text names the file, the line and what was expected."""
