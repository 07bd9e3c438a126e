"""What must change to bring back Docker's settings from before the agent.

Pure. The answer is a plan like any other, so that it is carried out by the same transaction: what dockerd would then
start with is what is desired. Not known here: the clients' files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from agent.decide import foreign
from agent.decide.effective import effective, prospective
from agent.decide.plan import PUBLIC_MODE, Edit, OwnedDaemonJson, Plan
from agent.decide.relay import port_had
from agent.decide.restart import Busy, busy, named, restarting
from agent.decide.urgent import Urgency
from agent.targets import daemon_json, drop_in
from agent.targets.refused import TextRefused
from agent.values.dockerd import Reality
from agent.values.policy import Docker, Method
from agent.values.settings import DIRECT, Settings, agrees


class PutBack(msgspec.Struct, frozen=True):
    """The plan that puts everything back, and why some targets stay as they are."""

    plan: Plan
    left: tuple[str, ...] = ()  # one line per target that stays: where, what, what to do
    left_targets: tuple[str, ...] = ()
    by_hand: str = ""  # if the restart waits: the command that makes it, and what it costs; nobody else will


def put_back(  # noqa: PLR0913 - each is a part of what is compared
    kept: Mapping[str, OwnedDaemonJson],
    texts: Mapping[str, str | None],
    reality: Reality,
    policy: Docker,
    *,
    is_asked_now: bool,
    relay_ports: Collection[int] = (),
) -> PutBack:
    """`texts`: what stands now in the files of `kept` and in the agent's own. `relay_ports`: of a relay that ends."""
    edits: list[Edit] = []
    left: dict[str, str] = {}
    for path, text in texts.items():
        try:
            edits += _edit(path, text, kept.get(path), reality)
        except TextRefused as error:
            left[path] = str(error.failed(path))
    is_reloaded = any(edit.path.endswith(".conf") for edit in edits) or (
        reality.is_drop_in_loaded and reality.drop_in is None
    )
    is_file_edited = any(edit.path == reality.daemon_json_path for edit in edits)
    try:
        now, desired = prospective(reality), _afterwards(edits, reality)
        met = busy(reality, take_along=policy.take_along)
    except TextRefused as error:
        left[reality.daemon_json_path] = str(error.failed(reality.daemon_json_path))
    if reality.daemon_json_fault is not None:
        left[reality.daemon_json_path] = str(foreign.condition(reality.daemon_json_fault))
    if reality.daemon_json_path in left:  # what dockerd would start with is unknown: it is not restarted
        return PutBack(Plan(DIRECT, None, edits=tuple(edits), needs_daemon_reload=is_reloaded), *_left(left))
    running = effective(reality)
    restart, by_hand = None, ""
    urgent = _by_the_relay(running, relay_ports)
    is_meant = bool(edits) or is_asked_now or urgent is not None
    if is_meant and reality.engine is not None and running is not None and not agrees(running, desired):
        due = restarting(policy.restart, met, urgent, is_asked_now=is_asked_now, can_restart=reality.can_restart)
        due = foreign.held(due, reality, is_asked_now=is_asked_now)
        restart = msgspec.structs.replace(due, is_overrulable=False)  # `by_hand` has the command instead
        by_hand = _by_hand(reality, met)
    method = Method.DAEMON_JSON if is_file_edited else Method.DROP_IN
    made = Plan(
        desired,
        method,
        prospective=now,
        effective=running,
        edits=tuple(edits),
        needs_daemon_reload=is_reloaded,
        restart=restart,
    )
    return PutBack(made, *_left(left), by_hand=by_hand)


def _by_the_relay(running: Settings | None, ports: Collection[int]) -> Urgency | None:
    """Without it nothing is pulled; of other settings it is not known, and nothing is risked."""
    if running is None or port_had([running], ports) is None:
        return None
    return Urgency(is_urgent=True, because="the relay stops, and Docker uses its address")


def _by_hand(reality: Reality, met: Busy) -> str:
    if not reality.is_systemd:
        return "restart dockerd"
    stops = (*((met.counted,) if met.containers and not met.is_keeping else ()), *met.units, *met.goes_along)
    costs = (*((f"stops {named(stops)}",) if stops else ()), *((f"interrupts {met.transfer}",) if met.transfer else ()))
    which = f", which {' and '.join(costs)}" if costs else ""
    return f"systemctl restart {reality.unit_name}{which}{_to_keep_them(reality, met)}"


def _to_keep_them(reality: Reality, met: Busy) -> str:
    """Without the agent, who does this by itself."""
    if not met.containers or met.is_keeping or met.cannot_keep:
        return ""
    them = "it" if met.containers == 1 else "them"
    first = f'set "live-restore": true in {reality.daemon_json_path}, and run: systemctl reload {reality.unit_name}'
    return f". To keep {them}, first {first}"


def _edit(path: str, text: str | None, owned: OwnedDaemonJson | None, reality: Reality) -> tuple[Edit, ...]:
    if text is None:
        return ()
    if path == reality.environment_file_path:  # ours by its name and contents
        return (Edit(path, text, None, None),)
    if path.endswith(".conf"):
        # Keep it if a person added a line; our part does nothing without the file that it names.
        return (Edit(path, text, None, None),) if drop_in.is_ours(text, reality.environment_file_path) else ()
    if owned is None:
        return ()
    after: str | None = daemon_json.put_back(text, daemon_json.originals(owned.original))
    if not after:
        after = owned.original
    if after == text:
        return ()
    is_as_then = after == owned.original
    mode = owned.mode if is_as_then or daemon_json.holds_secret(text) else None
    return (Edit(path, text, after, (mode or PUBLIC_MODE) if daemon_json.holds_secret(text) else mode),)


def _afterwards(edits: list[Edit], reality: Reality) -> Settings:
    file = next((edit.after for edit in edits if edit.path == reality.daemon_json_path), reality.daemon_json)
    return reality.flags.proxies.over(daemon_json.texts(file)).over(reality.foreign_environment).meaning()


def _left(left: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(left.values()), tuple(left)
