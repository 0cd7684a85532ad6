"""certbot as a program: the command line for one certificate, and what its words mean."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from mailu.identity.issuing.plan import Failure

KeyType = Literal["ecdsa", "rsa"]
KEY_TYPES: tuple[KeyType, ...] = ("ecdsa", "rsa")
RSA_ENDING = "-rsa"
"""The RSA certificate of a name is kept under the name with this ending; ECDSA under the name itself."""

_PROGRAM = (sys.executable, "-c", "import sys; from certbot.main import main; sys.exit(main())")
"""certbot of our own libraries; the package cannot be executed as a module."""
_RATE = re.compile(r"rateLimited|too many|rate.?limit", re.IGNORECASE)
_RETRY_AFTER = re.compile(r"retry after (\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)", re.IGNORECASE)
_DETAIL = re.compile(r"^\s*Detail:\s*(.+)$", re.MULTILINE)
_TYPE = re.compile(r"^\s*Type:\s*(\S+)$", re.MULTILINE)
_UNREACHABLE = re.compile(
    r"ConnectionError|Max retries exceeded|Connection refused|NameResolutionError|Read timed out|ConnectTimeout|"
    r"serverInternal|badNonce|unavailable|503|502|504|Remote end closed",
    re.IGNORECASE,
)
_PLACE = re.compile(r"(?<![\w:/])/[^\s:'\"]+")
"""Names of files: they hold words that the authority never said."""
_ISSUERS = {
    "letsencrypt.org": "letsencrypt.org",
    "pki.goog": "pki.goog",
    "zerossl.com": "sectigo.com",
    "sectigo.com": "sectigo.com",
    "buypass.com": "buypass.com",
    "buypass.no": "buypass.com",
    "ssl.com": "ssl.com",
    "digicert.com": "digicert.com",
}
_NOISE = (
    "saving debug log", "ask for help", "see the logfile", "hint:", "certbot failed to", "requesting a cert",
    "renewing an existing cert", "encountered exception during recovery",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Where certificates come from and are kept: the same for all names."""

    server: str
    """URL of the authority's directory."""
    contact: str
    config: Path
    work: Path
    logs: Path
    webroot: Path
    dns_plugin: str | None = None
    """None: the authority looks at our web server (http-01). Else at DNS (dns-01): the name of certbot's plug-in, such
    as ``cloudflare``, or ``hook`` for programs of the operator."""
    dns_credentials: Path | None = None
    dns_hooks: Path | None = None
    dns_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why certbot gave no certificate."""

    failure: Failure
    reason: str
    advice: str
    not_before: datetime | None = None


def issuer_of(server: str) -> str | None:
    """What CAA records call the authority with this directory (RFC 8659 s4.2); None for one that is not known."""
    host = urlsplit(server).hostname or ""
    return next((issuer for ending, issuer in _ISSUERS.items() if f".{host}".endswith(f".{ending}")), None)


def lineage(name: str, key_type: KeyType) -> str:
    """What certbot calls the certificate of *name*."""
    return name if key_type == "ecdsa" else f"{name}{RSA_ENDING}"


def issue_command(office: Office, name: str, key_type: KeyType, *, new_key: bool = False) -> list[str]:
    """The command that gets or renews the certificate of *name*. The key stays unless *new_key*: TLSA pins it."""
    return [
        *_PROGRAM,
        "certonly",
        *_account(office),
        "--cert-name", lineage(name, key_type),
        "--domains", name,
        "--key-type", key_type,
        *(["--rsa-key-size", "2048"] if key_type == "rsa" else ["--elliptic-curve", "secp256r1"]),
        *(["--new-key"] if new_key else ["--reuse-key"]),
        "--force-renewal",  # we decide when it is due
        *_challenge(office),
    ]  # fmt: skip


def revoke_command(office: Office, certificate: Path, reason: str = "superseded") -> list[str]:
    """The command that has *certificate* revoked; what is on the disk stays."""
    return [
        *_PROGRAM,
        "revoke",
        *_account(office),
        "--cert-path", str(certificate),
        "--reason", reason,
        "--no-delete-after-revoke",
    ]  # fmt: skip


def _account(office: Office) -> list[str]:
    return [
        "--non-interactive",
        "--agree-tos",
        "--email", office.contact,
        "--no-eff-email",
        "--server", office.server,
        "--config-dir", str(office.config),
        "--work-dir", str(office.work),
        "--logs-dir", str(office.logs),
        "--max-log-backups", "10",
    ]  # fmt: skip


def _challenge(office: Office) -> list[str]:
    if office.dns_plugin is None:
        return ["--webroot", "--webroot-path", str(office.webroot), "--preferred-challenges", "http"]
    if office.dns_plugin == "hook":
        hooks = office.dns_hooks or Path("/nonexistent")
        return [
            "--manual",
            "--preferred-challenges", "dns",
            "--manual-auth-hook", str(hooks / "dns-add"),
            "--manual-cleanup-hook", str(hooks / "dns-remove"),
        ]  # fmt: skip
    plugin = f"--dns-{office.dns_plugin}"
    found = [plugin]
    if office.dns_credentials is not None:
        found += [f"{plugin}-credentials", str(office.dns_credentials)]
    if office.dns_seconds is not None:
        found += [f"{plugin}-propagation-seconds", str(office.dns_seconds)]
    return found


def read_words(words: str, name: str, server: str) -> Trouble:
    """What certbot's output after a failure means, for the operator of *name*."""
    words = _PLACE.sub("", words)
    said = _what_it_said(words)
    if _RATE.search(words):
        return Trouble(
            Failure.RATE_LIMITED,
            f"the authority has been asked too often: {said}",
            "Nothing has to be done: it is asked again when it allows it. Asking sooner only makes it longer.",
            _retry_after(words),
        )
    if details := _DETAIL.findall(words):
        kind = (_TYPE.findall(words) or [""])[0]
        return Trouble(
            Failure.REFUSED, f"the authority could not check the name: {details[0].strip()}", _advice(kind, name)
        )
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return Trouble(
            Failure.UNREACHABLE,
            f"the certificate of the authority at {server} itself is not trusted: {said}",
            "For an authority of your own put its root below ROOT/certs and name the file in ACME_ROOTS.",
        )
    if _UNREACHABLE.search(words):
        return Trouble(
            Failure.UNREACHABLE,
            f"the authority at {server} does not answer: {said}",
            f"See whether this machine reaches {server}; it may also be down itself. It is asked again.",
        )
    if "dns-" in words and ("unrecognized arguments" in words or "does not appear to be installed" in words):
        return Trouble(
            Failure.OTHER,
            f"certbot has no such plug-in: {said}",
            f"Correct ACME_DNS_PLUGIN, or run `{sys.executable} -m pip install certbot-dns-NAME`, after updates anew.",
        )
    if "TXT record" in words:
        return Trouble(
            Failure.OTHER,
            said,
            "See whether what stands in ROOT/certs/dns.ini is right, and may change the zone of the name.",
        )
    return Trouble(Failure.OTHER, said, "The log of the service says more: mailu logs certificates")


def _advice(kind: str, name: str) -> str:
    match kind:
        case "dns":
            return f"Add an A or AAAA record of {name} that leads to this server; a CAA record must not forbid it."
        case "caa":
            return f"A CAA record forbids this authority; change it at {name} or its parent domain."
        case "connection":
            return f"Open port 80 of {name} from outside: firewall, forwarding of the router, every A and AAAA record."
        case "unauthorized" | "incorrectResponse":
            return f"Another server answers for {name}: correct its A and AAAA records, or what stands before us."
    return f"See that {name} leads to this server and that port 80 is open from outside."


def _what_it_said(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    kept = [line for line in lines if not line.lower().startswith(_NOISE) and set(line) != {"-"}]
    text = " ".join(line for line in kept if line != "An unexpected error occurred:")
    return text[:600] or "certbot ended without a word"


def _retry_after(words: str) -> datetime | None:
    match = _RETRY_AFTER.search(words)
    return datetime.fromisoformat(match[1].replace(" ", "T")).replace(tzinfo=UTC) if match else None


def key_types_of(pairs: Sequence[str], name: str) -> tuple[KeyType, ...]:
    """Which certificates of *name* there are among the lineages *pairs*."""
    return tuple(kind for kind in KEY_TYPES if lineage(name, kind) in pairs)
