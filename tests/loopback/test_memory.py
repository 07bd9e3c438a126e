"""What holds a pass back, and how long: what is not finished, a refused password, what came up otherwise."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.condition import Code, Condition
from agent.memory import Memory
from agent.policy import Upstream
from agent.reconcile import reconcile
from agent.refused_passwords import REFUSED
from agent.secret import Secret
from agent.verdict import Outcome

from .dockerd import Dockerd
from .test_reconcile import OFFICE, Place, at

BEATEN = Condition(Code.NOT_EFFECTIVE, "something else")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(at("10.10.0.1"), Dockerd(tmp_path), office="ok", direct="ok", other="proxy-auth")


@pytest.fixture
def memory(place: Place) -> Memory:
    made = Memory(place.daemon.agent_state)
    made.use(place.policy, place)
    return made


async def test_before_what_was_begun_is_finished_nothing_is_written(place: Place, memory: Memory) -> None:
    """A write would forget whose Docker it is that is down."""
    memory.is_held = True
    await reconcile(place.policy, place, place.daemon.record(), choosing=memory)
    assert (place.daemon.files(), place.daemon.starts) == ({}, 1)

    memory.is_held = False
    await reconcile(place.policy, place, place.daemon.record(), choosing=memory)
    assert place.daemon.runs_with == OFFICE


async def test_a_password_that_docker_runs_with_and_a_proxy_refused_is_not_sent_again(
    place: Place, memory: Memory
) -> None:
    """Not by a service that starts anew, either: accounts lock."""
    url = place.policy.upstreams["office"].http
    old = Upstream("other", http=url, https=url, username="alice", password=Secret("hunter2"))
    assert (await memory.works(old, place.snapshot)).outcome is Outcome.PROXY_AUTH
    assert place.asked == ["other"]

    anew = Memory(place.daemon.agent_state)
    anew.use(place.policy, place)

    assert await anew.works(old, place.snapshot) == REFUSED
    assert place.asked == ["other"]
    await anew.works(old, at("10.99.0.1"))
    assert place.asked == ["other", "other"]  # somewhere else it may be another proxy


async def test_what_came_up_otherwise_is_tried_again_once_the_unit_is_another(place: Place, memory: Memory) -> None:
    reality = await place.daemon.reality(OFFICE)
    memory.came_up_otherwise(OFFICE, reality, BEATEN)
    assert memory.holding(reality).otherwise(OFFICE) == BEATEN

    ours = msgspec.structs.replace(reality.unit, drop_ins=(reality.drop_in_path,))
    assert memory.holding(msgspec.structs.replace(reality, unit=ours)).otherwise(OFFICE) == BEATEN

    theirs = msgspec.structs.replace(reality.unit, drop_ins=("/etc/systemd/system/docker.service.d/mended.conf",))
    assert memory.holding(msgspec.structs.replace(reality, unit=theirs)).otherwise(OFFICE) is None
    elsewhere = msgspec.structs.replace(reality, arguments=("--debug",))
    assert memory.holding(elsewhere).otherwise(OFFICE) is None
