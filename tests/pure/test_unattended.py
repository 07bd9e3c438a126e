"""What `apply` says where no service runs that would go on."""

from __future__ import annotations

import pytest

from agent.cli.asking import unattended
from agent.decide.choose import Choice, Ending
from agent.decide.plan import Plan, put_off
from agent.decide.recognise import Recognised
from agent.one_pass.seen import Offline, Pass, Planned
from agent.values.dockerd import Phase, Reality, UnitState
from agent.values.policy import Network, Upstream
from agent.values.settings import settings
from agent.values.snapshot import Snapshot

NO_DOCKER = Reality(UnitState(Phase.ABSENT))
OFFLINE = Offline(snapshot=Snapshot(), reality=NO_DOCKER)
WRITTEN = Plan(settings("http://office:3128", "http://office:3128", "localhost"))


def planned(plan: Plan) -> Planned:
    return Planned(
        snapshot=Snapshot(),
        reality=NO_DOCKER,
        recognised=Recognised(Network(name="office", use=("office",)), ""),
        choice=Choice(Ending.CHOSEN, "", "office"),
        upstream=Upstream("office"),
        plan=plan,
    )


@pytest.mark.parametrize(
    ("plan", "is_on_trial", "said"),
    [
        (None, False, []),
        (WRITTEN, False, []),
        (WRITTEN, True, ["no service is running to watch Docker"]),
        (put_off(WRITTEN), True, ["run apply again in a minute", "no service is running to watch Docker"]),
        (put_off(WRITTEN), False, ["run apply again in a minute"]),
    ],
)
def test_it_says_what_nobody_does(plan: Plan | None, is_on_trial: bool, said: list[str]) -> None:
    seen = OFFLINE if plan is None else planned(plan)

    notes = list(unattended(Pass(seen), is_on_trial=is_on_trial))

    assert len(notes) == len(said)
    assert all(part in note for part, note in zip(said, notes, strict=True))
