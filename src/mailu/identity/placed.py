"""Pairs that somebody puts below the certificates' folder, and the last one of each that was good.

What is put there (TLS_FLAVOR=cert) may be the two files that the settings name, or folders with a pair each, as deploy
hooks, certbot's ``live`` and secrets of Kubernetes are laid out; files and folders may be links. A pair that is good is
copied: when what is there later cannot be used (half written, another key, a file system that is away), the copy serves
on. Daemons are never given the files themselves, which may change at any moment.
"""

from __future__ import annotations

import contextlib
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mailu.identity.certificates import Candidate, CertificateError, covers, examine, read_chain
from mailu.identity.certificates import write as write_file
from mailu.identity.pairs import SELF_SIGNED_FOLDER, Pair, copy_name

KEPT_FOLDER = "last-good"
"""Below the certificates' folder: one folder for each pair that was good."""
_KEPT_PAIR, _KEPT_CHAIN = "pair.pem", "cert.pem"
"""The whole copy, in one file, so that nobody reads half of it; and its certificates for those who may read no keys."""
DEPTH = 2
"""Folders are looked into so deep: ``certs/live/mail.example.org/`` is the deepest."""
_FILES = (
    ("fullchain.pem", "privkey.pem"),  # certbot, acme.sh and most hooks
    ("cert.pem", "key.pem"),
    ("tls.crt", "tls.key"),  # a secret of Kubernetes
    ("{name}.crt", "{name}.key"),  # Caddy
)
_OURS = frozenset({SELF_SIGNED_FOLDER, KEPT_FOLDER})
_ISSUED = "letsencrypt"


def named_pair(certs: Path, chain_name: str, key_name: str) -> Pair | None:
    """The pair that the settings name; a name that is a folder means the pair in it. None: neither file is there."""
    named = Pair(certs / chain_name, certs / key_name)
    if _is(named.chain, stat.S_ISDIR):
        return pair_in(named.chain)
    return named if _is_there(named.chain) or _is_there(named.key) else None


def placed_pairs(certs: Path, chain_name: str, key_name: str) -> list[Pair]:
    """The pairs below *certs*, whether they are good or not; the one that the settings name comes first."""
    named = named_pair(certs, chain_name, key_name)
    found = [named] if named is not None else []
    return found + [pair for pair in _pairs_below(certs, DEPTH) if named is None or pair.chain != named.chain]


def pair_in(folder: Path) -> Pair | None:
    """The pair whose files lie in *folder* under one of the usual names; None without any."""
    for chain, key in _FILES:
        pair = Pair(folder / chain.format(name=folder.name), folder / key.format(name=folder.name))
        if _is_there(pair.chain) and _is_there(pair.key):
            return pair
    return None


def _pairs_below(folder: Path, depth: int) -> Iterator[Pair]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for path in entries:
        if path.name.startswith(".") or path.name in _OURS or not _is(path, stat.S_ISDIR):
            continue
        if path.name == _ISSUED and not path.is_symlink():
            continue  # left over from TLS_FLAVOR=letsencrypt: nobody renews it any more
        if (pair := pair_in(path)) is not None:
            yield pair
        elif depth > 1:
            yield from _pairs_below(path, depth - 1)


def _is_there(path: Path) -> bool:
    """Whether a file has this name, or a link that leads nowhere. What is closed to us is not there for us."""
    try:
        return path.is_symlink() or _is(path, stat.S_ISREG)
    except OSError:
        return False


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(path.stat().st_mode)
    except OSError:
        return False


def with_last_good(
    certs: Path, pairs: Sequence[Pair], *, now: datetime | None = None
) -> tuple[list[Candidate], list[str]]:
    """Return *pairs*, each as it is or, when that cannot be used, as it was when it was good; and why, a sentence each.

    Copies what can be used. A place that cannot be written to gives no copies and is no error.
    """
    kept = certs / KEPT_FOLDER
    when = now or datetime.now(UTC)
    found: list[Candidate] = []
    unusable: list[str] = []
    refused: list[str] = []
    for pair in pairs:
        place = kept / copy_name(certs, pair)
        candidate, before = examine(pair), examine(Pair(place / _KEPT_PAIR, place / _KEPT_PAIR))
        trouble = candidate.unusable or _lost_intermediate(candidate, before, when)
        if not trouble:
            found.append(candidate)
            _keep(candidate, before, place)
        elif before.unusable:
            found.append(candidate)
            unusable.append(f"{trouble}; it is not served")
        else:
            found.append(replace(before, pair=pair))
            refused.append(f"{trouble}; the certificate before it serves on")
    _forget_others(kept, {copy_name(certs, pair) for pair in pairs})
    # Where nothing can be used, each host name has its own words about that.
    return found, [*refused, *(unusable if any(not one.unusable for one in found) else ())]


def _lost_intermediate(candidate: Candidate, before: Candidate, when: datetime) -> str:
    """A chain that is being written may end after its first certificate, and looks complete then."""
    old = before.certificates
    if len(candidate.certificates) > 1 or len(old) < 2 or before.unusable or old[0].not_valid_after_utc <= when:
        return ""
    if candidate.certificates[0].issuer != old[0].issuer:
        return ""
    return f"{candidate.pair.chain} holds no intermediate certificate, which the one before it has"


def _keep(candidate: Candidate, before: Candidate, place: Path) -> None:
    content = candidate.content
    if content == before.content:
        return
    with contextlib.suppress(OSError):
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_file(place / _KEPT_PAIR, content.key + content.chain, 0o600)
        write_file(place / _KEPT_CHAIN, content.chain, 0o644)


def _forget_others(kept: Path, wanted: set[str]) -> None:
    """A pair that was taken away is wanted no longer."""
    with contextlib.suppress(OSError):
        for folder in kept.iterdir():
            if folder.name not in wanted:
                shutil.rmtree(folder)


def chains_in_force(certs: Path, pairs: Sequence[Pair]) -> list[Path]:
    """The chain of each pair as it is served, for those who may not read keys: the copy's, where there is one."""
    copies = [(pair, certs / KEPT_FOLDER / copy_name(certs, pair) / _KEPT_CHAIN) for pair in pairs]
    return [copy if _is_there(copy) else pair.chain for pair, copy in copies]


def kept_chains(certs: Path) -> list[Path]:
    """The chains of all pairs that are good, or were."""
    return sorted(certs.glob(f"{KEPT_FOLDER}/*/{_KEPT_CHAIN}"))


def chain_for(chains: Sequence[Path], name: str) -> Path | None:
    """The chain that *name* is served with; None when none can be read."""
    readable: list[Path] = []
    for chain in chains:
        try:
            leaf = read_chain(chain)[0]
        except CertificateError:
            continue
        if covers(leaf, name):
            return chain
        readable.append(chain)
    return readable[0] if readable else None
