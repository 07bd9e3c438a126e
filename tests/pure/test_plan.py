"""Desired against real: what is written, whether Docker is restarted, and what stands in the way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.desired import for_dockerd
from agent.decide.effective import effective, prospective
from agent.decide.plan import Holding, OwnedDaemonJson, Plan, keeps_down, plan, put_off
from agent.decide.restart import When
from agent.decide.urgent import Urgency
from agent.targets import daemon_json, drop_in, environment
from agent.values.condition import Code, Condition, down
from agent.values.dockerd import Engine, FileFault, Flags, Phase, Reality, UnitState
from agent.values.others import PODMAN, running
from agent.values.policy import DIRECT as DIRECT_UPSTREAM
from agent.values.policy import Docker, Method, NoProxy, Restart
from agent.values.secret import Secret
from agent.values.settings import DIRECT, Masked, Settings, Texts, settings
from tests.upstreams import upstream

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
HOME = DIRECT
RUNNING = UnitState(Phase.RUNNING, pid=1, invocation="a")
FOREIGN = "http://foreign:1"


def engine(proxies: Texts = Texts(), containers: int = 0, api: tuple[int, int] = (1, 45)) -> Engine:
    return Engine("26.1.5", api, False, proxies, False, False, containers)


DROP_IN = drop_in.drop_in("/etc/docker-proxy-agent/dockerd.env")


def texts(wanted: Settings) -> Texts:
    return drop_in.read(drop_in.edit(wanted))


def docker_with(running: Texts = Texts(), **real: object) -> Reality:
    """A Docker 26 under systemd, running, that reports these proxies."""
    facts: dict[str, object] = {"unit": RUNNING, "engine": engine(running), "takes_proxies": True, **real}
    return Reality(**facts)  # type: ignore[arg-type]


def with_drop_in(wanted: Settings, **real: object) -> Reality:
    """The same after a pass that wrote the drop-in and restarted."""
    return docker_with(
        texts(wanted), environment=texts(wanted), running_environment=texts(wanted), environment_file=drop_in.edit(wanted),
        drop_in=DROP_IN, is_drop_in_loaded=True, **real,
    )  # fmt: skip


def planned(
    desired: Settings, reality: Reality, policy: Docker = Docker(), owned: OwnedDaemonJson = OwnedDaemonJson()
) -> Plan:
    return plan(desired, reality, policy, owned, is_asked_now=False)


def written(made: Plan) -> dict[str, str | None]:
    return {edit.path.rpartition("/")[2]: edit.after for edit in made.edits}


# Write iff prospective ≠ desired, restart iff effective ≠ desired.


def test_a_fresh_docker_that_should_be_direct_is_left_alone() -> None:
    made = planned(HOME, docker_with())

    assert not made.changes
    assert made.condition is None


def test_the_first_proxy_goes_into_the_drop_in() -> None:
    made = planned(OFFICE, docker_with())

    assert written(made) == {"dockerd.env": drop_in.edit(OFFICE), "zz-docker-proxy-agent.conf": DROP_IN}
    assert made.needs_daemon_reload
    assert made.restart is not None
    assert made.restart.when is When.NOW


def test_a_pass_after_a_pass_has_nothing_to_do() -> None:
    assert not planned(OFFICE, with_drop_in(OFFICE)).changes


def test_moving_home_writes_the_values_only() -> None:
    made = planned(HOME, with_drop_in(OFFICE))

    assert written(made) == {"dockerd.env": drop_in.edit(HOME)}
    assert not made.needs_daemon_reload
    assert made.restart is not None


def test_written_but_not_restarted_is_a_restart_alone() -> None:
    made = planned(OFFICE, msgspec.structs.replace(with_drop_in(OFFICE), engine=engine(Texts())))

    assert not made.edits
    assert made.restart is not None
    assert made.acts


def test_of_a_restart_for_other_exclusions_alone_the_reason_names_them() -> None:
    more = settings("http://office:3128", "http://office:3128", "localhost,.corp.example")

    made = planned(more, with_drop_in(OFFICE))

    assert made.restart is not None
    assert made.due == "Docker runs with http://office:3128, but not with the right no_proxy"


def test_somebody_elses_edit_is_put_right_without_a_restart() -> None:
    drifted = msgspec.structs.replace(
        with_drop_in(OFFICE), environment=Texts(http=FOREIGN), environment_file='HTTP_PROXY="http://foreign:1"\n'
    )

    made = planned(OFFICE, drifted)

    assert written(made) == {"dockerd.env": drop_in.edit(OFFICE)}
    assert made.restart is None


def test_moving_back_before_the_restart_needs_none() -> None:
    waiting = msgspec.structs.replace(with_drop_in(OFFICE), engine=engine(texts(HOME)))

    made = planned(HOME, waiting)

    assert written(made) == {"dockerd.env": drop_in.edit(HOME)}
    assert made.restart is None


def test_a_drop_in_that_systemd_has_not_read_is_read() -> None:
    unread = docker_with(environment_file=drop_in.edit(OFFICE), drop_in=DROP_IN)

    made = planned(OFFICE, unread)

    assert not made.edits
    assert made.needs_daemon_reload
    assert made.acts


def test_a_foreign_proxy_in_the_environment_is_overruled_by_six_empty_names() -> None:
    made = planned(HOME, docker_with(Texts(FOREIGN, FOREIGN), environment=Texts(FOREIGN, FOREIGN)))

    assert environment.parse(written(made)["dockerd.env"] or "") == dict.fromkeys(
        ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"), ""
    )


def test_a_container_that_runs_defers_the_restart_and_not_the_write() -> None:
    busy = docker_with(engine=engine(containers=1))

    made = planned(OFFICE, busy)

    assert made.edits
    assert made.restart is not None
    assert made.restart.when is When.LATER
    assert plan(OFFICE, busy, Docker(), OwnedDaemonJson(), is_asked_now=True).restart.when is When.NOW  # type: ignore[union-attr]
    assert planned(OFFICE, busy, Docker(restart=Restart.ALWAYS)).restart.when is When.NOW  # type: ignore[union-attr]


def test_of_what_holds_a_restart_back_the_line_names_what_counts() -> None:
    busy = docker_with(engine=engine(containers=1))
    unsteady = "the network is unsteady"
    works = Urgency(is_urgent=False, because="home still works here")

    def line(docker: Docker, holding: Holding) -> str:
        made = plan(OFFICE, busy, docker, OwnedDaemonJson(), is_asked_now=False, holding=holding)
        assert made.restart is not None
        return made.restart.because

    assert line(Docker(), Holding(unsteady)) == unsteady  # the container may be no reason then
    assert line(Docker(), Holding(unsteady, urgency=works)).startswith("1 container runs, and home still works here")
    assert line(Docker(restart=Restart.WHEN_IDLE), Holding(unsteady)).startswith("1 container runs; ")


@pytest.mark.parametrize(
    ("mode", "transfer", "when"),
    [
        (Restart.WHEN_IDLE, "a build", When.LATER),
        (Restart.WHEN_IDLE, "a pull or push", When.NOW),
        (Restart.PROTECT, "a build", When.NOW),
    ],
)
def test_what_goes_on_for_more_than_an_hour_is_waited_for_only_if_it_is_a_build_under_when_idle(
    mode: Restart, transfer: str, when: When
) -> None:
    reality, holding = docker_with(transfer=transfer), Holding(believes_transfer=False)

    made = plan(OFFICE, reality, Docker(restart=mode), OwnedDaemonJson(), is_asked_now=False, holding=holding)

    assert made.restart is not None
    assert made.restart.when is when


def test_only_what_docker_does_not_run_with_is_written_ahead() -> None:
    busy = docker_with(engine=engine(containers=1))
    waits = planned(OFFICE, busy)
    drifted = planned(OFFICE, with_drop_in(HOME, engine=engine(texts(OFFICE))))

    assert waits.writes_ahead
    assert not planned(OFFICE, docker_with()).writes_ahead  # its restart is now
    assert drifted.edits
    assert not drifted.writes_ahead
    later = put_off(waits)
    assert not later.acts
    assert later.changes
    assert later.restart == waits.restart


def test_a_stopped_docker_is_written_for_and_stays_stopped() -> None:
    made = planned(OFFICE, Reality(UnitState(Phase.STOPPED), takes_proxies=True))

    assert made.edits
    assert made.restart is None
    assert made.condition is not None
    assert made.condition.code is Code.ENGINE_STOPPED


def test_an_engine_that_does_not_answer_is_unknown_not_different() -> None:
    made = planned(OFFICE, with_drop_in(OFFICE, engine=None, silence="no answer within 10 s"))

    assert not made.changes
    assert made.condition is not None
    assert made.condition.code is Code.ENGINE_SILENT


# Where the settings go.

THEIRS = '{"proxies": {"http-proxy": "http://foreign:1"}}'


@pytest.mark.parametrize(
    ("policy", "reality", "owned", "method"),
    [
        pytest.param(Docker(), docker_with(), OwnedDaemonJson(), Method.DROP_IN, id="auto"),
        pytest.param(
            Docker(), docker_with(daemon_json=THEIRS), OwnedDaemonJson(), Method.DAEMON_JSON, id="auto-foreign-proxies"
        ),
        pytest.param(
            Docker(),
            docker_with(daemon_json=THEIRS),
            OwnedDaemonJson(True, "{}"),
            Method.DROP_IN,
            id="auto-they-are-ours",
        ),
        pytest.param(
            Docker(),
            docker_with(daemon_json=THEIRS),
            OwnedDaemonJson(True, THEIRS),
            Method.DAEMON_JSON,
            id="auto-we-took-them-over",
        ),
        pytest.param(
            Docker(), docker_with(is_systemd=False), OwnedDaemonJson(), Method.DAEMON_JSON, id="auto-without-systemd"
        ),
        pytest.param(
            Docker(method=Method.DAEMON_JSON), docker_with(), OwnedDaemonJson(), Method.DAEMON_JSON, id="asked-for"
        ),
    ],
)
def test_by_which_method_docker_is_given_its_settings(
    policy: Docker, reality: Reality, owned: OwnedDaemonJson, method: Method
) -> None:
    assert planned(OFFICE, reality, policy, owned).method is method


@pytest.mark.parametrize(
    ("policy", "real", "why"),
    [
        (Docker(method=Method.DROP_IN), {}, "docker.method sets it"),
        (Docker(), {}, "systemd runs this Docker, and daemon.json has no proxies that others set"),
        (Docker(), {"is_systemd": False}, "systemd does not run this Docker"),
        (Docker(), {"takes_proxies": False}, "this Docker 26.1.5 does not support proxies in daemon.json"),
        (
            Docker(),
            {"daemon_json": '{"proxies": {"http-proxy": "http://a:1"}}'},
            "daemon.json has proxies that others set, which override the unit's environment",
        ),
    ],
)  # fmt: skip
def test_why_a_method_is_taken_is_a_part_of_the_plan(policy: Docker, real: dict[str, Any], why: str) -> None:
    assert planned(OFFICE, docker_with(**real), policy).why_method == why


def test_a_docker_before_23_never_gets_proxies_in_its_file() -> None:
    old = docker_with(engine=engine(api=(1, 41)), takes_proxies=False)

    made = planned(OFFICE, old, Docker(method=Method.DAEMON_JSON))

    assert not made.changes
    assert made.condition is not None
    assert made.condition.code is Code.UNSUPPORTED
    assert planned(OFFICE, old).method is Method.DROP_IN


def test_daemon_json_keeps_everything_else() -> None:
    before = '{\n\t"debug": true,\n\t"proxies": {"http-proxy": "http://foreign:1"}\n}\n'

    made = planned(OFFICE, docker_with(Texts(http=FOREIGN), daemon_json=before))

    after = written(made)["daemon.json"] or ""
    assert after.startswith('{\n\t"debug": true,\n\t"proxies": {')
    assert daemon_json.texts(after).meaning() == OFFICE


def test_direct_in_daemon_json_over_a_proxy_in_the_environment() -> None:
    """Without the keys the environment would be in force."""
    real = docker_with(
        Texts(FOREIGN), daemon_json=THEIRS, environment=Texts(FOREIGN), foreign_environment=Texts(FOREIGN)
    )

    after = written(planned(HOME, real))["daemon.json"] or ""

    assert daemon_json.texts(after) == Texts(no_proxy="*")


def test_a_half_that_the_file_cannot_switch_off_is_said() -> None:
    https_only = settings(https="http://office:3128", no_proxy="localhost")
    real = docker_with(daemon_json=THEIRS, environment=Texts(FOREIGN), foreign_environment=Texts(FOREIGN))

    made = planned(https_only, real)

    assert not made.changes
    assert made.condition is not None
    assert made.condition.code is Code.NOT_EFFECTIVE
    assert "HTTP_PROXY" in made.condition.text


def test_the_drop_in_under_foreign_proxies_in_the_file_is_said_to_be_beaten() -> None:
    made = planned(OFFICE, docker_with(daemon_json=THEIRS), Docker(method=Method.DROP_IN))

    assert not made.changes
    assert made.condition is not None
    assert made.condition.code is Code.NOT_EFFECTIVE


def test_a_change_of_method_takes_our_half_of_the_old_place_out() -> None:
    in_file = daemon_json.edit('{"debug": true}', OFFICE, Texts())
    from_file = docker_with(texts(OFFICE), daemon_json=in_file)
    to_drop_in = plan(HOME, from_file, Docker(), OwnedDaemonJson(True, '{"debug": true}'), is_asked_now=False)
    to_file = planned(HOME, with_drop_in(OFFICE), Docker(method=Method.DAEMON_JSON))

    assert written(to_drop_in)["daemon.json"] == '{"debug": true}'
    assert "dockerd.env" in written(to_drop_in)
    assert written(to_file)["dockerd.env"] is None
    assert written(to_file)["zz-docker-proxy-agent.conf"] is None


MOVED = [
    pytest.param(wanted, method, id=f"{'direct' if wanted == HOME else 'office'}-to-{method.value}")
    for wanted in (OFFICE, HOME)
    for method in (Method.DROP_IN, Method.DAEMON_JSON)
]


@pytest.mark.parametrize(("wanted", "method"), MOVED)
def test_a_change_of_method_moves_what_is_right_already_and_restarts_nothing(wanted: Settings, method: Method) -> None:
    original, foreign = '{"debug": true}', texts(settings(FOREIGN, FOREIGN, "a"))
    owned, policy = OwnedDaemonJson(True, original), Docker(method=method)
    if method is Method.DROP_IN:
        in_file = daemon_json.edit(original, wanted, foreign)
        real = docker_with(texts(wanted), daemon_json=in_file, environment=foreign, foreign_environment=foreign)
    else:
        real = with_drop_in(wanted, daemon_json=original, foreign_environment=foreign)
    assert prospective(real) == wanted

    made = plan(wanted, real, policy, owned, is_asked_now=False)
    after = _carried_out(made, real)

    assert made.needs_daemon_reload
    assert made.restart is None
    assert prospective(after) == wanted
    assert (after.daemon_json == original) is (method is Method.DROP_IN)
    assert (after.drop_in is None and after.environment_file is None) is (method is Method.DAEMON_JSON)
    assert not plan(wanted, after, policy, owned, is_asked_now=False).changes


def test_half_a_move_is_finished() -> None:
    """Whoever was ended in the middle of it left both halves."""
    in_file = daemon_json.edit("{}", OFFICE, Texts())
    both = with_drop_in(OFFICE, daemon_json=in_file)
    left = docker_with(daemon_json="{}", environment_file=drop_in.edit(HOME))

    to_drop_in = plan(OFFICE, both, Docker(), OwnedDaemonJson(True, "{}"), is_asked_now=False)
    to_file = planned(HOME, left, Docker(method=Method.DAEMON_JSON))

    assert written(to_drop_in) == {"daemon.json": "{}"}
    assert written(to_file) == {"dockerd.env": None}


def test_a_file_that_we_made_goes_with_our_half() -> None:
    in_file = daemon_json.edit(None, OFFICE, Texts())

    made = plan(
        HOME, docker_with(texts(OFFICE), daemon_json=in_file), Docker(), OwnedDaemonJson(True, None), is_asked_now=False
    )

    assert written(made)["daemon.json"] is None


# What stands in the way.


@pytest.mark.parametrize(
    ("reality", "code"),
    [
        (Reality(UnitState(Phase.ABSENT)), Code.ENGINE_ABSENT),
        (Reality(UnitState(Phase.MASKED)), Code.ENGINE_ABSENT),
        (docker_with(engine=msgspec.structs.replace(engine(), is_podman=True)), Code.UNSUPPORTED),
        (docker_with(flags=Flags(Texts(http=FOREIGN), ("--http-proxy",))), Code.BLOCKED),
    ],
)
def test_nothing_is_written_where_it_would_not_count_or_would_harm(reality: Reality, code: Code) -> None:
    made = planned(OFFICE, reality)

    assert not made.changes
    assert made.condition is not None
    assert made.condition.code is code


def test_the_flag_that_is_to_be_deleted_is_named_with_its_file_and_without_its_password() -> None:
    proxies = Texts("http://al:tr0ub4dor@a.test:1", "http://10.10.0.9:1", "localhost,.corp")
    flags = Flags(proxies, ("--http-proxy", "--https-proxy", "--no-proxy"))

    made = planned(OFFICE, docker_with(flags=flags, flags_in="/etc/by-hand.conf"))

    assert made.condition is not None
    assert made.condition.remedy.startswith(
        "Delete --http-proxy=http://•••@a.test:1 --https-proxy=http://10.10.0.9:1 --no-proxy=localhost,.corp"
        " in /etc/by-hand.conf, keep the rest of the line, then run: systemctl daemon-reload;"
    )


@pytest.mark.parametrize(
    ("units", "text", "remedy"),
    [
        ((), "", ""),
        (("docker.service", "snap.docker.dockerd.service"), "", ""),
        (
            ("podman.socket",),
            "; podman runs here; the agent does not manage it",
            "podman takes its proxy from the environment of who calls it, or from `env` below [engine] in containers.conf",
        ),
        (
            ("k3s-agent.service", "containerd.service"),
            "; k3s and containerd run here; the agent does not manage them",
            "k3s takes its proxy from /etc/systemd/system/k3s.service.env, an agent of it from k3s-agent.service.env;"
            " containerd takes its proxy from its unit (systemctl edit containerd), nerdctl from its caller's environment",
        ),
    ],
)
def test_where_there_is_no_docker_what_else_runs_is_named(units: tuple[str, ...], text: str, remedy: str) -> None:
    made = planned(OFFICE, Reality(UnitState(Phase.ABSENT), others=running(units)))

    assert not made.changes
    assert made.condition == Condition(
        Code.ENGINE_ABSENT, f"Docker's unit is absent: nothing is written for the daemon{text}", remedy
    )


def test_a_podman_in_dockers_place_is_told_from_it_and_where_its_settings_go() -> None:
    made = planned(OFFICE, docker_with(engine=msgspec.structs.replace(engine(), is_podman=True)))

    assert made.condition is not None
    assert made.condition.remedy == PODMAN.settings


UTF_16 = FileFault("daemon.json", "byte 0 is not UTF-8", "Mend it")
SAID = FileFault("daemon.json", "unknown key", "Mend it", is_dockerds=True)
NO_TEXT = FileFault("/etc/docker/daemon.json", "byte 14 is not UTF-8")
NOT_UNDERSTOOD = [
    pytest.param({"daemon_json": "{,}"}, id="no-json"),
    pytest.param({"daemon_json": '{"proxies": {"http-proxy": 3}}'}, id="no-proxies"),
    pytest.param({"daemon_json": '{"proxies": {}, "proxies": {}}'}, id="a-name-twice"),
    pytest.param({"daemon_json_fault": NO_TEXT}, id="no-text"),
]


@pytest.mark.parametrize("file", NOT_UNDERSTOOD)
def test_a_daemon_json_that_is_not_understood_is_its_own_fault_and_the_drop_in_goes_on(file: dict[str, Any]) -> None:
    made = planned(OFFICE, docker_with(**file))

    assert written(made) == {"dockerd.env": drop_in.edit(OFFICE), "zz-docker-proxy-agent.conf": DROP_IN}
    assert made.condition is not None
    assert made.condition.code is Code.FOREIGN_CONFIG_BROKEN
    assert made.restart is not None
    assert made.restart.when is When.LATER
    assert not planned(OFFICE, with_drop_in(OFFICE, **file)).acts


@pytest.mark.parametrize(
    ("text", "phase", "is_deadly"),
    [
        pytest.param("{,}", Phase.RUNNING, True, id="no-json"),
        pytest.param('{"proxies": {}, "proxies": {}}', Phase.RUNNING, False, id="what-go-reads"),
        pytest.param("{,}", Phase.STOPPED, False, id="stopped"),
    ],
)
def test_what_is_no_json_is_said_to_take_docker_down_at_its_next_restart(
    text: str, phase: Phase, is_deadly: bool
) -> None:
    made = planned(OFFICE, docker_with(daemon_json=text, unit=UnitState(phase)))

    assert made.condition is not None
    assert made.condition.text.endswith("; Docker is running, but would not survive its next restart") is is_deadly


@pytest.mark.parametrize("method", [Method.AUTO, Method.DAEMON_JSON])
@pytest.mark.parametrize("said", [None, SAID])
def test_of_a_file_that_is_no_text_dockerd_itself_says_whether_it_is_deadly(
    method: Method, said: FileFault | None
) -> None:
    """dockerd reads UTF-16, and refuses Latin-1."""
    reality = docker_with(daemon_json_fault=UTF_16)

    made = plan(
        OFFICE, reality, Docker(method=method), OwnedDaemonJson(), is_asked_now=False, holding=Holding(foreign=said)
    )

    assert made.condition is not None
    assert made.condition.text.startswith("byte 0 is not UTF-8; left as it is")
    assert ("would not survive its next restart" in made.condition.text) is (said is not None)


@pytest.mark.parametrize("file", NOT_UNDERSTOOD)
def test_where_it_is_the_place_itself_nothing_is_written(file: dict[str, Any]) -> None:
    made = planned(OFFICE, docker_with(**file), Docker(method=Method.DAEMON_JSON))

    assert not made.changes
    assert made.condition is not None
    assert made.condition.code is Code.FOREIGN_CONFIG_BROKEN


def test_a_dockerd_that_can_be_asked_says_itself_whether_it_starts_with_a_file_that_is_no_text() -> None:
    """dockerd reads UTF-16, and refuses Latin-1."""
    made = planned(OFFICE, docker_with(daemon_json_fault=NO_TEXT, binary="/usr/sbin/dockerd"))

    assert made.restarts


# Credentials.

ALICE = upstream("http://office:3128", username="alice", password=Secret("p@ss:w%rd"))
WITH_PASSWORD = for_dockerd(ALICE, NoProxy())
MASKED = Texts("http://xxxxx:xxxxx@office:3128", "http://xxxxx:xxxxx@office:3128", WITH_PASSWORD.no_proxy_text)
OLD = for_dockerd(msgspec.structs.replace(ALICE, password=Secret("old")), NoProxy())


@pytest.mark.parametrize(
    ("real", "is_restarted"),
    [
        pytest.param({"running_environment": texts(WITH_PASSWORD)}, False, id="started-with-this-password"),
        pytest.param({"running_environment": texts(OLD)}, True, id="started-with-another"),
        pytest.param({"running_environment": None}, False, id="not-to-be-known"),
        pytest.param({"started_with": texts(OLD)}, True, id="the-file-said-another"),
        pytest.param({"started_with": Masked.OTHER}, True, id="its-mark-says-another"),
        pytest.param({"started_with": texts(WITH_PASSWORD), "running_environment": texts(OLD)}, False, id="mark-beats"),
    ],
)
def test_a_password_that_info_hides_is_known_from_where_it_came(real: dict[str, object], is_restarted: bool) -> None:
    made = planned(WITH_PASSWORD, docker_with(MASKED, environment=texts(WITH_PASSWORD), **real))

    assert (made.restart is not None) is is_restarted


def test_no_plan_shows_a_password() -> None:
    made = planned(WITH_PASSWORD, docker_with(Texts("http://u:hunter2@foreign:1")))

    for secret in ("p@ss:w%rd", "p%40ss", "hunter2"):
        assert secret not in repr(made)


def test_dockerds_no_proxy_is_never_empty() -> None:
    assert for_dockerd(ALICE, NoProxy(always=())).no_proxy == ("localhost",)


def test_direct_is_direct() -> None:
    assert for_dockerd(DIRECT_UPSTREAM, NoProxy()) == DIRECT


# Properties.

VALUES = st.sampled_from(["", "http://office:3128", "http://foreign:1", "https://u:p@q:1", "socks5://s:1"])
ANY_TEXTS = st.builds(Texts, VALUES, VALUES, st.sampled_from(["", "localhost", "*", "a,b"]))
SETTINGS = ANY_TEXTS.map(Texts.meaning)


@given(SETTINGS, ANY_TEXTS, ANY_TEXTS, st.sampled_from(Method), st.booleans())
def test_after_what_is_written_dockerd_would_run_with_what_is_desired(
    desired: Settings, in_environment: Texts, in_file: Texts, method: Method, is_ours: bool
) -> None:
    file = daemon_json.edit('{"debug": true}', in_file.meaning(), Texts())
    real = docker_with(environment=in_environment, foreign_environment=in_environment, daemon_json=file)

    owned = OwnedDaemonJson(True, '{"debug": true}') if is_ours else OwnedDaemonJson()

    made = planned(desired, real, Docker(method=method), owned)

    if made.edits:
        after = _carried_out(made, real)
        assert prospective(after) == desired
        if not is_ours and real.daemon_json_path in [edit.path for edit in made.edits]:
            owned = OwnedDaemonJson(True, file)
        assert not planned(desired, after, Docker(method=method), owned).edits
    else:
        assert made.condition is not None or prospective(real) == desired


def _carried_out(made: Plan, real: Reality) -> Reality:
    files = {edit.path: edit.after for edit in made.edits}
    values = files.get(real.environment_file_path, real.environment_file)
    return msgspec.structs.replace(
        real,
        daemon_json=files.get(real.daemon_json_path, real.daemon_json),
        environment_file=values,
        drop_in=files.get(real.drop_in_path, real.drop_in),
        is_drop_in_loaded=True,
        environment=drop_in.read(values) if values is not None else real.foreign_environment,
    )


@given(ANY_TEXTS)
def test_what_dockerd_reports_unmasked_is_what_it_runs_with(reported: Texts) -> None:
    assert effective(docker_with(reported)) == reported.meaning()


PLAIN_FILE = '{\n  "debug": true\n}\n'
BRICKED = daemon_json.edit(PLAIN_FILE, OFFICE, Texts())
OWNED = OwnedDaemonJson(True, PLAIN_FILE)
BROKEN = UnitState(Phase.BROKEN)


def older(text: str, unit: UnitState = BROKEN) -> Reality:
    """A Docker before 23.0 with this daemon.json."""
    return Reality(unit, takes_proxies=False, daemon_json=text)


@pytest.mark.parametrize("method", [Method.AUTO, Method.DROP_IN, Method.DAEMON_JSON])
def test_a_key_of_ours_that_an_older_docker_does_not_start_with_is_taken_out_and_docker_started(method: Method) -> None:
    made = planned(OFFICE, older(BRICKED), Docker(method=method), OWNED)

    assert written(made)["daemon.json"] == PLAIN_FILE
    assert made.starts_docker
    assert (made.condition is not None and made.condition.code is Code.UNSUPPORTED) is (method is Method.DAEMON_JSON)


def test_what_somebody_else_broke_or_stopped_is_not_started() -> None:
    assert not planned(OFFICE, older(PLAIN_FILE), owned=OWNED).starts_docker
    assert not planned(OFFICE, older(BRICKED)).starts_docker
    assert not planned(OFFICE, older(BRICKED, UnitState(Phase.STOPPED)), owned=OWNED).starts_docker


@pytest.mark.parametrize(
    ("reality", "said", "words"),
    [
        pytest.param(older('{"debug": true}'), None, None, id="nothing-known"),
        pytest.param(older('{"debug": true,}'), None, "not JSON", id="no-json"),
        pytest.param(older('{"proxies": {}}'), None, "don't match any configuration option: proxies", id="a-newer-key"),
        pytest.param(older(""), None, "EOF", id="empty-before-23"),
        pytest.param(Reality(BROKEN, takes_proxies=False, daemon_json_fault=UTF_16), None, "not UTF-8", id="no-text"),
        pytest.param(
            Reality(BROKEN, takes_proxies=True, binary="/usr/bin/dockerd", daemon_json_fault=UTF_16),
            None,
            None,
            id="no-text-that-it-reads",
        ),
        pytest.param(older('{"debug": true}'), SAID, "unknown key", id="it-says-so-itself"),
        pytest.param(older('{"debug": true,}', UnitState(Phase.STOPPED)), None, None, id="stopped"),
        pytest.param(older('{"debug": true}', UnitState(Phase.RUNNING)), SAID, None, id="runs"),
    ],
)
def test_what_of_its_file_keeps_a_docker_down_that_broke(
    reality: Reality, said: FileFault | None, words: str | None
) -> None:
    found = keeps_down(reality, OwnedDaemonJson(), said)

    assert (found is not None) is (words is not None)
    assert found is None or words is None or words in found.wrong


def test_of_a_docker_that_is_down_only_what_is_wrong_is_said() -> None:
    found = keeps_down(older('{"proxies": {}}'), OwnedDaemonJson(), None)

    assert found is not None
    said = "the following directives don't match any configuration option: proxies"
    assert found.wrong == said
    assert str(down("docker.service", found)) == (
        f"Docker is down: docker.service does not start with {found.path}: {said}. "
        f"Remove proxies from {found.path}, then run: "
        "systemctl reset-failed docker.service; systemctl restart docker.service"
    )


@pytest.mark.parametrize(
    ("wrong", "deed"),
    [
        (
            "the following directives are specified both as a flag and in the configuration file: "
            "hosts: (from flag: [fd://], from file: [tcp://10.0.0.1])",
            "Remove hosts from F, or from the flags in the unit",
        ),
        (
            "the following directives don't match any configuration option: dbug, pull-all",
            "Remove dbug, pull-all from F",
        ),
        ("invalid character '}' looking for the beginning of a key", "Fix F"),
        ("the following directives don't match any configuration option: $(reboot)", "Fix F"),
    ],
)
def test_what_is_to_be_done_to_a_file_that_keeps_docker_down(wrong: str, deed: str) -> None:
    said = down("docker.service", FileFault("F", wrong, "", is_dockerds=True))

    assert said.remedy.startswith(f"{deed}, then run: systemctl reset-failed")


def test_a_docker_that_is_still_starting_is_slow_and_not_stopped() -> None:
    made = planned(OFFICE, Reality(UnitState(Phase.STARTING), takes_proxies=True))

    assert made.condition is not None
    assert made.condition.code is Code.ENGINE_SLOW
