"""What a person has set, until it is taken back or expires: a pin, a pause.

They expire by the wall clock; a pass gets the same time by its own clock. Not known here: how they are
kept (`standing_file.py`), what a pin means for a choice (`decide/`), and who may ask for one (`service/control.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path

import msgspec

from agent.decide.standing import Pause, Pin
from agent.one_pass.standing_file import LaidDown, StandingFile
from agent.system.clock import SYSTEM_CLOCK
from agent.values.condition import Code, Condition
from agent.values.events import Facts, Paused, Pinned, Resumed, Unpinned
from agent.values.verdict import Verdict


class Overrides:
    """Those of this machine."""

    def __init__(self, state: Path) -> None:
        self._file = StandingFile(state)
        self._kept = self._file.load()

    def pin(self, upstream: str, for_s: float | None) -> float | None:
        """Until when, on the wall clock; None: until it is taken back."""
        until = None if for_s is None else time.time() + for_s
        self._keep(pin=upstream, pin_until=until)
        return until

    def unpin(self) -> str | None:
        """What was pinned."""
        was = self._kept.pin
        self._keep(pin=None, pin_until=None)
        return was

    def pause(self, for_s: float | None) -> float | None:
        """Until when, as `pin`."""
        until = None if for_s is None else time.time() + for_s
        self._keep(is_paused=True, paused_until=until)
        return until

    def resume(self) -> bool:
        """Whether it was paused."""
        was = self._kept.is_paused
        self._keep(is_paused=False, paused_until=None)
        return was

    def end_what_is_over(self, upstreams: Container[str]) -> Iterator[Facts]:
        """End what is over, and return it; a pin also ends with a policy that does not have its name."""
        wall, kept = time.time(), self._kept
        if kept.pin is not None and kept.pin not in upstreams:
            self._keep(pin=None, pin_until=None)
            yield Unpinned(upstream=kept.pin, because="the policy has no such upstream")
        elif kept.pin is not None and kept.pin_until is not None and wall >= kept.pin_until:
            self._keep(pin=None, pin_until=None)
            yield Unpinned(upstream=kept.pin, because="its time is over")
        if kept.is_paused and kept.paused_until is not None and wall >= kept.paused_until:
            self._keep(is_paused=False, paused_until=None)
            yield Resumed(because="its time is over")

    def standing(self) -> tuple[Pin | None, Pause | None]:
        """The pin and the pause, with their ends in CLOCK_BOOTTIME seconds."""
        now, wall = SYSTEM_CLOCK.boottime_s(), time.time()
        return self._kept.pin_at(now, wall), self._kept.pause_at(now, wall)

    def laid_down(self) -> Iterator[Pinned | Paused]:
        """The records of the pin and the pause, for a log that has lost them, or begins."""
        wall, kept = time.time(), self._kept
        if kept.pin is not None and (kept.pin_until is None or wall < kept.pin_until):
            yield Pinned(upstream=kept.pin, until=clock(kept.pin_until))
        if kept.is_paused and (kept.paused_until is None or wall < kept.paused_until):
            yield Paused(until=clock(kept.paused_until))

    @property
    def is_paused(self) -> bool:
        _, pause = self.standing()
        return pause is not None and not pause.is_over(SYSTEM_CLOCK.boottime_s())

    def conditions(self, upstreams: Container[str], verdict_of: Callable[[str], Verdict | None]) -> Iterator[Condition]:
        """What is laid down. `verdict_of`: how an upstream does here; None: that is not known."""
        kept = self._kept
        if self._file.problem is not None:
            error = self._file.problem
            yield Condition(Code.TARGET_FAILED, error.what, error.remedy, error.where)
        pin, _ = self.standing()
        if pin is not None and pin.upstream in upstreams and not pin.is_over(SYSTEM_CLOCK.boottime_s()):
            yield _pinned(pin.upstream, in_words(kept.pin_until), verdict_of(pin.upstream))
        if self.is_paused:
            text = f"paused{in_words(kept.paused_until)}: nothing is written or restarted"
            yield Condition(Code.PAUSED, text, "To end it: docker-proxy-agent resume")

    def _keep(self, **changes: object) -> None:
        kept: LaidDown = msgspec.structs.replace(self._kept, **changes)
        if kept != self._kept:
            self._file.save(kept)
            self._kept = kept


def clock(at: float | None) -> str | None:
    """RFC 3339, as the wall's clock has it; None: without an end."""
    return None if at is None else time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(at))


def _pinned(upstream: str, until: str, verdict: Verdict | None) -> Condition:
    pin = Condition(Code.PINNED, f"{upstream} is pinned{until}", "To end it: docker-proxy-agent unpin")
    return pin if verdict is None or verdict.is_ok else pinned_but_failing(pin, verdict)


def pinned_but_failing(pin: Condition, verdict: Verdict) -> Condition:
    """The condition of a pin whose upstream does not work here."""
    text = f"{pin.text}, but fails here: {verdict.outcome.value}"
    return msgspec.structs.replace(pin, code=Code.PINNED_BUT_FAILING, text=text)


def in_words(until: float | None) -> str:
    """` until 14:00`, for a person; '' without an end. Soon it is to the second: the minute may be this one."""
    if until is None:
        return ""
    left_s = until - time.time()
    form = "%H:%M:%S" if left_s < 120 else "%H:%M" if left_s < 86400 else "%Y-%m-%d %H:%M"
    return f" until {time.strftime(form, time.localtime(until))}"
