"""What was so, from when to when, as the records of the log say it. Values only.

    Span      one thing in one lane: a network, a choice, what Docker ran with, an outage
    Start     one start of Docker, by whomever
    Restart   one restart of Docker by the agent, or its roll-back, and what it cost
    Outage    one time that Docker reached no registry, and why
    Order     one wish of somebody's
    Break     a place where the log, or its clock, does not go on as it should

Not known here: which record says what (`account.py`).
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from typing import Any

import msgspec


class Lane(enum.Enum):
    """What a span is about."""

    AGENT = "agent"  # None: none runs
    NETWORK = "network"  # None: offline
    CHOSEN = "chosen"  # None: no upstream works
    DOCKER = "docker"  # what it runs with. None: it does not run
    POLICY = "policy"  # the beginning of its SHA-256. None: there is none
    # These are only there while they last.
    RELAY = "relay"  # Docker is given it: the upstream behind it
    OUTAGE = "outage"
    WAITING = "waiting"  # a restart that is due
    PINNED = "pinned"
    PAUSED = "paused"
    POLICY_ERROR = "policy-error"
    GAVE_UP = "gave-up"
    TARGET_FAILED = "target-failed"


class Known(enum.Enum):
    """How it is known."""

    SEEN = "seen"  # an agent looked all the while
    NOT_SAID = "not said"  # an agent ran, and no record says it
    NO_AGENT = "no agent ran"  # the value is the last one that was seen
    UNCERTAIN = "the agent ended without a word"  # some time in this span; the value is the last one that was seen
    MISSING = "records are missing"  # the value is the last one before them
    NOT_SERVED = "the agent looked after another Docker"  # the value is the last one that was seen


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was so for a while."""

    lane: Lane
    about: str = ""  # which Docker, where there are several; which file
    begin: dt.datetime  # UTC
    end: dt.datetime | None = None  # None: it is still so where the log ends
    value: str | None
    known: Known = Known.SEEN
    because: str = ""
    seq: int  # of the record that says so; 0: none does
    end_seq: int = 0  # of the record that ends it; 0: none does
    settings: Mapping[str, Any] | None = None  # of Docker
    cause: str = ""  # who started Docker: one of `dockerd.Cause`
    run: int = 0  # how often the clock had been set back by then

    def has(self, moment: dt.datetime) -> bool:
        return self.begin <= moment and (self.end is None or moment < self.end)


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """A restart of Docker by the agent. None: not said."""

    at: dt.datetime  # its record was written: Docker was up again
    seq: int
    pass_id: str
    asked: str = ""  # by which order in the same pass, and whose; '': by none
    about: str = ""  # which Docker, where there are several
    is_rolled_back: bool = False
    took_s: float | None = None
    due: str = ""  # of a roll-back: why
    allowed: str = ""
    kept: int | None = None  # containers
    lost: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    taken_along: tuple[str, ...] = ()  # units
    started_again: tuple[str, ...] = ()
    left: tuple[str, ...] = ()  # what failed on the way


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A start of Docker, by whomever; those of the agent are also a Restart."""

    at: dt.datetime  # of an unseen one: when the next agent found it
    since: dt.datetime | None = None  # nobody looked: some time from then on. None: it was seen
    seq: int
    about: str = ""  # which Docker, where there are several
    by: str  # one of `dockerd.Cause`; '': not known
    because: str = ""
    value: str | None  # what it runs with; None: not said


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """Docker reached no registry; the same in the lane `OUTAGE` has no more than begin and end."""

    begin: dt.datetime
    end: dt.datetime | None = None  # None: it goes on, or nobody saw its end
    seen_until: dt.datetime | None = None  # where nobody saw its end
    lasted_s: float | None = None  # by a clock that nobody can set
    network: str = ""
    upstream: str = ""  # that Docker ran with; '': none of the policy's
    because: str = ""  # of what was chosen, as the record has it
    why: str = ""  # Docker could not switch
    verdicts: tuple[Mapping[str, Any], ...] = ()
    ended_because: str = ""
    ended_by: str = ""  # what had changed by then
    seq: int = 0  # 0: the record of its begin is not there
    end_seq: int = 0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked for."""

    at: dt.datetime
    seq: int
    pass_id: str
    event: str
    what: str  # in a few words, such as `pin direct until 16:00`
    by: Mapping[str, Any]  # an `asker.Asker`
    who: str


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log does not go on as it should."""

    at: dt.datetime  # of the record after it
    seq: int  # the same
    what: str


Told = Span | Start | Restart | Outage | Order | Break
