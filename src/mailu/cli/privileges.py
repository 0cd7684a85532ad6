"""Giving up root's rights before files of the services are opened."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def become_owner_of(folder: Path) -> None:
    """When run as root, become the user who owns *folder*, for good; do nothing when that is root or nobody is there.

    SQLite makes its ``-wal`` and ``-shm`` files as whoever opens the database. Made by root they would lock the
    services out of it. The folder of the database belongs to the control plane's user, ``mailu``.
    """
    if os.geteuid() != 0:
        return
    try:
        owner = folder.stat()
    except FileNotFoundError:
        return
    if owner.st_uid == 0:
        return
    group, home = owner.st_gid, "/"
    try:
        account = pwd.getpwuid(owner.st_uid)
        group, home = account.pw_gid, account.pw_dir
    except KeyError:
        pass
    os.setgroups([])
    os.setgid(group)
    os.setuid(owner.st_uid)
    os.environ["HOME"] = home
