"""DKIM signing keys: one PEM file a domain and selector, ``<domain>.<selector>.key``, in one folder.

The folder and its names are those a Mailu root has always had, so the keys of an old root sign on and DNS stays valid.
A key has a state, shown by the end of its file name:

- active (``.key``): mail is signed with it;
- pending (``.key-pending``): its DNS record is shown to the operator, and it signs once that record was seen;
- retired (``.key-retired``): it signs no more, but its record must stay until mail in flight was verified.

The first keys of a domain are active at once, since a signature without a record does no more harm than none. A key
made later waits, because there it would put a failing signature beside a good one.

The cryptography library, 8 MiB, is loaded by the functions that look into a key: those who only ask which keys there
are do without.
"""

from __future__ import annotations

import base64
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, assert_never

from mailu.address import DomainName, unicode_domain

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

Algorithm = Literal["rsa", "ed25519"]
State = Literal["active", "pending", "retired"]

RSA_BITS = 2048
"""What every verifier must handle (RFC 8301 s3.2), and what still fits one DNS answer without TCP."""

_SUFFIX: dict[State, str] = {"active": "key", "pending": "key-pending", "retired": "key-retired"}
_SELECTOR = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\Z")


class DkimKeyError(ValueError):
    """A key file or a selector cannot be used; the text names it and says why, for the operator."""


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector and the algorithm of its key. The name is one DNS label in lower case."""

    name: str
    algorithm: Algorithm


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key of a domain. ``repr()`` does not show the private part."""

    selector: str
    algorithm: Algorithm
    state: State
    private_pem: str
    record: str
    """The text of the DNS record at ``<selector>._domainkey.<domain>``, in one piece."""

    @property
    def rspamd_key(self) -> str:
        """The private key as Rspamd reads it: PEM for RSA, the seed in base64 for Ed25519.

        Rspamd takes an RSA key out of any PEM text and fails on another kind; a text that is base64 of 32 octets is
        an Ed25519 seed to it. But one that begins with a slash is a path: it would not sign, and log the key. So a
        blank stands before, which means nothing in base64.
        """
        if self.algorithm == "rsa":
            return self.private_pem
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        seed = _parse(self.private_pem.encode()).private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return f" {base64.b64encode(seed).decode('ascii')}"

    def __repr__(self) -> str:
        return f"SigningKey(selector={self.selector!r}, algorithm={self.algorithm!r}, state={self.state!r})"


def default_selectors(name: str = "dkim") -> tuple[Selector, Selector]:
    """Return the selectors of a domain: *name* with RSA, as Mailu had it, and ``<name>-ed25519`` (RFC 8463 s5)."""
    return Selector(name, "rsa"), Selector(f"{name}-ed25519", "ed25519")


def load_keys(folder: Path, domain: DomainName, states: Sequence[State] = ("active",)) -> list[SigningKey]:
    """Return the keys of *domain* in one of *states*, RSA first, then by selector; empty when there is none.

    Raises DkimKeyError when a file is there and is not a private key that signs mail, and OSError when it cannot be
    read: "no key" and "a key that cannot be used" are different answers.
    """
    keys = [
        _load(path, selector, state)
        for state in states
        for selector, path in sorted(_files(folder, domain, state).items())
    ]
    return sorted(keys, key=lambda key: (key.algorithm != "rsa", key.selector))


def selectors_in(folder: Path, domain: DomainName, state: State = "active") -> list[str]:
    """The selectors of *domain* that have a key in *state*; whether it can be used is not looked at."""
    return sorted(_files(folder, domain, state))


def ensure_keys(
    folder: Path, domain: DomainName, selectors: Sequence[Selector] = default_selectors()
) -> list[SigningKey]:
    """Make the keys of *selectors* that *domain* does not have yet, and return all its active ones.

    An existing key is used as it is, whatever its algorithm and state. New keys are active when the domain had no
    active key, else pending. Two processes may do this at once: the first file made is the one that both use.
    """
    # In this order: a key that another process makes in between is then found, not made again under another state.
    state: State = "pending" if _files(folder, domain, "active") else "active"
    present = _selectors(folder, domain)
    for selector in selectors:
        _require_label(selector.name)
        if selector.name not in present:
            _write_new(_path(folder, domain, selector.name, state), _generate(selector.algorithm))
    return load_keys(folder, domain)


def add_key(folder: Path, domain: DomainName, selector: Selector) -> SigningKey:
    """Make one new key to rotate to. It is pending, or active when the domain has none.

    Raises DkimKeyError when the selector was used before: verifiers remember records (RFC 6376 s3.1).
    """
    _require_label(selector.name)
    if selector.name in _selectors(folder, domain):
        raise DkimKeyError(f"{domain} already has a key for the selector {selector.name!r}; choose another name")
    ensure_keys(folder, domain, [selector])
    return next(key for key in load_keys(folder, domain, tuple(_SUFFIX)) if key.selector == selector.name)


def change_state(folder: Path, domain: DomainName, selector: str, state: State) -> None:
    """Move a key to another state, for example to active once its record was seen. Raises DkimKeyError if absent."""
    for old in _SUFFIX:
        path = _files(folder, domain, old).get(selector)
        if path is not None:
            # The time of the file says since when it is in its state; set before, so that nobody sees an old one.
            os.utime(path)
            path.rename(path.with_name(path.name.removesuffix(_SUFFIX[old]) + _SUFFIX[state]))
            return
    raise DkimKeyError(f"{domain} has no key for the selector {selector!r}")


def key_file(folder: Path, domain: DomainName, selector: str, state: State) -> Path:
    """Return the file of a key. Raises DkimKeyError if there is none in *state*."""
    path = _files(folder, domain, state).get(selector)
    if path is None:
        raise DkimKeyError(f"{domain} has no key for the selector {selector!r} that is {state}")
    return path


def remove_key(folder: Path, domain: DomainName, selector: str) -> None:
    """Delete the key of *selector*, whatever its state; nothing happens when it is absent."""
    for state in _SUFFIX:
        path = _files(folder, domain, state).get(selector)
        if path is not None:
            path.unlink(missing_ok=True)


def remove_keys(folder: Path, domain: DomainName) -> None:
    """Delete every key of *domain*, so that a domain made again under that name does not sign with an old one."""
    for state in _SUFFIX:
        for path in _files(folder, domain, state).values():
            path.unlink(missing_ok=True)


def import_key(folder: Path, domain: DomainName, selector: str, private_pem: bytes) -> SigningKey:
    """Store a key that was made elsewhere as the active one of *selector*, in place of the one there.

    Raises DkimKeyError when *private_pem* is not a private key that signs mail.
    """
    _require_label(selector)
    text = _pem(_parse(private_pem))
    for state in _SUFFIX:
        stale = _files(folder, domain, state).get(selector)
        if stale is not None and state != "active":
            stale.unlink()
    target = _files(folder, domain, "active").get(selector) or _path(folder, domain, selector, "active")
    _temporary(folder, text).replace(target)
    return _load(target, selector, "active")


def _names(domain: DomainName) -> tuple[str, ...]:
    """The domain as it stands in file names: A-labels, and the Unicode form that Mailu used."""
    shown = unicode_domain(domain)
    return (domain,) if shown == domain else (domain, shown)


def _path(folder: Path, domain: DomainName, selector: str, state: State) -> Path:
    return folder / f"{domain}.{selector}.{_SUFFIX[state]}"


def _files(folder: Path, domain: DomainName, state: State) -> dict[str, Path]:
    """Selector to file. A selector has no dot, so ``example.org.dkim.key`` is never a key of ``example``."""
    found: dict[str, Path] = {}
    for name in _names(domain):
        for path in folder.glob(f"{_glob_literal(name)}.*.{_SUFFIX[state]}"):
            selector = path.name[len(name) + 1 : -len(_SUFFIX[state]) - 1]
            if _SELECTOR.match(selector):
                found.setdefault(selector, path)
    return found


def _selectors(folder: Path, domain: DomainName) -> set[str]:
    return {selector for state in _SUFFIX for selector in _files(folder, domain, state)}


def _glob_literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _require_label(selector: str) -> None:
    if not _SELECTOR.match(selector):
        raise DkimKeyError(
            f"{selector!r} cannot be a selector: it is one DNS label of lower-case letters, digits and hyphens"
        )


def _generate(algorithm: Algorithm) -> str:
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    match algorithm:
        case "rsa":
            return _pem(rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS))
        case "ed25519":
            return _pem(ed25519.Ed25519PrivateKey.generate())
        case _:
            assert_never(algorithm)


def _pem(key: PrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _load(path: Path, selector: str, state: State) -> SigningKey:
    try:
        key = _parse(path.read_bytes())
    except DkimKeyError as error:
        raise DkimKeyError(f"{path}: {error}") from None
    return SigningKey(selector, _algorithm(key), state, _pem(key), public_record(key))


def _parse(pem: bytes) -> PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise DkimKeyError(f"this is not a private key in PEM form: {error}") from None
    if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise DkimKeyError("DKIM signs with RSA or Ed25519 keys only (RFC 6376, RFC 8463)")
    return key


def _algorithm(key: PrivateKey) -> Algorithm:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ed25519"


def public_record(key: PrivateKey) -> str:
    """Return the DNS text of *key*: ``v=DKIM1; k=rsa; p=...`` (RFC 6376 s3.6.1, RFC 8463 s4)."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        octets = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        octets = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k={_algorithm(key)}; p={base64.b64encode(octets).decode('ascii')}"


def _temporary(folder: Path, text: str) -> Path:
    """Write *text* to a new file of mode 0600 beside its final place, on disk before it gets its name."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    return Path(name)


def _write_new(path: Path, text: str) -> None:
    """Give *text* the name *path* unless a file has it already; never shows a half-written key."""
    temporary = _temporary(path.parent, text)
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
