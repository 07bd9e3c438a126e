"""Starts of Docker as the page has them: restarts by the agent, and starts by others.

Pure.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import msgspec

from agent.audit.report.values import Tone
from agent.audit.report.words import length
from agent.audit.spans import Restart
from agent.audit.texts import Texts
from agent.values.dockerd import Cause

STARTED_BY: Final = {Cause.AGENT.value: "the agent"}


class ShownStart(msgspec.Struct, frozen=True):
    """A restart by the agent, or a start by others."""

    at: dt.datetime
    tone: Tone
    by: str
    seq: int
    took_s: float | None = None
    containers: str = ""
    due: str = ""
    allowed: str = ""


def of_restart(one: Restart, texts: Texts) -> ShownStart:
    """With what it cost."""
    kept = [] if one.kept is None else [f"{one.kept} kept"]
    gone = ((one.lost, "lost"), (one.stopped, "stopped"))
    lost = [f"{len(names)} {word}: {', '.join(names)}" for names, word in gone if names]
    along = [f"with it: {', '.join(one.taken_along)}"] if one.taken_along else []
    return ShownStart(
        at=one.at,
        tone=Tone.BAD if one.is_rolled_back else Tone.PLAIN,
        by=texts.once(", ".join(filter(None, ("the agent", "rolled back" if one.is_rolled_back else "", one.asked)))),
        seq=one.seq,
        took_s=one.took_s,
        containers=texts.once("; ".join([*kept, *lost, *along])),
        due=texts.once(one.due),
        allowed=texts.once("; ".join(filter(None, (one.allowed, *one.left)))),
    )


def in_words(one: ShownStart) -> str:
    """What is said to who points at it."""
    took = "" if one.took_s is None else f", {length(one.took_s)}"
    return f"by {one.by}{took}{f', {one.containers}' if one.containers else ''}"
