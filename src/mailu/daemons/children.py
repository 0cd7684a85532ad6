"""The processes that a daemon started, for rooms that look after single ones of them."""

from __future__ import annotations

from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Process numbers; none when *pid* is gone. Source: proc(5), ``/proc/PID/task/TID/children``."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def name_of(pid: int) -> str:
    """The name of the program, at most 15 letters of it; empty when *pid* is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
