"""A pass becomes a picture of it.

Pure. Not known here: where the picture is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from itertools import islice
from typing import Final

import msgspec

from agent.clients.clients import ClientFile, ClientsSeen
from agent.decide.choose import Choice
from agent.decide.effective import effective, in_daemon_json
from agent.decide.pac import PacSeen, candidate_names
from agent.decide.plan import Plan
from agent.decide.recognise import Recognised
from agent.decide.relay import Relayed, Stage, in_words, said
from agent.decide.restart import Restarting, When
from agent.docker.transaction import Applied
from agent.one_pass.picture import (
    BeatenShown,
    ChangeShown,
    ClientsShown,
    ClientWriteShown,
    DockerShown,
    DoneShown,
    NetworkShown,
    PacShown,
    Picture,
    PlanShown,
    RelayShown,
    RestartShown,
    Role,
    SettingsShown,
    State,
    TargetShown,
    TargetState,
    UpstreamShown,
    VerdictShown,
)
from agent.one_pass.seen import Offline, Pass, Planned, Undecided
from agent.system.clock import rfc3339
from agent.targets import drop_in, environment
from agent.values.condition import Code, Condition
from agent.values.dockerd import Reality
from agent.values.policy import Method
from agent.values.settings import Settings, Texts, agrees
from agent.values.snapshot import Snapshot
from agent.values.verdict import Verdict

MOST: Final = 200  # entries of a list. More than that `shown.plain` would cut, which puts a text among the entries
_DAEMON_JSON: Final = "daemon.json"
_NAMES: Final = ("proxy", "http", "https", "all", "no_proxy")


class RestartsMade(msgspec.Struct, frozen=True):
    """Docker's restarts by the running agent."""

    count: int = 0
    last: str | None = None
    last_took_s: float | None = None
    last_kept: int = 0  # containers that ran on


class Since(msgspec.Struct, frozen=True):
    """The upstream in use in a network, and since when."""

    network: str
    name: str
    at: str


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the pass: little by a command alone, more by the running agent."""

    conditions: tuple[Condition, ...] = ()
    restarts: RestartsMade | None = None  # None: not counted
    since: Since | None = None
    asked: Mapping[str, str] = {}  # when each upstream was last asked
    idle: Reality | None = None  # dockerd where no policy asks for a pass
    clients: tuple[TargetShown, ...] = ()  # people's files, as they were when they were last looked at


NOTHING_BESIDE: Final = Beside()


def picture_of(done: Pass | None, beside: Beside = NOTHING_BESIDE, *, is_working: bool = False) -> Picture:
    """`done`: None: there was no pass, for want of a policy."""
    conditions = _conditions(done, beside)
    reality = done.seen.reality if done is not None else beside.idle
    targets = _targets(done, reality, beside.clients)
    codes = {condition.code for condition in (*beside.conditions, *_grave(done))}
    picture = Picture(
        state=State.WORKING if is_working else _state(done, codes),
        conditions=conditions[:MOST],
        docker=_docker(done, reality, beside.restarts) if reality is not None else None,
        targets=targets[:MOST],
        left_out=max(0, len(conditions) - MOST) + max(0, len(targets) - MOST),
    )
    return picture if done is None else _with_the_pass(picture, done, beside)


def _with_the_pass(picture: Picture, done: Pass, beside: Beside) -> Picture:
    seen, outcome = done.seen, done.outcome
    is_carried_out = outcome is not None and not _was_left(outcome)
    shown = islice(seen.verdicts.items(), MOST)
    picture = msgspec.structs.replace(
        picture,
        verdicts={name: shown_verdict(verdict, beside.asked.get(name)) for name, verdict in shown},
        clients=_clients(seen.clients, {file.path for file in _written(done)}) if seen.clients is not None else None,
        relay=_relay(seen.relayed, _running(done)),
        done=_done(done) if is_carried_out or done.clients else None,
        left_out=picture.left_out + max(0, len(seen.verdicts) - MOST),
    )
    if isinstance(seen, Offline):
        return picture
    picture = msgspec.structs.replace(
        picture,
        network=shown_network(seen.recognised, seen.snapshot),
        upstream=_upstream(seen.choice, beside.since),
        pacs={pac.name: shown_pac(pac) for pac in islice(seen.pacs, MOST)},
    )
    if isinstance(seen, Undecided):
        return picture
    plan = None if is_carried_out else _plan(seen, outcome)
    return msgspec.structs.replace(picture, settings=shown_settings(seen.plan.desired), plan=plan)


def shown_pac(pac: PacSeen) -> PacShown:
    verdict = pac.said.verdict
    return PacShown(
        url=pac.url or None,
        fetched=rfc3339(pac.fetched_at) if pac.fetched_at is not None else None,
        problem=pac.problem if pac.problem and verdict is None else None,
        fault=verdict.evidence if verdict is not None else None,
        names=candidate_names(pac.name, pac.said),
        skipped=pac.said.skipped,
        excepted=tuple(map(str, pac.said.excepted)),
        untrusted=pac.untrusted,
    )


def _relay(relayed: Relayed, running: Settings | None) -> RelayShown | None:
    relaying, state, through = relayed.relaying, relayed.state, relayed.through
    is_in_use = running is not None and relayed.port_in(running) is not None
    if relaying.stage is Stage.OFF and not is_in_use:
        return None
    fails = in_words(through) if through is not None and not through.is_ok else ""
    silent = relayed.silence.verdict.evidence if relayed.silence.ports else ""  # where nothing is asked, as offline
    shown = RelayShown(
        state=(Stage.TRIED if relayed.is_assumed else relaying.stage).value,
        upstream=relayed.upstream,
        generation=relayed.generation,
        problem=relaying.because or (said(state) if state is not None else "") or fails or silent,
        in_use=is_in_use,
    )
    return shown.saying(state)


def _was_left(outcome: Applied) -> bool:
    """Whether the plan was left to the next boot before anything of it was done."""
    return outcome == Applied(deferred=outcome.deferred, goes_down=True)


def shown_network(recognised: Recognised, snapshot: Snapshot) -> NetworkShown:
    network = recognised.network
    return NetworkShown(
        name=network.name, because=recognised.because, fingerprint=snapshot.fingerprint(), use=network.use[:MOST]
    )


def _upstream(choice: Choice, since: Since | None) -> UpstreamShown:
    return UpstreamShown(name=choice.upstream, why=choice.because, since=since.at if since is not None else None)


def shown_settings(settings: Settings) -> SettingsShown:
    return dict(settings.lines())


def shown_verdict(verdict: Verdict, at: str | None = None) -> VerdictShown:
    took = msgspec.structs.asdict(verdict.timings)
    return VerdictShown(
        verdict=verdict.outcome,
        ms=round(took.pop("total")),
        steps={step: ms for step, ms in took.items() if ms is not None},
        evidence=verdict.evidence,
        at=at,
    )


def _conditions(done: Pass | None, beside: Beside) -> tuple[Condition, ...]:
    """The outcome's before the plan's: it is newer."""
    outcome = done.outcome.condition if done is not None and done.outcome is not None else None
    of_pass = done.seen.conditions if done is not None else ()
    of_containers = (done.containers_out_of_reach, done.containers_stale) if done is not None else ()
    known = (*beside.conditions, *filter(None, (outcome,)), *of_pass, *filter(None, of_containers))
    return tuple(sorted(dict.fromkeys(known), key=lambda condition: not condition.comes_first))


def _grave(done: Pass | None) -> Iterator[Condition]:
    """All but those about people's files: any user can cause these, and they do not affect Docker."""
    if done is None:
        return
    of_people = frozenset(done.seen.clients.conditions) if done.seen.clients is not None else frozenset()
    yield from (condition for condition in done.seen.conditions if condition not in of_people)


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


def _docker(done: Pass | None, reality: Reality, restarts: RestartsMade | None) -> DockerShown:
    planned = done.seen if done is not None and isinstance(done.seen, Planned) else None
    outcome = done.outcome if done is not None and done.outcome is not None else Applied()
    in_use = done.seen.in_docker if done is not None else None
    running = _running(done) if done is not None else effective(reality)
    if planned is not None and outcome.restarted_s is not None:
        in_use = planned.upstream.name if outcome.runs_with is None else None
    if running is None:  # what it runs with is unknown
        in_use = None
    verdict = done.seen.verdicts.get(in_use) if done is not None and in_use is not None else None
    if done is not None:
        verdict = done.seen.relayed.for_what_it_uses(verdict)
    method = planned.plan.method if planned is not None else None
    return DockerShown(
        version=reality.engine.version if reality.engine else None,
        phase=reality.unit.phase.value,
        absence=reality.absence,
        method=method.value if method is not None else None,
        effective=shown_settings(running) if running is not None else None,
        as_wanted=None if planned is None or running is None else agrees(running, planned.plan.desired),
        in_use=in_use,
        works=verdict.outcome if verdict is not None else None,
        evidence=verdict.evidence if verdict is not None else "",
        deferred=_deferred(planned.plan if planned is not None else None, outcome),
        restarts=restarts.count if restarts is not None else None,
        last_restart=restarts.last if restarts is not None else None,
        last_took_s=restarts.last_took_s if restarts is not None else None,
        last_kept=restarts.last_kept if restarts is not None else None,
    )


def _running(done: Pass) -> Settings | None:
    """What dockerd runs with after this pass."""
    seen, outcome = done.seen, done.outcome
    if isinstance(seen, Planned) and outcome is not None and outcome.restarted_s is not None:
        return outcome.runs_with or seen.plan.desired
    return effective(seen.reality)


def _deferred(plan: Plan | None, outcome: Applied) -> str | None:
    """Why a restart that is due was not made: what prevented it, else what the plan says."""
    if plan is None or plan.restart is None or outcome.restarted_s is not None or outcome.rolled_back:
        return None
    return outcome.deferred or (None if plan.restart.when is When.NOW else plan.restart.because)


def _targets(done: Pass | None, reality: Reality | None, known: tuple[TargetShown, ...]) -> tuple[TargetShown, ...]:
    """If nothing is chosen, what the files say now is shown."""
    planned = done.seen if done is not None and isinstance(done.seen, Planned) else None
    outcome = done.outcome if done is not None and done.outcome is not None else Applied()
    clients = client_targets(done) if done is not None else None
    return (
        *(_daemon_target(planned, outcome) if planned is not None else _standing_in(reality)),
        *(clients if clients is not None else map(_kept, known)),
    )


def client_targets(done: Pass) -> tuple[TargetShown, ...] | None:
    """People's files; None: they were not looked at."""
    clients = done.seen.clients
    if clients is None:
        return None
    failed = {file.path: file.error for file in (*clients.failed, *done.clients) if file.error}
    written = {file.path for file in _written(done)}
    left = {file.path for file in clients.files if file.edit is not None or file.is_late} - written
    return (
        *(
            _target(file.path, file.name, Role.CLIENT, failed.get(file.path), is_pending=file.path in left)
            for file in clients.files
            if not (file.is_left and file.path in written)
        ),
        *(_target(skipped.name, skipped.name, Role.CLIENT, skipped.why) for skipped in clients.skipped),
    )


def _written(done: Pass) -> tuple[ClientFile, ...]:
    """People's files that are as they should be since this pass."""
    return tuple(file for file in done.clients if not file.error and not file.is_late)


def _kept(target: TargetShown) -> TargetShown:
    return target if target.error else msgspec.structs.replace(target, state=TargetState.KEPT)


def _standing_in(reality: Reality | None) -> tuple[TargetShown, ...]:
    """The file that holds dockerd's settings, and what it says."""
    if reality is None:
        return ()
    if reality.environment_file is not None:
        path, name, texts = reality.environment_file_path, _drop_in_of(reality), drop_in.read(reality.environment_file)
    else:
        path, name, texts = reality.daemon_json_path, _DAEMON_JSON, in_daemon_json(reality)
        if texts == Texts():
            return ()
    says = shown_settings(texts.meaning())
    return (TargetShown(path=path, name=name, role=Role.DAEMON, state=TargetState.KEPT, says=says),)


def _drop_in_of(reality: Reality) -> str:
    return f"{reality.unit_name} drop-in"


def _daemon_target(seen: Planned, outcome: Applied) -> tuple[TargetShown, ...]:
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
        return ()  # nothing needs to be written
    return (_target(path, name, Role.DAEMON, failure, is_pending=is_pending),)


def _standing(plan: Plan, path: str, reality: Reality, outcome: Applied) -> str | None:
    """The text of the file now; None: there is no file."""
    edit = next((edit for edit in plan.edits if edit.path == path), None) if outcome.written else None
    if edit is not None:
        return edit.after
    return reality.environment_file if path == reality.environment_file_path else reality.daemon_json


def _target(path: str, name: str, role: Role, error: str | None, *, is_pending: bool = False) -> TargetShown:
    """`is_pending`: not written yet, because the pass is under way or was held back."""
    state = TargetState.FAILED if error else TargetState.PENDING if is_pending else TargetState.RIGHT
    return TargetShown(path=path, name=name, role=role, state=state, error=error or None)


def _plan(seen: Planned, left: Applied | None) -> PlanShown:
    """`left`: why it was left as it is, if it was."""
    plan = seen.plan
    beaten = seen.reality.beaten if plan.method is Method.DROP_IN else ()
    return PlanShown(
        writes=tuple(edit.path for edit in plan.edits),
        changes=_of_docker(plan),
        put_off=plan.put_off or (left.deferred if left is not None else "") or None,
        reloads=plan.needs_daemon_reload,
        restart=_restart(plan.restart) if plan.restart is not None else None,
        beats=tuple(
            BeatenShown(path=layer.path, says=shown_settings(environment.texts(layer.values).meaning()))
            for layer in beaten[:MOST]
        ),
    )


def _restart(due: Restarting) -> RestartShown:
    return RestartShown(when=due.when.value, because=due.because, takes_along=due.takes_along[:MOST])


def _of_docker(plan: Plan) -> tuple[ChangeShown, ...]:
    """What writing changes; if it is written already, what the restart changes."""
    before = plan.prospective if plan.edits else plan.effective if plan.restart is not None else None
    return changes(before, plan.desired) if before is not None else ()


def changes(before: Settings, after: Settings) -> tuple[ChangeShown, ...]:
    """The settings that differ, redacted."""
    old, new = shown_settings(before), shown_settings(after)
    differ = [
        name
        for name in _NAMES
        if (name in old) != (name in new) or getattr(before, name, None) != getattr(after, name, None)
    ]
    return tuple(ChangeShown(name=name, before=old.get(name), after=new.get(name)) for name in differ)


def _clients(clients: ClientsSeen, written: Set[str]) -> ClientsShown | None:
    if not clients.files:
        return None
    by_change: dict[tuple[Settings, Settings, bool], list[str]] = {}
    for file in clients.edits:
        if file.edit is not None and file.path not in written:
            by_change.setdefault((file.edit.old, file.edit.new, file.is_left), []).append(file.name)
    return ClientsShown(
        settings=shown_settings(clients.wanted.settings),
        why=clients.wanted.because,
        fact=clients.fact,
        writes=tuple(
            ClientWriteShown(names=tuple(names[:MOST]), puts_back=puts_back, changes=changes(old, new))
            for (old, new, puts_back), names in islice(by_change.items(), MOST)
        ),
    )


def _done(done: Pass) -> DoneShown:
    outcome = done.outcome or Applied()
    before = effective(done.seen.reality) if outcome.restarted_s is not None else None
    return DoneShown(
        written=outcome.written[:MOST],
        clients=tuple(file.name for file in _written(done) if file.edit is not None)[:MOST],
        restarted_s=outcome.restarted_s,
        ran_with=shown_settings(before) if before is not None else None,
        containers_kept=outcome.containers_kept,
        containers_lost=outcome.containers_lost[:MOST],
        taken_along=outcome.taken_along[:MOST],
        rolled_back=outcome.rolled_back or None,
        condition=outcome.condition,
    )
