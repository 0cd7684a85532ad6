"""Rspamd's compiler of expressions: a process whose work is done soon after the start, and which stays.

It keeps the memory that its work took, and cannot be configured away. Ended politely it is not started again before
the next reload, which may bring new expressions; what it has compiled is in the other processes by then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from mailu.daemons.children import children_of

_TITLE = b"rspamd: hs_helper process"
_AGE_SECONDS = 20.0
_LOOK_SECONDS = 0.5
"""It compiles without a pause: one that sleeps, and uses no processor time for so long, does not compile."""
_TICKS = os.sysconf("SC_CLK_TCK")


def end_idle_compiler(daemon: int, *, age_seconds: float = _AGE_SECONDS) -> bool:
    """End the compiler among the children of the process *daemon*, once it is old enough and has nothing to do.

    Returns whether it was ended.
    """
    for pid in children_of(daemon):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(_TITLE) and _is_done(pid, age_seconds):
                os.kill(pid, signal.SIGTERM)
                return True
    return False


def _is_done(pid: int, age_seconds: float) -> bool:
    before = _look(pid)
    if before.age_seconds < age_seconds or not before.sleeps:
        return False
    time.sleep(_LOOK_SECONDS)
    now = _look(pid)
    return now.sleeps and now.used_ticks == before.used_ticks


@dataclass(frozen=True, slots=True)
class _Look:
    """What proc(5) says of a process at a moment."""

    sleeps: bool
    used_ticks: int
    age_seconds: float


def _look(pid: int) -> _Look:
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2 :].split()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / _TICKS
    return _Look(sleeps=fields[0] == "S", used_ticks=int(fields[11]) + int(fields[12]), age_seconds=age)
