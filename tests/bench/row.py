"""One goal and what was measured, and the table that they make. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measurement of one goal: met if it is not above `at_most`; None: there is none."""

    what: str
    measured: float
    at_most: float | None
    unit: str = ""
    baseline: str = ""
    where: str = ""  # the time or the space goes
    short: str = ""  # what stands in the way, if it falls short
    details: str = ""  # a section of its own, as Markdown

    @property
    def is_met(self) -> bool:
        return self.at_most is None or self.measured <= self.at_most

    @property
    def goal(self) -> str:
        return "none" if self.at_most is None else f"≤ {number(self.at_most)}{self.unit}"


def in_the_middle(rows: Sequence[Row]) -> Row:
    """Of repetitions of one row: all of it is of one run, so that its parts add up."""
    middle = statistics.median_low(row.measured for row in rows)
    return next(row for row in rows if row.measured == middle)


def table(rows: Mapping[str, Sequence[Row]]) -> str:
    """By row, its repetitions; as Markdown."""
    head = ("what", "goal", "measured", "of", "baseline", "met", "where it goes")
    return "\n".join(
        [_line(head), _line("---" for _ in head), *(_line(_cells(repetitions)) for repetitions in rows.values())]
    )


def shortfalls(rows: Mapping[str, Sequence[Row]]) -> str:
    """What is not met, and why; as Markdown."""
    middles = [in_the_middle(repetitions) for repetitions in rows.values()]
    lines = [f"- {row.what}: {row.short or row.where}" for row in middles if not row.is_met]
    return "\n".join(["## What falls short", "", *(lines or ["Nothing."])])


def not_measured(failed: Mapping[str, str]) -> str:
    """By subject, why a repetition of it gave no rows; as Markdown, '' if all did."""
    lines = [f"- {subject}: {why}" for subject, why in failed.items()]
    return "\n".join(["## What could not be measured", "", *lines]) if lines else ""


def sections(rows: Mapping[str, Sequence[Row]]) -> str:
    """What has a section of its own, below all else; as Markdown."""
    middles = [in_the_middle(repetitions) for repetitions in rows.values()]
    return "\n\n".join(row.details for row in middles if row.details)


def _cells(repetitions: Sequence[Row]) -> Iterable[str]:
    row = in_the_middle(repetitions)
    least, most = (f(each.measured for each in repetitions) for f in (min, max))
    spread = f"{number(least)}–{number(most)}" if least < most else ""
    yield row.what
    yield row.goal
    yield f"**{number(row.measured)}{row.unit}**"
    yield spread
    yield row.baseline
    yield "" if row.at_most is None else "yes" if row.is_met else "**no**"
    yield row.where


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def number(value: float) -> str:
    """As many digits as mean something."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.4f}"
