"""Pairs that somebody else puts below the certificates' folder (TLS_FLAVOR=cert), and the last one that was good.

What is put there may be the two files that the settings name, or folders with a pair each, as deploy hooks, certbot's
``live`` and secrets of Kubernetes are laid out; files and folders may be links. A pair that was good is copied: when
what is there later cannot be used (half written, another key, a file system that is away), the copy serves on.
"""

from __future__ import annotations

import contextlib
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mailu.identity.certificates import SELF_SIGNED_FOLDER, CertificateError, Pair, covers, inspect_pair, read_chain
from mailu.identity.certificates import write as write_file

KEPT_FOLDER = "last-good"
"""Below the certificates' folder: one folder for each pair that was good."""
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


def with_last_good(certs: Path, placed: Sequence[Pair]) -> tuple[list[Pair], list[str]]:
    """Return *placed* with the copies of those that cannot be used now, and one sentence for each of these.

    Copies what can be used. A place that cannot be written to gives no copies and is no error.
    """
    found: list[Pair] = []
    troubles: list[str] = []
    for pair in placed:
        kept = _kept(certs, pair)
        unusable = [one.text for one in inspect_pair(pair.chain, pair.key) if one.severity == "unusable"]
        if not unusable:
            found.append(pair)
            _keep(pair, kept)
        elif any(one.severity == "unusable" for one in inspect_pair(kept.chain, kept.key)):
            found.append(pair)
        else:
            found.append(kept)
            troubles.append(f"{unusable[0]}; the certificate before it serves on")
    _forget_others(certs, placed)
    return found, troubles


def _kept(certs: Path, pair: Pair) -> Pair:
    try:
        name = "_".join(pair.chain.relative_to(certs).parts)
    except ValueError:
        name = "_".join(pair.chain.parts[1:])
    return Pair(certs / KEPT_FOLDER / name / "cert.pem", certs / KEPT_FOLDER / name / "key.pem")


def _keep(pair: Pair, kept: Pair) -> None:
    with contextlib.suppress(OSError):
        chain, key = pair.chain.read_bytes(), pair.key.read_bytes()
        if kept.chain.exists() and kept.chain.read_bytes() == chain and kept.key.read_bytes() == key:
            return
        kept.chain.parent.parent.mkdir(mode=0o700, exist_ok=True)
        kept.chain.parent.mkdir(mode=0o700, exist_ok=True)
        write_file(kept.key, key, 0o600)
        write_file(kept.chain, chain, 0o600)


def _forget_others(certs: Path, placed: Sequence[Pair]) -> None:
    """A pair that was taken away is wanted no longer."""
    wanted = {_kept(certs, pair).chain.parent for pair in placed}
    with contextlib.suppress(OSError):
        for folder in (certs / KEPT_FOLDER).iterdir():
            if folder not in wanted:
                shutil.rmtree(folder)


def chain_for(pairs: Sequence[Pair], name: str) -> Path | None:
    """The chain that *name* is served with, for those who may not read keys; None when none can be read."""
    readable: list[Path] = []
    for pair in pairs:
        try:
            leaf = read_chain(pair.chain)[0]
        except CertificateError:
            continue
        if covers(leaf, name):
            return pair.chain
        readable.append(pair.chain)
    return readable[0] if readable else None
