"""status.json for Prometheus, in its text format 0.0.4.

Pure: what was found goes in, a text comes out. Labels are names of the policy, states, verdicts and codes: nothing that
tells where the laptop was, whatever `audit.places` says, no address of a proxy and no password.
Not known here: how the counts came about (`audit/counters.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from agent.decide.pac import name_in_policy
from agent.one_pass.picture import State, VerdictShown
from agent.service.status_file import CountersShown, Status, StatusFound
from agent.values.verdict import Outcome

PREFIX: Final = "docker_proxy_agent_"
_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Metric(msgspec.Struct, frozen=True):
    """A name, and a value for each set of labels."""

    name: str
    kind: str
    help: str
    values: tuple[tuple[Mapping[str, str], float], ...]

    def lines(self) -> Iterator[str]:
        name = PREFIX + self.name
        yield f"# HELP {name} {self.help}"
        yield f"# TYPE {name} {self.kind}"
        for labels, value in self.values:
            named = ",".join(f'{label}="{text.translate(_ESCAPED)}"' for label, text in labels.items())
            yield f"{name}{{{named}}} {_number(value)}" if named else f"{name} {_number(value)}"


def text(found: StatusFound | None, version: str, now: dt.datetime) -> str:
    """All of it. `version`: of this command. `now`: when it is asked."""
    return "".join(f"{line}\n" for metric in _metrics(found, version, now) for line in metric.lines())


def _metrics(found: StatusFound | None, version: str, now: dt.datetime) -> Iterator[Metric]:
    is_running = found is not None and found.is_running
    yield _gauge("up", "Whether the agent runs.", is_running)
    ran = found.version if found is not None else version
    yield Metric("build_info", "gauge", "The version of the agent, as a label.", (({"version": ran}, 1),))
    status = found.status if found is not None else None
    if status is None:
        return
    # What is so only while somebody looks; without an agent it would be shown as if it were so now.
    if is_running:
        yield from _of_now(status, now)
    if status.counters is not None:
        yield from _counters(status.counters)


def _of_now(status: Status, now: dt.datetime) -> Iterator[Metric]:
    asked = [found.at for found in status.verdicts.values() if found.at is not None]
    last = max(dt.datetime.fromisoformat(at).timestamp() for at in (status.at, *asked))
    yield _gauge(
        "last_pass_timestamp_seconds", "When the agent last saw something new, such as a probe's result.", last
    )
    states = tuple(({"state": state.value}, float(status.state is state)) for state in State)
    yield Metric("state", "gauge", "1 for the state that the agent is in, 0 for the others.", states)
    yield _gauge("policy_loaded", "Whether a policy is in use.", status.policy.loaded is not None)
    is_valid = status.policy.loaded is not None and status.policy.error is None
    yield _gauge("policy_valid", "Whether the policy in use is the one in the file.", is_valid)
    if status.network is not None and status.upstream is not None:
        chosen = {"network": status.network.name, "upstream": name_in_policy(status.upstream.name or "")}
        yield Metric("choice", "gauge", "The network and the upstream chosen for it, as labels.", ((chosen, 1),))
    if status.docker is not None and status.docker.as_wanted is not None:
        yield _gauge("docker_as_wanted", "Whether Docker runs with the right settings.", status.docker.as_wanted)
    yield _gauge(
        "deferred_seconds", "How long a restart of Docker has waited; 0: none waits.", _deferred_s(status, now)
    )
    codes = dict.fromkeys(condition.code.value for condition in status.conditions)
    if codes:
        conditions = tuple(({"code": code}, 1.0) for code in codes)
        yield Metric("condition", "gauge", "1 for each condition that somebody should know of.", conditions)
    if status.verdicts:
        probed, worked = [], []
        for name, verdict in _by_policy(status.verdicts).items():
            probed.append(({"upstream": name, "outcome": verdict.verdict.value}, verdict.ms / 1000))
            worked.append(({"upstream": name}, float(verdict.verdict is Outcome.OK)))
        yield Metric("probe_duration_seconds", "gauge", "How long the last probe took, and its outcome.", tuple(probed))
        yield Metric("probe_ok", "gauge", "Whether the last probe of the upstream succeeded.", tuple(worked))


def _by_policy(verdicts: Mapping[str, VerdictShown]) -> Mapping[str, VerdictShown]:
    """By the policy's names: of the proxies that a PAC names, and whose names say where they are, one that works."""
    found: dict[str, VerdictShown] = {}
    for name, verdict in verdicts.items():
        named = name_in_policy(name)
        if named not in found or (verdict.verdict is Outcome.OK and found[named].verdict is not Outcome.OK):
            found[named] = verdict
    return found


def _deferred_s(status: Status, now: dt.datetime) -> float:
    since = status.counters.deferred_since if status.counters is not None else None
    if since is None or status.docker is None or status.docker.deferred is None:
        return 0.0
    return max(0.0, (now - dt.datetime.fromisoformat(since)).total_seconds())


def _counters(counters: CountersShown) -> Iterator[Metric]:
    restarts = tuple(({"cause": cause}, float(count)) for cause, count in counters.restarts.items())
    yield Metric("restarts_total", "counter", "Restarts of Docker by the agent, by what made it look.", restarts)
    yield _counter("starts_by_others_total", "Starts of Docker that were not the agent's.", counters.starts_by_others)
    yield _counter("rollbacks_total", "Settings that were rolled back.", counters.rollbacks)
    yield _counter("drift_total", "Changes by others to the agent's keys that were corrected.", counters.corrections)
    text = "How long Docker ran with settings that did not work in its network."
    yield _counter("unreachable_seconds_total", text, counters.unreachable_s)


def _gauge(name: str, text: str, value: float) -> Metric:
    return Metric(name, "gauge", text, (({}, float(value)),))


def _counter(name: str, text: str, value: float) -> Metric:
    return Metric(name, "counter", text, (({}, float(value)),))


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.3f}"
