"""What `systemctl show` says, as a pass understands it."""

from __future__ import annotations

import pytest

from agent.docker.unit import unit_state
from agent.values.dockerd import Phase, UnitState

RUNNING = """\
LoadState=loaded
ActiveState=active
SubState=running
MainPID=812
InvocationID=4f0c
NRestarts=1
DropInPaths=/etc/systemd/system/docker.service.d/a.conf /run/b.conf
NeedDaemonReload=no
"""


def test_a_running_unit() -> None:
    assert unit_state(RUNNING) == UnitState(
        Phase.RUNNING,
        pid=812,
        invocation="4f0c",
        restarts=1,
        drop_ins=("/etc/systemd/system/docker.service.d/a.conf", "/run/b.conf"),
    )


@pytest.mark.parametrize(
    ("load", "active", "sub", "phase"),
    [
        ("not-found", "inactive", "dead", Phase.ABSENT),
        ("bad-setting", "inactive", "dead", Phase.ABSENT),
        ("masked", "inactive", "dead", Phase.MASKED),
        ("loaded", "inactive", "dead", Phase.STOPPED),
        ("loaded", "activating", "start", Phase.STARTING),
        ("loaded", "activating", "auto-restart", Phase.BROKEN),
        ("loaded", "failed", "failed", Phase.BROKEN),
        ("loaded", "reloading", "reload", Phase.RUNNING),
        ("loaded", "deactivating", "stop-sigterm", Phase.STOPPING),
    ],
)
def test_phases(load: str, active: str, sub: str, phase: Phase) -> None:
    assert unit_state(f"LoadState={load}\nActiveState={active}\nSubState={sub}\n").phase is phase


HANGING = """\
LoadState=loaded
ActiveState=active
SubState=running
KillMode=mixed
RequiredBy=stack.service b.service
RequisiteOf=
BoundBy=stack.service
ConsistsOf=docker.socket
PropagatesStopTo=c.service
TriggeredBy=docker.socket
"""


def test_what_hangs_on_a_unit_is_named_once() -> None:
    state = unit_state(HANGING)

    assert state.hanging == ("stack.service", "b.service", "docker.socket", "c.service")
    assert (state.kill_mode, state.triggers) == ("mixed", ("docker.socket",))


@pytest.mark.parametrize(("job", "is_away"), [("", True), ("Job=\n", True), ("Job=0\n", True), ("Job=1207\n", False)])
def test_a_stopped_docker_that_is_about_to_be_started_is_not_away(job: str, is_away: bool) -> None:
    assert unit_state(f"LoadState=loaded\nActiveState=inactive\nSubState=dead\n{job}").is_away is is_away
