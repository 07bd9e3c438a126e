"""docs/guarantees.md: each promise names the tests that keep it, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROMISES = re.split(r"^- ", (ROOT / "docs/guarantees.md").read_text(), flags=re.MULTILINE)[1:]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_promise_names_a_test() -> None:
    assert len(PROMISES) > 40
    assert [promise.splitlines()[0] for promise in PROMISES if not NAMED.search(promise)] == []


def test_every_test_that_keeps_a_promise_exists() -> None:
    named = {found for promise in PROMISES for found in NAMED.findall(promise)}
    texts = {path: (ROOT / path).read_text() for path, _ in named}

    assert [f"{path}::{name}" for path, name in sorted(named) if f"def {name}(" not in texts[path]] == []
