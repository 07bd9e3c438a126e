"""What a pass would say: its conditions, as findings.

Pure. What is wrong with settings, files and units is known there already, and is not judged twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.cli.doctor.finding import Finding, Sign
from agent.values.condition import Condition


def judge(conditions: Iterable[Condition]) -> Iterator[Finding]:
    for one in conditions:
        yield Finding(
            code=Sign.CONDITION,
            is_broken=one.code.is_failure,
            where=one.target or one.code.value,
            what=one.text,
            command=one.remedy,
            condition=one.code.value,
        )
