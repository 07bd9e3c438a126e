"""How status.json reads for a person: the state in a word, what Docker runs with, then the wish and what it waits for.

Pure: a status goes in, lines come out. Imported by `status`, which answers at once: nothing here makes a pass.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

from agent.one_pass.screen import INDENT, line
from agent.service.status_file import KEPT, State, Status
from agent.values.condition import Code

# What a headline can be made of, the weightiest first; it is then no note as well.
_HEADLINES: Final = (Code.ENGINE_DOWN, Code.PAUSED, Code.PORTAL, Code.UNREACHABLE, Code.POLICY_ERROR, Code.NO_POLICY)
_SHOWN_LAST: Final = 2  # events

Plain = dict[str, Any]


def lines(status: Status, now: dt.datetime) -> Iterator[str]:
    """The status on a screen, before long lines are folded."""
    said = _said_first(status)
    yield f"{status.state.value.upper():<{INDENT}}{headline(status, now)}"
    if isinstance(status.docker, dict) and (text := _docker(status, now)):
        yield line("docker", text)
    yield from _wish(status)
    yield from _targets(status)
    if isinstance(status.verdicts, dict) and status.verdicts:
        yield line("upstreams", " · ".join(f"{name} {_verdict(found, now)}" for name, found in status.verdicts.items()))
    if status.last:
        yield line("last", " · ".join(f"{_clock(one['at'])} {one['text']}" for one in status.last[:_SHOWN_LAST]))
    shown = {target["error"] for target in status.targets if isinstance(target, dict)}
    notes = dict.fromkeys(_noted(condition) for condition in _conditions(status) if condition != said)
    yield from (line("note", text) for text in notes if text not in shown)


def headline(status: Status, now: dt.datetime | None) -> str:
    """The state in one line; `now`: None, where the line is read at another time than it is written."""
    said = _said_first(status)
    place = f"{status.network['name']}: " if isinstance(status.network, dict) else ""
    if said is not None:
        return _first_words(said, place)
    if not place:
        return "nothing is touched" if status.state is State.OFFLINE else "nothing was seen yet"
    upstream = status.upstream if isinstance(status.upstream, dict) else {"name": None, "why": "nothing is chosen"}
    if status.state is State.WORKING:
        return f"{place}at work"
    if status.state is State.DEFERRED:
        return _still(status.docker)
    if upstream["name"] is None:
        return f"{place}{upstream['why']}"
    way = _way(status, upstream["name"])
    if status.state is State.FAILED:
        return f"{way}: not all of it could be done"
    return f"{way}{_since(upstream['since'], now)}: {upstream['why']}"


def _conditions(status: Status) -> list[Plain]:
    return [condition for condition in status.conditions if isinstance(condition, dict)]


def _said_first(status: Status) -> Plain | None:
    """The condition that is the headline."""
    is_idle = status.state is State.IDLE
    for code in _HEADLINES:
        of_the_policy = code in (Code.POLICY_ERROR, Code.NO_POLICY)
        if (code is Code.PAUSED and not is_idle) or (of_the_policy and isinstance(status.network, dict)):
            continue  # something is at work all the same
        for condition in _conditions(status):
            if condition["code"] == code.value:
                return condition
    return None


def _first_words(said: Plain, place: str) -> str:
    match Code(said["code"]):
        case Code.PORTAL | Code.UNREACHABLE:
            return f"{place}{_noted(said)}"
        case Code.POLICY_ERROR:
            return f"waits for a policy: {_noted(said)}"
        case _:
            return _noted(said)


def _since(since: str | None, now: dt.datetime | None) -> str:
    if since is None:
        return ""
    return f", since {_clock(since)}" + (f" ({ago(since, now)})" if now is not None else "")


def _way(status: Status, name: object) -> str:
    place = status.network["name"]
    return f"{place}, direct" if name == "direct" else f"{place} via {name}"


def _still(docker: Any) -> str:
    """A restart is due, and waits."""
    if not isinstance(docker, dict) or docker["version"] is None:
        return "a restart of Docker is due"
    return f"docker {docker['version']} still uses {_running(docker)}{_here(docker)}"


def _here(docker: Plain) -> str:
    if docker["works"] is None:
        return ""
    if docker["works"] == "ok":
        return ", which works here, too"
    return f", which does not work here: {docker['works']}{_in_brackets(docker['evidence'])}"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _docker(status: Status, now: dt.datetime) -> str:
    docker, chosen = status.docker, status.upstream["name"] if isinstance(status.upstream, dict) else None
    parts = []
    if docker["version"] is None:
        parts = [docker["absence"]]
    elif chosen is not None and docker["in_use"] == chosen:
        parts = [f"{docker['version']} runs with it"]
    elif status.state is not State.DEFERRED:  # its headline says it
        parts = [f"{docker['version']} runs with {_running(docker)}{_here(docker)}"]
    if docker["restarts"]:
        times = "once" if docker["restarts"] == 1 else f"{docker['restarts']} times"
        last = f"{docker['last_took_s']:.1f} s, {ago(docker['last_restart'], now)} ago"
        if kept := docker["last_kept"]:
            last += ", 1 container kept" if kept == 1 else f", {kept} containers kept"
        parts.append(f"restarted {times} by this agent, last {last}")
    return "; ".join(parts)


def _running(docker: Plain) -> str:
    """What it runs with: by name where the policy has one for it, else the proxy."""
    settings, name = docker["effective"], docker["in_use"]
    if not isinstance(settings, dict):
        return "settings that are not known"
    if name is not None and name != "direct":
        return str(name)
    return _in_words(settings)


def _in_words(settings: Plain) -> str:
    return "no proxy" if "proxy" in settings else str(settings.get("https") or settings.get("http"))


def _wish(status: Status) -> Iterator[str]:
    """What is wanted, where the headline does not say so, and what it waits for."""
    docker, upstream = status.docker, status.upstream
    if isinstance(upstream, dict) and upstream["name"] is not None and isinstance(status.network, dict):
        is_said = status.state in (State.STEADY, State.WAITING) and _said_first(status) is None
        if not is_said:
            yield line("wanted", f"{_way(status, upstream['name'])}: {upstream['why']}")
    if isinstance(docker, dict) and docker["deferred"]:
        yield line("waits", str(docker["deferred"]))


def _targets(status: Status) -> Iterator[str]:
    targets = [target for target in status.targets if isinstance(target, dict)]
    for state, label in (("right", "written"), ("pending", "to write"), (KEPT, "kept")):
        if names := [_name(target) + _said_there(target, status) for target in targets if target["state"] == state]:
            yield line(label, " · ".join(names))
    for fact in dict.fromkeys(target.get("fact") for target in targets):
        if fact:
            yield line("clients", str(fact))
    for target in targets:
        if target["error"]:
            yield line("not written", f"{_name(target)}: {target['error']}")


def _said_there(target: Plain, status: Status) -> str:
    """What stands in a file, where that is not what Docker runs with."""
    says = target.get("says")
    if says is None or (isinstance(status.docker, dict) and says == status.docker["effective"]):
        return ""
    return f" ({_in_words(says)})"


def _noted(condition: Plain) -> str:
    where = f"{condition['target']}: " if condition["target"] else ""
    remedy = f". {condition['remedy']}" if condition["remedy"] else ""
    return f"{where}{condition['text']}{remedy}"


def _name(target: Plain) -> str:
    return str(target["name"])


def _verdict(found: Plain, now: dt.datetime) -> str:
    said = f"ok {found['ms']} ms" if found["verdict"] == "ok" else str(found["verdict"])
    if found["at"]:
        said += f", {ago(found['at'], now)} ago"
    return said + (_in_brackets(found["evidence"]) if found["verdict"] == "portal" else "")  # its address


def _clock(text: Any) -> str:
    return dt.datetime.fromisoformat(str(text)).astimezone().strftime("%H:%M:%S")


def ago(text: Any, now: dt.datetime) -> str:
    """How long it is ago, roughly."""
    seconds = max(0, int((now - dt.datetime.fromisoformat(str(text))).total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
