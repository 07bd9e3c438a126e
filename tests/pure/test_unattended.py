"""What `apply` says where no service runs that would go on."""

from __future__ import annotations

import pytest

from agent.cli.asking import unattended
from agent.decide.plan import Plan, put_off
from agent.one_pass.seen import Pass, Seen
from agent.values.settings import settings
from agent.values.snapshot import Snapshot

WRITTEN = Plan(settings("http://office:3128", "http://office:3128", "localhost"))


@pytest.mark.parametrize(
    ("plan", "is_on_trial", "said"),
    [
        (None, False, []),
        (WRITTEN, False, []),
        (WRITTEN, True, ["nobody watches Docker"]),
        (put_off(WRITTEN), True, ["run apply again in a minute", "nobody watches Docker"]),
        (put_off(WRITTEN), False, ["run apply again in a minute"]),
    ],
)
def test_it_says_what_nobody_does(plan: Plan | None, is_on_trial: bool, said: list[str]) -> None:
    notes = list(unattended(Pass(Seen(Snapshot(), plan=plan)), is_on_trial=is_on_trial))

    assert len(notes) == len(said)
    assert all(part in note for part, note in zip(said, notes, strict=True))
