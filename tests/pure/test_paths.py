"""Where everything is, in each layout: all paths are in one table."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.system.policy_file import owners
from agent.values.paths import Layout, Paths, layout_of_user
from agent.values.policy import Scope

SYSTEM = Paths()
ALICES = Paths(layout=layout_of_user(1000, "/home/alice", {}))
MOVED = Paths(
    layout=layout_of_user(
        1000,
        "/home/alice",
        {
            "XDG_CONFIG_HOME": "/data/config",
            "XDG_STATE_HOME": "/data/state",
            "XDG_DATA_HOME": "/data/share",
            "XDG_RUNTIME_DIR": "/tmp/run",
        },
    )
)


@pytest.mark.parametrize(
    ("what", "system", "alices", "moved"),
    [
        (
            "policy",
            "/etc/docker-proxy-agent/config.toml",
            "/home/alice/.config/docker-proxy-agent/config.toml",
            "/data/config/docker-proxy-agent/config.toml",
        ),
        (
            "environment_file",
            "/etc/docker-proxy-agent/dockerd.env",
            "/home/alice/.config/docker-proxy-agent/dockerd.env",
            "/data/config/docker-proxy-agent/dockerd.env",
        ),
        (
            "state",
            "/var/lib/docker-proxy-agent",
            "/home/alice/.local/state/docker-proxy-agent",
            "/data/state/docker-proxy-agent",
        ),
        (
            "audit_log",
            "/var/log/docker-proxy-agent/audit.jsonl",
            "/home/alice/.local/state/docker-proxy-agent/log/audit.jsonl",
            "/data/state/docker-proxy-agent/log/audit.jsonl",
        ),
        (
            "status",
            "/run/docker-proxy-agent/status.json",
            "/run/user/1000/docker-proxy-agent/status.json",
            "/tmp/run/docker-proxy-agent/status.json",
        ),
        (
            "control",
            "/run/docker-proxy-agent/control.sock",
            "/run/user/1000/docker-proxy-agent/control.sock",
            "/tmp/run/docker-proxy-agent/control.sock",
        ),
        (
            "lock",
            "/run/docker-proxy-agent/lock",
            "/run/user/1000/docker-proxy-agent/lock",
            "/tmp/run/docker-proxy-agent/lock",
        ),
        (
            "daemon_json",
            "/etc/docker/daemon.json",
            "/home/alice/.config/docker/daemon.json",
            "/data/config/docker/daemon.json",
        ),
        (
            "docker_certificates",
            "/etc/docker/certs.d",
            "/home/alice/.config/docker/certs.d",
            "/data/config/docker/certs.d",
        ),
    ],
)
def test_each_file_is_where_the_layout_says(what: str, system: str, alices: str, moved: str) -> None:
    assert [str(getattr(paths, what)) for paths in (SYSTEM, ALICES, MOVED)] == [system, alices, moved]


@pytest.mark.parametrize(
    ("paths", "drop_in", "unit", "start"),
    [
        (
            SYSTEM,
            "/etc/systemd/system/docker.service.d/zz-docker-proxy-agent.conf",
            "/etc/systemd/system/x.service",
            "/run/systemd/units/invocation:x.service",
        ),
        (
            ALICES,
            "/home/alice/.config/systemd/user/docker.service.d/zz-docker-proxy-agent.conf",
            "/home/alice/.config/systemd/user/x.service",
            "/run/user/1000/systemd/units/invocation:x.service",
        ),
    ],
)
def test_units_belong_to_the_manager_of_the_layout(paths: Paths, drop_in: str, unit: str, start: str) -> None:
    assert str(paths.drop_in("docker.service")) == drop_in
    assert str(paths.unit_file("x.service")) == unit
    assert str(paths.invocation_link("x.service")) == start


@pytest.mark.parametrize("paths", [SYSTEM, ALICES, MOVED])
def test_a_drop_in_would_appear_in_a_place_that_is_looked_at(paths: Paths) -> None:
    assert paths.drop_in("docker.service").parent in paths.unit_places("docker.service")
    assert paths.unit_file("docker.service") in paths.unit_places("docker.service")


def test_no_file_of_ones_own_instance_is_one_of_the_systems() -> None:
    own = [getattr(ALICES, name) for name in dir(Paths) if isinstance(getattr(ALICES, name), Path)]
    systems = {getattr(SYSTEM, name) for name in dir(Paths) if isinstance(getattr(SYSTEM, name), Path)}
    assert systems & set(own) == {Path("/")}


@pytest.mark.parametrize("value", ["", "config", "~/config"])
def test_a_variable_that_is_no_absolute_path_does_not_count(value: str) -> None:
    assert layout_of_user(1000, "/home/alice", {"XDG_CONFIG_HOME": value}) == ALICES.layout


@pytest.mark.parametrize(
    ("paths", "named", "socket"),
    [
        (SYSTEM, "", "/run/docker.sock"),
        (ALICES, "", "/run/user/1000/docker.sock"),
        (SYSTEM, "/run/other.sock", "/run/other.sock"),
        (ALICES, "/run/other.sock", "/run/other.sock"),
    ],
)
def test_the_socket_is_the_layouts_unless_the_policy_names_one(paths: Paths, named: str, socket: str) -> None:
    assert paths.socket(named) == socket


def test_a_policy_may_belong_to_whose_instance_it_is() -> None:
    assert owners(SYSTEM) == {0}
    assert owners(ALICES) == {0, 1000}


def test_below_another_root_lies_the_same_layout() -> None:
    paths = Paths(Path("/tmp/there"), ALICES.layout)
    assert not paths.is_real
    assert str(paths.state) == "/tmp/there/home/alice/.local/state/docker-proxy-agent"


def test_the_real_systems_instance_is_roots() -> None:
    assert [paths.is_the_systems for paths in (SYSTEM, ALICES, Paths(Path("/tmp/there")))] == [True, False, False]
    assert (Layout().manager, ALICES.layout.manager) == ((), ("--user",))


def test_a_users_own_instance_tells_clients_of_its_own_docker_alone() -> None:
    assert (Layout().scope, Scope(ALICES.layout.scope)) == ("", Scope.LOCAL)


SNAPS = "snap.docker.dockerd.service"


def test_the_snap_of_docker_keeps_its_files_elsewhere() -> None:
    snap = SYSTEM.serving(SNAPS)

    assert snap.layout.service == SNAPS
    assert str(snap.daemon_json) == "/var/snap/docker/current/config/daemon.json"
    assert str(snap.docker_certificates) == "/var/snap/docker/current/etc/docker/certs.d"
    assert str(snap.drop_in(snap.layout.service)) == f"/etc/systemd/system/{SNAPS}.d/zz-docker-proxy-agent.conf"
    assert snap.layout.configs == (("snap", "docker", "current", ".docker", "config.json"),)
    assert (snap.policy, snap.socket("")) == (SYSTEM.policy, SYSTEM.socket(""))


@pytest.mark.parametrize("service", ["docker.service", "my-docker.service"])
def test_every_other_unit_reads_the_usual_files(service: str) -> None:
    served = SYSTEM.serving(service)

    assert (served.layout.service, served.daemon_json, served.layout.configs) == (service, SYSTEM.daemon_json, ())


def test_who_serves_one_docker_chooses_no_other() -> None:
    assert SYSTEM.services == ("docker.service", SNAPS)
    assert SYSTEM.serving(SNAPS).services == (SNAPS,)
    assert ALICES.services == ("docker.service",)


@pytest.mark.parametrize(("paths", "runtime"), [(ALICES, "/run/user/1000"), (MOVED, "/tmp/run")])
def test_the_users_manager_is_asked_whatever_bus_the_shell_has(paths: Paths, runtime: str) -> None:
    assert paths.layout.environment == {
        "XDG_RUNTIME_DIR": runtime,
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus",
    }
