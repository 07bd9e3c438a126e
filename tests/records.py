"""Every record that a test makes the product write has to be one that docs/audit.schema.json allows."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jsonschema

from agent.audit.schema import schema


@functools.cache
def _schema() -> dict[str, Any]:
    return schema()


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(_schema())


@functools.cache
def _of_facts(event: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{event}", "$defs": _schema()["$defs"]})


def wrong_in(record: Mapping[str, Any]) -> list[str]:
    """What the schema does not allow."""
    return [f"{error.json_path}: {error.message}" for error in _validator().iter_errors(record)]


def wrong_in_facts(event: str, facts: Mapping[str, Any]) -> list[str]:
    return [f"{event} {error.json_path}: {error.message}" for error in _of_facts(event).iter_errors(facts)]
