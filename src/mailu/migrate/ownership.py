"""Whose the files are: each part of a root belongs to a system user of its own."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """User and group of files that are made; ``NOBODY_ELSE`` leaves them to whoever runs this."""

    uid: int
    gid: int

    def give(self, path: Path) -> None:
        """Make *path*, or the link itself, theirs."""
        if self.uid >= 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


NOBODY_ELSE = Owner(-1, -1)


def owner_of(account: str) -> Owner:
    """The owner called *account*. Without root's rights, or such a user, whoever runs this."""
    if os.geteuid() != 0:
        return NOBODY_ELSE
    try:
        found = pwd.getpwnam(account)
    except KeyError:
        return NOBODY_ELSE
    return Owner(found.pw_uid, found.pw_gid)


@contextmanager
def acting_as(owner: Owner) -> Iterator[None]:
    """Make files, and talk to databases, as *owner* for a while; root again afterwards.

    A database that root makes, or whose journal root makes, would lock the services out.
    """
    if owner.uid <= 0 or os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(owner.gid)
    os.seteuid(owner.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
