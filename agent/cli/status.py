"""`status`: what the running agent sees, chose, did, and waits for. Exits 3 if none runs.

It reads one file and asks nobody.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from agent.cli.printing import complain, print_json, say
from agent.condition import Code
from agent.paths import Paths
from agent.screen import line
from agent.status_file import Status, read

NOT_RUNNING = 3
_LOOK_AGAIN_S = 0.5
_FIRST = Code.ENGINE_DOWN.value


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="go on, and print it again whenever it changes")


def run(args: argparse.Namespace, paths: Paths) -> int:
    found = read(paths.status)
    if found is None:
        complain("no agent runs here; one pass by hand: docker-proxy-agent apply")
        return NOT_RUNNING
    _show(found[0], args.json)
    while args.watch:
        time.sleep(_LOOK_AGAIN_S)
        now = read(paths.status)
        if now is None:
            return NOT_RUNNING
        if now != found:
            found = now
            say("")
            _show(found[0], args.json)
    return 0


def _show(status: Status, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(status))
    else:
        say(*lines(status, dt.datetime.now(dt.UTC)))


def lines(status: Status, now: dt.datetime) -> Iterator[str]:
    """The status on a screen. Pure."""
    conditions = [condition for condition in status.conditions if isinstance(condition, dict)]
    yield from (_noted(condition) for condition in conditions if condition["code"] == _FIRST)
    yield _headline(status, now)
    if isinstance(status.upstream, dict):
        yield line("because", str(status.upstream["why"]))
    if isinstance(status.docker, dict):
        yield line("docker", _docker(status.docker, now))
    right = [_name(target) for target in status.targets if isinstance(target, dict) and target["state"] == "right"]
    if right:
        yield line("written", " · ".join(right))
    for target in status.targets:
        if isinstance(target, dict) and target["error"]:
            yield line("not written", f"{_name(target)}: {target['error']}")
    if isinstance(status.verdicts, dict):
        yield line("upstreams", " · ".join(f"{name} {_verdict(found)}" for name, found in status.verdicts.items()))
    yield from (line("note", _noted(condition)) for condition in conditions if condition["code"] != _FIRST)


def _noted(condition: dict[str, Any]) -> str:
    remedy = f". {condition['remedy']}" if condition["remedy"] else ""
    return f"{condition['text']}{remedy}"


def _headline(status: Status, now: dt.datetime) -> str:
    if not isinstance(status.network, dict):
        words = {"offline": "offline: nothing is touched", "failed": "failed: nothing was seen yet"}
        return words.get(status.state.value, "waits for a policy")
    name, upstream = status.network["name"], status.upstream
    if status.state.value == "working":
        return f"{name}: at work"
    if not isinstance(upstream, dict) or upstream["name"] is None:
        return f"{name}: nothing is chosen"
    way = f"{name}, direct" if upstream["name"] == "direct" else f"{name} via {upstream['name']}"
    return f"{way}, since {_clock(upstream['since'])} ({_ago(upstream['since'], now)})" if upstream["since"] else way


def _docker(docker: dict[str, Any], now: dt.datetime) -> str:
    if docker["version"] is None:
        return str(docker["phase"])
    parts = [f"{docker['version']} runs with {_settings(docker['effective'])}"]
    if docker["restarts"]:
        times = "once" if docker["restarts"] == 1 else f"{docker['restarts']} times"
        last = f"{docker['last_took_s']:.1f} s, {_ago(docker['last_restart'], now)} ago"
        if kept := docker["last_kept"]:
            last += ", 1 container kept" if kept == 1 else f", {kept} containers kept"
        parts.append(f"restarted {times} by this agent, last {last}")
    if docker["deferred"]:
        parts.append(f"a restart is due: {docker['deferred']}")
    return "; ".join(parts)


def _settings(settings: Any) -> str:
    if not isinstance(settings, dict):
        return "settings that are not known"
    if "proxy" in settings:
        return "no proxy"
    return str(settings.get("https") or settings.get("http"))


def _name(target: dict[str, Any]) -> str:
    return str(target["name"])


def _verdict(found: dict[str, Any]) -> str:
    return f"ok {found['ms']} ms" if found["verdict"] == "ok" else str(found["verdict"])


def _clock(text: Any) -> str:
    return dt.datetime.fromisoformat(str(text)).astimezone().strftime("%H:%M")


def _ago(text: Any, now: dt.datetime) -> str:
    minutes = int((now - dt.datetime.fromisoformat(str(text))).total_seconds() // 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
