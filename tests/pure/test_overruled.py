"""What beats the drop-in is known, by the name of its file, before anything is written or restarted."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.decide.plan import Holding, OwnedDaemonJson, Plan, plan
from agent.docker.overruling import beaten, by_env, flags_in, overruling, own_files
from agent.docker.unit_file import assigned
from agent.targets import drop_in
from agent.values.condition import Code, Condition
from agent.values.dockerd import Engine, Layer, Overruling, Phase, Reality, Start, UnitState
from agent.values.policy import Docker, Method
from agent.values.settings import DIRECT, Settings, Texts, settings

OFFICE = settings("http://office:3128", "http://office:3128", "localhost")
OTHER = "http://other:1"
ENV = "/etc/docker-other.env"
SIX = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"), "")


def docker_beaten_by(found: Overruling, running: Texts = Texts(), **real: object) -> Reality:
    facts: dict[str, object] = {
        "unit": UnitState(Phase.RUNNING, pid=1, invocation="a"),
        "engine": Engine("26.1.5", (1, 45), False, running, False, False, 0),
        "takes_proxies": True,
        "overruling": found,
        "environment": running,
        "foreign_environment": running,
        **real,
    }
    return Reality(**facts)  # type: ignore[arg-type]


def planned(desired: Settings, reality: Reality, method: Method = Method.AUTO) -> Plan:
    return plan(desired, reality, Docker(method=method), OwnedDaemonJson(), is_asked_now=False)


def read_later(**values: str) -> Overruling:
    return Overruling(later=(Layer(ENV, values),))


BEATEN = [
    pytest.param(OFFICE, read_later(HTTPS_PROXY=OTHER), Code.NOT_EFFECTIVE, ENV, id="a-later-file"),
    pytest.param(OFFICE, read_later(HTTPS_PROXY="", https_proxy=""), Code.NOT_EFFECTIVE, ENV, id="a-later-file-empties"),
    pytest.param(DIRECT, read_later(http_proxy=OTHER), Code.NOT_EFFECTIVE, ENV, id="lower-case-counts"),
    pytest.param(OFFICE, read_later(NO_PROXY="*"), Code.NOT_EFFECTIVE, ENV, id="all-is-excluded"),
    pytest.param(
        OFFICE, Overruling(later=(Layer("/a", {"HTTP_PROXY": OTHER}), Layer("/b", {}))), Code.NOT_EFFECTIVE, "/a",
        id="the-one-that-says-something",
    ),
    pytest.param(
        OFFICE, Overruling(unset=("HTTPS_PROXY", "HTTP_PROXY"), unset_in="/u/http-proxy.conf"),
        Code.NOT_EFFECTIVE, "/u/http-proxy.conf", id="unset",
    ),
    pytest.param(
        OFFICE,
        Overruling(unset=("HTTP_PROXY=http://office:3128", "http_proxy=http://office:3128"), unset_in="/u/a.conf"),
        Code.NOT_EFFECTIVE, "/u/a.conf", id="unset-as-an-assignment",
    ),
    pytest.param(OFFICE, Overruling(emptied_in="/u/zzz.conf"), Code.NOT_EFFECTIVE, "/u/zzz.conf", id="emptied"),
    pytest.param(
        OFFICE, Overruling(by_command={"HTTPS_PROXY": OTHER}, command_in="/u/wrapper.conf"),
        Code.BLOCKED, "/u/wrapper.conf", id="env-in-front-of-dockerd",
    ),
    pytest.param(
        OFFICE, Overruling(by_command=SIX, command_in="/u/wrapper.conf"), Code.BLOCKED, "/u/wrapper.conf", id="env -i",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("desired", "found", "code", "target"), BEATEN)
@pytest.mark.parametrize("is_written_before", [False, True])
def test_what_would_not_count_is_neither_written_nor_restarted_for(
    desired: Settings, found: Overruling, code: Code, target: str, is_written_before: bool
) -> None:
    real = {
        "environment_file": drop_in.edit(OFFICE),
        "drop_in": drop_in.drop_in("/etc/docker-proxy-agent/dockerd.env"),
        "is_drop_in_loaded": True,
    }
    running = Texts(OTHER, OTHER)

    made = planned(desired, docker_beaten_by(found, running, **(real if is_written_before else {})))

    assert not made.changes
    assert made.condition is not None
    assert (made.condition.code, made.condition.target) == (code, target)
    assert made.effective == running.meaning()
    assert OTHER not in str(made.condition)


@pytest.mark.parametrize(
    ("found", "deed"),
    [
        (Overruling(unset=("HTTP_PROXY",)), "Remove it from the unit"),
        (
            Overruling(unset=("HTTP_PROXY", "HTTPS_PROXY", "HTTP_PROXY"), unset_in="/etc/zzz.conf"),
            "Delete HTTP_PROXY HTTPS_PROXY from UnsetEnvironment= in /etc/zzz.conf",
        ),
    ],
)
def test_what_is_to_be_deleted_and_typed_where_a_value_is_taken_away_is_said(found: Overruling, deed: str) -> None:
    made = planned(OFFICE, docker_beaten_by(found, Texts(OTHER)))

    assert made.condition is not None
    assert made.condition.text.endswith(
        " removes what /etc/systemd/system/docker.service.d/zz-docker-proxy-agent.conf sets"
    )
    assert made.condition.remedy == f"{deed}, then run: systemctl daemon-reload; systemctl restart docker.service"


@pytest.mark.parametrize(
    ("desired", "found"),
    [
        pytest.param(OFFICE, read_later(LANG="C"), id="another-name"),
        pytest.param(OFFICE, read_later(https_proxy=OTHER, no_proxy="*"), id="lower-case-below-upper-case"),
        pytest.param(OFFICE, read_later(HTTPS_PROXY="http://OFFICE:3128/"), id="the-same"),
        pytest.param(DIRECT, read_later(NO_PROXY="example.org"), id="nothing-to-exclude-from"),
        pytest.param(OFFICE, Overruling(unset=("HTTP_PROXY=http://home:1",)), id="unset-where-it-is-another"),
        pytest.param(DIRECT, Overruling(unset=("HTTP_PROXY", "http_proxy")), id="unset-is-direct-too"),
        pytest.param(OFFICE, Overruling(by_command={"NO_PROXY": "localhost"}), id="a-command-that-says-the-same"),
    ],
)
def test_what_does_not_matter_holds_nothing_up(desired: Settings, found: Overruling) -> None:
    made = planned(desired, docker_beaten_by(found, Texts(OTHER)))

    assert made.condition is None
    assert made.edits
    assert made.restarts


def test_daemon_json_beats_what_beats_the_drop_in() -> None:
    made = planned(OFFICE, docker_beaten_by(read_later(HTTPS_PROXY=OTHER), Texts("", OTHER)), Method.DAEMON_JSON)

    assert made.condition is None
    assert made.restarts


def test_where_what_beats_it_is_what_is_desired_nothing_is_said() -> None:
    same = Texts("http://office:3128", "http://office:3128", "localhost")

    made = planned(OFFICE, docker_beaten_by(Overruling(by_command={"HTTPS_PROXY": same.https}), same))

    assert not made.changes
    assert made.condition is None


def test_what_came_up_otherwise_is_not_tried_again_but_by_a_person() -> None:
    real = docker_beaten_by(Overruling(), Texts(OTHER))
    first = planned(OFFICE, real)
    assert first.restarts
    assert first.prospective is not None
    tried = Holding(came_up_otherwise=((OFFICE, overruled_by_nobody_knows()),))

    again = plan(OFFICE, real, Docker(), OwnedDaemonJson(), is_asked_now=False, holding=tried)
    by_hand = plan(OFFICE, real, Docker(), OwnedDaemonJson(), is_asked_now=True, holding=tried)
    another = plan(DIRECT, real, Docker(), OwnedDaemonJson(), is_asked_now=False, holding=tried)

    assert again.restart is None
    assert again.condition == overruled_by_nobody_knows()
    assert by_hand.restarts
    assert another.restarts


def overruled_by_nobody_knows() -> Condition:
    return Condition(Code.NOT_EFFECTIVE, "Docker came up, and runs with http://other:1 instead")


def test_no_password_shows() -> None:
    found = Overruling(
        later=(Layer("/a", {"HTTP_PROXY": "http://u:Zecret9@x:1"}),), by_command={"HTTP_PROXY": "Zecret9"}
    )

    assert "Zecret9" not in repr(found)
    assert "Zecret9" not in str(planned(OFFICE, docker_beaten_by(found)).condition)


# How the unit is read.

VALUES = Path("/etc/docker-proxy-agent/dockerd.env")


class TheUnit:
    """A docker.service with drop-ins on a disk, as systemd would have loaded it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.main = folder / "docker.service"
        self.main.write_text("[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=/usr/sbin/dockerd\n")
        self.ours = folder / "docker.service.d/zz-docker-proxy-agent.conf"
        self.ours.parent.mkdir()
        self.layers = [Layer("/etc/default/docker", {"HTTP_PROXY": OTHER})]

    def add(self, name: str, text: str, *layers: Layer) -> None:
        (self.folder / "docker.service.d" / name).write_text(f"[Service]\n{text}\n")
        self.layers += layers

    def found(self, unset: tuple[str, ...] = ()) -> Overruling:
        unit, start = self.started(unset)
        return overruling(unit, own_files(unit), start, None, values_file=VALUES, drop_in=self.ours)

    def started(self, unset: tuple[str, ...] = ()) -> tuple[UnitState, Start]:
        drop_ins = sorted(self.ours.parent.iterdir(), key=lambda path: path.name)
        unit = UnitState(Phase.RUNNING, fragment=str(self.main), drop_ins=tuple(map(str, drop_ins)))
        layers = tuple(msgspec.structs.replace(layer, entry=number) for number, layer in enumerate(self.layers))
        return unit, Start(("/usr/sbin/dockerd",), {}, {}, unset, layers)


def test_a_file_of_a_drop_in_behind_ours_is_read_later_whether_ours_is_there_yet_or_not(tmp_path: Path) -> None:
    unit, theirs = TheUnit(tmp_path), Layer(ENV, {"HTTPS_PROXY": OTHER})
    unit.add("http-proxy.conf", "EnvironmentFile=/early", Layer("/early", {"HTTP_PROXY": OTHER}))
    unit.add("zzz-later-wins.conf", f"EnvironmentFile={ENV}", theirs)
    before = unit.found()
    unit.layers.insert(2, Layer(str(VALUES), SIX))
    unit.ours.write_text(drop_in.drop_in("/etc/docker-proxy-agent/dockerd.env"))

    assert [layer.path for layer in before.later] == [ENV]
    assert [layer.path for layer in unit.found().later] == [ENV]
    assert not before.emptied_in


def test_a_drop_in_that_empties_the_list_is_named(tmp_path: Path) -> None:
    unit = TheUnit(tmp_path)
    unit.layers = []
    unit.add("zzz.conf", f"EnvironmentFile=\nEnvironmentFile={ENV}", Layer(ENV, {}))

    found = unit.found()

    assert found.emptied_in == str(tmp_path / "docker.service.d/zzz.conf")
    assert [layer.path for layer in found.later] == [ENV]


@pytest.mark.parametrize("where", ["command", "variable", "file"])
def test_the_file_that_gives_dockerd_a_proxy_flag_is_named(tmp_path: Path, where: str) -> None:
    unit, flag = TheUnit(tmp_path), "--http-proxy=http://10.10.0.9:1"
    unit.add("a-other.conf", "Environment=DOCKER_OPTS=--debug", Layer(str(tmp_path / "empty"), {}))
    match where:
        case "command":
            unit.add("b.conf", f"ExecStart=\nExecStart=/usr/sbin/dockerd {flag}")
        case "variable":
            unit.add("b.conf", f"Environment=DOCKER_OPTS={flag}\nExecStart=\nExecStart=/usr/sbin/dockerd $DOCKER_OPTS")
        case "file":
            (tmp_path / "default").write_text(f'DOCKER_OPTS="{flag}"\n')
            unit.add(
                "b.conf", "ExecStart=\nExecStart=/usr/sbin/dockerd $DOCKER_OPTS", Layer(str(tmp_path / "default"), {})
            )

    named = tmp_path / ("default" if where == "file" else "docker.service.d/b.conf")
    found, start = unit.started()
    assert flags_in(own_files(found), start, ("--http-proxy",)) == str(named)
    assert flags_in(own_files(found), start, ()) == ""


def test_who_takes_variables_away_is_named(tmp_path: Path) -> None:
    unit = TheUnit(tmp_path)
    unit.add("http-proxy.conf", "UnsetEnvironment=HTTP_PROXY HTTPS_PROXY")
    unit.add("other.conf", "UnsetEnvironment=LANG")

    found = unit.found(("HTTP_PROXY", "HTTPS_PROXY", "LANG"))

    assert found.unset == ("HTTP_PROXY", "HTTPS_PROXY")
    assert found.unset_in == str(tmp_path / "docker.service.d/http-proxy.conf")


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("/usr/bin/env HTTPS_PROXY=http://x:1 A=b /usr/sbin/dockerd NO_PROXY=c", {"HTTPS_PROXY": "http://x:1"}),
        ("/usr/bin/env -u HTTP_PROXY --unset=http_proxy -uno_proxy --unset NO_PROXY dockerd",
         dict.fromkeys(("HTTP_PROXY", "http_proxy", "no_proxy", "NO_PROXY"), "")),
        ("env -i HTTP_PROXY=http://x:1 dockerd", {**SIX, "HTTP_PROXY": "http://x:1"}),
        ("env -S HTTP_PROXY=a dockerd", {}),
        ("/usr/sbin/dockerd HTTP_PROXY=a", {}),
        ("env", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_what_env_in_front_of_dockerd_sets(command: str, found: dict[str, str]) -> None:
    assert by_env(command.split()) == found


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[Service]\nExecStart=a\nExecStart=\n ExecStart = b c\n", ["a", "", "b c"]),
        ("[Unit]\nExecStart=a\n[Service]\n#ExecStart=b\n;ExecStart=c\n", []),
        ("[Service]\nExecStart=a \\\n# a comment\n  b\nExecStartPre=c\n", ["a    b"]),
        ("ExecStart=a\n", []),
    ],
)
def test_what_a_unit_file_assigns(text: str, values: list[str]) -> None:
    assert list(assigned(text, "ExecStart")) == values


def test_what_the_drop_in_beats_is_named_and_what_beats_it_is_not(tmp_path: Path) -> None:
    unit = TheUnit(tmp_path)
    unit.add("http-proxy.conf", f'Environment="HTTP_PROXY={OTHER}" LANG=C "NO_PROXY=a%%b"')
    unit.add("empty.conf", "Environment=HTTPS_PROXY=")
    unit.add("torn.conf", 'Environment="HTTP_PROXY=http://x')
    unit.add("zzz-later.conf", f"EnvironmentFile={ENV}", Layer(ENV, {"HTTPS_PROXY": OTHER}))
    unit.layers[1:1] = [Layer(str(VALUES), SIX), unit.layers[0]]  # one file is named twice
    found, start = unit.started()
    of_all = msgspec.structs.replace(start, manager={"HTTPS_PROXY": OTHER})

    later = overruling(found, own_files(found), of_all, None, values_file=VALUES, drop_in=unit.ours).later

    assert [(layer.path, layer.values) for layer in beaten(own_files(found), of_all, VALUES, later)] == [
        ("DefaultEnvironment= of systemd", {"HTTPS_PROXY": OTHER}),
        (str(tmp_path / "docker.service.d/http-proxy.conf"), {"HTTP_PROXY": OTHER, "NO_PROXY": "a%b"}),
        ("/etc/default/docker", {"HTTP_PROXY": OTHER}),
    ]
    assert later == (Layer(ENV, {"HTTPS_PROXY": OTHER}, 3),)
