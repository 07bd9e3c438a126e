"""Medians, and what the kernel counts of a process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def in_ms(seconds: Sequence[float]) -> str:
    """The median, for a reader."""
    return f"{median(seconds) * 1000:.0f} ms"


@dataclass(frozen=True)
class Counts:
    """Since a process began: all its threads, and its children that have ended."""

    cpu_s: float
    children_cpu_s: float  # in steps of a tick, 10 ms
    waits: int  # how often a thread went to sleep: so often, or once less, it was woken
    child_faults: int  # it grows with every child that ends, and only then

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            self.cpu_s - other.cpu_s,
            self.children_cpu_s - other.children_cpu_s,
            self.waits - other.waits,
            self.child_faults - other.child_faults,
        )


def counts(process: Path) -> Counts:
    """`process`: its directory in some /proc."""
    threads = list((process / "task").iterdir())
    # Behind the name, which may hold spaces and brackets.
    words = (process / "stat").read_text().rpartition(") ")[2].split()
    return Counts(
        sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9,
        (int(words[13]) + int(words[14])) * _TICK_S,
        sum(int(status(thread)["voluntary_ctxt_switches"]) for thread in threads),
        int(words[8]),
    )


def resident_mb(process: Path) -> float:
    return int(status(process)["VmRSS"].split()[0]) / 1024


def status(process: Path) -> dict[str, str]:
    lines = (process / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
