"""Which upstream is used: the rule as a table, with its reasons."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.choose import Choice, Ending, choose
from agent.policy import Network, Unreachable
from agent.verdict import Outcome, Verdict

OFFICE = Network("office", ("office", "backup", "direct"))
ALONE = Network("office", ("office",))
OPEN = Network("office", ("office", "direct"), unreachable=Unreachable.DIRECT)
PATIENT, OVER = 5.0, 0.0


def verdicts(**outcomes: str) -> dict[str, Verdict]:
    return {name: Verdict(Outcome(outcome.replace("_", "-"))) for name, outcome in outcomes.items()}


def chosen(upstream: str, because: str) -> Choice:
    return Choice(Ending.CHOSEN, because, upstream)


@pytest.mark.parametrize(
    ("network", "seen", "patience_s", "choice"),
    [
        pytest.param(
            OFFICE, verdicts(office="ok"), PATIENT,
            chosen("office", "first of office, backup, direct that works"), id="preferred-decides-alone",
        ),
        pytest.param(
            ALONE, verdicts(office="ok"), PATIENT, chosen("office", "the only one of office, and works"), id="only-one"
        ),
        pytest.param(
            OFFICE, verdicts(office="refused", backup="ok"), PATIENT,
            chosen("backup", "first of office, backup, direct that works (office refused)"), id="preferred-failed-hard",
        ),
        pytest.param(
            OFFICE, verdicts(office="dns", backup="ok", direct="ok"), PATIENT,
            Choice(Ending.WAITING, "office may still come: dns"), id="preferred-is-soft-while-patient",
        ),
        pytest.param(
            OFFICE, verdicts(office="dns", backup="ok", direct="ok"), OVER,
            chosen("backup", "first of office, backup, direct that works (office dns)"), id="patience-is-over",
        ),
        pytest.param(
            OFFICE, verdicts(office="proxy-auth", backup="timeout", direct="ok"), PATIENT,
            Choice(Ending.WAITING, "backup may still come: timeout"), id="second-is-soft",
        ),
        pytest.param(
            OFFICE, verdicts(backup="ok"), OVER, Choice(Ending.WAITING, "office has not answered yet"), id="unknown"
        ),
        pytest.param(
            OFFICE, verdicts(office="refused", backup="tls", direct="portal"), PATIENT,
            Choice(Ending.PORTAL, "a portal answers in office; pass it in a browser: nothing is changed"), id="portal",
        ),
        pytest.param(
            OFFICE, verdicts(office="dns", backup="refused", direct="portal"), PATIENT,
            Choice(Ending.WAITING, "office may still come: dns"), id="portal-but-patient",
        ),
        pytest.param(
            OFFICE, verdicts(office="refused", backup="proxy-denied", direct="timeout"), OVER,
            Choice(Ending.UNREACHABLE, "nothing works (office refused, backup proxy-denied, direct timeout): kept as it is"),
            id="nothing-works",
        ),
        pytest.param(
            OPEN, verdicts(office="refused", direct="refused"), PATIENT,
            chosen("direct", 'nothing works (office refused, direct refused) and unreachable = "direct"'),
            id="nothing-works-and-the-policy-says-direct",
        ),
        pytest.param(
            OPEN, verdicts(office="refused", direct="portal"), PATIENT,
            Choice(Ending.PORTAL, "a portal answers in office; pass it in a browser: nothing is changed"),
            id="a-portal-is-not-unreachable",
        ),
    ],
)  # fmt: skip
def test_choice(network: Network, seen: Mapping[str, Verdict], patience_s: float, choice: Choice) -> None:
    assert choose(network, seen, patience_s) == choice


OUTCOMES = st.fixed_dictionaries({name: st.sampled_from(Outcome).map(Verdict) for name in OFFICE.use})


@given(OUTCOMES, st.sampled_from([PATIENT, OVER]))
def test_what_is_chosen_works_and_nothing_preferred_does(seen: dict[str, Verdict], patience_s: float) -> None:
    choice = choose(OFFICE, seen, patience_s)

    if choice.upstream is not None:
        assert seen[choice.upstream].is_ok
        assert not any(seen[name].is_ok for name in OFFICE.use[: OFFICE.use.index(choice.upstream)])
    elif choice.ending is not Ending.WAITING:
        assert not any(verdict.is_ok for verdict in seen.values())


@given(OUTCOMES)
def test_without_patience_nothing_waits(seen: dict[str, Verdict]) -> None:
    assert choose(OFFICE, seen, OVER).ending is not Ending.WAITING
