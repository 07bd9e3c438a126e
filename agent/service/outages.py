"""When what Docker runs with began not to work here, and when that ended. Each has a record.

An outage counts from the first look that found it, once a second look in a row has found the same: a single failed
probe is none. A move that is carried out in one pass is none either: `docker-restarted` says how long it took.

Pure. Not known here: what is done about it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator

import msgspec
from msgspec import UNSET

from agent.decide.choose import Ending
from agent.one_pass.seen import Offline, Pass, Planned
from agent.values.events import Facts, UnreachableBegan, UnreachableEnded, judged
from agent.values.verdict import Verdict


class _Outage(msgspec.Struct, frozen=True):
    since: float  # CLOCK_BOOTTIME
    since_text: str  # RFC 3339
    is_told: bool = False
    looks: tuple[object, ...] = ()  # the verdicts that said so: a remembered one, the very object, says nothing new


class Outages:
    """As one agent sees them."""

    def __init__(self) -> None:
        self._open: _Outage | None = None

    def note(self, done: Pass, now: float, now_text: str, *, says_where: bool = True) -> Iterator[Facts]:
        """What there is to record after a pass. `now`: CLOCK_BOOTTIME; `now_text`: RFC 3339.

        `says_where`: see `events.judged`.
        """
        works = reaches(done)
        if works is None:
            return
        if works is False:
            looks = _looks(done)
            if self._open is None:
                self._open = _Outage(now, now_text, looks=looks)
            elif not self._open.is_told and not _is_remembered(looks, self._open.looks):
                self._open = msgspec.structs.replace(self._open, is_told=True)
                yield _began(done, self._open.since_text, says_where=says_where)
            return
        because = "what Docker runs with works here" if works is True else works
        yield from self.end(because, now, _used(done) if works is True else None)

    def end(self, because: str, now: float, upstream: str | None = None) -> Iterator[Facts]:
        """What there is to record if it ends now, or nobody looks any more."""
        if self._open is not None and self._open.is_told:
            lasted_s = round(max(0.0, now - self._open.since), 1)
            yield UnreachableEnded(lasted_s=lasted_s, upstream=upstream or UNSET, because=because)
        self._open = None


def reaches(done: Pass) -> bool | str | None:
    """Whether what Docker runs with works here. A text: why there is nothing that could work. None: not known."""
    seen = done.seen
    if isinstance(seen, Offline):
        return "the host is offline"
    if not seen.reality.unit.is_running and not done.has_restarted:
        return "Docker does not run"
    used = _used(done)
    verdict = seen.verdicts.get(used) if used is not None else None
    if verdict is not None:
        return verdict.is_ok
    asked = _asked(done)
    if asked is not None:
        return asked.is_ok
    if seen.choice.ending in (Ending.UNREACHABLE, Ending.PORTAL):
        return False
    return None


def _looks(done: Pass) -> tuple[object, ...]:
    if isinstance(done.seen, Offline):
        return ()
    used = _used(done)
    verdict = done.seen.verdicts.get(used) if used is not None else None
    return (verdict,) if verdict is not None else tuple(done.seen.verdicts.values())


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
