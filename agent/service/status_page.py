"""status.json for a person: the state in a word, what Docker runs with, then what is wanted and what it waits for.

Pure: a status goes in, lines come out. Imported by `status`, which answers at once: nothing here makes a pass.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

from agent.one_pass.page import (
    RELAY_NOT_GIVEN,
    help_lines,
    in_network,
    in_short,
    in_words,
    left_out_lines,
    pac_in_words,
)
from agent.one_pass.picture import DockerShown, RelayShown, State, TargetShown, TargetState, VerdictShown
from agent.one_pass.screen import INDENT, line
from agent.service.status_file import Status
from agent.values.condition import Code, Condition
from agent.values.paths import FOLDER
from agent.values.verdict import IS_EXPECTED, Outcome

# These conditions can be the headline, the gravest first. They are then not repeated as a note.
_HEADLINES: Final = (Code.ENGINE_DOWN, Code.PAUSED, Code.PORTAL, Code.UNREACHABLE, Code.POLICY_ERROR, Code.NO_POLICY)
_OF_THE_POLICY: Final = frozenset({Code.POLICY_ERROR, Code.NO_POLICY})
_LABELS: Final = {TargetState.RIGHT: "written", TargetState.PENDING: "to write", TargetState.KEPT: "kept"}
_NAMING: Final = frozenset({State.STEADY, State.FAILED, State.DEFERRED})  # their headlines name an upstream
_GIVEN, _TRIED, _OFF = "given", "tried", "off"  # `Stage` in `decide/relay.py`
_STILL_HAD: Final = {
    _OFF: ", and stops once Docker no longer has its address",
    _TRIED: ", and moves to another port once it works there",
}
_SHOWN_LAST: Final = 2  # events


def lines(status: Status, now: dt.datetime) -> Iterator[str]:
    """The status on a screen, before long lines are folded."""
    said = said_first(status)
    yield f"{status.state.value.upper():<{INDENT}}{headline(status, now)}"
    if status.docker is not None and (text := _docker(status, status.docker, now)):
        yield line("docker", text)
    if status.relay is not None:
        yield line("relay", _relay(status.relay))
    yield from _wish(status)
    yield from _targets(status)
    if used := still_used(status):
        yield line("policy", f"the one in the file is refused; {used}")
    if text := _written_in(status):
        yield line("policy", text)
    if status.verdicts:
        yield line("upstreams", " · ".join(f"{name} {_verdict(found, now)}" for name, found in status.verdicts.items()))
    for name, pac in status.pacs.items():
        yield line("pac", pac_in_words(name, pac, f"{ago(pac.fetched, now)} ago" if pac.fetched else ""))
    if status.last:
        yield line("last", " · ".join(f"{_clock(one.at)} {one.text}" for one in status.last[:_SHOWN_LAST]))
    shown = {target.error for target in status.targets}
    notes = dict.fromkeys(str(condition) for condition in status.conditions if condition != said)
    yield from (line("note", text) for text in notes if text not in shown)
    yield from left_out_lines(status)
    yield from help_lines(status)


def headline(status: Status, now: dt.datetime | None) -> str:
    """The state in one line. `now` is None if the line may be read much later."""
    said = said_first(status)
    place = f"{status.network.name}: " if status.network is not None else ""
    if said is not None:
        return _first_words(said, place)
    if status.network is None or status.upstream is None:
        return "nothing is changed" if status.state is State.OFFLINE else "no pass has run yet"
    upstream = status.upstream
    if status.state is State.WORKING:
        return f"{place}a pass is running"
    if status.state is State.DEFERRED:
        return _still(status)
    if upstream.name is None:
        return f"{place}{upstream.why}"
    choice = in_network(status.network.name, upstream.name)
    if status.state is State.FAILED:
        return f"{choice}: some of it failed"
    return f"{choice}{_since(upstream.since, now)}: {upstream.why}"


def still_used(status: Status) -> str:
    """Which policy the agent uses while the one in the file is refused; '' if it is that one, or none."""
    policy = status.policy
    if policy.error is None or policy.loaded is None:
        return ""
    return still_used_since(policy.loaded)


def still_used_since(loaded: str) -> str:
    """`loaded`: when the policy that is used was read, RFC 3339."""
    return f"the agent still uses the policy loaded at {_clock(loaded)}"


def said_first(status: Status) -> Condition | None:
    """The condition that is the headline."""
    for code in _HEADLINES:
        if code is Code.PAUSED and status.state is not State.IDLE:
            continue  # it goes on in spite of it
        if code in _OF_THE_POLICY and status.network is not None:
            continue  # the previous policy is used
        for condition in status.conditions:
            if condition.code is code:
                return condition
    return None


def _first_words(said: Condition, place: str) -> str:
    match said.code:
        case Code.PORTAL | Code.UNREACHABLE:
            return f"{place}{said}"
        case Code.POLICY_ERROR:
            return f"waits for a policy: {said}"
        case _:
            return str(said)


def _since(since: str | None, now: dt.datetime | None) -> str:
    if since is None:
        return ""
    return f", since {_clock(since)}" + (f" ({ago(since, now)})" if now is not None else "")


def _still(status: Status) -> str:
    """What Docker still uses, while its restart waits."""
    docker, relay = status.docker, status.relay
    if docker is None or docker.version is None:
        return "a restart of Docker is due"
    moves = relay is not None and relay.in_use and relay.state in (_GIVEN, _TRIED)
    return f"docker {docker.version} still uses {_used_here(status, docker, ' at its old port' if moves else '')}"


def _used_here(status: Status, docker: DockerShown, where: str = "") -> str:
    """What Docker runs with, and whether that works here."""
    if status.relay is None or not status.relay.in_use:
        return f"{_running(docker)}{_here(docker, 'which')}"
    of_its_upstream = status.verdicts.get(docker.in_use or "")
    if docker.works is Outcome.OK and (of_its_upstream is None or of_its_upstream.verdict is not Outcome.OK):
        return f"the relay{where}, which still reaches a registry here"  # by its last orders
    if docker.works not in (None, Outcome.OK) and of_its_upstream and of_its_upstream.verdict is Outcome.OK:
        return f"the relay{where}{_here(docker, 'which')}"  # not its upstream's fault
    return f"the relay{where}{_here(docker, f'whose upstream {docker.in_use}' if docker.in_use else 'which')}"


def _here(docker: DockerShown, what: str) -> str:
    if docker.works is None:
        return ""
    if docker.works is Outcome.OK:
        return f", {what} works here too"
    return f", {what} does not work here: {docker.works.value}{_in_brackets(docker.evidence)}"


def _relay(relay: RelayShown) -> str:
    """What it does, and how much of it."""
    if relay.state != _GIVEN and not (relay.in_use and relay.state in _STILL_HAD):
        return RELAY_NOT_GIVEN.get(relay.state, relay.state)
    # By now it may know of more than the agent's last pass, whose file this is.
    is_behind = relay.taken is not None and relay.taken < relay.generation
    uses = "does not use {} yet" if is_behind else "uses {}"
    goes = uses.format(relay.upstream) if relay.upstream is not None else "has no upstream yet"
    goes += _STILL_HAD.get(relay.state, "")
    if relay.taken is None:
        return f"{goes}; it does not report its state ({relay.problem or 'the first connection starts it'})"
    behind = _in_brackets(relay.problem) if is_behind else ""
    many = "1 connection" if relay.connections == 1 else f"{relay.connections} connections"
    return f"{goes}{behind}; {many}, {in_bytes(relay.bytes or 0)} so far"


def in_bytes(count: int) -> str:
    """Roughly, with the unit that fits."""
    size, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.0f} {units[0]}" if size >= 10 or units[0] == "B" else f"{size:.1f} {units[0]}"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _is_pinned_in_vain(status: Status) -> bool:
    return any(condition.code is Code.PINNED_BUT_FAILING for condition in status.conditions)


def _docker(status: Status, docker: DockerShown, now: dt.datetime) -> str:
    chosen = status.upstream.name if status.upstream is not None else None
    parts = []
    if docker.version is None:
        parts = [docker.absence]
    elif chosen is not None and docker.in_use == chosen:
        is_relayed = status.relay is not None and status.relay.in_use
        is_said = said_first(status) is None and status.state in _NAMING
        with_it = "it" if is_said else _running(docker)
        # The verdict is in the headline.
        fails = ", which does not work here" if _is_pinned_in_vain(status) else ""
        parts = [f"{docker.version} runs with {'the relay' if is_relayed else with_it}{fails}"]
    elif status.state is not State.DEFERRED:  # the headline says it
        parts = [f"{docker.version} runs with {_used_here(status, docker)}"]
    if docker.restarts and docker.last_restart is not None:
        times = "once" if docker.restarts == 1 else f"{docker.restarts} times"
        last = f"{ago(docker.last_restart, now)} ago ({docker.last_took_s or 0:.1f} s)"
        if kept := docker.last_kept:
            last += ", 1 container kept" if kept == 1 else f", {kept} containers kept"
        parts.append(f"restarted {times} by this agent, last {last}")
    return "; ".join(parts)


def _running(docker: DockerShown) -> str:
    """What Docker runs with: the upstream's name if the policy has one, else the proxy."""
    is_named = docker.effective is not None and docker.in_use not in (None, "direct")
    return str(docker.in_use) if is_named else in_words(docker.effective)


def _wish(status: Status) -> Iterator[str]:
    """What is wanted, if the headline does not say it, and what it waits for."""
    if status.network is not None and status.upstream is not None and status.upstream.name is not None:
        is_said = status.state in (State.STEADY, State.WAITING) and said_first(status) is None
        if not is_said:
            is_relay_next = status.relay is not None and status.relay.state == _GIVEN and not status.relay.in_use
            way = ", through the relay" if is_relay_next else ""
            wish = f"{in_network(status.network.name, status.upstream.name)}{way}"
            yield line("wanted", f"{wish}: {status.upstream.why}")
    if status.docker is not None and status.docker.deferred:
        yield line("waits", status.docker.deferred)


def _targets(status: Status) -> Iterator[str]:
    for state, label in _LABELS.items():
        names = [f"{one.name}{_said_there(one, status.docker)}" for one in status.targets if one.state is state]
        if names:
            yield line(label, " · ".join(names))
    if status.clients is not None and status.clients.fact:
        yield line("clients", status.clients.fact)
    for target in status.targets:
        if target.error:
            yield line("not written", f"{target.name}: {target.error}")


def _written_in(status: Status) -> str:
    """Where the network and its upstreams are written, if the policy is in several files."""
    if status.network is None or not any(PurePath(part.file).parent.name == FOLDER for part in status.policy.files):
        return ""
    here, folder = status.network, PurePath(status.policy.path).parent
    said = []
    for part in status.policy.files:
        upstreams = [name for name in here.use if name in part.upstreams]
        names = [f"network {here.name}", *upstreams] if here.name in part.networks else upstreams
        if names:
            said.append(f"{', '.join(names)} in {PurePath(part.file).relative_to(folder)}")
    return " · ".join(said)


def _said_there(target: TargetShown, docker: DockerShown | None) -> str:
    """What the file says, if Docker runs with something else."""
    if target.says is None or (docker is not None and target.says == docker.effective):
        return ""
    return f" ({in_words(target.says)})"


def _verdict(found: VerdictShown, now: dt.datetime) -> str:
    said = in_short(found)
    if found.at is not None:
        said += f", {ago(found.at, now)} ago"
    # Its address; or whose it is, for which somebody might look at the program that is not to blame.
    is_told = found.verdict is Outcome.PORTAL or IS_EXPECTED in found.evidence
    return said + (_in_brackets(found.evidence) if is_told else "")


def _clock(text: str) -> str:
    return dt.datetime.fromisoformat(text).astimezone().strftime("%H:%M:%S")


def ago(text: str, now: dt.datetime) -> str:
    """Roughly how long ago."""
    seconds = max(0, int((now - dt.datetime.fromisoformat(text)).total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
