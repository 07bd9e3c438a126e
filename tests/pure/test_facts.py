"""docs/facts.md has every fact that the code cites, and every test that it names exists."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
FACTS = (ROOT / "docs/facts.md").read_text()


def test_every_fact_that_the_code_cites_is_there() -> None:
    code = "".join(path.read_text() for folder in ("agent", "tests") for path in (ROOT / folder).rglob("*.py"))
    cited = {int(n) for group in re.findall(r"FACTS (\d+(?:, \d+)*)", code) for n in group.split(", ")}

    assert cited
    assert cited <= {int(number) for number in re.findall(r"^(\d+)\. ", FACTS, re.MULTILINE)}


def test_no_number_is_taken_twice() -> None:
    numbers = re.findall(r"^(\d+)\. ", FACTS, re.MULTILINE)

    assert len(numbers) > 100
    assert [number for number, count in Counter(numbers).items() if count > 1] == []


def test_every_test_that_would_notice_exists() -> None:
    named = set(re.findall(r"tests/\w+/\w+\.py", FACTS))
    functions = set(re.findall(r"`(test_\w+)`", FACTS))

    assert named
    texts = [(ROOT / path).read_text() for path in named]
    assert not [name for name in functions if not any(f"def {name}(" in text for text in texts)]
