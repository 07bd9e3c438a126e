"""Each event has its facts and its sentence, and they fit each other."""

from __future__ import annotations

import ast
import re
from typing import Final

import pytest

from agent.audit.about_the_log import Recovered, Trimmed
from agent.values.events import FACTS, Event, Facts, LogRecovered, LogTrimmed, judged
from agent.values.verdict import Outcome, Verdict
from tests.sources import SOURCES, nodes

KINDS: Final = [*FACTS.values()]


def given() -> dict[str, set[str]]:
    """By class, the facts that are given a value somewhere."""
    found: dict[str, set[str]] = {}
    for file in SOURCES:
        for node in nodes(file):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                found.setdefault(name, set()).update(word.arg for word in node.keywords if word.arg)
    return {**found, LogRecovered.__name__: found[Recovered.__name__], LogTrimmed.__name__: found[Trimmed.__name__]}


def named(kind: type[Facts]) -> str:
    return kind.event.value


def test_every_event_has_its_facts() -> None:
    assert FACTS.keys() == set(Event)


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_no_sentence_asks_for_a_fact_that_its_event_has_not(kind: type[Facts]) -> None:
    holes = re.findall(r"\{(\w+)\}", kind.sentence + kind.brief)

    assert set(holes) <= set(kind.__struct_fields__)


def test_every_fact_is_given_by_somebody() -> None:
    """One test, or every worker would parse the whole of it."""
    by_class = given()

    for kind in KINDS:
        assert set(kind.__struct_fields__) <= by_class[kind.__name__], named(kind)


def test_without_places_no_evidence_is_kept_that_is_in_the_words_of_whoever_answered() -> None:
    verdicts = {outcome.value: Verdict(outcome, "as it was said") for outcome in Outcome}

    kept = {one.verdict for one in judged(verdicts, says_where=False) if one.evidence}

    assert kept == {"ok", "no-route", "dns", "refused", "timeout"}
    assert {one.verdict for one in judged(verdicts) if one.evidence} == {outcome.value for outcome in Outcome}
