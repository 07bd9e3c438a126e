"""A pass that a command makes by itself, where Docker's half is not finished."""

from __future__ import annotations

from pathlib import Path

from agent.audit.record import Record
from agent.cli.asking import make_a_pass
from agent.docker.journal import UnderWay
from agent.one_pass.memory import Memory
from agent.service.policy_in_use import InUse
from agent.service.requests import Command, Wish
from agent.system.policy_file import Loaded
from agent.values.errors import TargetFailed

from .dockerd import Dockerd
from .test_reconcile import Place, at

_UNREADABLE = "/var/lib/docker-proxy-agent/journal.json: is not readable"


class Unreadable(Dockerd):
    """The state directory is gone, as it is where the system goes down: an agent that died may have left anything."""

    async def recover(self, record: Record, *, may_restart: bool) -> bool:
        return False

    def under_way(self) -> UnderWay:
        raise TargetFailed("/var/lib/docker-proxy-agent/journal.json", "is not readable")


async def test_where_it_is_not_known_what_is_under_way_that_is_said_and_not_that_docker_is_down(tmp_path: Path) -> None:
    dockerd = Unreadable(tmp_path)
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    in_use = InUse(Loaded("/config.toml", place.policy), "now", place, "docker.service")
    memory = Memory(dockerd.agent_state)
    memory.use(place.policy, place)

    answer = await make_a_pass(Wish(Command.APPLY), in_use, memory, dockerd.record())

    assert answer.exit == 1
    assert answer.lines == (_UNREADABLE,)
    assert [record["event"] for record in dockerd.records()] == ["requested", "target-failed"]
    assert dockerd.records()[1]["facts"]["error"] == _UNREADABLE
