"""What is remembered of verdicts, and what forgets it."""

from __future__ import annotations

import msgspec
import pytest

from agent.decide.history import History, after, chose, moved, resumed, without
from agent.decide.place import Whereabouts
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome, Verdict

OK, DNS, REFUSED = Verdict(Outcome.OK), Verdict(Outcome.DNS), Verdict(Outcome.REFUSED)
OFFICE = moved(History(), "0ff1ce", 100)
HERE, THERE = Whereabouts("office", Snapshot()), Whereabouts("home", Snapshot())
OFFICE_HERE = moved(History(), "0ff1ce", 100, HERE)


def told(*probes: tuple[float, Verdict]) -> History:
    history = OFFICE
    for now, verdict in probes:
        history = after(history, {"office": verdict}, now)
    return history


@pytest.mark.parametrize(
    ("probes", "since", "failures", "worked_s"),
    [
        pytest.param([(100, OK)], 100, 0, 0, id="works"),
        pytest.param([(100, OK), (160, OK)], 100, 0, 60, id="works-on"),
        pytest.param([(100, OK), (160, DNS)], 160, 1, 0, id="fails"),
        pytest.param([(100, OK), (160, DNS), (162, REFUSED)], 160, 2, 0, id="fails-twice-in-whatever-way"),
        pytest.param([(100, OK), (160, DNS), (160.1, DNS), (161.9, DNS)], 160, 1, 0, id="a-burst-is-one-failure"),
        pytest.param([(100, OK), (160, DNS), (161, DNS), (162, DNS)], 160, 2, 0, id="a-burst-delays-no-failure"),
        pytest.param([(100, DNS), (102, DNS), (104, OK)], 104, 0, 0, id="came-back"),
        pytest.param([(100, DNS), (102, OK), (104, DNS)], 104, 1, 0, id="not-in-a-row"),
    ],
)  # fmt: skip
def test_since_when_an_upstream_works_or_fails(
    probes: list[tuple[float, Verdict]], since: float, failures: int, worked_s: float
) -> None:
    streak = told(*probes).streaks["office"]

    assert (streak.since, streak.failures, streak.seen - streak.since if streak.is_ok else 0) == (
        since,
        failures,
        worked_s,
    )
    assert streak.has_worked is any(verdict.is_ok for _, verdict in probes)
    assert streak.has_failed is any(not verdict.is_ok for _, verdict in probes)


def test_another_network_forgets_all_but_the_boot() -> None:
    history = chose(resumed(told((100, OK)), 50), "office")

    assert moved(history, "cafe", 200) == History(
        "cafe", is_online=True, changed=200, arrived=200, woken=50, looked=200
    )


def test_offline_and_back_to_the_same_only_starts_patience_anew() -> None:
    before = chose(told((100, OK)), "office")

    back = moved(moved(before, None, 200), "0ff1ce", 300)

    assert (back.arrived, back.changed, back.chosen, back.streaks) == (300, 100, "office", before.streaks)
    assert back.verdict("office") is None, "it is from before, and nothing to act on"


def test_offline_and_elsewhere_is_a_change() -> None:
    assert moved(moved(told((100, OK)), None, 200), "cafe", 300).streaks == {}


def test_the_same_network_seen_again_is_nothing_new() -> None:
    history = told((100, OK))

    assert moved(history, "0ff1ce", 200) is history
    assert moved(moved(history, None, 200), None, 300) == moved(history, None, 200)


def test_an_upstream_that_now_means_another_proxy_is_forgotten() -> None:
    history = chose(after(told((100, OK)), {"backup": OK}, 100), "office")

    assert set(without(history, {"office"}).streaks) == {"backup"}
    assert without(history, {"office"}).chosen is None
    assert without(history, {"backup"}).chosen == "office"


def test_no_choice_keeps_what_was_chosen() -> None:
    assert chose(chose(OFFICE, "office"), None).chosen == "office"


def in_use(now: float) -> History:
    """The upstream in use worked at that moment, in a place that is known."""
    return chose(after(OFFICE_HERE, {"office": OK}, now), "office")


def test_another_address_in_the_same_place_forgets_nothing() -> None:
    history = in_use(150)

    assert moved(history, "hole", 210, HERE) == msgspec.structs.replace(history, fingerprint="hole", stirred=210)


def test_a_second_hole_while_the_first_lasts_is_one_as_well() -> None:
    history = after(moved(in_use(150), "hole", 160, HERE), {"office": DNS}, 161)

    assert moved(history, "0ff1ce", 180, HERE).streaks == history.streaks


def test_an_address_that_was_gone_for_a_moment_starts_patience_anew_and_forgets_nothing() -> None:
    history = in_use(150)

    back = moved(moved(history, None, 151), "hole", 153, HERE)

    assert (back.streaks, back.chosen, back.changed) == (history.streaks, "office", 100)
    assert (back.arrived, back.looks, back.stirred) == (153, 0, 153)


@pytest.mark.parametrize(
    ("history", "place"),
    [
        pytest.param(in_use(150), THERE, id="another-place"),
        pytest.param(in_use(150), None, id="a-place-that-nothing-tells"),
        pytest.param(chose(moved(History(), "0ff1ce", 100), "office"), None, id="nor-the-one-before"),
        pytest.param(in_use(149.9), HERE, id="it-worked-too-long-ago"),
        pytest.param(moved(History(), "0ff1ce", 100, HERE), HERE, id="nothing-was-chosen-yet"),
        pytest.param(chose(after(OFFICE_HERE, {"office": DNS}, 200), "office"), HERE, id="it-never-worked-here"),
        pytest.param(chose(in_use(150), "direct"), HERE, id="what-is-in-use-was-not-asked"),
    ],
)
def test_all_else_is_an_arrival(history: History, place: Whereabouts | None) -> None:
    assert moved(history, "hole", 210, place) == History(
        "hole", place, is_online=True, changed=210, arrived=210, looked=210
    )


def test_the_place_is_known_again_after_a_restart_of_the_agent_and_another_policy() -> None:
    assert moved(History("0ff1ce", changed=50), "0ff1ce", 100, HERE).place == HERE
    assert moved(in_use(150), "0ff1ce", 160, THERE) == msgspec.structs.replace(in_use(150), place=THERE)
