"""Which certificate each host name is served with, what is wrong with those that are there, and the self-signed one.

Nothing here talks to a certification authority. A pair is a chain file (leaf first) and its private key, in PEM;
symbolic links are followed, because that is how certbot and most deploy hooks hand pairs over. The files are read once,
and what was read is what is checked and served. A pair that cannot be used, or none at all, never stops a service: the
name is then served with a self-signed certificate of our own, and the reason is kept for people to read.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from mailu.identity.pairs import SELF_SIGNED_FOLDER, Content, Pair

_PEM_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_CUT_OFF = "is not complete: it ends within a certificate"
_PEM_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)
_OURS = "Mailu self-signed"
_SELF_SIGNED_DAYS = 365
_RENEW_BEFORE_DAYS = 30
_COMMON_NAME_LIMIT = 64
_MIN_RSA_BITS = 2048

Severity = Literal["unusable", "warning"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a pair. *unusable* means that no daemon could serve it; the text is for the operator."""

    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair as it was when its files were read."""

    pair: Pair
    content: Content
    certificates: tuple[x509.Certificate, ...]
    """Leaf first; empty when the chain cannot be read."""
    unusable: str
    """Why no server could use it, for the operator; empty when it can be served."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the rooms are given, and what people should know about it."""

    certificates: tuple[tuple[str, Path, Path], ...]
    """Host name, chain file, key file: one entry a name, the first host name first."""
    problems: tuple[tuple[str, str], ...]
    """Host name and why a client will not trust it, or will soon not."""
    beside: tuple[tuple[str, Path, Path], ...] = ()
    """Host name, chain file, key file of an RSA pair that goes with the ECDSA one, where there is such a pair."""
    contents: Mapping[Pair, Content] = field(default_factory=dict)
    """What was read of each of these pairs."""


class CertificateError(ValueError):
    """A certificate or key file cannot be read; the text says why."""


def read_chain(path: Path) -> list[x509.Certificate]:
    """Return the certificates in *path*, leaf first as they stand. Raises CertificateError."""
    return parse_chain(_read(path), path)


def parse_chain(octets: bytes, path: Path) -> list[x509.Certificate]:
    """Return the certificates in the PEM *octets*, all of them; *path* is where they were read, for the words.

    Raises CertificateError, also for a last one that is cut off: parsers pass over it without a word.
    """
    try:
        certificates = x509.load_pem_x509_certificates(octets)
    except ValueError as error:
        trouble = _CUT_OFF if _begun(octets) else f"holds no certificate in PEM form: {error}"
        raise CertificateError(f"{path} {trouble}") from None
    if _begun(octets) > len(certificates):
        raise CertificateError(f"{path} {_CUT_OFF}")
    return certificates


def _begun(octets: bytes) -> int:
    """How many certificates begin, the last one perhaps within its first line."""
    last = octets.rstrip().rpartition(b"\n")[2]
    return octets.count(_BEGIN) + (_BEGIN.startswith(last) and last != _BEGIN and bool(last))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from None


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


def examine(pair: Pair) -> Candidate:
    """Read a pair and find out whether a server could use it."""
    chain: list[x509.Certificate] = []
    content = Content(b"", b"")
    try:
        octets = _read(pair.chain)
        chain = parse_chain(octets, pair.chain)
        private = octets if pair.key == pair.chain else _read(pair.key)
        key = parse_private_key(private, pair.key)
        block = _PEM_KEY.search(private)
        content = Content(to_pem(chain), block[0] + b"\n" if block else b"")
        unusable = _key_problem(pair.key, key, chain[0]) or _refusal(pair.chain, content)
    except CertificateError as error:
        unusable = str(error)
    return Candidate(pair, content, tuple(chain), unusable)


def to_pem(chain: Sequence[x509.Certificate]) -> bytes:
    """The certificates as a file of them, with nothing in between."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)


def inspect_pair(chain: Path, key: Path, names: Sequence[str] = (), *, now: datetime | None = None) -> list[Problem]:
    """Return what is wrong with a pair, the worst first; empty when it serves every name of *names*."""
    candidate = examine(Pair(chain, key))
    problems = [Problem("unusable", candidate.unusable)] if candidate.unusable else []
    return problems + [Problem("warning", text) for text in _warnings(candidate, names, now or datetime.now(UTC))]


def _key_problem(path: Path, key: PrivateKey, leaf: x509.Certificate) -> str:
    if _public_octets(key.public_key()) == _public_octets(leaf.public_key()):
        return ""
    return f"{path} is not the private key of the certificate for {_title(leaf)}"


def _refusal(chain: Path, content: Content) -> str:
    """What OpenSSL has against a pair, under the rules of this machine: a key too short, a signature too weak.

    The daemons ask it too, some of them only once a client is there. Python's module takes nothing but files; the key's
    is one in memory.
    """
    with _file_in_memory(content.chain) as certificates, _file_in_memory(content.key) as key:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificates, key)
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            return f"no server takes the certificate in {chain}: {reason}"
    return ""


@contextmanager
def _file_in_memory(octets: bytes) -> Iterator[str]:
    with os.fdopen(os.memfd_create("pair"), "wb", buffering=0) as stream:
        stream.write(octets)
        yield f"/proc/self/fd/{stream.fileno()}"


def _warnings(candidate: Candidate, names: Sequence[str], when: datetime) -> list[str]:
    if not candidate.certificates:
        return []
    chain, leaf = candidate.pair.chain, candidate.certificates[0]
    found: list[str] = []
    if when >= leaf.not_valid_after_utc:
        found.append(f"the certificate in {chain} expired on {leaf.not_valid_after_utc:%d %B %Y}")
    if when < leaf.not_valid_before_utc:
        found.append(f"the certificate in {chain} is valid from {leaf.not_valid_before_utc:%d %B %Y %H:%M} UTC only")
    if leaf.issuer == leaf.subject:
        found.append(f"the certificate in {chain} is self-signed: no client trusts it by itself")
    elif len(candidate.certificates) == 1:
        found.append(f"{chain} holds no intermediate certificate; it is usually the file fullchain.pem that is wanted")
    public = leaf.public_key()
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < _MIN_RSA_BITS:
        found.append(f"the key of {chain} has {public.key_size} bits only")
    found += [f"the certificate in {chain} is not for {name}" for name in names if not covers(leaf, name)]
    return found


def serve(
    folder: Path,
    hostnames: Sequence[DomainName],
    candidates: Sequence[Candidate],
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
    usable = [one for one in candidates if not one.unusable]
    chosen: list[tuple[str, Path, Path]] = []
    beside: list[tuple[str, Path, Path]] = []
    problems: list[tuple[str, str]] = []
    contents: dict[Pair, Content] = {}

    def entry(name: str, one: Candidate) -> tuple[str, Path, Path]:
        contents[one.pair] = one.content
        return name, one.pair.chain, one.pair.key

    for name in hostnames:
        best = max(usable, key=_preference(name, when, first), default=None)
        if best is None:
            best = examine(ensure_self_signed(folder, hostnames, now=when))
            problems += [(name, text) for text in _why_none(candidates)]
        else:
            problems += [(name, text) for text in _warnings(best, [name], when)]
            if (companion := _companion(best, usable, name, when)) is not None:
                beside.append(entry(name, companion))
        chosen.append(entry(name, best))
    return Served(tuple(chosen), tuple(problems), tuple(beside), contents)


def _companion(best: Candidate, usable: Sequence[Candidate], name: str, when: datetime) -> Candidate | None:
    """A good RSA pair for *name* that can be served beside *best*, an ECDSA one."""
    if not _is_ecdsa(best.certificates[0]):
        return None
    others = [one for one in usable if not _is_ecdsa(one.certificates[0])]
    others = [one for one in others if _preference(name, when)(one)[:2] == (True, True)]
    return max(others, key=_preference(name, when), default=None)


def _is_ecdsa(leaf: x509.Certificate) -> bool:
    return isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)


def _why_none(candidates: Sequence[Candidate]) -> list[str]:
    return [one.unusable for one in candidates] or ["no certificate was issued yet"]


def _preference(
    name: str, when: datetime, first: Pair | None = None
) -> Callable[[Candidate], tuple[bool, bool, bool, bool, datetime]]:
    def rank(one: Candidate) -> tuple[bool, bool, bool, bool, datetime]:
        leaf = one.certificates[0]
        in_date = leaf.not_valid_before_utc <= when < leaf.not_valid_after_utc
        return covers(leaf, name), in_date, one.pair == first, _is_ecdsa(leaf), leaf.not_valid_after_utc

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
    candidate = examine(pair)
    if candidate.unusable:
        return False
    leaf = candidate.certificates[0]
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


def parse_private_key(octets: bytes, path: Path) -> PrivateKey:
    """Return the key in the PEM *octets*; *path* is where they were read, for the words. Raises CertificateError."""
    try:
        key = load_pem_private_key(octets, password=None)
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
