"""What the running agent shows of itself: status.json, readable by everybody, redacted, replaced whole.

It is written only when something in it has changed: an idle pass writes nothing. `status` reads it and talks to nobody.
Not known here: how it reads for a person (`cli/status.py`).
"""

from __future__ import annotations

import enum
import os
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from agent.apply import Outcome
from agent.audit.facts import Plain, plain
from agent.condition import Code, Condition
from agent.decide.plan import Plan
from agent.docker.process import started
from agent.errors import TargetFailed
from agent.files import read_file, replace_file
from agent.policy import Method
from agent.reconcile import Pass

PUBLIC = 0o644


class State(enum.Enum):
    """What the agent is about, the gravest first."""

    FAILED = "failed"
    WORKING = "working"
    DEFERRED = "deferred"
    WAITING = "waiting"  # for a portal to be passed, or for anything to be reachable
    OFFLINE = "offline"
    IDLE = "idle"  # without a policy, or paused
    STEADY = "steady"


class PolicyStatus(msgspec.Struct, frozen=True):
    """Which policy is in force."""

    path: str
    loaded: str | None = None  # when, RFC 3339
    error: str | None = None  # why the file as it stands is not


class Status(msgspec.Struct, frozen=True, omit_defaults=False):
    """status.json."""

    version: str
    pid: int
    started: int | None  # clock ticks after boot: with the pid it tells this process from every other one
    state: State
    policy: PolicyStatus
    # Plain and redacted; msgspec knows no recursive type.
    conditions: tuple[Any, ...] = ()
    network: Any = None
    upstream: Any = None
    verdicts: Any = None
    settings: Any = None
    docker: Any = None
    targets: tuple[Any, ...] = ()


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


def status_of(  # noqa: PLR0913 - each is a part of what is shown
    done: Pass | None,
    policy: PolicyStatus,
    docker: Docker,
    since: Since | None,
    extra: tuple[Condition, ...],
    *,
    is_working: bool = False,
) -> Status:
    """The status after a pass; None: there has been none, for want of a policy."""
    conditions = (*extra, *(done.seen.conditions if done else ()))
    shown = Status(
        metadata.version("docker-proxy-agent"),
        os.getpid(),
        started(os.getpid()),
        State.WORKING if is_working else _state(done, conditions),
        policy,
        tuple(plain(condition) for condition in conditions),
    )
    if done is None:
        return shown
    seen, recognised = done.seen, done.seen.recognised
    if recognised is None:
        return shown
    network = {"name": recognised.network.name, "fingerprint": seen.snapshot.fingerprint()}
    return msgspec.structs.replace(
        shown,
        network={**network, "because": recognised.because},
        upstream=plain({"name": seen.choice.upstream, "since": since.at if since else None, "why": seen.choice.because})
        if seen.choice
        else None,
        verdicts=_verdicts(done),
        settings=plain(seen.plan.desired) if seen.plan else None,
        docker=_docker(done, docker),
        targets=_targets(done),
    )


def _verdicts(done: Pass) -> Plain:
    return {
        name: {"verdict": verdict.outcome.value, "ms": round(verdict.timings.total)}
        for name, verdict in done.seen.verdicts.items()
    }


def _docker(done: Pass, docker: Docker) -> Plain:
    plan, reality = done.seen.plan, done.seen.reality
    if plan is None or reality is None:
        return None
    restarted = done.outcome is not None and done.outcome.restarted_s is not None
    return plain(
        {
            "version": reality.engine.version if reality.engine else None,
            "phase": reality.unit.phase,
            "method": plan.method,
            "effective": plan.desired if restarted else plan.effective,
            "restarts": docker.restarts,
            "last_restart": docker.last_restart,
            "last_took_s": docker.last_took_s,
            "last_kept": docker.last_kept,
            "deferred": _deferred(plan, done.outcome) if plan.restart and not restarted else None,
        }
    )


def _deferred(plan: Plan, outcome: Outcome | None) -> str | None:
    """Why a restart that is due was not made: what came in its way, else what the plan said."""
    if outcome is not None and outcome.deferred:
        return outcome.deferred
    return plan.restart.because if plan.restart is not None else None


def _targets(done: Pass) -> tuple[Plain, ...]:
    clients = done.seen.clients
    if clients is None:
        return ()
    failed = {file.path: file.error for file in (*clients.failed, *done.clients) if file.error}
    left = {file.path for file in clients.edits} - {file.path for file in done.clients}
    return (
        *_daemon_target(done),
        *(_target(file.path, file.name, failed.get(file.path), file.path in left) for file in clients.files),
        *(_target(skipped.name, skipped.name, skipped.why) for skipped in clients.skipped),
    )


def _daemon_target(done: Pass) -> tuple[Plain, ...]:
    plan, reality = done.seen.plan, done.seen.reality
    if plan is None or reality is None or plan.method is None:
        return ()
    is_drop_in = plan.method is Method.DROP_IN
    path, name = (
        (reality.environment_file_path, f"{reality.unit_name} drop-in")
        if is_drop_in
        else (reality.daemon_json_path, "daemon.json")
    )
    outcome = done.outcome or Outcome()
    gave_up = plan.condition.text if plan.condition is not None and plan.condition.code is Code.GAVE_UP else None
    return (_target(path, name, outcome.rolled_back or gave_up, bool(plan.edits) and not outcome.written),)


def _target(path: str, name: str, error: str | None, is_pending: bool = False) -> Plain:
    """`is_pending`: what it should say is not written, for the pass is under way or was held back."""
    state = "failed" if error else "pending" if is_pending else "right"
    return {"path": path, "name": name, "state": state, "error": error}


def _state(done: Pass | None, conditions: tuple[Condition, ...]) -> State:
    codes = {condition.code for condition in conditions}
    if done is None:
        return State.IDLE
    if (done.outcome is not None and done.outcome.is_failed) or any(
        code.is_failure for code in codes - {Code.UNREACHABLE, Code.POLICY_ERROR}
    ):
        return State.FAILED
    if done.seen.is_offline:
        return State.OFFLINE
    if Code.PAUSED in codes:
        return State.IDLE
    if codes & {Code.PORTAL, Code.UNREACHABLE}:
        return State.WAITING
    restarted = done.outcome is not None and done.outcome.restarted_s is not None
    if done.seen.plan is not None and done.seen.plan.restart is not None and not restarted:
        return State.DEFERRED
    return State.STEADY


class StatusFile:
    """Where it is shown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: Status | None = None

    def show(self, status: Status) -> None:
        if self._last is not None and _without_ms(status) == _without_ms(self._last):
            return  # timings differ at every probe, and an idle pass writes nothing
        data = msgspec.json.format(msgspec.json.encode(status), indent=2) + b"\n"
        replace_file(self.path, data, expected=read_file(self.path), mode=PUBLIC)
        self._last = status


def _without_ms(status: Status) -> Status:
    verdicts = status.verdicts and {name: found["verdict"] for name, found in status.verdicts.items()}
    return msgspec.structs.replace(status, verdicts=verdicts)


def read(path: Path) -> tuple[Status, float] | None:
    """What the running agent shows, and since when (seconds of the wall clock); None if none runs."""
    try:
        found = read_file(path)
        status = msgspec.json.decode(found.data, type=Status) if found else None
    except (TargetFailed, msgspec.DecodeError):
        return None
    if found is None or status is None or status.started != started(status.pid):
        return None
    return status, found.identity.mtime_ns / 1e9


def now_text() -> str:
    """RFC 3339, in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
