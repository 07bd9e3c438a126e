"""Disks that are full, read-only or otherwise in the way, and files that cannot be parsed.

Each time one line says where, what and what to do; what is not in the way goes on; nothing that was there is lost.
"""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.audit.log import AuditLog
from agent.docker.journal import Journal
from agent.values.events import Event

from .installation import DAEMON_JSON, LOGGED_IN, PASSWORD, Installation, is_offline, proxy
from .runs import Holder

pytestmark = pytest.mark.skipif(is_offline(), reason="offline, a pass does nothing")

DIRECTLY: dict[str, str] = {}


class Machine:
    """An installation in a mount namespace of its own, if it is asked to mount something."""

    def __init__(self, root: Path, port: int) -> None:
        root.mkdir()
        self.installation = Installation(root, port)
        self.root = root
        self._holder: Holder | None = None

    def __enter__(self) -> Machine:
        self.installation.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.installation.__exit__()
        if self._holder is not None:
            self._holder.end()

    def sh(self, script: str) -> None:
        """As root, in the namespace, in the root's folder."""
        if self._holder is None:
            self._holder = Holder("unshare", "--mount")
        # Entering a namespace leads to its top folder.
        subprocess.run([*self._inside, "sh", "-euc", f"cd '{self.root}'\n{script}"], check=True, timeout=60)

    def full(self, folder: str) -> None:
        """Its file system has no space left; what lay there still does."""
        self.sh(f"""
            mkdir -p {folder}; saved=$(mktemp -d); cp -a {folder}/. $saved
            mount -t tmpfs -o size=256k,mode=755 full {folder}; cp -a $saved/. {folder}; rm -r $saved
            cat /dev/zero >{folder}/filler 2>/dev/null || true
        """)

    def read_only(self, folder: str) -> None:
        self.sh(f"mkdir -p {folder}; mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}")

    def apply(self) -> subprocess.CompletedProcess[str]:
        return self.command("apply")

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        ran = self.installation.ran(*words, inside=self._holder.pid if self._holder is not None else None)
        assert "Traceback" not in ran.stderr, ran.stderr
        assert PASSWORD not in ran.stdout + ran.stderr
        return ran

    def read(self, file: str) -> str:
        return self._run("cat", str(self.root / file))

    def names(self, folder: str) -> list[str]:
        return self._run("ls", "-A", str(self.root / folder)).split()

    def _run(self, *argv: str) -> str:
        return subprocess.run([*self._inside, *argv], capture_output=True, text=True, check=True, timeout=60).stdout

    @property
    def _inside(self) -> list[str]:
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt"] if self._holder is not None else []

    @property
    def restarts(self) -> int:
        """Of Docker, by the agent."""
        return self.installation.starts - 1

    @property
    def client_has_ours(self) -> bool:
        return "proxy.office.test" in self.read("home/alice/.docker/config.json")


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with proxy() as port, Machine(tmp_path_factory.mktemp("m") / "root", port) as machine:
        yield machine


def said(ran: subprocess.CompletedProcess[str], *words: str) -> str:
    """The one line that says all of it."""
    lines = [line for line in (ran.stdout + ran.stderr).splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, ran.stdout + ran.stderr
    return lines[0]


# daemon.json that cannot be parsed.


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param('{\n  // mine\n  "debug": true\n}\n', "line 2, column 3: not JSON", id="comment"),
        pytest.param('{"proxies": {"no-proxy": "a"}, "proxies": {}}\n', "a second time", id="duplicate-key"),
        pytest.param('{"debug": tru', "not JSON", id="cut-short"),
        pytest.param('["debug"]\n', "object", id="list"),
    ],
)
def test_a_daemon_json_that_is_not_understood_is_left_and_clients_go_on(machine: Machine, text: str, what: str) -> None:
    machine.installation.daemon_json.write_text(text)

    ran = machine.apply()

    assert ran.returncode == 1
    line = said(ran, str(machine.installation.daemon_json), what)
    assert "docker-proxy-agent apply" in line
    assert machine.installation.daemon_json.read_text() == text
    assert machine.restarts == 0
    assert machine.client_has_ours


def test_a_daemon_json_that_is_a_directory_is_left(machine: Machine) -> None:
    machine.installation.daemon_json.unlink()
    machine.installation.daemon_json.mkdir()

    ran = machine.apply()

    assert ran.returncode == 1
    assert "docker-proxy-agent apply" in said(ran, str(machine.installation.daemon_json), "is not a regular file")
    assert machine.installation.daemon_json.is_dir()
    assert machine.restarts == 0


@pytest.mark.parametrize("text", [pytest.param("", id="empty"), pytest.param("\ufeff{}\n", id="bom")])
def test_a_daemon_json_that_docker_reads_is_written(machine: Machine, text: str) -> None:
    """Empty, or with a byte order mark: fine for dockerd from 23 on (FACTS 5)."""
    machine.installation.daemon_json.write_text(text)

    ran = machine.apply()

    assert ran.returncode == 0, ran
    assert PASSWORD in machine.installation.daemon_json.read_text()
    assert machine.installation.runs_with() != DIRECTLY
    assert machine.command("restore").returncode == 0
    assert machine.installation.daemon_json.read_text() == text


# A disk in the way.


@pytest.mark.needs_root
@pytest.mark.parametrize(("way", "what"), [("full", "no space left"), ("read_only", "the file system is read-only")])
def test_where_daemon_json_cannot_be_written_nothing_is_lost_and_clients_go_on(
    machine: Machine, way: str, what: str
) -> None:
    getattr(machine, way)("etc/docker")

    ran = machine.apply()

    assert ran.returncode == 1
    said(ran, "etc/docker/daemon.json", what, "left as it is")
    assert machine.read("etc/docker/daemon.json") == DAEMON_JSON
    assert set(machine.names("etc/docker")) <= {"daemon.json", "filler"}
    assert machine.restarts == 0
    assert machine.client_has_ours
    assert Journal(machine.installation.paths.state).under_way().is_over
    machine.sh("umount etc/docker")
    assert machine.apply().returncode == 0
    assert machine.installation.runs_with() != DIRECTLY


@pytest.mark.needs_root
def test_an_immutable_daemon_json_is_left_and_the_line_says_where_to_look(machine: Machine) -> None:
    machine.sh("mount -t tmpfs here etc/docker")
    machine.sh(f"cat >etc/docker/daemon.json <<'END'\n{DAEMON_JSON}END\n")
    try:
        machine.sh("chattr +i etc/docker/daemon.json")
    except subprocess.CalledProcessError:
        pytest.skip("this file system knows no immutable files")

    ran = machine.apply()

    assert ran.returncode == 1
    said(ran, "etc/docker/daemon.json", "not permitted", "lsattr")
    assert machine.read("etc/docker/daemon.json") == DAEMON_JSON
    assert machine.names("etc/docker") == ["daemon.json"]
    assert machine.restarts == 0
    assert machine.client_has_ours


@pytest.mark.needs_root
def test_a_daemon_json_that_is_a_mount_point_is_written_in_place_and_restored(machine: Machine) -> None:
    machine.sh(f"cat >elsewhere <<'END'\n{DAEMON_JSON}END\nmount --bind elsewhere etc/docker/daemon.json")

    ran = machine.apply()

    assert ran.returncode == 0, ran
    assert PASSWORD in (machine.root / "elsewhere").read_text()
    assert machine.names("etc/docker") == ["daemon.json"]
    assert machine.installation.daemon_json.read_text() == DAEMON_JSON  # what the mount covers
    assert machine.command("restore").returncode == 0
    assert (machine.root / "elsewhere").read_text() == DAEMON_JSON
    assert machine.read("home/alice/.docker/config.json") == LOGGED_IN


@pytest.mark.needs_root
@pytest.mark.parametrize(("way", "what"), [("full", "no space left"), ("read_only", "the file system is read-only")])
def test_a_full_or_closed_home_is_its_owners_affair_and_docker_goes_on(machine: Machine, way: str, what: str) -> None:
    getattr(machine, way)("home/alice/.docker")

    ran = machine.apply()

    assert ran.returncode == 1
    said(ran, "home/alice/.docker/config.json", what, "left as it is")
    assert machine.read("home/alice/.docker/config.json") == LOGGED_IN
    assert machine.installation.runs_with() != DIRECTLY
    assert machine.restarts == 1


# The agent's own files.


@pytest.mark.needs_root
@pytest.mark.parametrize("way", ["full", "read_only"])
def test_an_audit_log_that_cannot_be_written_is_said_and_the_pass_goes_on(machine: Machine, way: str) -> None:
    getattr(machine, way)("var/log/docker-proxy-agent")

    ran = machine.apply()

    assert ran.returncode == 0, ran
    said(ran, "audit log: ", "audit.jsonl")
    assert machine.restarts == 1
    assert machine.client_has_ours


@pytest.mark.needs_root
@pytest.mark.parametrize("way", ["full", "read_only"])
def test_without_a_journal_on_disk_nothing_is_written(machine: Machine, way: str) -> None:
    getattr(machine, way)("var/lib/docker-proxy-agent")

    ran = machine.apply()

    assert ran.returncode == 1
    said(ran, "var/lib/docker-proxy-agent/", "cannot be written")
    assert machine.read("etc/docker/daemon.json") == DAEMON_JSON
    assert machine.read("home/alice/.docker/config.json") == LOGGED_IN
    assert machine.restarts == 0
    machine.sh("umount var/lib/docker-proxy-agent")
    assert machine.apply().returncode == 0
    assert machine.restarts == 1


def test_a_clock_that_is_set_back_a_year_changes_nothing(machine: Machine) -> None:
    """The log of before ends in the future then; nothing of it is old, and the chain goes on."""
    paths = machine.installation.paths
    paths.state.mkdir(parents=True, mode=0o700)
    next_year = dt.datetime.now(dt.UTC) + dt.timedelta(days=365)
    log = AuditLog(paths.audit_log, paths.state, clock=lambda: next_year)
    log.append(Event.AGENT_STARTED, "service", "", {})

    ran = machine.apply()

    assert ran.returncode == 0, ran
    assert machine.installation.runs_with() != DIRECTLY
    assert machine.installation.verified().is_whole
    assert machine.installation.events()[0] == "agent-started"
    assert machine.apply().returncode == 0
    assert machine.restarts == 1
