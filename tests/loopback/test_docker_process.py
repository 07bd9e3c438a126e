"""What /proc says of a real process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agent.docker.process import binary, command_line, dockerd, environment, is_anothers
from agent.values.errors import EngineSilent


def test_a_process_that_shows_no_arguments_does_not_show_an_empty_environment() -> None:
    """As one that has died and is not reaped yet, or whose execve is still at work."""
    with subprocess.Popen(["true"], env={"HTTP_PROXY": "http://office:3128"}) as dead:
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)

        assert command_line(dead.pid) is None
        assert environment(dead.pid) is None


def test_an_empty_environment_is_one() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(["sh", "-c", "echo; read line"], env={}, stdin=pipe, stdout=pipe) as started:
        assert started.stdout is not None
        started.stdout.readline()  # it is past its execve, and waits for its line

        assert environment(started.pid) == {}

        started.communicate(timeout=60)


# Which process of a unit is dockerd.

UNIT = "0::/system.slice/docker.service"
SCRIPT, DOCKERD = ("/bin/sh", "/usr/local/sbin/start-docker"), ("/usr/sbin/dockerd", "--debug")


def shown(proc: Path, pid: int, argv: tuple[str, ...], group: str) -> None:
    """A process as /proc has it."""
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in argv))
    (proc / str(pid) / "cgroup").write_text(f"{group}\n")


@pytest.mark.parametrize(
    ("main", "listener", "group", "found"),
    [
        pytest.param(DOCKERD, DOCKERD, UNIT, 7, id="the-main-process-itself"),
        pytest.param(SCRIPT, DOCKERD, UNIT, 9, id="a-child-of-a-script"),
        pytest.param(SCRIPT, DOCKERD, f"{UNIT}/below", 9, id="in-a-group-below"),
        pytest.param(SCRIPT, DOCKERD, "0::/system.slice/other.service", 0, id="of-another-unit"),
        pytest.param(SCRIPT, ("/lib/systemd/systemd",), UNIT, 0, id="systemd-has-opened-the-socket"),
        pytest.param(SCRIPT, None, UNIT, 0, id="nobody-listens"),
        pytest.param((), DOCKERD, UNIT, 9, id="a-main-process-that-is-becoming-another"),
    ],
)
def test_dockerd_is_the_main_process_or_who_listens_in_its_group(
    tmp_path: Path, main: tuple[str, ...], listener: tuple[str, ...] | None, group: str, found: int
) -> None:
    shown(tmp_path, 7, main, UNIT)
    if listener is not None:
        shown(tmp_path, 9, listener, group)

    def who() -> int:
        if listener is None:
            raise EngineSilent("/run/docker.sock", "nobody")
        return 9

    assert dockerd(7, who, tmp_path) == found


@pytest.mark.parametrize(
    ("listener", "group", "is_so"),
    [
        pytest.param(DOCKERD, UNIT, False, id="its-own"),
        pytest.param(DOCKERD, f"{UNIT}/below", False, id="in-a-group-below"),
        pytest.param(DOCKERD, "0::/system.slice/other.service", True, id="of-another-unit"),
        pytest.param(DOCKERD, "0::/system.slice/docker.service-2", True, id="of-one-whose-name-begins-so"),
        pytest.param(("/lib/systemd/systemd",), "0::/init.scope", False, id="systemd-has-opened-the-socket"),
        pytest.param(("/usr/bin/podman", "system", "service"), "0::/system.slice/podman.service", False, id="podman"),
    ],
)
def test_a_dockerd_of_another_unit_does_not_answer_for_this_one(
    tmp_path: Path, listener: tuple[str, ...], group: str, *, is_so: bool
) -> None:
    shown(tmp_path, 7, SCRIPT, UNIT)
    shown(tmp_path, 9, listener, group)

    assert is_anothers(9, 7, tmp_path) is is_so
    assert not is_anothers(9, 0, tmp_path)  # where nobody knows the unit's processes
    assert not is_anothers(9, 8, tmp_path)


@pytest.mark.parametrize(("comm", "is_systemd"), [("systemd", True), ("podman", False)])
def test_a_socket_that_systemd_opened_is_another_units_where_this_one_has_none(
    tmp_path: Path, comm: str, is_systemd: bool
) -> None:
    shown(tmp_path, 7, DOCKERD, "0::/system.slice/snap.docker.dockerd.service")
    shown(tmp_path, 9, ("/sbin/init",), "0::/init.scope")
    (tmp_path / "9/comm").write_text(f"{comm}\n")

    assert is_anothers(9, 7, tmp_path, has_socket=False) is is_systemd
    assert not is_anothers(9, 7, tmp_path)


def test_where_the_main_process_is_dockerd_the_socket_is_not_opened(tmp_path: Path) -> None:
    shown(tmp_path, 7, DOCKERD, UNIT)

    assert dockerd(7, lambda: pytest.fail("opened"), tmp_path) == 7


def test_a_unit_without_a_process_has_no_dockerd(tmp_path: Path) -> None:
    shown(tmp_path, 9, DOCKERD, UNIT)

    assert dockerd(0, lambda: 9, tmp_path) == 0


# Which dockerd a unit would start.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("dockerd", "dockerd-rootless.sh", "start-docker"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "path", "found"),
    [
        ("dockerd", "", "dockerd"),
        ("dockerd-rootless.sh", "{0}:/usr/bin", "dockerd"),
        ("dockerd-rootless.sh", "{0}/no", ""),
        ("start-docker", "{0}", ""),
    ],
)
def test_which_dockerd_is_asked_about_its_file(command: str, path: str, found: str, folder: Path) -> None:
    argv = (str(folder / command), "--debug")

    asked = binary(argv, {"PATH": path.format(folder)}, follows_path=True)

    assert asked == (str(folder / found) if found else "")


def test_no_command_is_no_dockerd() -> None:
    assert binary((), {}, follows_path=True) == ""


def test_root_runs_no_dockerd_of_a_path_that_a_user_may_have_written(tmp_path: Path) -> None:
    (tmp_path / "dockerd").write_text("#!/bin/sh\n")
    (tmp_path / "dockerd").chmod(0o755)
    script = ("/usr/bin/dockerd-rootless.sh",)

    assert binary(script, {"PATH": str(tmp_path)}, follows_path=True) == str(tmp_path / "dockerd")
    assert binary(script, {"PATH": str(tmp_path)}, follows_path=False) == ""
