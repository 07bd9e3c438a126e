"""An outage has a beginning and an end, each recorded once, with its length."""

from __future__ import annotations

import msgspec
import pytest

from agent.decide.choose import Choice, Ending
from agent.decide.plan import Plan
from agent.decide.recognise import Recognised
from agent.docker.transaction import Applied
from agent.one_pass.seen import Offline, Pass, Planned, Undecided
from agent.service.outages import Outages
from agent.values.dockerd import Phase, Reality, UnitState
from agent.values.events import Facts, Judged, UnreachableBegan, UnreachableEnded
from agent.values.policy import Network, Upstream
from agent.values.settings import DIRECT
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome, Verdict

UP = Reality(UnitState(Phase.RUNNING, invocation="a"))
DOWN = Reality(UnitState(Phase.STOPPED))
OFFICE = Recognised(Network(name="office", use=("corp", "direct")), "because")
OFFLINE = Pass(Offline(snapshot=Snapshot(), reality=UP))


def planned(runs: str | None, chosen: str, reality: Reality = UP, outcome: Applied | None = None, **v: Outcome) -> Pass:
    """A pass with a choice. `runs`: the upstream that Docker runs with when it begins."""
    seen = Planned(
        snapshot=Snapshot(),
        reality=reality,
        in_docker=runs,
        recognised=OFFICE,
        verdicts={name: Verdict(outcome) for name, outcome in v.items()},
        choice=Choice(Ending.CHOSEN, "because", chosen),
        upstream=Upstream(chosen),
        plan=Plan(DIRECT),
    )
    return Pass(seen, outcome)


def undecided(runs: str | None, ending: Ending, **v: Outcome) -> Pass:
    verdicts = {name: Verdict(outcome) for name, outcome in v.items()}
    seen = Undecided(
        snapshot=Snapshot(),
        reality=UP,
        in_docker=runs,
        recognised=OFFICE,
        verdicts=verdicts,
        choice=Choice(ending, "x"),
    )
    return Pass(seen)


OK = planned("corp", "corp", corp=Outcome.OK)
BAD = undecided("corp", Ending.WAITING, corp=Outcome.TIMEOUT)
MOVED = planned("corp", "direct", outcome=Applied(restarted_s=0.5), corp=Outcome.TIMEOUT, direct=Outcome.OK)
DEFERRED = planned("corp", "direct", outcome=Applied(deferred="3 containers run"), corp=Outcome.DNS, direct=Outcome.OK)


HOME = Recognised(Network(name="home", use=("corp", "direct")), "because")
BAD_AT_HOME = msgspec.structs.replace(BAD, seen=msgspec.structs.replace(BAD.seen, recognised=HOME))
NOT_ASKED_AT_HOME = msgspec.structs.replace(BAD_AT_HOME, seen=msgspec.structs.replace(BAD_AT_HOME.seen, verdicts={}))
DIRECT_IS_BAD = undecided("direct", Ending.WAITING, direct=Outcome.TIMEOUT)


def probed_anew(done: Pass) -> Pass:
    if isinstance(done.seen, Offline):
        return done
    verdicts = {name: Verdict(verdict.outcome) for name, verdict in done.seen.verdicts.items()}
    return msgspec.structs.replace(done, seen=msgspec.structs.replace(done.seen, verdicts=verdicts))


@pytest.mark.parametrize(
    ("day", "told"),
    [
        pytest.param([OK, OK], "", id="never"),
        pytest.param([OK, BAD, OK], "", id="one-failed-probe"),
        pytest.param([OK, BAD, MOVED, OK], "", id="one-look-and-then-moved"),
        pytest.param([OK, MOVED, OK], "", id="a-move-in-one-pass"),
        pytest.param([OK, BAD, BAD, BAD, OK], "began@10 ended:30", id="it-came-back"),
        pytest.param([OK, BAD, BAD, MOVED], "began@10 ended:20", id="moved"),
        pytest.param([DEFERRED, DEFERRED, DEFERRED], "began@0", id="another-is-chosen-and-the-restart-waits"),
        pytest.param([BAD, BAD, OFFLINE, BAD, BAD], "began@0 ended:20 began@30", id="offline-in-between"),
        pytest.param([BAD, BAD, planned("corp", "direct", DOWN)], "began@0 ended:20", id="docker-stopped"),
        pytest.param([BAD, planned("corp", "corp"), BAD], "began@0", id="not-asked-in-between"),
        pytest.param(
            [undecided(None, Ending.UNREACHABLE), undecided(None, Ending.UNREACHABLE), MOVED],
            "began@0 ended:20",
            id="with-settings-of-others",
        ),
        pytest.param([undecided(None, Ending.WAITING)] * 3, "", id="not-known"),
        pytest.param([BAD, BAD, BAD, BAD], "began@0", id="once"),
        pytest.param([planned("corp", "corp", corp=Outcome.REFUSED)] * 2, "began@0", id="pinned-and-failing"),
        pytest.param([BAD, BAD_AT_HOME, BAD_AT_HOME, BAD, OK], "began@10 ended:20", id="first-seen-elsewhere"),
        pytest.param([BAD, BAD, BAD_AT_HOME, BAD_AT_HOME], "began@0 ended:20 began@20", id="moved-and-no-better"),
        pytest.param([BAD, BAD, NOT_ASKED_AT_HOME, BAD, OK], "began@0 ended:20", id="left"),
        pytest.param([BAD, BAD, DIRECT_IS_BAD, DIRECT_IS_BAD], "began@0 ended:20 began@20", id="another-upstream"),
        pytest.param([BAD, BAD, undecided(None, Ending.UNREACHABLE), OK], "began@0 ended:30", id="dockerd-is-silent"),
    ],
)
def test_each_begins_with_the_first_look_that_found_it(day: list[Pass], told: str) -> None:
    outages = Outages()
    said: list[Facts] = []
    for turn, done in enumerate(day):
        said += outages.note(probed_anew(done), 1000.0 + 10 * turn, str(10 * turn))

    words = [
        f"began@{facts.since}" if isinstance(facts, UnreachableBegan) else f"ended:{facts.lasted_s:.0f}"
        for facts in said
        if isinstance(facts, UnreachableBegan | UnreachableEnded)
    ]
    assert " ".join(words) == told
    assert len(words) == len(said)


def test_an_outage_is_said_from_its_beginning_to_its_end() -> None:
    outages = Outages()
    day = [BAD, probed_anew(BAD), MOVED]
    said = [facts for turn in range(3) for facts in outages.note(day[turn], float(turn), "T")]

    assert said == [
        UnreachableBegan(
            network="office", upstream="corp", since="T", because="x", verdicts=(Judged("corp", "timeout", 0.0),)
        ),
        UnreachableEnded(lasted_s=2.0, upstream="direct", because="what Docker runs with works here"),
    ]


def test_a_log_that_has_lost_the_record_of_one_gets_it_once_more() -> None:
    outages = Outages()
    assert [*outages.note(BAD, 0.0, "T"), *outages.once_more()] == []
    (began,) = outages.note(probed_anew(BAD), 1.0, "U")

    assert [*outages.once_more()] == [began]

    [*outages.end("it is over", 2.0)]
    assert [*outages.once_more()] == []


def test_a_verdict_that_is_only_remembered_makes_no_outage_of_one_probe() -> None:
    outages = Outages()

    assert [facts for turn in range(5) for facts in outages.note(BAD, float(turn), "T")] == []


def test_what_docker_runs_with_and_no_network_here_uses_is_judged_by_the_probe_for_the_restart() -> None:
    seen = msgspec.structs.replace(DEFERRED.seen, verdicts={"direct": Verdict(Outcome.OK)})
    assert isinstance(seen, Planned)
    fails = Pass(msgspec.structs.replace(seen, plan=Plan(DIRECT, verdict_here=Verdict(Outcome.DNS))), DEFERRED.outcome)
    outages = Outages()

    said = [facts for turn in range(3) for facts in outages.note(probed_anew(fails), float(turn), "T")]

    (began,) = said
    assert isinstance(began, UnreachableBegan)
    assert [(one.upstream, one.verdict) for one in began.verdicts] == [("corp", "dns"), ("direct", "ok")]


def test_it_ends_where_nobody_looks_any_more() -> None:
    outages = Outages()
    for turn in range(2):
        list(outages.note(probed_anew(BAD), float(turn), "T"))

    assert [*outages.end("the agent stopped", 7.0)] == [UnreachableEnded(lasted_s=7.0, because="the agent stopped")]
    assert [*outages.end("the agent stopped", 8.0)] == []


@pytest.mark.parametrize(
    ("recheck_s", "apart_s", "since"),
    [
        pytest.param(60.0, 60.0, 0.0, id="in-a-row"),
        pytest.param(60.0, 3000.0, 3000.0, id="much-later"),
        pytest.param(3600.0, 3600.0, 0.0, id="seldom-asked"),
    ],
)
def test_two_looks_in_a_row_are_no_night_apart(recheck_s: float, apart_s: float, since: float) -> None:
    outages = Outages()
    said: list[Facts] = []
    for at in (0.0, apart_s, apart_s + 10):
        said += outages.note(probed_anew(BAD), at, str(at), recheck_s=recheck_s)

    assert [facts.since for facts in said if isinstance(facts, UnreachableBegan)] == [str(since)]


def test_a_network_and_its_verdicts_are_of_the_look_that_it_counts_from() -> None:
    outages = Outages()
    said = [
        facts
        for at, done in enumerate((BAD, BAD_AT_HOME, BAD_AT_HOME, BAD, BAD))
        for facts in outages.note(probed_anew(done), float(at), str(at))
    ]

    began = [(facts.network, facts.since) for facts in said if isinstance(facts, UnreachableBegan)]
    assert began == [("home", "1"), ("office", "3")]
    ended = "the network changed: office; Docker still reaches no registry"
    assert [facts.because for facts in said if isinstance(facts, UnreachableEnded)] == [ended]


def test_with_another_upstream_that_fails_too_nothing_is_said_to_work() -> None:
    """As after `pin` of one that does not work here: the record must not read as if pulls worked again."""
    outages = Outages()
    said = [
        facts
        for at, done in enumerate((BAD, BAD, DIRECT_IS_BAD))
        for facts in outages.note(probed_anew(done), float(at), str(at))
    ]

    assert isinstance(said[-1], UnreachableEnded)
    assert said[-1].because == "Docker runs with direct now; Docker still reaches no registry"
    assert said[-1].upstream is msgspec.UNSET
