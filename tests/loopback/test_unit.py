"""Docker's unit stopped, started and restarted by a systemd that does not do as it is told at once, or at all."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.docker.unit import Unit
from agent.values.dockerd import Phase
from agent.values.errors import NotTried

# Of the service one state after the other is shown, the last one for ever; there is no socket.
SYSTEMCTL = (
    f"#!{sys.executable} -IS"
    + """
import json, os, sys
told = sys.argv[1:]
open(sys.argv[0] + ".log", "a").write(json.dumps(told) + "\\n")
says = json.load(open(sys.argv[0] + ".json"))
if told[0] in says["refuses"]:
    sys.exit(says["refuses"][told[0]])
if told[0] == "show" and "--value" not in told:
    states = says["states"]
    shown = states[0] if told[-1] == "docker.service" else {"LoadState": "not-found"}
    if told[-1] == "docker.service" and len(states) > 1:
        states.pop(0)
        with open(sys.argv[0] + ".new", "w") as new:
            json.dump(says, new)
        os.replace(new.name, sys.argv[0] + ".json")  # the socket is asked for at the same time
    print("\\n".join(f"{key}={value}" for key, value in shown.items()))
"""
)

RUNS = {"LoadState": "loaded", "ActiveState": "active", "InvocationID": "one"}
STOPS = {**RUNS, "ActiveState": "deactivating", "Job": "7"}
DOWN = {**RUNS, "ActiveState": "inactive"}
STARTS = {**RUNS, "ActiveState": "activating", "InvocationID": "two", "Job": "8"}
BROKE = {**RUNS, "ActiveState": "failed"}
COMES_BACK = {**RUNS, "ActiveState": "activating", "SubState": "auto-restart"}
RUNS_AGAIN = {**RUNS, "InvocationID": "two"}


class Systemd:
    """A program that answers for systemctl."""

    def __init__(self, folder: Path, states: Sequence[dict[str, str]], **refuses: str) -> None:
        self._program = folder / "systemctl"
        self._program.write_text(SYSTEMCTL)
        self._program.chmod(0o755)
        told = {word.replace("_", "-"): why for word, why in refuses.items()}
        Path(f"{self._program}.json").write_text(json.dumps({"states": states, "refuses": told}))

    @property
    def jobs(self) -> list[str]:
        asked = [json.loads(line)[0] for line in Path(f"{self._program}.log").read_text().splitlines()]
        return [word for word in asked if word != "show"]


@pytest.fixture(autouse=True)
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


async def test_a_docker_that_a_client_starts_again_by_its_socket_is_not_waited_for(tmp_path: Path) -> None:
    """It would be for five minutes: nobody stops that one."""
    Systemd(tmp_path, [RUNS, STOPS, STOPS, STARTS, RUNS_AGAIN])

    await Unit("docker.service").stop()

    assert (await Unit("docker.service").state()).phase is Phase.RUNNING


async def test_one_that_goes_down_is_waited_for(tmp_path: Path) -> None:
    Systemd(tmp_path, [RUNS, RUNS, RUNS, STOPS, DOWN])

    await Unit("docker.service").stop()

    assert (await Unit("docker.service").state()).phase is Phase.STOPPED


async def test_one_that_was_about_to_come_back_by_itself_is_waited_for_too(tmp_path: Path) -> None:
    Systemd(tmp_path, [COMES_BACK, STARTS, STARTS, {**STOPS, "InvocationID": "two"}, DOWN])

    await Unit("docker.service").stop()

    assert (await Unit("docker.service").state()).phase is Phase.STOPPED


async def test_a_restart_that_systemd_does_not_take_was_none(tmp_path: Path) -> None:
    """Docker runs on: it is not stopped for a roll-back, and the settings are not to blame."""
    systemd = Systemd(tmp_path, [RUNS], try_restart="Transaction for docker.service/restart is destructive")

    with pytest.raises(NotTried, match="is destructive"):
        await Unit("docker.service").restart()

    assert systemd.jobs == ["try-restart"]


async def test_a_unit_that_systemd_has_forgotten_is_started(tmp_path: Path) -> None:
    """One that is down and that no other unit names: there is nothing to reset."""
    systemd = Systemd(tmp_path, [DOWN, DOWN, RUNS_AGAIN], reset_failed="Unit docker.service not loaded.")

    started = await Unit("docker.service").start()

    assert started.is_running
    assert systemd.jobs == ["reset-failed", "start"]


async def test_one_that_runs_is_not_risked_where_its_start_limit_stays(tmp_path: Path) -> None:
    """The start that it refuses would take the socket down, too."""
    systemd = Systemd(tmp_path, [RUNS], reset_failed="Access denied")

    with pytest.raises(NotTried, match="Access denied"):
        await Unit("docker.service").lift_start_limit()

    assert systemd.jobs == ["reset-failed"]


async def test_one_that_failed_is_started_all_the_same_and_not_stopped(tmp_path: Path) -> None:
    """Its stop would only stop what hangs on it, whose ExecStop= may wait for Docker until systemd ends it."""
    systemd = Systemd(tmp_path, [*[BROKE] * 4, RUNS_AGAIN], reset_failed="Access denied")

    assert (await Unit("docker.service").start()).is_running
    assert systemd.jobs == ["reset-failed", "start"]


@pytest.mark.parametrize("state", [COMES_BACK, {**BROKE, "Job": "9"}], ids=["by-itself", "by-a-job"])
async def test_one_that_is_about_to_come_back_is_stopped_first(tmp_path: Path, state: dict[str, str]) -> None:
    """Else its own start comes in between, and counts as a restart."""
    systemd = Systemd(tmp_path, [state, state, DOWN, DOWN, DOWN, DOWN, RUNS_AGAIN])

    assert (await Unit("docker.service").start()).is_running
    assert systemd.jobs == ["stop", "reset-failed", "start"]
