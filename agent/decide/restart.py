"""Whether Docker is restarted now, later or not at all, and why.

Pure. It is asked only where dockerd runs with other settings than it should.

                 idle     a container runs        a build                 a pull or push          a unit depends on it
    protect      now      urgent: now; else wait  urgent: now; else wait  urgent: now; else wait  wait
    when-idle    now      wait                    wait                    urgent: now; else wait  wait
    always       now      now                     now                     now                     now
    never        by hand  by hand                 by hand                 by hand                 by hand

Under `protect` containers survive, by live-restore; if one of them would not, they are waited for. A build, pull or
push is in flight and is broken off: an urgent pull or push goes a way that does not work here, so nothing is lost with
it; a build may be at a step that needs no network. A unit that depends on Docker's is stopped with it, with whatever it
runs, so an active one is waited for, whatever else runs; but not those of `docker.take_along`. A test holds
docs/restarting.md to this table.
Not known here: what is urgent (`urgent.py`), and how often (`rate.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from agent.decide.urgent import Urgency
from agent.targets import daemon_json
from agent.values.dockerd import BUILD, Engine, Reality, Running
from agent.values.policy import Restart

_OVERRULE: Final = "to restart anyway: docker-proxy-agent apply --now"

BELIEVED_S: Final = 3600.0  # what takes longer is no transfer: log drivers have connections, too

_NAMED: Final = 4  # units in a sentence

SAME_S: Final = 120.0  # a transfer seen after a longer gap is another one: a deferred restart is looked at more often


class When(enum.Enum):
    """When Docker is restarted."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


class Restarting(msgspec.Struct, frozen=True):
    """The answer, with its reason in parts; `because` puts them into words."""

    when: When
    holds: str  # what holds it back; if it happens now: why nothing does, or what it meets
    due: str = ""  # why it can or cannot wait, if that was asked
    is_overrulable: bool = False  # whether `apply --now` makes it all the same
    keeps_containers: bool = False  # live-restore has to be switched on for it
    spares_containers: bool = False  # a container that starts at the last moment is a reason to wait
    spares_units: bool = False  # so is a unit that depends on Docker
    spares_running: bool = False  # so is one of the containers that run, if the start of Docker would end it
    overrules: bool = False  # a person asked: done even if containers cannot be kept
    takes_along: tuple[str, ...] = ()  # units that are stopped and started with it

    @property
    def because(self) -> str:
        if self.when is When.NOW:
            return "; ".join(filter(None, (self.due, self.allowed)))
        held = f"{self.holds}, and {self.due}" if self.due else self.holds
        return f"{held}; {_OVERRULE}" if self.is_overrulable else held

    @property
    def allowed(self) -> str:
        """Of a restart that is made now: why it may be."""
        return "; ".join(filter(None, (self.holds, self._along)))

    @property
    def waits(self) -> str:
        """Of one that is not made now: why not."""
        return f"{self.holds}; {_OVERRULE}" if self.is_overrulable else self.holds

    @property
    def _along(self) -> str:
        units = self.takes_along
        return f"{named(units)} {'is' if len(units) == 1 else 'are'} taken along" if units else ""


class Busy(msgspec.Struct, frozen=True):
    """What a restart would meet."""

    containers: int = 0
    transfer: str = ""  # a pull, push or build, in words
    cannot_keep: str = ""  # why containers would not survive a restart; '': they would
    is_keeping: bool = False  # live-restore is on, and stays on over a start
    units: tuple[str, ...] = ()  # that would be stopped with it, and are waited for
    goes_along: tuple[str, ...] = ()  # units that may be stopped with it

    @property
    def is_build(self) -> bool:
        return self.transfer == BUILD

    def __str__(self) -> str:
        if not self.containers:
            return f"{self.transfer} is in flight"
        return f"{self.counted} {'runs' if self.containers == 1 else 'run'}"

    @property
    def counted(self) -> str:
        return "1 container" if self.containers == 1 else f"{self.containers} containers"


def busy(
    reality: Reality,
    not_taken: str = "",
    *,
    ends: str = "",
    believes_transfer: bool = True,
    take_along: Sequence[str] = (),
) -> Busy:
    """Raises TextRefused.

    `not_taken`: why this dockerd did not switch live-restore on when told to. `ends`: why live-restore is not enough.
    """
    engine = reality.engine
    if engine is None:
        return Busy()
    keeps = is_keeping(reality) and not ends
    reason = "" if keeps else ends or not_taken or cannot_keep(reality)
    transfer = reality.transfer if believes_transfer else ""
    units = holding(reality)
    may = tuple(unit for unit in units if any(fnmatchcase(unit, pattern) for pattern in take_along))
    held = tuple(unit for unit in units if unit not in may)
    return Busy(engine.containers_running, transfer, cannot_keep=reason, is_keeping=keeps, units=held, goes_along=may)


def holding(reality: Reality) -> tuple[str, ...]:
    """Units that lose something if they are stopped with Docker: not targets, nor Docker's own sockets."""
    return tuple(unit for unit in reality.hanging if not unit.endswith(".target") and unit not in reality.unit.triggers)


def hang_on_docker(units: Sequence[str]) -> str:
    """In words."""
    hang = "depends" if len(units) == 1 else "depend"
    return f"{named(units)} {hang} on Docker and would be stopped with it (docker.take_along lists units that may be)"


def named(units: Sequence[str]) -> str:
    shown = [*units[:_NAMED], f"{len(units) - _NAMED} more"] if len(units) > _NAMED else list(units)
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def is_keeping(reality: Reality) -> bool:
    """Whether containers would survive a restart now; what the next dockerd reads counts, too (FACTS 15)."""
    if reality.engine is None or reality.shims_in_unit:
        return False
    is_in_file = daemon_json.live_restore(reality.daemon_json) is True
    is_on = reality.engine.live_restore
    if is_on is None:  # it does not say; if the file has not changed since its start, that is what it read
        is_on = bool(reality.flags.live_restore) or (is_in_file and bool(reality.file.is_tried))
    return is_on and (bool(reality.flags.live_restore) or is_in_file)


def ended(engine: Engine | None, running: Iterable[Running]) -> tuple[str, ...]:
    """The names of those that the next start of this Docker ends, whatever live-restore says."""
    if engine is None or not engine.ends_auto_removed:
        return ()
    return tuple(sorted(one.name or one.id[:12] for one in running if one.is_auto_removed))


def why_ended(engine: Engine | None, running: Iterable[Running]) -> str:
    """In words; '' if none is."""
    names = ended(engine, running)
    version = engine.version if engine is not None else ""
    return f"Docker {version} removes containers of docker run --rm when it starts: {named(names)}" if names else ""


class InFlight(msgspec.Struct, frozen=True):
    """Since when dockerd has been transferring or building, as far as we looked."""

    since: float | None = None
    last: float = 0.0  # when it was last seen

    def seen(self, transfer: str, now: float) -> InFlight:
        """`transfer`: what it is doing now; '' for nothing."""
        if not transfer:
            return InFlight()
        is_the_same = self.since is not None and now - self.last < SAME_S
        return InFlight(self.since if is_the_same else now, now)

    def is_believed(self, now: float) -> bool:
        """Whether it still counts as a transfer."""
        return self.since is not None and now - self.since < BELIEVED_S


def counts_always(mode: Restart, transfer: str) -> bool:
    """A build under `when-idle`, however long it takes: it is known by its process, which no log driver has."""
    return mode is Restart.WHEN_IDLE and transfer == BUILD


def cannot_keep(reality: Reality) -> str:
    """Why live-restore cannot be switched on for a restart of this dockerd; '' if it can (FACTS 15)."""
    engine = reality.engine
    if engine is None:
        return "dockerd does not answer"
    if engine.is_swarm is None:
        return "dockerd does not say yet whether live-restore can be used"
    if engine.is_swarm:
        return "live-restore does not work with Swarm"
    if reality.shims_in_unit:
        return f"{reality.unit_name} has KillMode={reality.unit.kill_mode}, which stops them with it"
    if reality.flags.live_restore is not None:
        return "live-restore is set by a flag of dockerd, and the file must not contradict that"
    if not reality.is_systemd:
        return "nothing here can make dockerd reload its file"
    return ""


def hangs_on_urgency(mode: Restart, met: Busy, *, is_asked_now: bool) -> bool:
    """Whether the answer depends on urgency."""
    if is_asked_now or met.units:
        return False
    if mode is Restart.WHEN_IDLE:
        return bool(met.transfer) and not met.is_build and not met.containers
    return mode is Restart.PROTECT and bool(met.containers or met.transfer)


def restarting(
    mode: Restart, met: Busy, urgency: Urgency | None, *, is_asked_now: bool, can_restart: bool = True
) -> Restarting:
    """When a restart that is due may happen. `is_asked_now`: by `apply --now`, which overrules.

    `urgency` is None if it is unknown: then nothing is risked.
    """
    if not can_restart:
        return Restarting(When.LATER, "nothing here can restart Docker: docker.restart_command is empty")
    decided = _restarting(mode, met, urgency, is_asked_now=is_asked_now)
    along = (*met.units, *met.goes_along) if decided.when is When.NOW else ()
    return msgspec.structs.replace(decided, takes_along=along)


def _restarting(mode: Restart, met: Busy, urgency: Urgency | None, *, is_asked_now: bool) -> Restarting:
    keeps = mode is Restart.PROTECT and bool(met.containers) and not met.is_keeping and not met.cannot_keep
    if is_asked_now:
        return Restarting(When.NOW, "requested with --now", keeps_containers=keeps, overrules=True)
    if mode is Restart.NEVER:
        return Restarting(When.NEVER, 'docker.restart = "never"', is_overrulable=True)
    if mode is Restart.ALWAYS:
        return Restarting(When.NOW, 'docker.restart = "always"')
    if met.units:
        return _waits(hang_on_docker(met.units))
    if not met.containers and not met.transfer:
        return Restarting(When.NOW, "no container runs", spares_containers=True, spares_units=True)
    if (mode is Restart.WHEN_IDLE and (met.containers or met.is_build)) or urgency is None:
        return _waits(str(met))
    if not urgency.is_urgent:
        return _waits(str(met), urgency.because)
    return _urgent(met, urgency, keeps=keeps)


def _urgent(met: Busy, urgency: Urgency, *, keeps: bool) -> Restarting:
    if not met.containers:
        broken_off = f"{met.transfer} is interrupted"
        return Restarting(When.NOW, broken_off, urgency.because, spares_containers=True, spares_units=True)
    if met.cannot_keep:
        return _waits(f"{met} and would not survive: {met.cannot_keep}")
    goes_on = f"{met} and will keep running"
    return Restarting(
        When.NOW, goes_on, urgency.because, keeps_containers=keeps, spares_units=True, spares_running=True
    )


def _waits(holds: str, due: str = "") -> Restarting:
    return Restarting(When.LATER, holds, due, is_overrulable=True)
