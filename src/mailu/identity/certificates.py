"""Which certificate each host name is served with, what is wrong with those that are there, and the self-signed one.

Nothing here talks to a certification authority. A pair is a chain file (leaf first) and its private key, in PEM;
symbolic links are followed, because that is how certbot and most deploy hooks hand pairs over. A pair that cannot be
used, or none at all, never stops a service: the name is then served with a self-signed certificate of our own, and
the reason is kept for people to read.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailu.address import DomainName

SELF_SIGNED_FOLDER = "self-signed"
"""Below the certificates' folder; a pair in it is ours, and is never taken for a trusted one."""

_PEM_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_OURS = "Mailu self-signed"
_SELF_SIGNED_DAYS = 365
_RENEW_BEFORE_DAYS = 30
_COMMON_NAME_LIMIT = 64
_MIN_RSA_BITS = 2048

Severity = Literal["unusable", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a pair. *unusable* means that no daemon could serve it; the text is for the operator."""

    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A chain file and the file of its private key."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Served:
    """What the rooms are given, and what people should know about it."""

    certificates: tuple[tuple[str, Path, Path], ...]
    """Host name, chain file, key file: one entry a name, the first host name first."""
    problems: tuple[tuple[str, str], ...]
    """Host name and why a client will not trust it, or will soon not."""
    beside: tuple[tuple[str, Path, Path], ...] = ()
    """Host name, chain file, key file of an RSA pair that goes with the ECDSA one, where there is such a pair."""


class CertificateError(ValueError):
    """A certificate or key file cannot be read; the text says why."""


def is_self_signed_pair(chain: Path) -> bool:
    """Tell whether *chain* is the place of our own self-signed certificate. Looks at the path only."""
    return chain.parent.name == SELF_SIGNED_FOLDER


def read_chain(path: Path) -> list[x509.Certificate]:
    """Return the certificates in *path*, leaf first as they stand. Raises CertificateError."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CertificateError(f"{path} holds no certificate in PEM form: {error}") from None


def covered_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names a certificate is for, lower case. The common name counts for nothing (RFC 9525 s2)."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Tell whether *certificate* is for *name*. A wildcard stands for exactly one left-most label (RFC 9525 s6.3)."""
    names = covered_names(certificate)
    return name in names or f"*.{name.partition('.')[2]}" in names


def inspect_pair(chain: Path, key: Path, names: Sequence[str] = (), *, now: datetime | None = None) -> list[Problem]:
    """Return what is wrong with a pair, the worst first; empty when it serves every name of *names*."""
    when = now or datetime.now(UTC)
    try:
        certificates = read_chain(chain)
    except CertificateError as error:
        return [Problem("unusable", str(error))]
    leaf = certificates[0]
    try:
        unusable = _key_problem(key, leaf)
    except CertificateError as error:
        unusable = str(error)
    problems = [Problem("unusable", unusable)] if unusable else []
    return problems + [Problem("warning", text) for text in _warnings(chain, certificates, names, when)]


def _key_problem(key: Path, leaf: x509.Certificate) -> str | None:
    if _public_octets(read_private_key(key).public_key()) == _public_octets(leaf.public_key()):
        return None
    return f"{key} is not the private key of the certificate for {_title(leaf)}"


def _warnings(chain: Path, certificates: list[x509.Certificate], names: Sequence[str], when: datetime) -> list[str]:
    leaf = certificates[0]
    found: list[str] = []
    if when >= leaf.not_valid_after_utc:
        found.append(f"the certificate in {chain} expired on {leaf.not_valid_after_utc:%d %B %Y}")
    if when < leaf.not_valid_before_utc:
        found.append(f"the certificate in {chain} is valid from {leaf.not_valid_before_utc:%d %B %Y %H:%M} UTC only")
    if leaf.issuer == leaf.subject:
        found.append(f"the certificate in {chain} is self-signed: no client trusts it by itself")
    elif len(certificates) == 1:
        found.append(f"{chain} holds no intermediate certificate; it is usually the file fullchain.pem that is wanted")
    public = leaf.public_key()
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < _MIN_RSA_BITS:
        found.append(f"the key of {chain} has {public.key_size} bits only")
    found += [f"the certificate in {chain} is not for {name}" for name in names if not covers(leaf, name)]
    return found


def serve(
    folder: Path,
    hostnames: Sequence[DomainName],
    candidates: Sequence[Pair],
    *,
    first: Pair | None = None,
    now: datetime | None = None,
) -> Served:
    """Choose a pair for every host name out of *candidates*, with the self-signed one where none can be used.

    A pair that covers the name comes first, then one that is in date, then *first* (the one that the operator named),
    then ECDSA before RSA (which then goes beside), then the one that is good for longest. An expired pair, or one for
    another name, is still better than the self-signed one: servers that pin the key go on. Makes the self-signed pair
    below *folder* when it is needed. *hostnames* must not be empty.
    """
    when = now or datetime.now(UTC)
    usable = [pair for pair in candidates if not _unusable(pair, when)]
    chosen: list[tuple[str, Path, Path]] = []
    beside: list[tuple[str, Path, Path]] = []
    problems: list[tuple[str, str]] = []
    for name in hostnames:
        pair = max(usable, key=_preference(name, when, first), default=None)
        if pair is None:
            pair = ensure_self_signed(folder, hostnames, now=when)
            problems += [(name, text) for text in _why_none(candidates, when)]
        else:
            problems += [(name, problem.text) for problem in inspect_pair(pair.chain, pair.key, [name], now=when)]
            if (companion := _companion(pair, usable, name, when)) is not None:
                beside.append((name, companion.chain, companion.key))
        chosen.append((name, pair.chain, pair.key))
    return Served(tuple(chosen), tuple(problems), tuple(beside))


def _companion(pair: Pair, usable: Sequence[Pair], name: str, when: datetime) -> Pair | None:
    """A good RSA pair for *name* that can be served beside *pair*, an ECDSA one."""
    if not _is_ecdsa(read_chain(pair.chain)[0]):
        return None
    others = [one for one in usable if not _is_ecdsa(read_chain(one.chain)[0])]
    others = [one for one in others if _preference(name, when)(one)[:2] == (True, True)]
    return max(others, key=_preference(name, when), default=None)


def _is_ecdsa(leaf: x509.Certificate) -> bool:
    return isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)


def _unusable(pair: Pair, when: datetime) -> list[str]:
    return [p.text for p in inspect_pair(pair.chain, pair.key, now=when) if p.severity == "unusable"]


def _why_none(candidates: Sequence[Pair], when: datetime) -> list[str]:
    return [text for pair in candidates for text in _unusable(pair, when)] or ["no certificate was issued yet"]


def _preference(
    name: str, when: datetime, first: Pair | None = None
) -> Callable[[Pair], tuple[bool, bool, bool, bool, datetime]]:
    def rank(pair: Pair) -> tuple[bool, bool, bool, bool, datetime]:
        leaf = read_chain(pair.chain)[0]
        in_date = leaf.not_valid_before_utc <= when < leaf.not_valid_after_utc
        return covers(leaf, name), in_date, pair == first, _is_ecdsa(leaf), leaf.not_valid_after_utc

    return rank


def key_pin(leaf: x509.Certificate) -> str:
    """Data of the TLSA record that pins the key of *leaf*, ``3 1 1`` (RFC 7671 s5.1); it holds while the key does."""
    return f"3 1 1 {_key_digest(leaf)}"


def root_pin(chain: Sequence[x509.Certificate]) -> str | None:
    """Data of the TLSA record that pins the key of the root, where the root is in *chain*: ``2 1 1``."""
    last = chain[-1]
    return f"2 1 1 {_key_digest(last)}" if len(chain) > 1 and last.issuer == last.subject else None


def _key_digest(certificate: x509.Certificate) -> str:
    octets = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(octets).hexdigest()


def find_root(chain: Sequence[x509.Certificate], bundle: bytes) -> x509.Certificate | None:
    """The root that issued the last of *chain*, out of the PEM *bundle*; None when it is in the chain or unknown."""
    last = chain[-1]
    if last.issuer == last.subject:
        return None
    for text in _PEM_CERTIFICATE.findall(bundle):
        try:
            with warnings.catch_warnings():
                # Some of the world's old roots have numbers that the library frowns upon.
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                candidate = x509.load_pem_x509_certificate(text)
            if candidate.subject == last.issuer:
                last.verify_directly_issued_by(candidate)
                return candidate
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            continue
    return None


def letsencrypt_pairs(folder: Path) -> list[Pair]:
    """Return the pairs that certbot keeps below ``letsencrypt/live/``, one folder a certificate."""
    live = folder / "letsencrypt" / "live"
    return [Pair(path, path.with_name("privkey.pem")) for path in sorted(live.glob("*/fullchain.pem"))]


def ensure_self_signed(folder: Path, names: Sequence[DomainName], *, now: datetime | None = None) -> Pair:
    """Return our self-signed pair for *names* below *folder*, made or renewed when that is due.

    It is made again when it is absent, unusable, for other names, or within 30 days of its end. Files there that do
    not carry our mark belong to somebody else and stay as they are.
    """
    when = now or datetime.now(UTC)
    place = folder / SELF_SIGNED_FOLDER
    pair = Pair(place / "cert.pem", place / "key.pem")
    if _is_foreign(pair.chain) or _still_good(pair, names, when):
        return pair
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    chain, key = _make_self_signed(names, when)
    write(pair.key, key, 0o600)
    write(pair.chain, chain, 0o644)
    return pair


def _is_foreign(chain: Path) -> bool:
    try:
        leaf = read_chain(chain)[0]
    except CertificateError:
        return False
    organizations = leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return [attribute.value for attribute in organizations] != [_OURS]


def _still_good(pair: Pair, names: Sequence[DomainName], when: datetime) -> bool:
    if any(problem.severity == "unusable" for problem in inspect_pair(pair.chain, pair.key, now=when)):
        return False
    leaf = read_chain(pair.chain)[0]
    ends = leaf.not_valid_after_utc - timedelta(days=_RENEW_BEFORE_DAYS)
    return leaf.not_valid_before_utc <= when < ends and set(covered_names(leaf)) == set(names)


def _make_self_signed(names: Sequence[DomainName], when: datetime) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, _OURS)]
    if len(names[0]) <= _COMMON_NAME_LIMIT:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, names[0]))
    subject = x509.Name(attributes)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(when - timedelta(days=1))  # Clocks of clients differ.
        .not_valid_after(when + timedelta(days=_SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


def write(path: Path, content: bytes, mode: int) -> None:
    """Put *content* into *path*: whoever reads meanwhile sees the file before or this one. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        os.fchmod(stream.fileno(), mode)
    Path(name).replace(path)


def read_private_key(path: Path) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    """Return the key in *path*. Raises CertificateError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from None
    except TypeError:
        raise CertificateError(f"{path} is protected by a passphrase, which a server cannot type in") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{path} holds no private key in PEM form: {error}") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{path} is neither an RSA nor an ECDSA key; clients take no other")
    return key


def _public_octets(key: object) -> bytes:
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return b""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _title(leaf: x509.Certificate) -> str:
    return ", ".join(covered_names(leaf)) or leaf.subject.rfc4514_string()
