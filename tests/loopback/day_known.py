"""What the lab knows of the day that `day.py` plays, and its log. Nothing of it is taken from the log."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.values.paths import Paths

from .day import AGENT, PARTS, Lab

REPOSITORY: Final = Path(__file__).parents[2]
WITHIN_S: Final = 120
ROUNDED_S: Final = 0.1  # a length in a record
AT_ONCE_S: Final = 0.02  # two clocks are read one after the other
NOT_KNOWN, DOWN = "not known", "down"
NOT_PLAYED: Final = -1.0


class Act(msgspec.Struct, frozen=True):
    """Something that the lab has the agent do, from when to when."""

    began: float
    ended: float
    by: str
    containers: int  # that ran when it began
    changed: tuple[str, ...]


class Life(msgspec.Struct, frozen=True):
    """Of an agent."""

    began: float
    ended: float
    is_killed: bool


class Ran(msgspec.Struct, frozen=True):
    """What Docker ran with from a moment on."""

    at: float
    runs: Any  # settings as the log has them; DOWN, NOT_KNOWN
    by: str = ""
    start: str = ""


class Day:
    """What the lab knows of it, and its log."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        self.log = self.paths.audit_log
        self.lab = Lab(root / "lab.jsonl")
        self.docker = [
            Ran(note["at"], note["runs"] or DOWN, note["by"], note["start"]) for note in self.lab.notes("docker")
        ]
        self.acts = list(self._acts())
        self.lives = list(self._lives())
        (deleted,) = self.lab.notes("deleted")
        self.deleted_at: float = deleted["at"]
        self.deleted: int = deleted["records"]

    def _acts(self) -> Iterator[Act]:
        began: dict[str, Any] | None = None
        for note in self.lab.notes("begins", "ended", "dies"):
            if note["what"] == "begins":
                began = note
            elif began is not None:
                yield Act(began["at"], note["at"], began["by"], began["containers"], tuple(note.get("changed", ())))
                began = None

    def _lives(self) -> Iterator[Life]:
        began = NOT_PLAYED
        for note in self.lab.notes("agent", "dies"):
            if note.get("runs"):
                began = note["at"]
            else:
                yield Life(began, note["at"], is_killed=note["what"] == "dies")

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    # What the lab knows of a moment.

    def life_at(self, at: float) -> Life | None:
        return next((life for life in self.lives if life.began <= at <= life.ended), None)

    def act_at(self, at: float) -> Act | None:
        """The one in which it happened, or the next one, in which the agent was told of it."""
        return next((act for act in self.acts if at <= act.ended), None)

    def is_lost(self, at: float) -> bool:
        """Whether what was seen then could not be written, until it is said again."""
        full, free = (float(note["at"]) for note in self.lab.notes("unwritable"))
        return full <= at <= until(self, free)

    def ran_at(self, at: float) -> Any:
        return [ran.runs for ran in self.docker if ran.at <= at][-1]


def play_in(root: Path) -> None:
    code = "import sys; from tests.loopback.day import play; play(sys.argv[1:])"
    for part in PARTS:
        words = [sys.executable, "-W", "error", "-c", code, str(root), part]
        done = subprocess.run(words, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=WITHIN_S)
        assert done.returncode == (0 if part == list(PARTS)[-1] else -signal.SIGKILL), done.stderr


def moment(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def until(day: Day, at: float) -> float:
    """When the agent has been told of it."""
    act = day.act_at(at)
    assert act is not None
    return act.ended


def wrong_about(day: Day, rows: list[tuple[float, Any]]) -> Sequence[object]:
    """Where an answer is not what the lab knows: the moment, the answer, and what it may be."""
    times = sorted({*(at for at, _ in rows), *(ran.at for ran in day.docker), *(act.ended for act in day.acts)})
    wrong = []
    for before, after in itertools.pairwise(times):
        at = (before + after) / 2
        if at < rows[0][0]:
            continue
        said = [runs for since, runs in rows if since <= at][-1]
        if said not in possible(day, at):
            wrong.append((round(at % 1000, 4), said, list(possible(day, at))))
    return wrong


def possible(day: Day, at: float) -> list[Any]:
    """What an answer about that moment may be, by what the lab knows."""
    life = day.life_at(at)
    if life is None:  # nobody looked, or the next agent has learned since when
        return [NOT_KNOWN, day.ran_at(at)]
    found = [day.ran_at(at - AT_ONCE_S), *(ran.runs for ran in day.docker if abs(ran.at - at) <= AT_ONCE_S)]
    first, *_, last = [one for one in day.acts if life.began <= one.began <= life.ended]
    if at <= first.ended or at >= last.began:  # it has not looked yet; it has stopped, or left no record any more
        found.append(NOT_KNOWN)
    if day.is_lost(at):
        found.append(NOT_KNOWN)
    return found


def restarts_of(day: Day) -> Iterator[tuple[Ran, Ran, Act]]:
    """By the agent, to other settings."""
    up = [ran for ran in day.docker if ran.runs != DOWN]
    for before, after in itertools.pairwise(up):
        act = day.act_at(after.at)
        if after.by == AGENT and after.at > day.deleted_at and act is not None and after.runs != before.runs:
            yield before, after, act


def outages_of(day: Day) -> Iterator[tuple[float, float]]:
    """While an agent ran, and looked twice."""
    notes = day.lab.notes("place", "works")
    times = sorted(
        {*(note["at"] for note in notes), *(ran.at for ran in day.docker)}
        | {at for life in day.lives for at in (life.began, life.ended)}
    )
    since: float | None = None
    for at in times:
        life, works = day.life_at(at), [note for note in notes if note["at"] <= at][-1:]
        runs = day.ran_at(at) if day.docker[0].at <= at else DOWN
        is_out = life is not None and at < life.ended and runs != DOWN and bool(works)
        is_out = is_out and works[0]["where"] != "nowhere" and works[0]["works"].get(upstream(runs), "ok") != "ok"
        if is_out and since is None:
            since = at
        elif not is_out and since is not None:
            if len([act for act in day.acts if since <= act.began and act.ended <= at]) > 1:
                yield since, at
            since = None


def upstream(runs: Any) -> str:
    return "direct" if runs == {"direct": True} else str(runs["http"]).split("//")[1].split(".")[0]
