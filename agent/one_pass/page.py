"""A pass for a person: labelled lines, as in `status`.

Pure: a picture goes in, lines come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from agent.one_pass.picture import (
    NO_PROXY,
    ChangeShown,
    ClientsShown,
    DockerShown,
    DoneShown,
    NetworkShown,
    PacShown,
    Picture,
    PlanShown,
    Role,
    SettingsShown,
    State,
    UpstreamShown,
    VerdictShown,
)
from agent.one_pass.screen import line
from agent.values.condition import Code, Condition
from agent.values.verdict import Outcome

_PLACES: Final = {"systemd-drop-in": "systemd drop-in", "daemon-json": "daemon.json"}
_WHEN: Final = {"now": "now; ", "later": "later: ", "never": "not by the agent: "}
HELP: Final = "to find the cause: sudo docker-proxy-agent doctor"
# Of `Stage` in `decide/relay.py`, whose imports would cost `status` its speed.
RELAY_NOT_GIVEN: Final = {"tried": "is being tested; Docker uses it once it works", "failed": "given up"}
_OF_THE_CHOICE: Final = frozenset({Code.PORTAL, Code.UNREACHABLE})  # the line "because" shows them


def pass_lines(picture: Picture) -> Iterator[str]:
    """A whole pass: where the host is, and what was done, or would be done."""
    yield from seen_lines(picture)
    if picture.done is None:
        yield from to_do_lines(picture)
    else:
        if picture.plan is not None:
            yield from plan_lines(picture.plan, picture.docker)
        yield from done_lines(picture)
    yield from help_lines(picture)


def seen_lines(picture: Picture) -> Iterator[str]:
    """Where the host is, what was chosen and why, how the upstreams do, and what Docker runs with."""
    yield from (str(condition) for condition in picture.conditions if condition.comes_first)
    if picture.network is None or picture.upstream is None:
        yield "offline: nothing is changed"
    else:
        yield headline(picture.network, picture.upstream, picture.conditions)
        yield line("because", picture.upstream.why)
        yield line("recognised", picture.network.because)
        yield line("upstreams", " · ".join(f"{name} {_verdict(picture, name)}" for name in picture.network.use))
    yield from (line("pac", pac_in_words(name, pac)) for name, pac in picture.pacs.items())
    if picture.docker is not None:
        yield line("docker", _docker(picture.docker, picture.done))
    if picture.relay is not None and picture.relay.state in RELAY_NOT_GIVEN:
        yield line("relay", RELAY_NOT_GIVEN[picture.relay.state])
    if picture.clients is not None and picture.clients.fact:
        yield line("clients", picture.clients.fact)
    yield from (line("note", str(condition)) for condition in _notes(picture))
    yield from not_written_lines(picture)
    yield from left_out_lines(picture)


def headline(network: NetworkShown, upstream: UpstreamShown, conditions: Iterable[Condition]) -> str:
    if upstream.name is not None:
        return in_network(network.name, upstream.name)
    is_portal = any(condition.code is Code.PORTAL for condition in conditions)
    return f"{network.name}: {'a portal is in the way' if is_portal else 'nothing works'}"


def in_network(network: str, upstream: str) -> str:
    return f"{network}, direct" if upstream == "direct" else f"{network} via {upstream}"


def _verdict(picture: Picture, name: str) -> str:
    verdict = picture.verdicts.get(name)
    return "not needed" if verdict is None else in_short(verdict)


def in_short(verdict: VerdictShown) -> str:
    return f"ok {verdict.ms} ms" if verdict.verdict is Outcome.OK else verdict.verdict.value


def pac_in_words(name: str, pac: PacShown, fetched: str = "") -> str:
    """Where it is from, and what is odd about it. `fetched`: when, in words."""
    fault = (pac.fault or "").removeprefix("its PAC: ")
    if pac.url is None:
        return f"{name} could not be fetched: {fault}"
    parts = [f"{name} is {pac.url}{f', fetched {fetched}' if fetched else ''}"]
    if fault:
        parts.append(fault)
    if pac.problem is not None:
        parts.append(f"the copy saved here is used: {pac.problem}")
    if pac.names and pac.skipped:
        parts.append(f"skipped: {', '.join(pac.skipped)}")
    if pac.excepted:
        parts.append(f"direct for {', '.join(pac.excepted)}")
    if pac.untrusted:
        parts.append(f"no password for {', '.join(pac.untrusted)} (not in trusted)")
    return "; ".join(parts)


def _docker(docker: DockerShown, done: DoneShown | None) -> str:
    """What it runs with, whatever is wanted."""
    if docker.version is None:
        return docker.absence
    if done is None or done.restarted_s is None:
        return f"{docker.version} runs with {in_words(docker.effective)}"
    now = f"since its restart ({done.restarted_s:.1f} s) with {in_words(docker.effective)}"
    return f"{docker.version} ran with {in_words(done.ran_with)}; {now}"


def in_words(settings: SettingsShown | None) -> str:
    """One URL if http and https are the same, else both; or `no proxy`."""
    if settings is None:
        return "unknown settings"
    if settings == NO_PROXY:
        return "no proxy"
    if "all" not in settings and settings.get("http") == settings.get("https"):
        return settings["http"]
    return ", ".join(f"{name} {value}" for name, value in settings.items() if name != "no_proxy")


def _notes(picture: Picture) -> Iterator[Condition]:
    """The conditions that no other line shows."""
    of_done = picture.done.condition if picture.done is not None else None
    for condition in picture.conditions:
        if not condition.comes_first and condition.code not in _OF_THE_CHOICE and condition != of_done:
            yield condition


def not_written_lines(picture: Picture) -> Iterator[str]:
    """Whose config.json is not written, and why."""
    for target in picture.targets:
        if target.role is Role.CLIENT and target.error:
            yield line("not written", f"{target.name}: {target.error}")


def help_lines(picture: Picture) -> Iterator[str]:
    """Where to get help, if something is wrong that a person has to fix."""
    is_unreachable = any(condition.code is Code.UNREACHABLE for condition in picture.conditions)
    if picture.state is State.FAILED or is_unreachable:
        yield line("help", HELP)


def left_out_lines(picture: Picture) -> Iterator[str]:
    """That not all is shown."""
    if picture.left_out:
        yield line("note", f"{picture.left_out} more upstreams, files and notes are not shown")


def to_do_lines(picture: Picture) -> Iterator[str]:
    """What would be done."""
    plan, clients = picture.plan, picture.clients
    if plan is not None:
        yield from plan_lines(plan, picture.docker)
        yield from (line("overrides", f"{beaten.path}, which says {in_words(beaten.says)}") for beaten in plan.beats)
    if clients is not None and clients.writes:
        yield from clients_lines(clients)
    elif plan is not None and plan.is_empty and not _is_something_wrong(picture):
        yield line("to do", "nothing: Docker runs with the right settings")


def _is_something_wrong(picture: Picture) -> bool:
    is_right = picture.docker is not None and bool(picture.docker.as_wanted)
    return not is_right or any(condition.code.is_failure for condition in picture.conditions)


def clients_lines(clients: ClientsShown) -> Iterator[str]:
    """Whose config.json would be written, grouped by change."""
    for write in clients.writes:
        yield line("restore" if write.puts_back else "write", f"clients of {' · '.join(write.names)}")
        yield from diff(write.changes)


def plan_lines(plan: PlanShown, docker: DockerShown | None) -> Iterator[str]:
    """What would be done for the daemon."""
    if plan.put_off:
        yield line("write", f"later: {plan.put_off}")
    elif plan.writes:
        place = _PLACES.get(docker.method or "", "") if docker is not None else ""
        yield line("write", f"{place}: {', '.join(plan.writes)}")
        yield from diff(plan.changes)
    elif plan.reloads:
        yield line("reload", "systemd has not read the drop-in yet")
    if plan.restart is not None:
        held = docker.deferred if plan.restart.when == "now" and docker is not None else None
        if held:
            yield line("restart", f"later: {held}")
            yield line("then", plan.restart.because)
        else:
            yield line("restart", f"{_WHEN[plan.restart.when]}{plan.restart.because}")
        if not plan.writes:
            yield from diff(plan.changes)


def diff(changes: Iterable[ChangeShown]) -> Iterator[str]:
    """The settings that differ, redacted, one a line."""
    for change in changes:
        if change.before is not None:
            yield line("", f"- {change.name:<9}{change.before}")
    for change in changes:
        if change.after is not None:
            hidden = "  (another user or password)" if change.before == change.after else ""
            yield line("", f"+ {change.name:<9}{change.after}{hidden}")


def done_lines(picture: Picture) -> Iterator[str]:
    """What was done."""
    done = picture.done
    if done is None:
        return
    if done.written or done.clients:
        yield line("written", " · ".join([*done.written, *(f"client of {name}" for name in done.clients)]))
    if picture.plan is None and picture.docker is not None and picture.docker.deferred:  # else the plan says it
        yield line("deferred", f"restart of Docker: {picture.docker.deferred}")
    if done.rolled_back:
        yield line("rolled back", done.rolled_back)
    if done.condition is not None and not done.condition.comes_first:  # else it is the first line already
        yield line("failed" if done.condition.code.is_failure else "note", str(done.condition))
