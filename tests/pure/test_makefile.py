"""The Makefile and the tests that it runs."""

from __future__ import annotations

import re

from tests.sources import ROOT


def test_none_of_its_variables_is_one_that_a_test_reads_from_its_environment() -> None:
    """A target may export one for its tests, such as SHARE: a value that all targets share would be in its place."""
    for_all = set(re.findall(r"^(\w+)\s*[:?]?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    read = {
        name
        for file in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"os\.environ(?:\.get\(|\[)\"(\w+)\"", file.read_text())
    }

    assert "SHARE" in read
    assert for_all & read == set()
