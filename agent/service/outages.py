"""When what Docker runs with began not to work here, and when that ended. Each has a record.

An outage counts from the first look that found it, once a second look in a row has found the same: a single failed
probe is none, nor are two with hours between them. It is of one network, and of one upstream that Docker runs with:
with another it ends, and the next begins with the look that found that. A move that is carried out in one pass is none
either: `docker-restarted` says how long it took.

Pure. Not known here: what is done about it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import UNSET

from agent.decide.choose import Ending
from agent.one_pass.seen import Offline, Pass, Planned
from agent.values.events import Facts, UnreachableBegan, UnreachableEnded, judged
from agent.values.verdict import Verdict

APART_S: Final = 600.0  # at most, of two looks in a row; or two `probe.recheck`, if that is more


class _Outage(msgspec.Struct, frozen=True):
    since: float  # CLOCK_BOOTTIME
    since_text: str  # RFC 3339
    network: str
    used: str | None  # the upstream that Docker runs with; None: none of the policy's
    told: UnreachableBegan | None = None  # its record; None: there is none yet
    looks: tuple[object, ...] = ()  # the verdicts that said so: a remembered one, the very object, says nothing new


class Outages:
    """As one agent sees them."""

    def __init__(self) -> None:
        self._open: _Outage | None = None

    def note(
        self, done: Pass, now: float, now_text: str, *, says_where: bool = True, recheck_s: float = 0.0
    ) -> Iterator[Facts]:
        """What there is to record after a pass. `now`: CLOCK_BOOTTIME; `now_text`: RFC 3339.

        `says_where`: see `events.judged`. `recheck_s`: how long two looks are apart where nothing happens.
        """
        works = reaches(done)
        if not works and self._open is not None and (other := _other(done, self._open, is_judged=works is False)):
            # Nothing is mended by that, and whoever reads that an outage ended would take it so.
            yield from self.end(f"{other}; Docker still reaches no registry" if works is False else other, now)
        if works is None:
            return
        if works is False:
            looks, before = _looks(done), self._open
            is_new = before is None or not _is_remembered(looks, before.looks)
            is_late = before is not None and now - before.since > max(APART_S, 2 * recheck_s)
            if before is None or (is_new and is_late and before.told is None):
                self._open = _Outage(now, now_text, _network(done) or "", _used(done), looks=looks)
            elif is_new and before.told is None:
                began = _began(done, before.since_text, says_where=says_where)
                self._open = msgspec.structs.replace(before, told=began)
                yield began
            return
        because = "what Docker runs with works here" if works is True else works
        yield from self.end(because, now, _used(done) if works is True else None)

    def end(self, because: str, now: float, upstream: str | None = None) -> Iterator[Facts]:
        """What there is to record if it ends now, or nobody looks any more."""
        if self._open is not None and self._open.told is not None:
            lasted_s = round(max(0.0, now - self._open.since), 1)
            yield UnreachableEnded(lasted_s=lasted_s, upstream=upstream or UNSET, because=because)
        self._open = None

    def open_s(self, now: float) -> float:
        """How long the one that is recorded and goes on has lasted; 0: there is none."""
        if self._open is None or self._open.told is None:
            return 0.0
        return round(max(0.0, now - self._open.since), 1)

    def once_more(self) -> Iterator[Facts]:
        """The record of the one that is open, for a log that has lost it."""
        if self._open is not None and self._open.told is not None:
            yield self._open.told


def reaches(done: Pass) -> bool | str | None:
    """Whether what Docker runs with works here. A text: why there is nothing that could work. None: not known."""
    seen = done.seen
    if isinstance(seen, Offline):
        return "the host is offline"
    if not seen.reality.unit.is_running and not done.has_restarted:
        return "Docker does not run"
    verdict = _verdict(done)
    if verdict is not None:
        return verdict.is_ok
    asked = _asked(done)
    if asked is not None:
        return asked.is_ok
    if seen.choice.ending in (Ending.UNREACHABLE, Ending.PORTAL):
        return False
    return None


def _other(done: Pass, before: _Outage, *, is_judged: bool) -> str:
    """What is another than when it began; '' if nothing is. `is_judged`: whether what Docker runs with was asked."""
    network, used = _network(done), _used(done)
    if network is not None and network != before.network:
        return f"the network changed: {network}"
    is_known = used is not None or done.seen.reality.engine is not None
    if is_judged and is_known and used != before.used:
        return f"Docker runs with {used or 'settings of others'} now"
    return ""


def _network(done: Pass) -> str | None:
    return None if isinstance(done.seen, Offline) else done.seen.recognised.network.name


def _looks(done: Pass) -> tuple[object, ...]:
    if isinstance(done.seen, Offline):
        return ()
    verdict = _verdict(done)
    return (verdict,) if verdict is not None else tuple(done.seen.verdicts.values())


def _verdict(done: Pass) -> Verdict | None:
    """On what Docker runs with; None: that was not asked."""
    if isinstance(done.seen, Offline):
        return None
    used = _used(done)
    return done.seen.relayed.for_what_it_uses(done.seen.verdicts.get(used) if used is not None else None)


def _is_remembered(looks: tuple[object, ...], before: tuple[object, ...]) -> bool:
    return bool(looks) and len(looks) == len(before) and all(map(operator.is_, looks, before))


def _asked(done: Pass) -> Verdict | None:
    """The verdict on what Docker runs with, where it is only asked for because of the restart that is due."""
    seen = done.seen
    return seen.plan.verdict_here if isinstance(seen, Planned) and not done.has_restarted else None


def _used(done: Pass) -> str | None:
    """The upstream that Docker runs with after the pass; None: none of the policy's, or it is not known."""
    outcome, seen = done.outcome, done.seen
    is_as_chosen = outcome is not None and outcome.restarted_s is not None and outcome.runs_with is None
    return seen.upstream.name if is_as_chosen and isinstance(seen, Planned) else seen.in_docker


def _began(done: Pass, since: str, *, says_where: bool) -> UnreachableBegan:
    seen = done.seen
    assert not isinstance(seen, Offline)  # noqa: S101 - it does not reach that far
    used, asked = _used(done), _asked(done)
    verdicts = seen.verdicts
    if asked is not None and used is not None and used not in verdicts:
        verdicts = {used: asked, **verdicts}
    return UnreachableBegan(
        network=seen.recognised.network.name,
        upstream=used or UNSET,
        since=since,
        because=seen.choice.because,
        verdicts=judged(verdicts, says_where=says_where),
    )
