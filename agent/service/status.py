"""What the running agent shows of a pass.

Not known here: the file that it is shown in (`status_file.py`), and how it reads for a person (`cli/status.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from typing import Final

import msgspec

from agent import __version__
from agent.audit.facts import Plain, plain
from agent.audit.record import Told
from agent.decide.effective import effective
from agent.decide.plan import Plan
from agent.decide.restart import When
from agent.docker.transaction import Applied
from agent.one_pass.seen import Offline, Pass, Planned, Undecided, Verdicts
from agent.service.status_file import KEPT, PolicyStatus, State, Status
from agent.system.clock import now_text
from agent.system.process_start import started
from agent.targets import daemon_json, drop_in
from agent.targets.refused import TextRefused
from agent.values.condition import Code, Condition
from agent.values.dockerd import Reality
from agent.values.policy import Method
from agent.values.settings import Texts

_DAEMON_JSON: Final = "daemon.json"


class Docker(msgspec.Struct, frozen=True):
    """What the agent remembers of the restarts it made."""

    restarts: int = 0
    last_restart: str | None = None
    last_took_s: float | None = None
    last_kept: int = 0  # containers that ran on


class Since(msgspec.Struct, frozen=True):
    """The upstream in use, and since when."""

    name: str
    at: str


class Looks(msgspec.Struct, frozen=True):
    """What the service knows beside its last pass."""

    docker: Docker = Docker()
    since: Since | None = None
    asked: Mapping[str, str] = {}  # when each upstream was last asked
    last: tuple[Told, ...] = ()
    idle: Reality | None = None  # dockerd where no policy asks for a pass
    clients: tuple[Plain, ...] = ()  # people's files, as they were when they were last looked at


def status_of(
    done: Pass | None,
    policy: PolicyStatus,
    looks: Looks,
    extra: tuple[Condition, ...],
    *,
    is_working: bool = False,
) -> Status:
    """The status after a pass; None: there has been none, for want of a policy."""
    outcome = done.outcome.condition if done and done.outcome else None
    known = (*extra, *((outcome,) if outcome else ()), *(done.seen.conditions if done else ()))
    conditions = sorted(dict.fromkeys(known), key=lambda condition: not condition.comes_first)
    reality = done.seen.reality if done else looks.idle
    shown = Status(
        version=__version__,
        pid=os.getpid(),
        started=started(os.getpid()),
        state=State.WORKING if is_working else _state(done, {condition.code for condition in (*extra, *_grave(done))}),
        policy=policy,
        conditions=tuple(plain(condition) for condition in conditions),
        docker=_docker(done, reality, looks.docker) if reality is not None else None,
        targets=_targets(done, reality, looks.clients),
        at=now_text(),
        last=tuple(plain(told) for told in looks.last),
    )
    if done is None or isinstance(done.seen, Offline):
        return shown
    seen, recognised = done.seen, done.seen.recognised
    network = {"name": recognised.network.name, "fingerprint": seen.snapshot.fingerprint()}
    since = looks.since.at if looks.since else None
    return msgspec.structs.replace(
        shown,
        network={**network, "because": recognised.because},
        upstream=plain({"name": seen.choice.upstream, "since": since, "why": seen.choice.because}),
        verdicts=_verdicts(seen.verdicts, looks.asked),
        settings=plain(seen.plan.desired) if isinstance(seen, Planned) else None,
    )


def _verdicts(verdicts: Verdicts, asked: Mapping[str, str]) -> Plain:
    return {
        name: {
            "verdict": verdict.outcome.value,
            "ms": round(verdict.timings.total),
            "at": asked.get(name),
            "evidence": plain(verdict.evidence),
        }
        for name, verdict in verdicts.items()
    }


def _docker(done: Pass | None, reality: Reality, docker: Docker) -> Plain:
    """What it is and runs with, whatever is wished."""
    planned = done.seen if done is not None and isinstance(done.seen, Planned) else None
    plan = planned.plan if planned is not None else None
    outcome = done.outcome if done and done.outcome else Applied()
    was_restarted = outcome.restarted_s is not None
    in_use = done.seen.in_docker if done else None
    running = effective(reality)
    if planned is not None and was_restarted:
        running = outcome.runs_with or planned.plan.desired
        in_use = planned.upstream.name if outcome.runs_with is None else None
    if running is None:  # nothing is known to be in use
        in_use = None
    verdict = done.seen.verdicts.get(in_use) if done and in_use is not None else None
    return plain(
        {
            "version": reality.engine.version if reality.engine else None,
            "phase": reality.unit.phase,
            "absence": reality.absence,
            "method": plan.method if plan else None,
            "effective": running,
            "in_use": in_use,
            "works": verdict.outcome.value if verdict else None,
            "evidence": verdict.evidence if verdict else "",
            "restarts": docker.restarts,
            "last_restart": docker.last_restart,
            "last_took_s": docker.last_took_s,
            "last_kept": docker.last_kept,
            "deferred": _deferred(plan, outcome),
        }
    )


def _deferred(plan: Plan | None, outcome: Applied) -> str | None:
    """Why a restart that is due was not made: what came in its way, else what the plan said."""
    if plan is None or plan.restart is None or outcome.restarted_s is not None or outcome.rolled_back:
        return None
    return outcome.deferred or (None if plan.restart.when is When.NOW else plan.restart.because)


def _targets(done: Pass | None, reality: Reality | None, known: tuple[Plain, ...]) -> tuple[Plain, ...]:
    """Where nothing is chosen there is nothing that they should say: what stands there is shown all the same."""
    clients = clients_of(done) if done else None
    return (
        *(
            _daemon_target(done.seen, done.outcome or Applied())
            if done is not None and isinstance(done.seen, Planned)
            else _standing_in(reality)
        ),
        *(clients if clients is not None else map(_kept, known)),
    )


def clients_of(done: Pass) -> tuple[Plain, ...] | None:
    """People's files; None: they were not looked at."""
    clients = done.seen.clients
    if clients is None:
        return None
    failed = {file.path: file.error for file in (*clients.failed, *done.clients) if file.error}
    written = {file.path for file in done.clients if not file.is_late}
    left = {file.path for file in clients.files if file.edit is not None or file.is_late} - written
    return (
        *(
            _target(file.path, file.name, failed.get(file.path), is_pending=file.path in left, fact=clients.fact)
            for file in clients.files
            if not (file.is_left and file.path in written)
        ),
        *(_target(skipped.name, skipped.name, skipped.why) for skipped in clients.skipped),
    )


def _kept(target: Plain) -> Plain:
    """What was seen of it elsewhere is left out: it need not be so here."""
    assert isinstance(target, dict)  # noqa: S101 - `_target` made it
    lasting = {name: fact for name, fact in target.items() if name != "fact"}
    return lasting if target["error"] else {**lasting, "state": KEPT}


def _standing_in(reality: Reality | None) -> tuple[Plain, ...]:
    """The file that has dockerd's settings, and what it says."""
    if reality is None:
        return ()
    if reality.environment_file is not None:
        path, name, texts = reality.environment_file_path, _drop_in_of(reality), drop_in.read(reality.environment_file)
    else:
        path, name, texts = reality.daemon_json_path, _DAEMON_JSON, _in_daemon_json(reality)
        if texts == Texts():
            return ()
    says = plain(texts.meaning())
    return ({"path": path, "name": name, "state": KEPT, "error": None, "says": says},)


def _in_daemon_json(reality: Reality) -> Texts:
    try:
        return daemon_json.texts(reality.daemon_json)
    except TextRefused:  # a plan says so; without one nothing is to be written there
        return Texts()


def _drop_in_of(reality: Reality) -> str:
    return f"{reality.unit_name} drop-in"


def _daemon_target(seen: Planned, outcome: Applied) -> tuple[Plain, ...]:
    plan, reality = seen.plan, seen.reality
    if plan.method is None:
        return ()
    is_drop_in = plan.method is Method.DROP_IN
    path = reality.environment_file_path if is_drop_in else reality.daemon_json_path
    name = _drop_in_of(reality) if is_drop_in else _DAEMON_JSON
    gave_up = str(plan.condition) if plan.condition is not None and plan.condition.code is Code.GAVE_UP else None
    failure = outcome.rolled_back or gave_up
    is_pending = not outcome.written and (bool(plan.edits) or plan.prospective != plan.desired)
    if not failure and not is_pending and _standing(plan, path, reality, outcome) is None:
        return ()  # what is desired needs nothing to be written
    return (_target(path, name, failure, is_pending=is_pending),)


def _standing(plan: Plan, path: str, reality: Reality, outcome: Applied) -> str | None:
    """What stands there now; None: no such file."""
    edit = next((edit for edit in plan.edits if edit.path == path), None) if outcome.written else None
    if edit is not None:
        return edit.after
    return reality.environment_file if path == reality.environment_file_path else reality.daemon_json


def _target(path: str, name: str, error: str | None, *, is_pending: bool = False, fact: str = "") -> Plain:
    """`is_pending`: what it should say is not written, for the pass is under way or was held back."""
    state = "failed" if error else "pending" if is_pending else "right"
    return {"path": path, "name": name, "state": state, "error": error, **({"fact": fact} if fact else {})}


def _grave(done: Pass | None) -> Iterator[Condition]:
    """What a pass says of itself, but for what anybody can bring about in a home of his own."""
    for condition in done.seen.conditions if done else ():
        if condition.code is not Code.INTERNAL_ERROR:
            yield condition


def _state(done: Pass | None, codes: Set[Code]) -> State:
    if done is None:
        return State.FAILED if codes & {Code.INTERNAL_ERROR, Code.ENGINE_DOWN} else State.IDLE
    if (done.outcome is not None and done.outcome.is_failed) or any(
        code.is_failure for code in codes - {Code.UNREACHABLE, Code.POLICY_ERROR}
    ):
        return State.FAILED
    seen = done.seen
    if isinstance(seen, Offline):
        return State.OFFLINE
    if Code.PAUSED in codes:
        return State.IDLE
    if (isinstance(seen, Undecided) and seen.is_waiting) or codes & {Code.PORTAL, Code.UNREACHABLE}:
        return State.WAITING
    restarted = done.outcome is not None and done.outcome.restarted_s is not None
    if isinstance(seen, Planned) and seen.plan.restart is not None and not restarted:
        return State.DEFERRED
    return State.STEADY
