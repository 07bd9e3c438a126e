"""What a command gives to dockerd that its unit does not, told by a real process and files of another age than it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.docker.last_good import born_ns, last_touched_ns
from agent.docker.overruling import overruling, own_files
from agent.values.dockerd import Overruling, Phase, Start, UnitState

OTHER = "http://other:1"
SCRIPT, DOCKERD = "/usr/local/sbin/start-docker", "/usr/sbin/dockerd"


@contextmanager
def born_after(file: Path) -> Iterator[int]:
    """A process that is younger than the file, by a clock of hundredths."""
    deadline = time.monotonic() + 30
    while True:
        assert time.monotonic() < deadline, "the clock was set back"
        with subprocess.Popen(["sleep", "60"]) as process:
            try:
                if (born_ns(process.pid) or 0) > last_touched_ns(file):
                    yield process.pid
                    return
            finally:
                process.kill()


def found(folder: Path, pid: int, running: dict[str, str], command: str = SCRIPT) -> Overruling:
    unit = UnitState(Phase.RUNNING, pid=pid, fragment=str(folder / "docker.service"))
    start = Start((command,), {"HTTP_PROXY": OTHER, "LANG": "C"}, {})
    return overruling(
        unit, own_files(unit), start, running, values_file=folder / "dockerd.env", drop_in=folder / "zz.conf"
    )


def test_what_dockerd_has_and_was_not_given_is_its_commands(tmp_path: Path) -> None:
    file = tmp_path / "docker.service"
    file.write_text(f"[Service]\nExecStart={SCRIPT}\n")
    with born_after(file) as pid:
        set_there = found(tmp_path, pid, {"HTTP_PROXY": OTHER, "HTTPS_PROXY": OTHER, "LANG": "de"})
        taken_away = found(tmp_path, pid, {})
        by_nobody = found(tmp_path, pid, {"HTTP_PROXY": OTHER, "no_proxy": ""})

        assert (set_there.by_command, set_there.command_in) == ({"HTTPS_PROXY": OTHER}, str(file))
        assert taken_away.by_command == {"HTTP_PROXY": ""}
        assert by_nobody.by_command == {}
        # Where systemd starts dockerd itself there is nothing between them.
        assert found(tmp_path, pid, {"HTTPS_PROXY": OTHER}, DOCKERD).by_command == {}

        file.write_text("[Service]\n")
        # It may have been started with something else than what stands there by now.
        assert found(tmp_path, pid, {}).by_command == {}
