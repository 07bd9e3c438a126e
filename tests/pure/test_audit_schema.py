"""The JSON Schema of a record: it is the one in the documents, and it refuses what is no record."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.audit.schema import schema
from agent.values.events import FACTS, Event
from tests.audit_table import table
from tests.records import wrong_in

ROOT = Path(__file__).parents[2]
RECORD: dict[str, Any] = {
    "v": 2,
    "ts": "2026-03-01T09:12:04.000250Z",
    "seq": 1,
    "host": "laptop",
    "boot_id": "b",
    "pass": "p7",
    "event": "docker-started",
    "severity": "notice",
    "trigger": "network",
    "by": {"via": "control", "uid": 0, "login_uid": 1000, "claimed": "alice"},
    "facts": {"unit": "docker.service", "cause": "agent", "effective": {"direct": True}, "invocation": "1"},
    "prev": "0" * 64,
    "hash": "a" * 64,
}


def test_it_is_the_one_in_the_documents() -> None:
    assert json.loads((ROOT / "docs/audit.schema.json").read_text()) == schema(), "run: make docs"


def test_it_is_the_same_whatever_msgspec_makes_of_a_docstring() -> None:
    """Since 0.23 without the indentation of its lines."""
    assert [text for text in re.findall(r'"description": "([^"]*)', json.dumps(schema())) if r"\n " in text] == []


def test_it_is_a_schema_and_has_every_event() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert {event.value for event in FACTS} == {event.value for event in Event} <= set(schema()["$defs"])


def test_a_record_is_allowed() -> None:
    assert wrong_in(RECORD) == []
    assert wrong_in({name: value for name, value in RECORD.items() if name != "by"}) == []


@pytest.mark.parametrize(
    "change",
    [
        {"v": 3},
        {"event": "teleported"},
        {"severity": "fine"},
        {"by": {"uid": 0}},
        {"by": {"via": "telepathy"}},
        {"facts": {}},
        {"facts": RECORD["facts"] | {"was": "x"}},
        {"facts": RECORD["facts"] | {"effective": {"proxy": "direct"}}},
        {"facts": RECORD["facts"] | {"cause": "somebody"}},
        {"hash": "none"},
        {"more": 1},
    ],
    ids=str,
)
def test_what_is_no_record_is_refused(change: dict[str, Any]) -> None:
    assert wrong_in(RECORD | change)


def test_a_fact_that_was_cut_is_allowed() -> None:
    assert wrong_in(RECORD | {"facts": dict.fromkeys(RECORD["facts"], "…")}) == []
    lists = RECORD | {"event": "settings-written", "facts": {"targets": ["/a", "… and 12 more"]}}
    assert wrong_in(lists) == []


DOCUMENT = (ROOT / "docs/audit.md").read_text()
EXAMPLES = [
    json.loads(line) for block in re.findall(r"(?ms)^```json\n(.*?)^```", DOCUMENT) for line in block.splitlines()
]


def test_the_documents_have_the_table_and_an_example_of_every_event() -> None:
    assert table() in DOCUMENT, "run: make docs"
    assert {example["event"] for example in EXAMPLES} == {event.value for event in Event}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["event"]))
def test_each_example_is_as_it_would_be_written(example: dict[str, Any]) -> None:
    severity = FACTS[Event(example["event"])].severity.value

    assert wrong_in(RECORD | {"severity": severity} | example) == []
