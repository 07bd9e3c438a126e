"""What becomes of the minute after a restart of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.probation import LASTS_S, Trial, TrialState, judged, went_on
from agent.values.dockerd import Phase, UnitState

BEGAN = 1000.0
TRIAL = Trial("ours", 0, BEGAN + LASTS_S)
IN_TIME, TOO_LATE = BEGAN + 30, BEGAN + LASTS_S + 1


def running(invocation: str = "ours", restarts: int = 0, since: float = BEGAN) -> UnitState:
    return UnitState(Phase.RUNNING, invocation=invocation, restarts=restarts, since=since)


def broken(restarts: int = 0, since: float = IN_TIME, *, comes_back: bool = False, stuck: bool = False) -> UnitState:
    return UnitState(Phase.BROKEN, restarts=restarts, since=since, comes_back=comes_back, is_stuck_in_stop=stuck)


@pytest.mark.parametrize(
    ("unit", "now", "found"),
    [
        pytest.param(running(), IN_TIME, TrialState.WATCH, id="runs"),
        pytest.param(running(), TOO_LATE, TrialState.PASSED, id="ran-for-a-minute"),
        pytest.param(broken(), IN_TIME, TrialState.FAILED, id="failed"),
        pytest.param(broken(), TOO_LATE, TrialState.FAILED, id="failed-and-seen-later"),
        pytest.param(broken(since=TOO_LATE), TOO_LATE + 1, TrialState.OVER, id="failed-after-the-minute"),
        pytest.param(broken(since=0.0), IN_TIME, TrialState.FAILED, id="failed-and-nobody-knows-when"),
        pytest.param(broken(comes_back=True), IN_TIME, TrialState.WATCH, id="crashed-once-and-systemd-starts-it"),
        pytest.param(running("its", 1, IN_TIME), IN_TIME, TrialState.CAME_BACK, id="crashed-once-and-is-up"),
        pytest.param(broken(1, comes_back=True), IN_TIME, TrialState.FAILED, id="crashed-twice"),
        pytest.param(running("its", 2, IN_TIME), IN_TIME, TrialState.FAILED, id="crashed-twice-and-is-up"),
        pytest.param(running("its", 2, TOO_LATE), TOO_LATE + 1, TrialState.CAME_BACK, id="the-second-after-the-minute"),
        pytest.param(broken(1), IN_TIME, TrialState.FAILED, id="did-not-come-up-after-a-crash"),
        pytest.param(running("theirs"), IN_TIME, TrialState.OVER, id="restarted-by-somebody"),
        pytest.param(UnitState(Phase.STOPPED, since=IN_TIME), IN_TIME, TrialState.OVER, id="stopped-by-somebody"),
        pytest.param(broken(stuck=True), IN_TIME, TrialState.OVER, id="stopped-by-somebody-and-did-not-end"),
        pytest.param(broken(1, stuck=True), IN_TIME, TrialState.FAILED, id="did-not-start-in-time-after-a-crash"),
        pytest.param(UnitState(Phase.MASKED), IN_TIME, TrialState.OVER, id="masked"),
        pytest.param(UnitState(Phase.ABSENT), IN_TIME, TrialState.OVER, id="removed"),
        pytest.param(UnitState(Phase.STOPPING), IN_TIME, TrialState.WATCH, id="on-its-way-down"),
        pytest.param(UnitState(Phase.STARTING), IN_TIME, TrialState.WATCH, id="on-its-way-up"),
        pytest.param(UnitState(Phase.STARTING), TOO_LATE, TrialState.OVER, id="on-its-way-when-it-is-over"),
        pytest.param(
            UnitState(Phase.STARTING, restarts=1), TOO_LATE, TrialState.WATCH, id="crashed-and-comes-back-late"
        ),
        pytest.param(
            UnitState(Phase.STARTING, restarts=1), TOO_LATE + 300, TrialState.OVER, id="crashed-and-never-does"
        ),
    ],
)
def test_how_a_restart_on_trial_is_judged(unit: UnitState, now: float, found: TrialState) -> None:
    assert judged(TRIAL, unit, now) is found


def test_a_crash_is_told_once() -> None:
    back = running("its", 1, IN_TIME)
    after = went_on(TRIAL, back)

    assert judged(after, back, IN_TIME + 1) is TrialState.WATCH
    assert judged(after, back, TOO_LATE) is TrialState.PASSED
    assert judged(after, broken(1, comes_back=True), IN_TIME + 1) is TrialState.FAILED


def test_a_start_that_comes_after_the_minute_has_one_of_its_own() -> None:
    """What depends on Docker is stopped before it starts again, which may take longer than the minute."""
    later = TOO_LATE + 30
    after = went_on(TRIAL, running("its", 1, later))

    assert judged(after, running("its", 1, later), later + 1) is TrialState.WATCH
    assert judged(after, broken(1, later + 2, comes_back=True), later + 2) is TrialState.FAILED
    assert judged(after, running("its", 1, later), later + LASTS_S) is TrialState.PASSED
    assert went_on(TRIAL, running("its", 1, IN_TIME)).until == TRIAL.until
    assert went_on(TRIAL, running("its", 2, later)).until == TRIAL.until


@given(st.sampled_from(Phase), st.integers(0, 5), st.booleans(), st.floats(0, 1e4), st.floats(0, 1e4), st.booleans())
def test_only_a_docker_that_broke_or_crashed_is_rolled_back(  # noqa: PLR0917
    phase: Phase, restarts: int, comes_back: bool, since: float, now: float, stuck: bool
) -> None:
    unit = UnitState(
        phase,
        invocation="ours",
        restarts=restarts,
        since=since,
        comes_back=comes_back and phase is Phase.BROKEN,
        is_stuck_in_stop=stuck,
    )

    if judged(TRIAL, unit, now) is TrialState.FAILED:
        assert phase is Phase.BROKEN or restarts >= 2
        assert phase in {Phase.BROKEN, Phase.RUNNING}
