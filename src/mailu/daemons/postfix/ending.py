"""An end of Postfix in which no delivery is cut off.

``master``, told to end, takes all of its processes with it at once. A message that Dovecot has just stored is in the
queue then as well, because nobody was there to hear that it is stored, and it is delivered a second time after the next
start. So before that nothing is begun any more, and what was begun is waited for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from mailu.daemons.children import children_of, name_of

LONGEST_SECONDS = 5.0
"""A server far away may take longer; then that delivery is cut off."""
_LOOK_EVERY_SECONDS = 0.02


def end_after_deliveries(daemon: int, queue: Path, *, seconds: float = LONGEST_SECONDS) -> None:
    """Tell the Postfix of the process *daemon* (``master`` or its parent) to end, once no process has a message of the
    active *queue* open, as those have that deliver it, or after so many *seconds*.

    Clients are served meanwhile. ``master`` stands still, so that it starts nothing; the queue manager is ended, which
    may happen to it at any time.
    """
    master = next((pid for pid in (daemon, *children_of(daemon)) if name_of(pid) == "master"), None)
    if master is None:
        return
    active = f"{(queue / 'active').resolve()}/"
    until = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        os.kill(master, signal.SIGSTOP)
        try:
            for pid in children_of(master):
                if name_of(pid) == "qmgr":
                    os.kill(pid, signal.SIGTERM)
            while time.monotonic() < until and any(_has_open(pid, active) for pid in children_of(master)):
                time.sleep(_LOOK_EVERY_SECONDS)
        finally:
            os.kill(master, signal.SIGTERM)
            os.kill(master, signal.SIGCONT)


def _has_open(pid: int, folder: str) -> bool:
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if str(descriptor.readlink()).startswith(folder):
                    return True
    except OSError:  # it has ended
        return False
    return False
