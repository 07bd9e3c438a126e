"""What must change so that dockerd runs with the desired settings, and why.

Pure: desired settings and what is real go in, a `Plan` comes out: edits of files, whether systemd must read them,
whether Docker must be restarted, or the condition that stands in the way.

    write iff prospective ≠ desired, or what stands lies in the other method's place
    restart iff dockerd runs and effective ≠ desired

Not known here: how a file is replaced and Docker restarted (`docker/transaction.py`), how a choice came about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from agent.decide import foreign
from agent.decide.effective import effective, prospective
from agent.decide.overruled import overruled, would_get
from agent.decide.restart import Busy, Restarting, When, busy, counts_always, hangs_on_urgency, restarting
from agent.decide.urgent import Urgency, is_another_secret
from agent.targets import daemon_json, drop_in
from agent.targets.refused import CannotExpress, NotJson, TextRefused
from agent.values.condition import Code, Condition
from agent.values.dockerd import FileFault, Flags, Phase, Reality
from agent.values.others import PODMAN, told
from agent.values.policy import Docker, Method
from agent.values.secret import redacted
from agent.values.settings import Settings, Texts, agrees, no_proxy_shown
from agent.values.verdict import Verdict

SECRET_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
_ON_TRIAL: Final = "nothing is written until the last restart of Docker has been up for a minute"


class Edit(msgspec.Struct, frozen=True):
    """One file's text before and after; None: no file. The texts may hold passwords, so they never show."""

    path: str
    before: str | None
    after: str | None
    mode: int | None  # None: as it is, or the default

    def __repr__(self) -> str:
        return f"Edit({self.path})"


class Plan(msgspec.Struct, frozen=True):
    """What a pass does for the daemon. An empty one: everything is as desired."""

    desired: Settings
    method: Method | None = None  # None: nothing is written for the daemon
    prospective: Settings | None = None
    effective: Settings | None = None  # None: unknown, or dockerd does not run
    edits: tuple[Edit, ...] = ()
    needs_daemon_reload: bool = False
    restart: Restarting | None = None  # None: no restart is due
    starts_docker: bool = False  # an older dockerd broke on what we wrote; without it, it starts
    is_urgency_asked: bool = False  # the restart depends on whether what dockerd uses still works here
    condition: Condition | None = None
    why_method: str = ""  # why this method was chosen
    put_off: str = ""  # why the edits have to wait
    verdict_here: Verdict | None = None  # on what dockerd runs with, where that was asked for the urgency

    @property
    def due(self) -> str:
        """Why Docker has to be restarted: what differs, and why that cannot stay; '' if it has not."""
        if self.restart is None:
            return ""
        return "; ".join(filter(None, (_difference(self.effective, self.desired), self.restart.due)))

    @property
    def changes(self) -> bool:
        """Whether there is anything to do or to wait for."""
        return self.acts or self.restart is not None or bool(self.put_off)

    @property
    def acts(self) -> bool:
        """Whether carrying it out would change something; a restart that only waits does not."""
        return bool(self.edits) or self.needs_daemon_reload or self.restarts

    @property
    def restarts(self) -> bool:
        """Whether carrying it out restarts Docker."""
        return self.restart is not None and self.restart.when is When.NOW

    @property
    def writes_ahead(self) -> bool:
        """Whether it writes for a later start only: Docker goes on with other settings, or they are unknown."""
        return self.acts and not self.restarts and not self.starts_docker and not self.is_in_force

    @property
    def is_in_force(self) -> bool:
        """Whether Docker runs with what is wanted; False if that is not known."""
        return self.effective is not None and agrees(self.effective, self.desired)


def _difference(running: Settings | None, desired: Settings) -> str:
    if running is None:
        return "what Docker runs with is not known"
    before, after = running.lines()[0][1], desired.lines()[0][1]
    if before != after:
        return f"Docker runs with {before}, but should run with {after}"
    if is_another_secret(running, desired):
        return "Docker runs with another user or password"
    is_as_wanted = running.lines()
    others = [name for name, value in desired.lines() if (name, value) not in is_as_wanted]
    gone = [name for name, _ in is_as_wanted if name not in dict(desired.lines())]
    return f"Docker runs with {before}, but not with the right {' and '.join((*others, *gone))}"


class Holding(msgspec.Struct, frozen=True):
    """What holds a restart back or makes it urgent, besides reality."""

    waits: str = ""  # why a restart that is possible has to wait its turn
    urgency: Urgency | None = None  # None: not asked yet
    not_taken: str = ""  # why this dockerd did not switch live-restore on when told to
    ends: str = ""  # why a container would not survive although live-restore is on, if that was asked
    believes_transfer: bool = True  # False for one that never ends
    foreign: FileFault | None = None  # why dockerd would not start with daemon.json without our change, if it was asked
    # What it came up with instead when these settings were last tried, if nothing has changed that could explain it.
    came_up_otherwise: tuple[tuple[Settings, Condition], ...] = ()

    def otherwise(self, desired: Settings) -> Condition | None:
        return next((condition for tried, condition in self.came_up_otherwise if tried == desired), None)


NOTHING_HOLDS: Final = Holding()


class OwnedDaemonJson(msgspec.Struct, frozen=True):
    """daemon.json as it was before the agent first wrote there."""

    is_ours: bool = False  # whether the agent ever wrote there
    original: str | None = None  # its text then; None: there was no file
    mode: int | None = None  # its mode then

    def __repr__(self) -> str:
        return f"OwnedDaemonJson(is_ours={self.is_ours})"


def plan(  # noqa: PLR0913 - each is a part of what is compared
    desired: Settings,
    reality: Reality,
    policy: Docker,
    owned: OwnedDaemonJson,
    *,
    is_asked_now: bool,
    holding: Holding = NOTHING_HOLDS,
) -> Plan:
    """Desired against real."""
    running = effective(reality)
    if (condition := _in_the_way(reality)) is not None:
        return Plan(desired, effective=running, condition=condition)
    try:
        now = prospective(reality)
        is_in_its_way = _is_in_its_way(reality, owned)
        starts_docker = is_in_its_way and reality.unit.phase is Phase.BROKEN
        method, why_method = method_for(policy, reality, owned)
        if method is Method.DAEMON_JSON and reality.daemon_json_fault is not None:
            return Plan(desired, condition=_of_file(reality.daemon_json_fault, holding.foreign, reality))
        theirs = without_ours(reality, owned)
        refused = holding.foreign or foreign.refusal(theirs, reality)
        is_right = now == desired and not is_in_its_way and not _is_elsewhere(method, reality, owned)
        edits = () if is_right else _edits(method, desired, reality, owned)
        if refused is not None and _writes_into_daemon_json(edits, reality, theirs):
            edits = ()  # nothing of ours goes into a refused file, so what stands in the other place has to stay
        met = _meets(reality, policy, holding)
    except TextRefused as error:
        return _beside(desired, reality, policy, owned, error=error)
    except Inexpressible as error:
        edits = (_given_back(reality, owned),) if is_in_its_way else ()
        return Plan(
            desired,
            prospective=now,
            effective=running,
            edits=edits,
            starts_docker=starts_docker,
            condition=error.condition,
        )
    wrong = reality.daemon_json_fault or refused
    of_its_file = _of_file(wrong, refused, reality) if wrong is not None else None
    is_due = reality.engine is not None and running is not None and not agrees(running, desired)
    otherwise = holding.otherwise(desired) if is_due and not is_asked_now else None
    restart = None
    if is_due and otherwise is None:
        restart = _restart(met, reality, policy, refused, is_asked_now=is_asked_now, holding=holding)
    return Plan(
        desired,
        method,
        prospective=now,
        effective=running,
        edits=edits,
        needs_daemon_reload=_needs_daemon_reload(method, edits, reality, is_right=now == desired),
        restart=restart,
        starts_docker=starts_docker,
        is_urgency_asked=restart is not None and hangs_on_urgency(policy.restart, met, is_asked_now=is_asked_now),
        condition=of_its_file or otherwise or _to_be_said(reality),
        why_method=why_method,
    )


def _writes_into_daemon_json(edits: tuple[Edit, ...], reality: Reality, theirs: str | None) -> bool:
    """Whether more than what others wrote would stand there."""
    return any(edit.path == reality.daemon_json_path and edit.after != theirs for edit in edits)


def _meets(reality: Reality, policy: Docker, holding: Holding) -> Busy:
    """What a restart would meet. Raises TextRefused."""
    return busy(
        reality,
        holding.not_taken,
        ends=holding.ends,
        believes_transfer=holding.believes_transfer or counts_always(policy.restart, reality.transfer),
        take_along=policy.take_along,
    )


def _restart(  # noqa: PLR0913 - each is a part of what is weighed
    met: Busy, reality: Reality, policy: Docker, refused: FileFault | None, *, is_asked_now: bool, holding: Holding
) -> Restarting:
    """When Docker is restarted, which runs with other settings than it should."""
    restart = restarting(
        policy.restart, met, holding.urgency, is_asked_now=is_asked_now, can_restart=reality.can_restart
    )
    if restart.when is When.NOW and reality.daemon_json_fault is not None and not reality.validates:
        restart = Restarting(When.LATER, _not_onto(reality.daemon_json_fault))
    elif restart.when is When.NOW and refused is not None:
        restart = Restarting(When.LATER, foreign.condition(refused).text)
    restart = foreign.held(restart, reality, is_asked_now=is_asked_now)
    # Where its turn has not come, urgency is not asked: containers would be named for a reason, and may be none.
    is_open = holding.urgency is None and hangs_on_urgency(policy.restart, met, is_asked_now=is_asked_now)
    if (restart.when is When.NOW or is_open) and holding.waits and not is_asked_now:
        return Restarting(When.LATER, holding.waits)
    return restart


def put_off(planned: Plan) -> Plan:
    """The same plan during the probation of the last restart: a roll-back needs the files as they were before it."""
    return msgspec.structs.replace(planned, edits=(), needs_daemon_reload=False, put_off=_ON_TRIAL)


def _beside(desired: Settings, reality: Reality, policy: Docker, owned: OwnedDaemonJson, *, error: TextRefused) -> Plan:
    """The plan if daemon.json is not understood: the drop-in is still written, and nothing is restarted."""
    broken = _broken(error, reality)
    # What is no JSON is taken by no reader, dockerd included.
    holding = Holding(foreign=broken if isinstance(error, NotJson) else None)
    if reality.daemon_json is None:  # the fault is not in the file
        return Plan(desired, condition=_of_file(broken, holding.foreign, reality))
    without = msgspec.structs.replace(reality, daemon_json=None, daemon_json_fault=broken)
    made = plan(desired, without, policy, owned, is_asked_now=False, holding=holding)
    if made.restart is None:
        return made
    return msgspec.structs.replace(made, restart=Restarting(When.LATER, _not_onto(broken)), is_urgency_asked=False)


def keeps_down(reality: Reality, owned: OwnedDaemonJson, said: FileFault | None) -> FileFault | None:
    """What in daemon.json keeps a broken dockerd down, if known. `said`: by dockerd itself."""
    if reality.unit.phase is not Phase.BROKEN:
        return None
    if said is not None:
        return said
    if reality.daemon_json_fault is not None:  # a dockerd that can be asked also reads what we cannot, such as UTF-16
        return None if reality.validates else reality.daemon_json_fault
    try:
        return foreign.refusal(without_ours(reality, owned), reality)
    except TextRefused as error:
        return _broken(error, reality)


def _not_onto(broken: FileFault) -> str:
    return f"Docker is not restarted with a {broken.path} that cannot be read"


def without_ours(reality: Reality, owned: OwnedDaemonJson) -> str | None:
    """What others wrote into daemon.json. TextRefused if it cannot be parsed."""
    return _given_back(reality, owned).after


def _is_in_its_way(reality: Reality, owned: OwnedDaemonJson) -> bool:
    """Whether our half of daemon.json keeps this dockerd from starting: before 23.0 it knows no proxies (FACTS 1)."""
    if reality.takes_proxies is not False or not owned.is_ours or daemon_json.texts(reality.daemon_json) == Texts():
        return False
    return _given_back(reality, owned).after != reality.daemon_json


def _is_elsewhere(method: Method, reality: Reality, owned: OwnedDaemonJson) -> bool:
    """Whether something of ours stands in the other method's place."""
    if method is Method.DAEMON_JSON:
        return reality.drop_in is not None or reality.environment_file is not None
    return owned.is_ours and _given_back(reality, owned).after != reality.daemon_json


def method_for(policy: Docker, reality: Reality, owned: OwnedDaemonJson) -> tuple[Method, str]:
    """Where the settings go, and why: what the policy says; else the drop-in, unless others' `proxies` override it."""
    wanted, because = _wanted(policy, reality, owned)
    if wanted is Method.DROP_IN and not reality.is_systemd:
        raise Inexpressible(Code.UNSUPPORTED, "systemd does not run this Docker", 'Set docker.method = "daemon-json"')
    if wanted is Method.DAEMON_JSON and reality.takes_proxies is False:
        version = f" ({reality.engine.version})" if reality.engine else ""
        raise Inexpressible(
            Code.UNSUPPORTED,
            f"this Docker{version} does not support proxies in daemon.json; Docker 23 does",
            'Set docker.method = "systemd-drop-in"',
        )
    if wanted is Method.DAEMON_JSON and reality.takes_proxies is None:
        # With the key in its file, an older dockerd would not start at all (FACTS 1).
        raise Inexpressible(Code.ENGINE_STOPPED, "not known yet: whether this Docker supports proxies in daemon.json")
    return wanted, because


def _wanted(policy: Docker, reality: Reality, owned: OwnedDaemonJson) -> tuple[Method, str]:
    if policy.method is not Method.AUTO:
        return policy.method, "docker.method sets it"
    if not reality.is_systemd:
        return Method.DAEMON_JSON, "systemd does not run this Docker"
    if _has_foreign_proxies(reality, owned):
        return Method.DAEMON_JSON, "daemon.json has proxies that others set, which override the unit's environment"
    if reality.takes_proxies is False:
        version = f" {reality.engine.version}" if reality.engine else ""
        return Method.DROP_IN, f"this Docker{version} does not support proxies in daemon.json"
    return Method.DROP_IN, "systemd runs this Docker, and daemon.json has no proxies that others set"


def _has_foreign_proxies(reality: Reality, owned: OwnedDaemonJson) -> bool:
    foreign = owned.original if owned.is_ours else reality.daemon_json
    return daemon_json.texts(foreign) != Texts()


def _broken(error: TextRefused, reality: Reality) -> FileFault:
    failed = error.failed(reality.daemon_json_path)
    return FileFault(failed.where, failed.wrong, failed.remedy)


def _of_file(fault: FileFault, refused: FileFault | None, reality: Reality) -> Condition:
    """`refused`: why dockerd would not start with it, if that is known."""
    return foreign.condition(fault, is_deadly=refused is not None and reality.unit.is_running)


class Inexpressible(Exception):
    """The method cannot bring the desired settings into dockerd."""

    def __init__(self, code: Code, text: str, remedy: str = "", target: str = "") -> None:
        super().__init__(text)
        self.condition = Condition(code, text, remedy, target)

    @classmethod
    def of(cls, condition: Condition) -> Inexpressible:
        return cls(condition.code, condition.text, condition.remedy, condition.target)


def _in_the_way(reality: Reality) -> Condition | None:
    """What forbids writing anything for the daemon."""
    phase = reality.unit.phase
    if phase in (Phase.ABSENT, Phase.MASKED):
        instead, remedy = told(reality.others)
        text = f"Docker's unit is {phase.value}: nothing is written for the daemon"
        return Condition(Code.ENGINE_ABSENT, f"{text}; {instead}" if instead else text, remedy)
    if reality.engine is not None and reality.engine.is_podman:
        return Condition(
            Code.UNSUPPORTED, "podman answers on Docker's socket: nothing is written for the daemon", PODMAN.settings
        )
    if reality.flags.names:
        return Condition(
            Code.BLOCKED,
            f"dockerd is started with {', '.join(reality.flags.names)}: that overrides every file; nothing is written",
            f"Delete {' '.join(_as_typed(reality.flags))} in {reality.flags_in}, keep the rest of the line, "
            f"then run: systemctl daemon-reload; systemctl restart {reality.unit_name}"
            if reality.flags_in
            else "Remove the flag from the unit or from DOCKER_OPTS",
            reality.flags_in,
        )
    return None


def _as_typed(flags: Flags) -> Iterator[str]:
    """The proxy flags as they stand there, but for a password."""
    values = {
        "--http-proxy": redacted(flags.proxies.http),
        "--https-proxy": redacted(flags.proxies.https),
        "--no-proxy": no_proxy_shown(flags.proxies.no_proxy.split(",")) if flags.proxies.no_proxy else "",
    }
    for name in flags.names:
        yield f"{name}={values[name]}" if values.get(name) else name


def _to_be_said(reality: Reality) -> Condition | None:
    if reality.is_silent and effective(reality) is None:
        return Condition(
            Code.ENGINE_SILENT, reality.silence or "dockerd did not answer", "See: systemctl status docker"
        )
    if reality.unit.phase is Phase.STARTING:
        return Condition(Code.ENGINE_SLOW, "Docker is still starting", f"See: journalctl -u {reality.unit_name} -f")
    if reality.unit.phase is Phase.BROKEN:
        return None  # reported for the whole pass, whatever is chosen
    if not reality.unit.is_running:
        return Condition(Code.ENGINE_STOPPED, f"Docker is {reality.unit.phase.value}: the agent will not start it")
    return None


def _edits(method: Method, desired: Settings, reality: Reality, owned: OwnedDaemonJson) -> tuple[Edit, ...]:
    """Write the new place, then remove our half from the old one."""
    if method is Method.DROP_IN:
        if (beaten := overruled(desired, reality)) is not None:
            raise Inexpressible.of(beaten)
        places = _into_drop_in(desired, reality, owned)
        file, environment = places[-1].after, would_get(desired, reality)
    else:
        places = _into_daemon_json(desired, reality, owned)
        file, environment = places[0].after, reality.foreign_environment
    if daemon_json.texts(file).over(environment).meaning() != desired:
        raise Inexpressible(
            Code.NOT_EFFECTIVE,
            "its proxies override the unit's environment",
            'Set docker.method = "auto", or remove them',
            reality.daemon_json_path,
        )
    edits = tuple(edit for edit in places if edit.before != edit.after)
    if not edits and method is Method.DROP_IN and reality.is_drop_in_loaded:
        raise Inexpressible(
            Code.NOT_EFFECTIVE,
            "its values are right, but a later drop-in or EnvironmentFile= overrides them",
            f"See: systemctl cat {reality.unit_name}",
            reality.environment_file_path,
        )
    return edits


def _into_drop_in(desired: Settings, reality: Reality, owned: OwnedDaemonJson) -> tuple[Edit, Edit, Edit]:
    ours = drop_in.drop_in(reality.environment_file_path, reality.systemctl)
    return (
        Edit(reality.environment_file_path, reality.environment_file, drop_in.edit(desired), SECRET_MODE),
        Edit(reality.drop_in_path, reality.drop_in, ours, None),
        _given_back(reality, owned),
    )


def _given_back(reality: Reality, owned: OwnedDaemonJson) -> Edit:
    """daemon.json without our half of it."""
    file = reality.daemon_json
    if owned.is_ours and file is not None:
        file = daemon_json.put_back(file, daemon_json.originals(owned.original)) or owned.original
    return Edit(reality.daemon_json_path, reality.daemon_json, file, _mode(reality.daemon_json, file, owned))


def _into_daemon_json(desired: Settings, reality: Reality, owned: OwnedDaemonJson) -> tuple[Edit, Edit, Edit]:
    try:
        edited = daemon_json.edit(reality.daemon_json, desired, reality.foreign_environment)
        after = edited or reality.daemon_json  # do not create an empty file
    except CannotExpress as error:
        raise Inexpressible(
            Code.NOT_EFFECTIVE, str(error), 'Set docker.method = "systemd-drop-in"', reality.daemon_json_path
        ) from error
    return (
        Edit(reality.daemon_json_path, reality.daemon_json, after, _mode(reality.daemon_json, after, owned)),
        Edit(reality.drop_in_path, reality.drop_in, None, None),
        Edit(reality.environment_file_path, reality.environment_file, None, None),
    )


def _mode(before: str | None, after: str | None, owned: OwnedDaemonJson) -> int | None:
    """Only root may read it while it holds a password; afterwards the old mode returns."""
    if daemon_json.holds_secret(after):
        return SECRET_MODE
    is_released = owned.is_ours and daemon_json.holds_secret(before)
    return (owned.mode or PUBLIC_MODE) if is_released else None


def _needs_daemon_reload(method: Method, edits: tuple[Edit, ...], reality: Reality, *, is_right: bool) -> bool:
    """systemd reads values at each start, the drop-in itself only when told (FACTS 11)."""
    if any(edit.path == reality.drop_in_path for edit in edits):
        return True
    return method is Method.DROP_IN and not is_right and not reality.is_drop_in_loaded
