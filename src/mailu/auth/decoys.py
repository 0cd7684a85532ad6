"""What an unknown name's password is compared with, so that the time it takes does not tell that it is unknown.

Accounts have hashes of several kinds, and a guess at an old one takes ten times as long. So each unknown name is given
the hash of some account, always the same one while the directory stays as it is: seen from outside, unknown names are
spread over the kinds as accounts are. What the comparison says is thrown away.
"""

from __future__ import annotations

import hashlib
import secrets

from mailu.auth import passwords
from mailu.directory.snapshot import Snapshot


class Decoys:
    """Chooses the hashes."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._lonely = passwords.hash_password(secrets.token_hex())
        self._snapshot: Snapshot | None = None
        self._hashes: tuple[str, ...] = ()

    def stored_for(self, name: str, snapshot: Snapshot) -> str:
        """Return the hash that *name* is checked against; a made-up one where there are no accounts."""
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._hashes = tuple(user.password for user in snapshot.users.values() if user.password)
        if not self._hashes:
            return self._lonely
        digest = hashlib.blake2b(name.encode(errors="surrogateescape"), key=self._key, digest_size=8).digest()
        return self._hashes[int.from_bytes(digest, "big") % len(self._hashes)]
