"""How a pass reads for a person: the words of `status`, in a column that fits on a screen.

Pure: a pass goes in, lines come out; or, for programs, plain facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.audit.facts import plain
from agent.clients.clients import ClientsSeen
from agent.decide.choose import Choice, Ending
from agent.decide.effective import effective
from agent.decide.plan import Plan
from agent.decide.restart import When
from agent.docker.transaction import Applied
from agent.one_pass.screen import line
from agent.one_pass.seen import Offline, Pass, Planned, Seen, Verdicts
from agent.targets import environment
from agent.values.condition import Condition
from agent.values.dockerd import Reality
from agent.values.policy import Method
from agent.values.settings import Settings

_PLACES = {Method.DROP_IN: "systemd drop-in", Method.DAEMON_JSON: "daemon.json"}


def seen_lines(seen: Seen, outcome: Applied | None = None, also: Sequence[Condition] = ()) -> Iterator[str]:
    """Where the host is, what was chosen and why, how the upstreams do, and what Docker runs with.

    `also`: what is known beside the pass, such as a pause: it comes before what would be done.
    """
    first = [str(condition) for condition in seen.conditions if condition.comes_first]
    plan = seen.plan if isinstance(seen, Planned) else None
    if isinstance(seen, Offline):
        yield from first
        yield "offline: nothing is touched"
        yield line("docker", _docker(seen.reality, plan, outcome))
        yield from (line("note", str(condition)) for condition in also)
        return
    network = seen.recognised.network
    yield from first
    yield headline(network.name, seen.choice)
    yield line("because", seen.choice.because)
    yield line("recognised", seen.recognised.because)
    yield line("upstreams", upstreams(network.use, seen.verdicts))
    yield line("docker", _docker(seen.reality, plan, outcome))
    if seen.clients is not None and seen.clients.fact:
        yield line("clients", seen.clients.fact)
    for condition in seen.conditions if isinstance(seen, Planned) else ():
        if not condition.comes_first:
            yield line("note", str(condition))
    yield from (line("note", str(condition)) for condition in also)
    yield from _left_alone(seen)


def _left_alone(seen: Seen) -> Iterator[str]:
    if seen.clients is None:
        return
    for file in seen.clients.failed:
        yield line("not written", file.error)
    for skipped in seen.clients.skipped:
        yield line("not written", f"{skipped.name}: {skipped.why}")


def headline(network: str, choice: Choice) -> str:
    if choice.ending is Ending.PORTAL:
        return f"{network}: a portal is in the way"
    if choice.upstream is None:
        return f"{network}: nothing works"
    return f"{network}, direct" if choice.upstream == "direct" else f"{network} via {choice.upstream}"


def upstreams(names: tuple[str, ...], verdicts: Verdicts) -> str:
    return " · ".join(f"{name} {_verdict(name, verdicts)}" for name in names)


def _verdict(name: str, verdicts: Verdicts) -> str:
    verdict = verdicts.get(name)
    if verdict is None:
        return "not waited for"
    return f"ok {verdict.timings.total:.0f} ms" if verdict.is_ok else verdict.outcome.value


def _docker(reality: Reality, plan: Plan | None, outcome: Applied | None) -> str:
    """What it runs with, whatever is wished."""
    if reality.engine is None:
        return reality.absence
    found = effective(reality)
    running = "settings that are not known" if found is None else in_words(found)
    if plan is None or outcome is None or outcome.restarted_s is None:
        return f"{reality.engine.version} runs with {running}"
    now = f"{in_words(outcome.runs_with or plan.desired)} since its restart, {outcome.restarted_s:.1f} s"
    return f"{reality.engine.version} ran with {running}; with {now}"


def in_words(settings: Settings) -> str:
    """`http and https through URL`, or the two apart, or `no proxy`."""
    if settings.is_direct:
        return "no proxy"
    if settings.http == settings.https:
        return str(settings.http)
    return ", ".join(f"{name} {value}" for name, value in settings.lines() if name != "no_proxy")


def to_do_lines(seen: Seen) -> Iterator[str]:
    """What would be done."""
    plan = seen.plan if isinstance(seen, Planned) else None
    if plan is not None and plan.changes:
        yield from plan_lines(plan)
    if plan is not None and plan.method is Method.DROP_IN:
        for layer in seen.reality.beaten:
            said = in_words(environment.texts(layer.values).meaning())
            yield line("beats", f"{layer.path}, which says {said}")
    if seen.clients is not None and seen.clients.edits:
        yield from clients_lines(seen.clients)
    elif plan is not None and not plan.changes and not seen.conditions:
        yield line("to do", "nothing: Docker runs with the right settings")


def clients_lines(clients: ClientsSeen) -> Iterator[str]:
    """Whose config.json would be written, together where it is the same change."""
    by_change: dict[tuple[Settings, Settings, bool], list[str]] = {}
    for file in clients.edits:
        if file.edit is not None:
            by_change.setdefault((file.edit.old, file.edit.new, file.is_left), []).append(file.name)
    for (old, new, is_left), names in by_change.items():
        yield line("put back" if is_left else "write", f"clients of {' · '.join(names)}")
        yield from diff(old, new)


def plan_lines(plan: Plan) -> Iterator[str]:
    """What would be done for the daemon."""
    if plan.put_off:
        yield line("write", f"later: {plan.put_off}")
    elif plan.edits and plan.prospective is not None:
        yield line("write", _places(plan))
        yield from diff(plan.prospective, plan.desired)
    elif plan.needs_daemon_reload:
        yield line("reload", "systemd has not read the drop-in yet")
    if plan.restart is not None:
        when = {When.NOW: "now; ", When.LATER: "later: ", When.NEVER: "not by the agent: "}[plan.restart.when]
        yield line("restart", f"{when}{plan.restart.because}")
        if not plan.edits and plan.effective is not None:
            yield from diff(plan.effective, plan.desired)


def _places(plan: Plan) -> str:
    place = _PLACES.get(plan.method, "") if plan.method else ""
    return f"{place}: {', '.join(edit.path for edit in plan.edits)}"


def diff(before: Settings, after: Settings) -> Iterator[str]:
    """The settings that differ, redacted, one a line."""
    old, new = dict(before.lines()), dict(after.lines())
    same = {name for name in old if getattr(before, name, None) == getattr(after, name, None) and name in new}
    for name, value in old.items():
        if name not in same:
            yield line("", f"- {name:<9}{value}")
    for name, value in new.items():
        if name not in same:
            hidden = "  (another user or password)" if old.get(name) == value else ""
            yield line("", f"+ {name:<9}{value}{hidden}")


def pass_lines(done: Pass, also: Sequence[Condition] = ()) -> list[str]:
    """A whole pass: where the host is, and what was done, or would be if nothing held it back."""
    lines = list(seen_lines(done.seen, done.outcome, also))
    if done.outcome is None and done.clients and isinstance(done.seen, Planned) and done.seen.plan.changes:
        lines += plan_lines(done.seen.plan)
    if done.outcome is not None or done.clients:
        return [*lines, *done_lines(done)]
    return [*lines, *to_do_lines(done.seen)]


def done_lines(done: Pass) -> Iterator[str]:
    """What was done."""
    outcome = done.outcome or Applied()
    clients = [f"client of {file.name}" for file in done.clients if not file.error]
    if outcome.written or clients:
        yield line("written", " · ".join([*outcome.written, *clients]))
    for file in done.clients:
        if file.error:
            yield line("not written", file.error)
    if outcome.deferred:
        yield line("deferred", f"restart of Docker: {outcome.deferred}")
    if outcome.rolled_back:
        yield line("rolled back", outcome.rolled_back)
    if outcome.condition is not None:
        yield line("failed" if outcome.condition.code.is_failure else "note", str(outcome.condition))


def seen_json(seen: Seen, also: Sequence[Condition] = ()) -> dict[str, object]:
    """A pass before it acts, redacted."""
    plan, engine = seen.plan if isinstance(seen, Planned) else None, seen.reality.engine
    here = None if isinstance(seen, Offline) else seen
    return {
        "offline": here is None,
        "network": here
        and {
            "name": here.recognised.network.name,
            "because": here.recognised.because,
            "fingerprint": here.snapshot.fingerprint(),
        },
        "upstream": here and {"name": here.choice.upstream, "why": here.choice.because},
        "verdicts": plain(seen.verdicts),
        "docker": {
            "phase": seen.reality.unit.phase.value,
            "version": engine.version if engine else None,
            "method": plan.method.value if plan and plan.method else None,
            "effective": plain(effective(seen.reality)),
        },
        "plan": plan
        and {
            "desired": plain(plan.desired),
            "prospective": plain(plan.prospective),
            "edits": [edit.path for edit in plan.edits],
            "put_off": plan.put_off or None,
            "restart": plan.restart
            and {
                "when": plan.restart.when.value,
                "because": plan.restart.because,
                "takes_along": plan.restart.takes_along,
            },
        },
        "clients": seen.clients
        and {
            "wanted": plain(seen.clients.wanted.settings),
            "because": seen.clients.wanted.because,
            "fact": seen.clients.fact,
            "edits": [file.path for file in seen.clients.edits],
            "failed": {file.path: file.error for file in seen.clients.failed},
            "skipped": {skipped.name: skipped.why for skipped in seen.clients.skipped},
        },
        "conditions": [plain(condition) for condition in (*seen.conditions, *also)],
    }


def pass_json(done: Pass, also: Sequence[Condition] = ()) -> dict[str, object]:
    """A pass that was carried out, redacted."""
    written = {file.path: file.error or "written" for file in done.clients}
    return {
        **seen_json(done.seen, also),
        "outcome": plain(done.outcome) if done.outcome else None,
        "clients_written": written,
    }
