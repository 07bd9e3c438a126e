"""Docker's unit, and what a restart of it takes along.

Pure. Not known here: how systemd is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.decide.restart import cannot_keep, is_keeping
from agent.targets.refused import TextRefused
from agent.values.dockerd import Phase, Reality
from agent.values.secret import escaped


class Starts(msgspec.Struct, frozen=True, kw_only=True):
    """How often systemd starts it within some time, and did. 0: not known, or as often as it is asked to."""

    most: int = 0
    lately: int = 0  # systemd may have counted fewer (FACTS 13)

    @property
    def may_be_used_up(self) -> bool:
        """Whether the next start but one, or an earlier one, may be refused."""
        return self.most > 1 and self.lately >= self.most - 1


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """The unit as it is now."""

    reality: Reality | None = None  # None: not looked at
    needs_reload: bool = False  # its files changed after systemd read them
    kept_down_by: str = ""  # the file that it does not start with, if one is known
    starts: Starts = Starts()
    last_words: str = ""  # of the start that failed; '': it said nothing, or that is not known


def judge_failed(unit: Unit) -> Iterator[Finding]:
    """Where nothing in a file is known to keep it down. What did may be gone meanwhile."""
    reality = unit.reality
    if reality is None or reality.unit.phase is not Phase.BROKEN or reality.unit.comes_back or unit.kept_down_by:
        return
    failed = " ".join((reality.unit_name, *reality.unit.triggers))
    yield Finding(
        code=Sign.DOCKER_FAILED,
        is_broken=True,
        where=reality.unit_name,
        what="has failed, and systemd no longer restarts it"
        + (f"; its last message: {escaped(unit.last_words)}" if unit.last_words else ""),
        why="after several failed starts in a row systemd refuses another one, even if the cause is fixed",
        command=f"sudo {reality.systemctl} reset-failed {failed} && "
        f"sudo {reality.systemctl} restart {reality.unit_name}",
    )


def judge(unit: Unit) -> Iterator[Finding]:
    reality = unit.reality
    if reality is None:
        return
    name = reality.unit_name
    if unit.needs_reload:
        yield Finding(
            code=Sign.NEEDS_DAEMON_RELOAD,
            is_broken=False,
            where=name,
            what="its unit files changed, but systemd has not reloaded them",
            why="a restart would still use the old ones",
            command=f"sudo {reality.systemctl} daemon-reload",
        )
    if reality.hanging:
        listed = ", ".join(f'"{one}"' for one in reality.hanging)
        yield Finding(
            code=Sign.UNITS_HANG,
            is_broken=False,
            where=name,
            what=f"systemd stops {', '.join(reality.hanging)} with it",
            why="so a restart for new settings has to wait",
            command=f"If they may be restarted with Docker, set in [docker]: take_along = [{listed}]",
        )
    if reality.shims_in_unit:
        yield Finding(
            code=Sign.KILL_MODE,
            is_broken=False,
            where=name,
            what=f"has KillMode={reality.unit.kill_mode}",
            why="a restart stops the containers, even with live-restore",
            command=f"Set KillMode=process with: sudo {reality.systemctl} edit {name}",
        )
    if reality.engine is not None and not reality.engine.is_swarm and not reality.shims_in_unit:
        yield from _live_restore(reality)
    if reality.engine is not None and reality.engine.is_swarm:
        yield Finding(
            code=Sign.SWARM,
            is_broken=False,
            where=name,
            what="is part of a swarm",
            why="live-restore does not work in a swarm, so a restart stops the containers",
            command='If that must never happen, set in [docker]: restart = "when-idle"',
        )


def with_room(finding: Finding, unit: Unit) -> Finding:
    """What a person is told to type does not fail because of a start limit, which may be near. It cannot be told."""
    reality = unit.reality
    if reality is None or not unit.starts.may_be_used_up or "reset-failed" in finding.command:
        return finding
    name = reality.unit_name.removesuffix(".service")
    call = rf"(?P<call>(?:sudo )?{re.escape(reality.systemctl)} )(?:re)?start {re.escape(name)}"
    starts = re.compile(rf"{call}(?:\.service\b|(?![\w.@-]))")
    both = " ".join((reality.unit_name, *reality.unit.triggers))
    return msgspec.structs.replace(finding, command=starts.sub(rf"\g<call>reset-failed {both}; \g<0>", finding.command))


def _live_restore(reality: Reality) -> Iterator[Finding]:
    """Where it is off, the agent switches it on for a restart, if that is possible."""
    try:
        why_not = "" if is_keeping(reality) else cannot_keep(reality)
    except TextRefused:  # a condition of the pass says so
        return
    if why_not and reality.engine is not None and reality.engine.is_swarm is not None:  # else it is not known yet
        by_flag = reality.flags.live_restore is not None
        yield Finding(
            code=Sign.LIVE_RESTORE,
            is_broken=False,
            where=reality.unit_name,
            what=f"live-restore is off, and cannot be switched on for a restart: {why_not}",
            why="a restart stops the containers, so a restart for new settings waits for them",
            command=(
                f"Remove --live-restore from the command with: sudo {reality.systemctl} edit {reality.unit_name}"
                if by_flag
                else f'Set "live-restore": true in {reality.daemon_json_path}, then restart Docker once'
            ),
        )
