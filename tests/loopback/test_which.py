"""Which Docker is found on a system, by what systemd leaves in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.docker.journal import Stage, UnderWay
from agent.docker.which import beside, left_behind, serving
from agent.system.state_file import StateFile
from agent.values.paths import Paths

USUAL, SNAP = "docker.service", "snap.docker.dockerd.service"
DROP_IN = "zz-docker-proxy-agent.conf"
UNITS, BOOT = "etc/systemd/system", "etc/systemd/system/multi-user.target.wants"


class System:
    """What systemd has, below a root of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.paths = root, Paths(root)

    def has(self, service: str, folder: str = UNITS) -> None:
        self._made(f"{folder}/{service}").write_text("[Service]\n")

    def brings_up_at_boot(self, unit: str, folder: str = BOOT) -> None:
        self._made(f"{folder}/{unit}").symlink_to(f"/usr/lib/systemd/system/{unit}")

    def starts(self, unit: str) -> None:
        """systemd's link leads to no file: its target is the start's number."""
        self._made(f"run/systemd/units/invocation:{unit}").symlink_to("0a1b2c")

    def stops(self, unit: str) -> None:
        (self.root / f"run/systemd/units/invocation:{unit}").unlink()

    def serves(self, named: str = "", served: str = "") -> str:
        return serving(self.paths, named, served).layout.service

    def _made(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_without_any_docker_it_is_the_usual_one(system: System) -> None:
    assert system.serves() == USUAL


def test_the_snap_is_served_where_it_alone_is_there(system: System) -> None:
    system.has(SNAP)

    assert system.serves() == SNAP
    assert serving(system.paths, "").daemon_json == system.root / "var/snap/docker/current/config/daemon.json"


@pytest.mark.waits
def test_what_runs_is_served_and_stays_so_between_two_starts(system: System) -> None:
    system.has(USUAL, "usr/lib/systemd/system")
    system.has(SNAP)
    assert system.serves() == USUAL

    system.starts(SNAP)
    assert system.serves(served=USUAL) == SNAP
    system.stops(SNAP)

    assert system.serves(served=SNAP) == SNAP
    assert system.serves() == USUAL


@pytest.mark.parametrize(
    ("unit", "folder"),
    [(USUAL, BOOT), ("docker.socket", "etc/systemd/system/sockets.target.wants")],
)
@pytest.mark.parametrize("place", ["lib/systemd/system", "usr/local/lib/systemd/system"])
def test_before_docker_at_boot_it_is_the_one_that_will_start(
    system: System, unit: str, folder: str, place: str
) -> None:
    system.has(SNAP)
    system.has(USUAL, place)
    system.brings_up_at_boot(unit, folder)

    assert system.serves() == USUAL


def test_the_policy_has_the_last_word(system: System) -> None:
    system.has(SNAP)
    system.starts(SNAP)

    assert system.serves(named=USUAL) == USUAL
    assert system.serves(named="my-docker.service") == "my-docker.service"


def test_who_serves_one_stays_with_it(system: System) -> None:
    paths = serving(system.paths, SNAP)
    system.has(USUAL)
    system.starts(USUAL)

    assert serving(paths, "").layout.service == SNAP


@pytest.mark.parametrize(
    ("stage", "unit", "stays"),
    [
        (Stage.RESTARTING, USUAL, True),
        (Stage.ROLLING_BACK, USUAL, True),
        (Stage.TRIED, USUAL, True),
        (Stage.VERIFIED, USUAL, True),
        (Stage.WRITING, USUAL, False),  # it waits for a start that may never come
        (None, USUAL, False),
        (Stage.RESTARTING, "", False),  # by an earlier version
    ],
)
@pytest.mark.parametrize("named", ["", "my-docker.service"])
def test_none_is_left_in_the_middle_of_a_restart(
    system: System, stage: Stage | None, unit: str, stays: bool, named: str
) -> None:
    system.has(SNAP)
    system.starts(SNAP)
    StateFile(system.paths.state / "journal.json", UnderWay, 1).save(UnderWay(stage, unit=unit))

    assert system.serves(named) == (USUAL if stays else named or SNAP)


@pytest.mark.parametrize(
    ("files", "service", "found"),
    [
        ([f"/{UNITS}/{USUAL}.d/{DROP_IN}", f"/{UNITS}/{SNAP}.d/{DROP_IN}"], USUAL, {SNAP: 1}),
        ([f"/{UNITS}/{USUAL}.d/{DROP_IN}", f"/{UNITS}/{SNAP}.d/{DROP_IN}"], SNAP, {USUAL: 1}),
        ([f"/{UNITS}/my-docker.service.d/{DROP_IN}", "/etc/docker/daemon.json"], USUAL, {"my-docker.service": 1}),
        ([f"/{UNITS}/{SNAP}.d/{DROP_IN}", "/var/snap/docker/current/config/daemon.json"], USUAL, {SNAP: 2}),
        (["/var/snap/docker/current/config/daemon.json"], USUAL, {SNAP: 1}),
        (["/etc/docker/daemon.json", f"/{UNITS}/{USUAL}.d/{DROP_IN}", "/srv/daemon.json"], USUAL, {}),
        (["/etc/docker/daemon.json"], SNAP, {USUAL: 1}),
    ],
)
def test_what_was_written_for_a_docker_that_was_left_is_known_by_its_place(
    system: System, files: list[str], service: str, found: dict[str, int]
) -> None:
    below = [str(system.paths.below(file)) for file in files]

    behind = left_behind(system.paths, service, below)

    assert {paths.layout.service: len(its) for paths, its in behind} == found


def test_where_it_cannot_be_told_what_is_under_way_it_is_what_runs(system: System) -> None:
    system.has(SNAP)
    system.starts(SNAP)
    system.paths.state.mkdir(parents=True)
    (system.paths.state / "journal.json").write_text("{")

    assert system.serves() == SNAP


def test_other_engines_are_found_by_what_runs(system: System) -> None:
    system.has("k3s.service")
    assert beside(system.paths) == ()

    system.starts("k3s.service")
    system.starts("podman.socket")

    assert [other.name for other in beside(system.paths)] == ["podman", "k3s"]
