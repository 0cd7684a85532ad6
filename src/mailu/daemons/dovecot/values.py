"""What the templates are filled with: facts worked out of the settings, in Dovecot's own words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailu.daemons.dovecot.listeners import Login
from mailu.daemons.room import Host, RenderRequest
from mailu.settings import Settings

SIEVE_SCRIPTS = ("system.sieve", "learn-spam.sieve", "learn-ham.sieve")
SUBMIT_GROUP = "postdrop"
SUBMIT_SOCKET = "inject"
"""Postfix's service for mail of this machine's services: a socket in the queue's folder ``public``, which that group
can enter."""
CONTROLLER_PORT = 11334
TIKA_PORT = 9998
SEARCH_PLUGINS = {"2.3": "lib21_fts_xapian_plugin.so", "2.4": "lib21_fts_flatcurve_plugin.so"}
SEARCH_PACKAGES = {"2.3": "dovecot-fts-xapian", "2.4": "dovecot-flatcurve"}
STEMMED = frozenset({"da", "de", "en", "es", "fi", "fr", "it", "nl", "no", "pt", "ro", "ru", "sv", "tr"})
"""Languages that Dovecot's snowball filter and stop word lists know; for others words are indexed as they are."""

# Mozilla's Server Side TLS 5.7, intermediate, without DHE: no parameters to make, and every client has ECDHE.
_INTERMEDIATE = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
_OLD = "DEFAULT@SECLEVEL=0:!aNULL:!eNULL:!MD5:!RC4:!3DES:!kDHE"


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS that is offered."""

    min_protocol: str
    ciphers: str
    """OpenSSL's list for TLS 1.2 and below; empty where only 1.3 is spoken."""
    prefer_server_ciphers: bool


@dataclass(frozen=True, slots=True)
class Certificate:
    """A host name and its files, as Dovecot reads them: at start, as root."""

    name: str
    chain: Path
    key: Path
    rsa: tuple[Path, Path] | None = None
    """Chain and key of an RSA pair for clients without ECDSA; served for the first name only."""


def dialect(host: Host) -> str:
    """The configuration language: ``2.3`` or ``2.4``."""
    return "2.3" if host.dovecot < (2, 4) else "2.4"


def escape(text: str) -> str:
    """*text* for a setting in which Dovecot expands variables: each ``%`` doubled."""
    return text.replace("%", "%%")


def lua_quoted(text: str) -> str:
    """*text* as it stands between the quotes of a Lua string."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def listen_words(addresses: Sequence[str]) -> list[str]:
    """Addresses in Dovecot's words, where ``*`` and ``::`` stand for all. Never empty: ``listen`` must not be."""
    return ["*" if address == "0.0.0.0" else address for address in addresses] or ["127.0.0.1"]  # noqa: S104


def instance_name(settings: Settings) -> str:
    """A name for this root among all instances on the machine; Dovecot shows it in process titles."""
    return "mailu-" + hashlib.sha256(str(settings.root).encode()).hexdigest()[:8]


def greeting(settings: Settings) -> str:
    """What listeners greet with. The program's name says nothing that its behaviour does not."""
    return escape(settings.imap_greeting or "Dovecot ready.")


def tls(settings: Settings) -> Tls | None:
    """Versions and ciphers of the profile; None without TLS. Source: Mozilla's Server Side TLS."""
    if not settings.has_tls:
        return None
    return {
        "modern": Tls("TLSv1.3", "", prefer_server_ciphers=False),
        "intermediate": Tls("TLSv1.2", _INTERMEDIATE, prefer_server_ciphers=False),
        "old": Tls("TLSv1", _OLD, prefer_server_ciphers=True),
    }[settings.tls_profile_of("imap")]


def certificates(request: RenderRequest) -> list[Certificate]:
    """The certificates to serve, the default one first; none without TLS."""
    if not request.settings.has_tls:
        return []
    rsa = {name: (chain, key) for name, chain, key in request.rsa_certificates}
    return [Certificate(name, chain, key, rsa.get(name)) for name, chain, key in request.certificates]


def search(request: RenderRequest, modules: Path) -> bool:
    """Whether folders are indexed: it is wanted and the package is there."""
    return bool(request.settings.full_text_search) and (modules / SEARCH_PLUGINS[dialect(request.host)]).exists()


def search_notes(request: RenderRequest, modules: Path) -> list[str]:
    """What to say about full-text search that does not work as asked."""
    settings = request.settings
    if not settings.full_text_search:
        return []
    notes = []
    if not search(request, modules):
        package = SEARCH_PACKAGES[dialect(request.host)]
        notes.append(f"FULL_TEXT_SEARCH: package {package} is not installed, so searching in texts reads every message")
    if settings.full_text_search_attachments and settings.fts_attachments_address is None:
        notes.append("FULL_TEXT_SEARCH_ATTACHMENTS has no effect without FTS_ATTACHMENTS_ADDRESS")
    return notes


def search_languages(settings: Settings) -> list[str]:
    """The languages of the index that Dovecot can stem; English where none is."""
    return [language for language in settings.full_text_search if language in STEMMED] or ["en"]


def tika(settings: Settings) -> str:
    """URL of Apache Tika; empty when attachments are not indexed."""
    if not settings.full_text_search_attachments or settings.fts_attachments_address is None:
        return ""
    host = settings.fts_attachments_address
    return f"http://{f'[{host}]' if ':' in host else host}:{TIKA_PORT}/tika/"


def limits(settings: Settings, logins: Sequence[Login], processors: int) -> dict[str, int]:
    """How many processes of each kind, and the connections that the inner services must then be able to take.

    Dovecot warns at start when ``client_limit`` of auth, anvil or stats is below the sum of their clients' processes.
    """
    small = settings.small_host
    processes = {
        "imap_processes": 512 if small else 3000,
        "pop3_processes": 64 if small else 200,
        "sieve_processes": 32 if small else 100,
        "lmtp_processes": 10 if small else 100,
        # Started when they are needed. One waits for each password that is being verified, and deliveries ask through
        # the same ones: a crowd of slow hashes must leave some free.
        "auth_workers": 16 if small else max(50, 4 * processors),
    }
    sessions = sum(processes[f"{kind}_processes"] for kind in ("imap", "pop3", "sieve", "lmtp"))
    connections = sum(login.processes * login.clients for login in logins)
    return processes | {
        "lmtp_spare_processes": 1 if small else max(2, processors),
        "hibernate_seconds": 5 if small else 30,
        "auth_clients": connections + sessions + 500,
        "anvil_clients": sessions + 500,
        "stats_clients": 2 * sessions + 500,
    }
