"""What `systemctl show` says, as a pass understands it."""

from __future__ import annotations

import pytest

from agent.docker.unit import SLOW_S, may_be_starting, unit_state
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


@pytest.mark.parametrize(
    ("type_", "active", "age_s", "is_open"),
    [
        pytest.param("simple", "active", 1, True, id="a-command-that-was-started"),
        pytest.param("exec", "active", 1, True, id="one-that-became-another-program"),
        pytest.param("notify", "active", 1, False, id="systemd-is-told"),
        pytest.param("notify-reload", "active", 1, False, id="and-of-a-reload-too"),
        pytest.param("simple", "activating", 1, False, id="shown-as-starting-anyway"),
        pytest.param("simple", "inactive", 1, False, id="down"),
        pytest.param("simple", "active", SLOW_S + 1, False, id="no-start-takes-so-long"),
    ],
)
def test_a_unit_that_is_up_may_still_be_starting(type_: str, active: str, age_s: float, is_open: bool) -> None:
    shown = f"LoadState=loaded\nActiveState={active}\nType={type_}\nStateChangeTimestampMonotonic=5000000\n"

    assert may_be_starting(unit_state(shown), 5 + age_s) is is_open


@pytest.mark.parametrize(
    ("active", "since"),
    [("active", 5.0), ("reloading", 5.0), ("activating", 9.0), ("inactive", 9.0), ("failed", 9.0)],
)
def test_a_reload_is_no_start(active: str, since: float) -> None:
    moments = {"StateChange": 9000000, "ActiveEnter": 5000000, "ActiveExit": 4500000}
    shown = "".join(f"{name}TimestampMonotonic={at}\n" for name, at in moments.items())

    unit = unit_state(f"LoadState=loaded\nActiveState={active}\nSubState=reload\n{shown}")

    assert (unit.since, unit.left_at) == (since, 4.5)


def test_where_systemd_does_not_say_since_when_it_is_not_taken_for_new() -> None:
    assert not may_be_starting(unit_state("LoadState=loaded\nActiveState=active\nType=simple\n"), 1)
