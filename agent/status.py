"""What the running agent shows of a pass.

Not known here: the file that it is shown in (`status_file.py`), and how it reads for a person (`cli/status.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set

import msgspec

from agent import __version__
from agent.apply import Outcome
from agent.audit.facts import Plain, plain
from agent.condition import Code, Condition
from agent.decide.effective import effective
from agent.decide.plan import Plan
from agent.dockerd import Reality
from agent.policy import Method
from agent.process_start import started
from agent.reconcile import Pass
from agent.settings import Settings
from agent.status_file import PolicyStatus, State, Status


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
    outcome = done.outcome.condition if done and done.outcome else None
    known = (*extra, *((outcome,) if outcome else ()), *(done.seen.conditions if done else ()))
    conditions = sorted(dict.fromkeys(known), key=lambda condition: not condition.comes_first)
    shown = Status(
        __version__,
        os.getpid(),
        started(os.getpid()),
        State.WORKING if is_working else _state(done, {condition.code for condition in (*extra, *_grave(done))}),
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
    if reality is None:
        return None
    restarted = done.outcome is not None and done.outcome.restarted_s is not None
    return plain(
        {
            "version": reality.engine.version if reality.engine else None,
            "phase": reality.unit.phase,
            "method": plan.method if plan else None,
            "effective": _running(done, reality),
            "restarts": docker.restarts,
            "last_restart": docker.last_restart,
            "last_took_s": docker.last_took_s,
            "last_kept": docker.last_kept,
            # What came in its way, else what the plan said.
            "deferred": ((done.outcome and done.outcome.deferred) or plan.restart.because)
            if plan and plan.restart and not restarted
            else None,
        }
    )


def _running(done: Pass, reality: Reality) -> Settings | None:
    """What Docker runs with, whatever is wished, or nothing."""
    plan, outcome = done.seen.plan, done.outcome
    if plan is None or outcome is None or outcome.restarted_s is None:
        return effective(reality)
    return outcome.runs_with or plan.desired


def _targets(done: Pass) -> tuple[Plain, ...]:
    clients = done.seen.clients
    if clients is None:
        return ()
    failed = {file.path: file.error for file in (*clients.failed, *done.clients) if file.error}
    written = {file.path for file in done.clients if not file.is_late}
    left = {file.path for file in clients.files if file.edit is not None or file.is_late} - written
    return (
        *_daemon_target(done),
        *(
            _target(file.path, file.name, failed.get(file.path), file.path in left)
            for file in clients.files
            if not (file.is_left and file.path in written)
        ),
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
    failure = outcome.rolled_back or gave_up
    is_pending = not outcome.written and (bool(plan.edits) or plan.prospective != plan.desired)
    if not failure and not is_pending and _standing(plan, path, reality, outcome) is None:
        return ()  # what is desired needs nothing to be written
    return (_target(path, name, failure, is_pending),)


def _standing(plan: Plan, path: str, reality: Reality, outcome: Outcome) -> str | None:
    """What stands there now; None: no such file."""
    edit = next((edit for edit in plan.edits if edit.path == path), None) if outcome.written else None
    if edit is not None:
        return edit.after
    return reality.environment_file if path == reality.environment_file_path else reality.daemon_json


def _target(path: str, name: str, error: str | None, is_pending: bool = False) -> Plain:
    """`is_pending`: what it should say is not written, for the pass is under way or was held back."""
    state = "failed" if error else "pending" if is_pending else "right"
    return {"path": path, "name": name, "state": state, "error": error}


def _grave(done: Pass | None) -> Iterator[Condition]:
    """What a pass says of itself, but for what anybody can bring about in a home of his own."""
    for condition in done.seen.conditions if done else ():
        if condition.code is not Code.INTERNAL_ERROR:
            yield condition


def _state(done: Pass | None, codes: Set[Code]) -> State:
    if done is None:
        return State.FAILED if Code.INTERNAL_ERROR in codes else State.IDLE
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
