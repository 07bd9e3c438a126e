"""Outages, as the records tell of them: from when to when, why, and how each was ended.

Pure. A record has the begin, another one the end; what kept Docker from being switched is in those between
(`hindrances.py`). Where records are missing, or an agent ended without a word, the end may come later, or never.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from agent.audit.facts_read import earlier, proxies_of, seconds_of, text_of, who
from agent.audit.heads import Head
from agent.audit.hindrances import NOTED, Hindrances
from agent.audit.spans import Outage, Told

_SAME_OUTAGE: Final = dt.timedelta(seconds=2)  # its record is written a moment after its end


class OutagesTold:
    """Of one log, record by record."""

    def __init__(self) -> None:
        self._outage: Outage | None = None
        self._cut: Outage | None = None  # one that may have gone on where records are missing
        self._hindrances = Hindrances()

    def begins(
        self, head: Head, begin: dt.datetime, facts: Mapping[str, Any], *, last: dt.datetime | None
    ) -> Iterator[Told]:
        """The record of one. `last`: of the record before."""
        yield from self.unseen(last, "no record says so")
        cut, self._cut = self._cut, None
        if cut is not None and cut.begin == begin:  # said once more, by an agent that found its log cut off
            self._outage = msgspec.structs.replace(cut, seen_until=None, ended_because="")
            return
        if cut is not None:
            yield cut
        verdicts = facts.get("verdicts")
        self._outage = Outage(
            begin=begin,
            network=text_of(facts, "network") or "",
            upstream=text_of(facts, "upstream") or "",
            because=text_of(facts, "because") or "",
            why=self._hindrances.began(facts),
            verdicts=tuple(one for one in verdicts if isinstance(one, dict)) if isinstance(verdicts, list) else (),
            seq=head.seq,
        )

    def ends(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        """The record of its end."""
        lasted_s = seconds_of(facts, "lasted_s")
        begun, self._outage = self._outage, None
        begin = earlier(at, lasted_s or 0)
        cut, self._cut = self._cut, None
        if cut is not None and abs(cut.begin - begin) <= _SAME_OUTAGE:
            begun = msgspec.structs.replace(cut, seen_until=None, ended_because="")
        elif cut is not None:
            yield cut
        if begun is not None and begun.begin <= at:  # else the clock was set back since
            begin = begun.begin
        yield msgspec.structs.replace(
            begun or Outage(begin=begin),
            begin=begin,
            end=at,
            lasted_s=lasted_s,
            ended_because=text_of(facts, "because") or "",
            ended_by=self._hindrances.ended(facts),
            end_seq=head.seq,
        )

    def note(self, head: Head, facts: Mapping[str, Any]) -> None:
        """What keeps Docker from being switched, also if it comes while an outage lasts."""
        if head.event not in NOTED:
            return
        runs = facts.get("effective")
        settings = proxies_of(runs) if isinstance(runs, dict) else "settings that no record says"
        new = self._hindrances.note(head, facts, by=who(head.by) if head.by else "", settings=settings)
        if new and self._outage is not None:
            why = f"{self._outage.why}; then {new}" if self._outage.why else new
            self._outage = msgspec.structs.replace(self._outage, why=why)

    def unseen(self, last: dt.datetime | None, because: str) -> Iterator[Told]:
        """Nobody saw how the one that was open ended. `last`: when the newest record was written."""
        if self._outage is not None:
            yield msgspec.structs.replace(
                self._outage, seen_until=max(last or self._outage.begin, self._outage.begin), ended_because=because
            )
        self._outage = None

    def cut(self, last: dt.datetime | None, because: str) -> Iterator[Told]:
        """The same, but the agent goes on: it may say it once more, or its end."""
        yield from self.give_up_cut()
        unseen = [*self.unseen(last, because)]
        self._cut = next((one for one in unseen if isinstance(one, Outage)), None)

    def give_up_cut(self) -> Iterator[Told]:
        """Of the one whose records are missing nothing more is to come."""
        cut, self._cut = self._cut, None
        if cut is not None:
            yield cut

    def now(self) -> Iterator[Told]:
        """The one that goes on where the log ends."""
        if self._outage is not None:
            yield self._outage
