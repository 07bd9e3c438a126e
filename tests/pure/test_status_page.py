"""How `status` reads for a person."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from agent.one_pass.page import HELP
from agent.one_pass.picture import (
    ClientsShown,
    DockerShown,
    NetworkShown,
    RelayShown,
    Role,
    State,
    TargetShown,
    TargetState,
    UpstreamShown,
    VerdictShown,
)
from agent.one_pass.screen import folded
from agent.service.status_file import EventShown, PolicyPart, PolicyStatus, Status
from agent.service.status_page import headline, lines
from agent.values.condition import Code, Condition
from agent.values.verdict import Outcome

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
POLICY = PolicyStatus("/etc/docker-proxy-agent/config.toml", "2026-03-01T09:00:00Z")


def verdict(outcome: Outcome, ms: int, at: str | None, evidence: str = "") -> VerdictShown:
    return VerdictShown(verdict=outcome, ms=ms, steps={}, at=at, evidence=evidence)


def client(name: str, error: str | None = None) -> TargetShown:
    state = TargetState.FAILED if error else TargetState.RIGHT
    return TargetShown(path=f"/home/{name}/config.json", name=name, role=Role.CLIENT, state=state, error=error)


IN_THE_OFFICE = {"http": "http://corp:3128", "https": "http://corp:3128"}
DOCKER = DockerShown(
    version="26.1.5",
    phase="running",
    absence="",
    method="daemon-json",
    effective=IN_THE_OFFICE,
    as_wanted=True,
    in_use="corp",
    works=Outcome.OK,
    evidence="",
    deferred=None,
    restarts=1,
    last_restart="2026-03-01T11:48:00Z",
    last_took_s=0.7,
    last_kept=3,
)
DAEMON_JSON = TargetShown(path="/etc/docker/daemon.json", name="daemon.json", role=Role.DAEMON, state=TargetState.RIGHT)
AT_THE_OFFICE = Status(
    version="1",
    pid=7,
    started=1,
    state=State.STEADY,
    policy=POLICY,
    network=NetworkShown(name="office", fingerprint="0", because="match.gateway", use=("corp", "direct")),
    upstream=UpstreamShown(name="corp", since="2026-03-01T11:48:00Z", why="first of corp, direct that works"),
    verdicts={
        "corp": verdict(Outcome.OK, 84, "2026-03-01T11:59:48Z"),
        "direct": verdict(Outcome.DNS, 3, "2026-03-01T11:48:00Z", "no such name"),
    },
    docker=DOCKER,
    targets=(DAEMON_JSON, client("root"), client("bob", error="its home is not mounted")),
    last=(EventShown("2026-03-01T11:48:00Z", "docker restarted"),),
)


def test_a_steady_day_at_the_office() -> None:
    first, *rest = lines(AT_THE_OFFICE, NOW)

    assert first.startswith("STEADY         office via corp, since ")
    assert first.endswith(" (12 min): first of corp, direct that works")
    assert rest[:4] == [
        "  docker       26.1.5 runs with it; restarted once by this agent, last 12 min ago (0.7 s), 3 containers kept",
        "  written      daemon.json · root",
        "  not written  bob: its home is not mounted",
        "  upstreams    corp ok 84 ms, 12 s ago · direct dns, 12 min ago",
    ]
    assert rest[4].startswith("  last         ")
    assert rest[4].endswith(":48:00 docker restarted")


def test_where_the_policy_is_in_several_files_what_is_used_here_names_its_file() -> None:
    folder = "/etc/docker-proxy-agent"
    alone = (PolicyPart(f"{folder}/config.toml", upstreams=("corp",), networks=("office",)),)
    several = (
        PolicyPart(f"{folder}/config.d/10-corp.toml", upstreams=("other", "corp"), networks=("office",)),
        PolicyPart(f"{folder}/config.d/20-x.toml", upstreams=("unused",)),
        PolicyPart(f"{folder}/config.toml", upstreams=("backup",)),
    )
    network = NetworkShown(name="office", fingerprint="0", because="", use=("corp", "backup", "direct"))

    def policy_lines(files: tuple[PolicyPart, ...]) -> list[str]:
        policy = msgspec.structs.replace(POLICY, files=files)
        status = msgspec.structs.replace(AT_THE_OFFICE, policy=policy, network=network)
        return [one for one in lines(status, NOW) if one.startswith("  policy ")]

    assert policy_lines(alone) == []
    assert policy_lines(several) == [
        "  policy       network office, corp in config.d/10-corp.toml · backup in config.toml"
    ]


@pytest.mark.parametrize(
    ("in_use", "docker", "wanted"),
    [
        (False, "26.1.5 runs with it", "office via corp, through the relay: first of corp, direct that works"),
        (True, "26.1.5 runs with the relay", "office via corp: first of corp, direct that works"),
    ],
)
def test_docker_runs_with_the_relay_only_once_it_was_restarted(in_use: bool, docker: str, wanted: str) -> None:
    relay = RelayShown(state="given", upstream="corp", generation=1, problem="", in_use=in_use)
    waiting = msgspec.structs.replace(DOCKER, restarts=0, deferred="a container runs")
    status = msgspec.structs.replace(AT_THE_OFFICE, state=State.DEFERRED, docker=waiting, relay=relay)

    _, second, *rest = lines(status, NOW)

    assert second == f"  docker       {docker}"
    assert f"  wanted       {wanted}" in rest


@pytest.mark.parametrize(
    ("state", "headline", "relay"),
    [
        pytest.param(
            "given",
            "the relay at its old port, whose upstream corp works here too",
            "uses corp; 3 connections, 7 B so far",
            id="another-port",
        ),
        pytest.param(
            "tried",
            "the relay at its old port, whose upstream corp works here too",
            "uses corp, and moves to another port once it works there; 3 connections, 7 B so far",
            id="another-port-is-taken",
        ),
        pytest.param(
            "off",
            "the relay, whose upstream corp works here too",
            "uses corp, and stops once Docker no longer has its address; 3 connections, 7 B so far",
            id="switched-off",
        ),
        pytest.param("failed", "the relay, whose upstream corp works here too", "given up", id="given-up"),
    ],
)
def test_while_docker_still_has_a_relay_that_is_to_change_both_lines_say_so(
    state: str, headline: str, relay: str
) -> None:
    shown = RelayShown(
        state=state, upstream="corp", generation=1, problem="", in_use=True, taken=1, connections=3, bytes=7
    )
    waiting = msgspec.structs.replace(DOCKER, works=Outcome.OK, deferred="a container runs")
    status = msgspec.structs.replace(AT_THE_OFFICE, state=State.DEFERRED, docker=waiting, relay=shown)

    first, second, third, *_ = lines(status, NOW)

    assert first == f"DEFERRED       docker 26.1.5 still uses {headline}"
    assert second.startswith("  docker       26.1.5 runs with the relay; restarted once")
    assert third == f"  relay        {relay}"


def test_where_nothing_is_chosen_the_relay_is_still_what_docker_runs_with() -> None:
    relay = RelayShown(state="given", upstream="direct", generation=1, problem="", in_use=True)
    docker = msgspec.structs.replace(DOCKER, in_use="direct", works=Outcome.DNS, evidence="no such name", restarts=0)
    nothing = UpstreamShown(name=None, since=None, why="nothing works")
    status = msgspec.structs.replace(AT_THE_OFFICE, state=State.WAITING, upstream=nothing, docker=docker, relay=relay)

    _, second, third, *_ = lines(status, NOW)

    assert second == (
        "  docker       26.1.5 runs with the relay, whose upstream direct does not work here: dns (no such name)"
    )
    assert third == "  relay        uses direct; it does not report its state (the first connection starts it)"

    silent = msgspec.structs.replace(relay, problem="refused: nothing listens there")
    _, _, third, *_ = lines(msgspec.structs.replace(status, relay=silent), NOW)
    assert third == "  relay        uses direct; it does not report its state (refused: nothing listens there)"

    leads_out = msgspec.structs.replace(docker, in_use="backup", works=Outcome.OK)  # which does not work by itself
    _, second, *_ = lines(msgspec.structs.replace(status, docker=leads_out), NOW)
    assert second == "  docker       26.1.5 runs with the relay, which still reaches a registry here"


def test_a_refused_policy_does_not_hide_that_another_one_stays_in_force() -> None:
    refused = msgspec.structs.replace(POLICY, error="a typo")

    shown = list(lines(msgspec.structs.replace(AT_THE_OFFICE, policy=refused), NOW))

    told = "  policy       the one in the file is refused; the agent still uses the policy loaded at "
    assert [one.startswith(told) for one in shown if one.startswith("  policy ")] == [True]


def test_while_paused_what_docker_runs_with_is_named() -> None:
    paused = (Condition(Code.PAUSED, "paused: nothing is written or restarted"),)

    _, docker, *_ = lines(msgspec.structs.replace(AT_THE_OFFICE, state=State.IDLE, conditions=paused), NOW)

    assert docker.startswith("  docker       26.1.5 runs with corp;")


def test_a_proxy_that_somebody_else_runs_is_not_only_refused() -> None:
    theirs = verdict(Outcome.REFUSED, 1, "2026-03-01T11:59:48Z", "alice's is expected; root listens")
    off = verdict(Outcome.REFUSED, 1, "2026-03-01T11:59:48Z", "nothing listens there")

    shown = list(lines(msgspec.structs.replace(AT_THE_OFFICE, verdicts={"local": theirs, "app": off}), NOW))

    assert "  upstreams    local refused, 12 s ago (alice's is expected; root listens) · app refused, 12 s ago" in shown


def test_what_was_seen_of_the_proxy_of_clients_is_said_once() -> None:
    fact = "corp answers on 172.17.0.1, seen from the host"
    clients = ClientsShown(settings=IN_THE_OFFICE, why="corp is in use", fact=fact, writes=())
    targets = (DAEMON_JSON, client("root"), client("alice"))

    shown = list(lines(msgspec.structs.replace(AT_THE_OFFICE, targets=targets, clients=clients), NOW))

    assert shown[2:4] == ["  written      daemon.json · root · alice", f"  clients      {fact}"]


def test_a_restart_that_waits_says_what_docker_uses_meanwhile_and_whether_that_works() -> None:
    docker = msgspec.structs.replace(
        DOCKER,
        restarts=0,
        in_use="home",
        works=Outcome.REFUSED,
        evidence="nobody listens",
        deferred="stack.service depends on Docker",
    )

    shown = list(lines(msgspec.structs.replace(AT_THE_OFFICE, state=State.DEFERRED, docker=docker), NOW))

    assert shown[:3] == [
        "DEFERRED       docker 26.1.5 still uses home, which does not work here: refused (nobody listens)",
        "  wanted       office via corp: first of corp, direct that works",
        "  waits        stack.service depends on Docker",
    ]


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        pytest.param(11, "does not use corp yet; 3 connections", id="behind"),
        pytest.param(12, "uses corp; 3 connections", id="as-told"),
        pytest.param(13, "uses corp; 3 connections", id="a-pass-is-under-way"),
    ],
)
def test_whether_the_relay_knows_what_it_was_told(taken: int, said: str) -> None:
    shown = RelayShown(
        state="given", upstream="corp", generation=12, problem="", taken=taken, connections=3, bytes=7, turned_away=0
    )

    assert said in "\n".join(lines(msgspec.structs.replace(AT_THE_OFFICE, relay=shown), NOW))


def test_the_address_of_a_portal_is_shown() -> None:
    portal = Condition(Code.PORTAL, "a portal answers", "Pass it")
    verdicts = {"direct": verdict(Outcome.PORTAL, 3, None, "http://portal.example")}
    waiting = msgspec.structs.replace(
        AT_THE_OFFICE, state=State.WAITING, upstream=UpstreamShown(name=None, why=""), verdicts=verdicts
    )

    shown = list(lines(msgspec.structs.replace(waiting, conditions=(portal,)), NOW))

    assert shown[0] == "WAITING        office: a portal answers. Pass it"
    assert "  upstreams    direct portal (http://portal.example)" in shown
    assert "a portal answers. Pass it" not in "".join(shown[1:])


def test_a_docker_that_is_down_comes_before_all_else() -> None:
    portal = Condition(Code.PORTAL, "a portal answers")
    down = Condition(Code.ENGINE_DOWN, "Docker is down", "See: the journal")
    failed = msgspec.structs.replace(AT_THE_OFFICE, state=State.FAILED, conditions=(portal, down))

    shown = list(lines(failed, NOW))

    assert shown[0] == "FAILED         Docker is down. See: the journal"
    assert shown[-2:] == ["  note         a portal answers", f"  help         {HELP}"]
    assert "Docker is down. See: the journal" not in "".join(shown[1:])


@pytest.mark.parametrize(
    ("state", "code", "is_named"),
    [
        pytest.param(State.FAILED, Code.BLOCKED, True, id="failed"),
        pytest.param(State.WAITING, Code.UNREACHABLE, True, id="nothing-works"),
        pytest.param(State.WAITING, Code.PORTAL, False, id="a-portal-which-says-what-to-do"),
        pytest.param(State.STEADY, Code.PINNED, False, id="all-is-well"),
    ],
)
def test_who_knows_more_is_named_where_something_is_wrong(state: State, code: Code, *, is_named: bool) -> None:
    status = msgspec.structs.replace(AT_THE_OFFICE, state=state, conditions=(Condition(code, "said"),))

    assert (f"  help         {HELP}" in lines(status, NOW)) is is_named


def test_what_is_read_later_than_it_is_written_has_no_age() -> None:
    assert headline(AT_THE_OFFICE, None).count("(") == 0


def test_a_screen_is_folded_between_words() -> None:
    text = "  note         a portal answers in the office of a large house"

    assert list(folded([text, ""], 40)) == [
        "  note         a portal answers in the",
        "               office of a large house",
        "",
    ]


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("To end it: sudo docker-proxy-agent unpin", "sudo docker-proxy-agent unpin"),
        (
            "To start it: sudo systemctl enable --now docker-proxy-agent",
            "sudo systemctl enable --now docker-proxy-agent",
        ),
        ("Run: docker-proxy-agent init. Or write one", "docker-proxy-agent init."),
    ],
)
def test_a_command_is_never_broken_in_two(said: str, command: str) -> None:
    for columns in range(60, 100):
        lines_of = [*folded([f"  note         corp is pinned, but fails here. {said}"], columns)]

        assert any(command in one for one in lines_of), (columns, lines_of)


def test_what_is_pinned_and_fails_is_said_to_fail() -> None:
    pin = Condition(Code.PINNED_BUT_FAILING, "corp-proxy is pinned, but fails here: dns", "To end it: unpin")
    shown = "\n".join(lines(msgspec.structs.replace(AT_THE_OFFICE, conditions=(pin,)), NOW))

    assert "26.1.5 runs with it, which does not work here; restarted" in shown


def test_nothing_seen_and_offline() -> None:
    bare = Status(version="1", pid=7, started=1, state=State.OFFLINE, policy=POLICY)

    assert list(lines(bare, NOW)) == ["OFFLINE        nothing is changed"]
    assert list(lines(msgspec.structs.replace(bare, state=State.IDLE), NOW)) == ["IDLE           no pass has run yet"]
