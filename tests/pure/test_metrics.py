"""What Prometheus is told: by the parser of its own library."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.decide.pac import Answered, Said, candidate_names
from agent.one_pass.picture import DockerShown, NetworkShown, State, UpstreamShown, VerdictShown
from agent.service.metrics import text
from agent.service.status_file import CountersShown, PolicyStatus, Status, StatusFound
from agent.values.condition import Code, Condition
from agent.values.pac import read_answer
from agent.values.policy import DEFAULT_REGISTRY, RegistryUrl
from agent.values.verdict import Outcome
from tests.sources import ROOT

from .test_status_page import AT_THE_OFFICE, DOCKER, POLICY, verdict

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
COUNTERS = CountersShown(
    restarts={"network": 3, "person": 1, "files": 0, "other": 0},
    starts_by_others=2,
    rollbacks=1,
    corrections=4,
    unreachable_s=75.5,
    deferred_since=None,
)
OFFICE = msgspec.structs.replace(AT_THE_OFFICE, at="2026-03-01T11:48:00Z", counters=COUNTERS)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(found: StatusFound | None) -> Samples:
    """By name and labels, without the prefix. Each series once, as Prometheus demands."""
    shown = text(found, "0.1.0", NOW)
    families = list(text_string_to_metric_families(shown))
    assert all(family.name.startswith("docker_proxy_agent_") for family in families)
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families)
    assert len({family.name for family in families}) == len(families)
    read = [sample for family in families for sample in family.samples]
    values = {(one.name.removeprefix("docker_proxy_agent_"), frozenset(one.labels.items())): one.value for one in read}
    assert len(values) == len(read)
    return values


def of(status: Status, *, is_running: bool = True) -> Samples:
    return samples(StatusFound(status, status.version, is_running))


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def test_a_day_at_the_office() -> None:
    found = of(OFFICE)

    assert value(found, "up") == 1
    assert value(found, "build_info", version="1") == 1
    assert value(found, "last_pass_timestamp_seconds") == NOW.timestamp() - 12  # the last probe
    assert {state: value(found, "state", state=state.value) for state in State} == {
        state: float(state is State.STEADY) for state in State
    }
    assert (value(found, "policy_loaded"), value(found, "policy_valid")) == (1, 1)
    assert value(found, "choice", network="office", upstream="corp") == 1
    assert value(found, "docker_as_wanted") == 1
    assert value(found, "deferred_seconds") == 0
    assert value(found, "probe_duration_seconds", upstream="corp", outcome="ok") == 0.084
    assert value(found, "probe_duration_seconds", upstream="direct", outcome="dns") == 0.003
    assert (value(found, "probe_ok", upstream="corp"), value(found, "probe_ok", upstream="direct")) == (1, 0)
    assert [value(found, "restarts_total", cause=cause) for cause in COUNTERS.restarts] == [3, 1, 0, 0]
    assert value(found, "starts_by_others_total") == 2
    assert value(found, "rollbacks_total") == 1
    assert value(found, "drift_total") == 4
    assert value(found, "unreachable_seconds_total") == 75.5


def test_without_an_agent_it_says_that_and_counters_stay_as_they_were() -> None:
    nobody, killed = samples(None), of(OFFICE, is_running=False)

    assert nobody == {("up", frozenset()): 0, ("build_info", frozenset({("version", "0.1.0")})): 1}
    assert value(killed, "up") == 0
    assert value(killed, "restarts_total", cause="network") == 3
    assert {name for name, _ in killed} == {
        "up", "build_info", "restarts_total", "starts_by_others_total", "rollbacks_total", "drift_total",
        "unreachable_seconds_total",
    }  # fmt: skip


def test_an_agent_of_another_version_is_up() -> None:
    found = samples(StatusFound(None, "9.9", is_running=True))

    assert (value(found, "up"), value(found, "build_info", version="9.9")) == (1, 1)


def test_a_restart_that_waits_is_told_with_how_long() -> None:
    waits = msgspec.structs.replace(
        OFFICE,
        state=State.DEFERRED,
        docker=msgspec.structs.replace(DOCKER, deferred="a container runs", as_wanted=False),
        counters=msgspec.structs.replace(COUNTERS, deferred_since="2026-03-01T11:50:00.5Z"),
    )
    over = msgspec.structs.replace(waits, docker=DOCKER)

    assert value(of(waits), "deferred_seconds") == 599.5
    assert value(of(waits), "docker_as_wanted") == 0
    assert value(of(over), "deferred_seconds") == 0


def test_a_policy_that_is_refused_and_conditions_are_told() -> None:
    refused = msgspec.structs.replace(
        OFFICE,
        policy=msgspec.structs.replace(POLICY, error="wrong"),
        conditions=(Condition(Code.POLICY_ERROR, "a"), Condition(Code.POLICY_ERROR, "b"), Condition(Code.PAUSED, "c")),
    )
    none = msgspec.structs.replace(OFFICE, policy=PolicyStatus("/x"), network=None, docker=None, verdicts={})

    assert (value(of(refused), "policy_loaded"), value(of(refused), "policy_valid")) == (1, 0)
    assert value(of(refused), "condition", code="policy-error") == 1
    assert value(of(refused), "condition", code="paused") == 1
    assert (value(of(none), "policy_loaded"), value(of(none), "policy_valid")) == (0, 0)


def firing(found: Samples) -> set[str]:
    """The alerts of the page that hold at once, but for those that need a history or metrics of others."""
    rules = re.findall(r"- alert: (\w+)\n +expr: (.+)", (ROOT / "docs/monitoring.md").read_text())
    held = set()
    for alert, expression in rules:
        if "(" in expression:
            continue
        rule = re.fullmatch(r'docker_proxy_agent_(\w+)(?:\{(\w+)="([^"]+)"\})? (==|>) (\d+)', expression)
        assert rule is not None, expression
        name, label, wanted, operator, number = rule.groups()
        seen = value(found, name, **({label: wanted} if label else {}))
        if seen is not None and (seen == float(number) if operator == "==" else seen > float(number)):
            held.add(alert)
    return held


def test_the_alerts_of_the_page_hold_in_the_states_that_they_name() -> None:
    error = (Condition(Code.POLICY_ERROR, "wrong"),)
    wrong = msgspec.structs.replace(POLICY, error="wrong")
    refused = msgspec.structs.replace(OFFICE, policy=wrong, conditions=error)
    since_boot = msgspec.structs.replace(refused, policy=PolicyStatus("/x", error="wrong"), state=State.IDLE)
    unconfigured = msgspec.structs.replace(OFFICE, policy=PolicyStatus("/x"), state=State.IDLE)
    waits = msgspec.structs.replace(
        OFFICE,
        state=State.DEFERRED,
        docker=msgspec.structs.replace(DOCKER, deferred="a container runs"),
        counters=msgspec.structs.replace(COUNTERS, deferred_since="2026-02-27T11:50:00Z"),
    )

    assert firing(of(OFFICE)) == set()
    assert firing(of(unconfigured)) == set()
    assert firing(of(refused)) == {"DockerProxyAgentPolicyRefused"}
    assert firing(of(since_boot)) == {"DockerProxyAgentPolicyRefused"}
    assert firing(of(msgspec.structs.replace(OFFICE, state=State.FAILED))) == {"DockerProxyAgentFailed"}
    assert firing(of(waits)) == {"DockerRestartWaits"}
    assert firing(samples(None)) == {"DockerProxyAgentDown"}


def test_the_pages_unit_says_that_the_agent_is_down_where_its_command_is_gone(tmp_path: Path) -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    (script,) = re.findall(r"ExecStart=/bin/sh -c '(.+)' sh ", page)
    programs, folder = tmp_path / "bin", tmp_path / "collected"
    programs.mkdir()
    folder.mkdir()
    (programs / "mv").symlink_to("/usr/bin/mv")
    file = folder / "docker-proxy-agent.prom"
    file.write_text("docker_proxy_agent_up 1\n")

    argv = ["/bin/sh", "-c", script.replace("$$", "$"), "sh", str(file)]
    subprocess.run(argv, env={"PATH": str(programs)}, capture_output=True, check=True, timeout=60)

    assert file.read_text() == "docker_proxy_agent_up 0\n"
    assert [path.name for path in folder.iterdir()] == [file.name]


@pytest.mark.parametrize("name", ['the "new" office', "C:\\new", "zwei\nZeilen", "büro {x=1}, #2", ""])
def test_any_name_of_a_network_comes_through(name: str) -> None:
    network = NetworkShown(name=name, fingerprint="0", because="", use=())

    assert value(of(msgspec.structs.replace(OFFICE, network=network)), "choice", network=name, upstream="corp") == 1


def test_nothing_tells_where_the_laptop_was() -> None:
    secret = "10.10.0.1"
    status = msgspec.structs.replace(
        OFFICE,
        network=NetworkShown(name="office", fingerprint=secret, because=secret, use=()),
        upstream=UpstreamShown(name="corp", why=secret, since="2026-03-01T11:48:00Z"),
        settings={"http": secret},
        verdicts={"corp": verdict(Outcome.PORTAL, 1, None, secret)},
        conditions=(Condition(Code.PORTAL, secret, secret, secret),),
        docker=DockerShown(**{**msgspec.structs.asdict(DOCKER), "effective": {"http": secret}, "evidence": secret}),
    )

    assert secret not in text(StatusFound(status, "1", is_running=True), "1", NOW)


def test_what_a_pac_names_goes_by_the_policys_name_and_once() -> None:
    answer = read_answer("PROXY a.corp:3128; PROXY b.corp:3128; DIRECT")
    names = candidate_names("auto", Said((Answered(RegistryUrl.parse(DEFAULT_REGISTRY), answer),)))
    assert "a.corp" in names[0]
    verdicts = {
        names[0]: verdict(Outcome.REFUSED, 1, None),
        names[1]: verdict(Outcome.OK, 20, None),
        names[2]: verdict(Outcome.DNS, 3, None),
    }
    upstream = UpstreamShown(name=names[1], why="", since=None)

    status = msgspec.structs.replace(OFFICE, verdicts=verdicts, upstream=upstream)
    found = of(status)

    assert value(found, "choice", network="office", upstream="auto") == 1
    assert value(found, "probe_duration_seconds", upstream="auto", outcome="ok") == 0.02
    assert (value(found, "probe_ok", upstream="auto"), value(found, "probe_ok", upstream="direct")) == (1, 0)
    assert "corp:3128" not in text(StatusFound(status, "1", is_running=True), "1", NOW)


def test_a_verdict_that_was_just_given_has_no_time_of_its_own() -> None:
    now = {"corp": VerdictShown(verdict=Outcome.OK, ms=1500, steps={}, evidence="")}

    found = of(msgspec.structs.replace(OFFICE, verdicts=now))

    assert value(found, "last_pass_timestamp_seconds") == NOW.timestamp() - 12 * 60
    assert value(found, "probe_duration_seconds", upstream="corp", outcome="ok") == 1.5


def test_every_metric_is_documented_with_its_labels_and_no_other() -> None:
    waits = msgspec.structs.replace(OFFICE, conditions=(Condition(Code.PAUSED, "x"),))
    told = {
        name + (f"{{{','.join(sorted(label for label, _ in labels))}}}" if labels else "") for name, labels in of(waits)
    }
    page = (ROOT / "docs/monitoring.md").read_text()
    named = re.findall(
        r"`([a-z_]+)(?:\{([a-z,]+)\})?`", "".join(re.findall(r"(?m)^\| (`.*?) \| (?:gauge|counter) ", page))
    )

    assert told == {name + (f"{{{','.join(sorted(labels.split(',')))}}}" if labels else "") for name, labels in named}
