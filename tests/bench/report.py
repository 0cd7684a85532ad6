"""Figures and how they are told: medians of interleaved rounds, ratios first, the goal beside each."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One result. *goal* says what was aimed at, *reached* whether; None where there is no goal."""

    name: str
    value: str
    detail: str = ""
    goal: str = ""
    reached: bool | None = None


@dataclass(slots=True)
class Report:
    """All figures of a run, in order."""

    figures: list[Figure] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)
        mark = {True: "reached", False: "MISSED", None: ""}[figure.reached]
        print(f"{figure.name}: {figure.value}  {figure.detail}  {figure.goal} {mark}".rstrip(), flush=True)

    def save(self, path: Path) -> None:
        path.write_text(
            json.dumps({"machine": machine(), "figures": [asdict(item) for item in self.figures]}, indent=1)
        )

    def markdown(self) -> str:
        rows = ["| what | figure | measured | goal |", "|---|---|---|---|"]
        for item in self.figures:
            goal = item.goal + {True: " ✓", False: " ✗", None: ""}[item.reached]
            rows.append(f"| {item.name} | **{item.value}** | {item.detail} | {goal} |")
        return "\n".join(rows) + "\n"


def machine() -> str:
    """One line about the machine at hand."""
    cpus = sum(line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024 // 1024
    return f"{cpus} CPUs, {memory} GiB of memory, Linux {platform.release()}, Python {platform.python_version()}"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of *ours* over median of *theirs*."""
    return statistics.median(ours) / statistics.median(theirs)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """``median [least-most]``."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]"
