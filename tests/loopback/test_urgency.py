"""A restart that would hurt: it waits while what Docker runs with still works here, and no longer."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.docker.journal import Journal
from agent.one_pass.seen import Planned
from agent.values.policy import Policy
from agent.values.secret import Secret
from agent.values.settings import DIRECT, Texts
from agent.values.verdict import Outcome
from tests.policies import policy_of

from .dockerd import Dockerd
from .test_reconcile import OFFICE, POLICY, Place, at

HOME = at("10.20.0.1")
PULL = "a pull or push"


@pytest.fixture
def dockerd(tmp_path: Path) -> Dockerd:
    return Dockerd(tmp_path)


async def from_the_office(dockerd: Dockerd, office: str) -> Place:
    """At home, where `direct` works and the office's proxy does like this, with Docker as it was in the office."""
    await Place(at("10.10.0.1"), dockerd, office="ok", direct="ok").passed()
    assert dockerd.runs_with == OFFICE
    return Place(HOME, dockerd, office=office, direct="ok")


async def test_containers_are_kept_where_the_old_way_is_gone(dockerd: Dockerd) -> None:
    place = await from_the_office(dockerd, "timeout")
    dockerd.containers = 3

    done = await place.passed()

    assert dockerd.runs_with == DIRECT
    assert (dockerd.containers, dockerd.killed) == (3, 0)
    assert done.outcome is not None
    assert done.outcome.containers_kept == 3
    assert place.asked == ["direct", "office"]


async def test_containers_are_left_alone_while_the_old_way_works(dockerd: Dockerd) -> None:
    place = await from_the_office(dockerd, "ok")
    dockerd.containers = 3

    done = await place.passed()

    assert dockerd.runs_with == OFFICE
    assert isinstance(done.seen, Planned)
    assert done.seen.plan.restart is not None
    assert done.seen.plan.restart.because.startswith("3 containers run, and office still works here")


@pytest.mark.parametrize(("office", "is_restarted"), [("ok", False), ("timeout", True)])
async def test_a_pull_is_broken_off_only_where_it_gets_nowhere(
    dockerd: Dockerd, office: str, is_restarted: bool
) -> None:
    place = await from_the_office(dockerd, office)
    dockerd.transfer = PULL

    await place.passed()
    assert (dockerd.runs_with == DIRECT) is is_restarted

    dockerd.transfer = ""
    await place.passed()
    assert dockerd.runs_with == DIRECT


async def test_while_a_restart_waits_it_is_asked_whether_docker_is_cut_off(dockerd: Dockerd) -> None:
    place = await from_the_office(dockerd, "timeout")
    dockerd.units = {"stack.service": True}
    Journal(dockerd.agent_state).forget()  # it is not on trial any more: there is something to be written

    arriving = await place.passed()
    waiting = await place.passed()

    assert dockerd.runs_with == OFFICE
    assert place.asked == ["direct", "direct", "office"]
    assert isinstance(arriving.seen, Planned)
    assert isinstance(waiting.seen, Planned)
    assert arriving.seen.plan.verdict_here is None
    assert waiting.seen.plan.verdict_here is not None
    assert waiting.seen.plan.verdict_here.outcome is Outcome.TIMEOUT


async def test_where_nothing_is_risked_nobody_is_asked(dockerd: Dockerd) -> None:
    place = await from_the_office(dockerd, "ok")

    await place.passed()

    assert dockerd.runs_with == DIRECT
    assert place.asked == ["direct"]


async def test_what_is_no_upstream_of_the_policy_is_not_waited_for(dockerd: Dockerd) -> None:
    place = await from_the_office(dockerd, "ok")
    place.policy = policy_of(POLICY.replace("http://office:3128", "http://other:3128"))
    dockerd.containers = 1

    await place.passed()

    assert dockerd.runs_with == DIRECT
    assert dockerd.killed == 0


@pytest.mark.parametrize(("office", "is_restarted"), [("ok", False), ("timeout", True)])
async def test_an_upstream_is_known_whatever_is_excluded_from_it(
    dockerd: Dockerd, office: str, is_restarted: bool
) -> None:
    """As somebody had written it by hand before there was a policy, with what he excludes."""
    dockerd.environment = Texts("http://office:3128", "http://office:3128", ".corp.example,localhost")
    await dockerd.restart()
    dockerd.containers = 3
    place = Place(HOME, dockerd, office=office, direct="ok")

    done = await place.passed()

    assert (dockerd.runs_with == DIRECT) is is_restarted
    assert place.asked == ["direct", "office"]
    assert isinstance(done.seen, Planned)
    assert done.seen.plan.restart is not None
    still = "office does not work here (timeout)" if is_restarted else "3 containers run, and office still works here"
    assert done.seen.plan.restart.because.startswith(still)


async def test_a_password_is_not_shown_where_the_network_does_not_use_it(dockerd: Dockerd) -> None:
    there = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    place = Place(HOME, dockerd, office="ok", direct="ok")
    there.policy = place.policy = _with_password("secret")
    await there.passed()
    dockerd.containers = 1

    done = await place.passed()

    assert place.asked == ["direct"]
    assert dockerd.runs_with == DIRECT
    assert dockerd.killed == 0
    assert isinstance(done.seen, Planned)
    assert done.seen.plan.restart is not None
    assert done.seen.plan.restart.because.startswith("office has a password that must not be used in this network")


async def test_another_exclusion_waits_for_the_containers(dockerd: Dockerd) -> None:
    await from_the_office(dockerd, "ok")
    Journal(dockerd.agent_state).forget()  # its minute is over: before, nothing is written that only waits
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok")
    place.policy = policy_of(POLICY + '[no_proxy]\nalways = ["localhost"]\n')
    dockerd.containers = 1

    done = await place.passed()

    assert dockerd.runs_with == OFFICE
    assert done.outcome is not None
    assert "only no_proxy differs" in done.outcome.deferred


@pytest.mark.parametrize(("old", "is_restarted"), [("ok", False), ("proxy-auth", True)])
async def test_another_password_waits_while_the_old_one_works(dockerd: Dockerd, old: str, is_restarted: bool) -> None:
    place = Place(at("10.10.0.1"), dockerd, office="ok", direct="ok", **{"the old password": old})
    place.policy = _with_password("old")
    await place.passed()
    Journal(dockerd.agent_state).forget()  # its minute is over
    before = dockerd.starts
    dockerd.containers = 1

    place.policy = _with_password("new")
    await place.passed()

    assert (dockerd.starts > before) is is_restarted
    assert "new" in (dockerd.text("etc/dockerd.env") or "")
    assert place.asked[-1] == "the old password"
    (intent,) = [record for record in dockerd.records() if record["event"] == "apply-started"][1:]
    assert intent["facts"]["changes"] == "nothing but a user or a password"


def _with_password(password: str) -> Policy:
    policy = policy_of(POLICY)
    office = msgspec.structs.replace(policy.upstreams["office"], username="alice", password=Secret(password))
    return msgspec.structs.replace(policy, upstreams={**policy.upstreams, "office": office})
