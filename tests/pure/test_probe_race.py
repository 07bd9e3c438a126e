"""Who starts when, and who is left running."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from agent.probe.race import Entrant, race
from agent.probe.side_by_side import everything, preferred, probe_all
from agent.values.policy import Upstream
from agent.values.verdict import Outcome, Verdict

LONG_S = 3600.0
OK = Verdict(Outcome.OK)
REFUSED = Verdict(Outcome.REFUSED)


class Field:
    """Entrants that end when they are told to, and what became of them."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cancelled: list[str] = []

    def hangs(self, name: str) -> Entrant[str]:
        async def run() -> str:
            self.started.append(name)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
            return name

        return run

    def ends(self, name: str) -> Entrant[str]:
        async def run() -> str:
            self.started.append(name)
            return name

        return run


def never(_results: Mapping[int, object]) -> bool:
    return False


def any_result(results: Mapping[int, object]) -> bool:
    return bool(results)


async def test_the_losers_have_ended_when_it_is_decided() -> None:
    field = Field()

    results = await race([field.hangs("a"), field.ends("b"), field.hangs("c")], apart_s=[0, 0, 0], enough=any_result)

    assert results == {1: "b"}
    assert field.cancelled == ["a", "c"]


async def test_the_next_starts_at_once_when_nobody_runs() -> None:
    field = Field()

    results = await race([field.ends("a"), field.ends("b")], apart_s=[0, LONG_S], enough=never)

    assert results == {0: "a", 1: "b"}


async def test_who_need_not_start_does_not() -> None:
    field = Field()

    await race([field.ends("a"), field.ends("b")], apart_s=[0, LONG_S], enough=any_result)

    assert field.started == ["a"]


async def test_the_next_starts_after_its_pause_while_one_hangs() -> None:
    field = Field()

    results = await race([field.hangs("a"), field.ends("b")], apart_s=[0, 0.01], enough=any_result)

    assert results == {1: "b"}
    assert field.started == ["a", "b"]


async def test_whoever_is_cancelled_cancels_all() -> None:
    field = Field()
    racing = asyncio.create_task(race([field.hangs("a"), field.hangs("b")], apart_s=[0, 0], enough=never))
    while len(field.started) < 2:  # noqa: ASYNC110 - two rounds of the loop
        await asyncio.sleep(0)

    racing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await racing
    assert field.cancelled == ["a", "b"]


async def test_a_mistake_ends_the_race_and_is_raised() -> None:
    field = Field()

    async def mistaken() -> str:
        raise KeyError

    with pytest.raises(KeyError):
        await race([field.hangs("a"), mistaken], apart_s=[0, 0], enough=never)
    assert field.cancelled == ["a"]


# Upstreams.


@pytest.mark.parametrize(
    ("verdicts", "is_enough"),
    [
        pytest.param({}, False, id="nothing-yet"),
        pytest.param({"a": OK}, True, id="the-preferred-works"),
        pytest.param({"b": OK}, False, id="the-preferred-may-still-work"),
        pytest.param({"a": REFUSED}, False, id="the-next-may-work"),
        pytest.param({"a": REFUSED, "b": OK}, True, id="the-next-works"),
        pytest.param({"a": REFUSED, "c": OK}, False, id="one-between-may-work"),
        pytest.param({"a": REFUSED, "b": REFUSED, "c": REFUSED}, True, id="nothing-works"),
    ],
)
def test_when_verdicts_are_enough(verdicts: dict[str, Verdict], is_enough: bool) -> None:
    assert preferred(["a", "b", "c"])(verdicts) is is_enough


UPSTREAMS = [Upstream("a"), Upstream("b"), Upstream("c")]


async def test_a_preferred_one_that_works_does_not_wait_for_the_rest() -> None:
    async def probe(upstream: Upstream) -> Verdict:
        if upstream.name == "a":
            return OK
        raise AssertionError(f"{upstream.name} was probed")

    assert await probe_all(UPSTREAMS, probe) == {"a": OK}


async def test_a_less_preferred_one_waits_for_the_preferred() -> None:
    other_answered = asyncio.Event()

    async def probe(upstream: Upstream) -> Verdict:
        if upstream.name == "a":
            await asyncio.wait_for(other_answered.wait(), 60)
            return REFUSED
        other_answered.set()
        return OK

    verdicts = await probe_all(UPSTREAMS, probe)

    assert verdicts["a"] == REFUSED
    assert verdicts["b"] == OK


async def test_all_verdicts_come_in_order_of_preference_when_all_are_wanted() -> None:
    third = asyncio.Event()

    async def probe(upstream: Upstream) -> Verdict:
        if upstream.name == "c":
            third.set()
        await asyncio.wait_for(third.wait(), 60)
        return OK

    assert list(await probe_all(UPSTREAMS, probe, everything)) == ["a", "b", "c"]


async def test_the_caller_sees_each_verdict_as_it_comes() -> None:
    seen: list[set[str]] = []
    goes_on = {upstream.name: asyncio.Event() for upstream in UPSTREAMS}
    goes_on["b"].set()

    async def probe(upstream: Upstream) -> Verdict:
        await asyncio.wait_for(goes_on[upstream.name].wait(), 60)
        return REFUSED

    def watched(verdicts: Mapping[str, Verdict]) -> bool:
        seen.append(set(verdicts))
        goes_on["c" if len(verdicts) == 1 else "a"].set()
        return False

    await probe_all(UPSTREAMS, probe, watched)

    assert seen == [{"b"}, {"b", "c"}, {"a", "b", "c"}]
