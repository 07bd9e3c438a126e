"""How a pass reads for a person: the words of `status`, in a column that fits on a screen.

Pure: a pass goes in, lines come out.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.apply import Outcome
from agent.decide.choose import Choice, Ending
from agent.decide.plan import Plan
from agent.decide.restart import When
from agent.policy import Method
from agent.reconcile import Seen, Verdicts
from agent.settings import Settings

_LABEL = 13
_PLACES = {Method.DROP_IN: "systemd drop-in", Method.DAEMON_JSON: "daemon.json"}


def line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}".rstrip()


def seen_lines(seen: Seen, outcome: Outcome | None = None) -> Iterator[str]:
    """Where the host is, what was chosen and why, how the upstreams do, and what Docker runs with."""
    if seen.recognised is None or seen.choice is None:
        yield "offline: nothing is touched"
        return
    network = seen.recognised.network
    yield headline(network.name, seen.choice)
    yield line("because", seen.choice.because)
    yield line("recognised", seen.recognised.because)
    yield line("upstreams", upstreams(network.use, seen.verdicts))
    if seen.reality is not None and seen.plan is not None:
        yield line("docker", _docker(seen, outcome))
    if seen.plan is not None and seen.plan.condition is not None:
        yield line("note", str(seen.plan.condition))


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


def _docker(seen: Seen, outcome: Outcome | None) -> str:
    assert seen.plan is not None  # noqa: S101 - the caller looked
    assert seen.reality is not None  # noqa: S101
    engine = seen.reality.engine
    if engine is None:
        return seen.reality.unit.phase.value
    running = "settings that are not known" if seen.plan.effective is None else in_words(seen.plan.effective)
    if outcome is None or outcome.restarted_s is None:
        return f"{engine.version} runs with {running}"
    now = f"{in_words(seen.plan.desired)} since its restart, {outcome.restarted_s:.1f} s"
    return f"{engine.version} ran with {running}; with {now}"


def in_words(settings: Settings) -> str:
    """`http and https through URL`, or the two apart, or `no proxy`."""
    if settings.is_direct:
        return "no proxy"
    if settings.http == settings.https:
        return str(settings.http)
    return ", ".join(f"{name} {value}" for name, value in settings.lines() if name != "no_proxy")


def plan_lines(plan: Plan) -> Iterator[str]:
    """What would be done."""
    if not plan.changes:
        if plan.condition is None:
            yield line("to do", "nothing: Docker runs with the right settings")
        return
    if plan.edits and plan.prospective is not None:
        yield line("write", _places(plan))
        yield from diff(plan.prospective, plan.desired)
    elif plan.needs_daemon_reload:
        yield line("reload", "systemd has not read the drop-in yet")
    if plan.restart is not None:
        when = {When.NOW: "now", When.LATER: "later", When.NEVER: "not by the agent"}[plan.restart.when]
        yield line("restart", f"{when}: {plan.restart.because}")
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


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """What was done."""
    if outcome.written:
        yield line("written", ", ".join(outcome.written))
    if outcome.deferred:
        yield line("deferred", f"restart of Docker: {outcome.deferred}")
    if outcome.rolled_back:
        yield line("rolled back", outcome.rolled_back)
    if outcome.condition is not None:
        yield line("failed", str(outcome.condition))
