"""Policies of tests, read as the agent reads them."""

from __future__ import annotations

from agent.values.policy import Policy
from agent.values.policy_text import parse


def policy_of(text: str) -> Policy:
    """Of a text that is valid."""
    read = parse(text)
    assert isinstance(read, Policy), read
    return read
