"""Which bridges of Docker's lead nowhere: what Docker says of them, and when it is asked at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.docker.networks import bridges
from agent.one_pass.relay_bridges import LISTED_WITHIN_S, OTHERS_AGAIN_S, Bridges
from agent.see.netlink import NetlinkFailed
from agent.see.netlink_messages import Link
from agent.system.clock import SystemClock


def bridge(index: int, name: str) -> Link:
    return Link(index, name, has_carrier=True, has_neighbours=True, kind="bridge")


DOCKER0, FRONT, BACK = bridge(3, "docker0"), bridge(4, "br-111111111111"), bridge(5, "br-222222222222")


class Setting(SystemClock):
    """A kernel, a Docker and a clock."""

    def __init__(self, *there: Link, **listed: bool) -> None:
        self.there: tuple[Link, ...] = there
        self.listed: Mapping[str, bool] | None = {name.replace("_", "-"): internal for name, internal in listed.items()}
        self.asked = 0
        self.now = 0.0
        self.is_silent = False
        self.bridges = Bridges(self._ask, self._links, self)

    def boottime_s(self) -> float:
        return self.now

    async def _ask(self) -> Mapping[str, bool] | None:
        self.asked += 1
        return self.listed

    def _links(self) -> tuple[Link, ...]:
        if self.is_silent:
            raise NetlinkFailed("silent")
        return self.there

    async def looked(self) -> tuple[str, ...] | None:
        await self.bridges.look()
        return self.bridges.internal

    async def told(self) -> tuple[str, ...]:
        await self.bridges.look()
        return self.bridges.told or ()


async def test_those_are_known_that_docker_says_lead_nowhere() -> None:
    setting = Setting(DOCKER0, FRONT, BACK, docker0=False, br_111111111111=False, br_222222222222=True)

    assert await setting.looked() == ("br-222222222222",)


async def test_docker_is_not_asked_again_while_nothing_is_new() -> None:
    setting = Setting(DOCKER0, BACK, docker0=False, br_222222222222=True)

    for setting.now in range(200):
        assert await setting.looked() == ("br-222222222222",)

    assert setting.asked == 1


async def test_one_that_is_new_is_asked_for_and_one_that_is_gone_is_forgotten_without_asking() -> None:
    setting = Setting(DOCKER0, docker0=False)
    assert await setting.looked() == ()
    setting.there, setting.listed = (DOCKER0, BACK), {"docker0": False, "br-222222222222": True}
    assert await setting.looked() == ("br-222222222222",)

    setting.there = (DOCKER0,)

    assert await setting.looked() == ()
    assert setting.asked == 2


async def test_the_same_name_made_anew_is_asked_for() -> None:
    setting = Setting(BACK, br_222222222222=True)
    assert await setting.looked() == ("br-222222222222",)

    setting.there, setting.listed = (bridge(9, "br-222222222222"),), {"br-222222222222": False}

    assert await setting.looked() == ()


async def test_one_that_docker_does_not_list_yet_is_asked_for_again_but_not_for_ever() -> None:
    setting = Setting(DOCKER0, BACK, docker0=False)
    assert await setting.looked() == ()
    setting.now, setting.listed = 1.0, {"docker0": False, "br-222222222222": True}
    assert await setting.looked() == ("br-222222222222",)

    setting.there = (DOCKER0, BACK, FRONT)
    for setting.now in range(2, 10 * int(LISTED_WITHIN_S), 10):
        await setting.looked()

    assert setting.asked <= 2 + LISTED_WITHIN_S / 10 + 1


async def test_of_a_bridge_that_others_made_it_is_asked_once_in_a_while() -> None:
    """Docker puts a network on one that is there already, and it may be an internal one by and by."""
    mine = bridge(7, "mine0")
    setting = Setting(DOCKER0, mine, docker0=False, mine0=False)
    assert await setting.told() == ("3 docker0", "7 mine0")

    setting.listed = {"docker0": False, "mine0": True}
    for setting.now in range(1, int(OTHERS_AGAIN_S)):
        assert await setting.looked() == ()
    assert setting.asked == 1
    setting.now, setting.listed, listed = OTHERS_AGAIN_S, None, setting.listed
    for _ in range(9):
        assert await setting.looked() == ()
    setting.now, setting.listed = 2 * OTHERS_AGAIN_S, listed
    assert await setting.looked() == ("mine0",)
    assert setting.asked == 3


async def test_nothing_is_known_before_docker_has_answered_and_nothing_is_lost_when_it_does_not() -> None:
    setting = Setting(DOCKER0, BACK, docker0=False, br_222222222222=True)
    setting.listed, listed = None, setting.listed
    assert await setting.looked() is None
    setting.listed = listed
    assert await setting.looked() == ("br-222222222222",)

    setting.there, setting.listed = (DOCKER0, FRONT, BACK), None
    assert await setting.looked() == ("br-222222222222",)
    setting.is_silent = True
    assert await setting.looked() == ("br-222222222222",)


async def test_of_which_it_is_known_whether_they_lead_out() -> None:
    setting = Setting(DOCKER0, bridge(9, "virbr0"), docker0=False)
    assert await setting.told() == ("3 docker0",)  # Docker may be about to list the other one

    setting.there = (DOCKER0, FRONT, BACK)
    setting.listed = {"docker0": False, "br-111111111111": False}
    assert await setting.told() == ("3 docker0", "4 br-111111111111")
    setting.listed = {"docker0": False, "br-111111111111": False, "br-222222222222": True}
    assert await setting.told() == ("3 docker0", "4 br-111111111111", "5 br-222222222222")
    assert setting.bridges.internal == ("br-222222222222",)

    setting.there = (*setting.there, bridge(10, "lxcbr0"))
    assert "10 lxcbr0" not in await setting.told()
    setting.now += LISTED_WITHIN_S
    assert "10 lxcbr0" in await setting.told()  # it is none of Docker's


async def test_what_an_earlier_agent_has_told_of_as_leading_out_needs_no_time() -> None:
    setting = Setting(DOCKER0, bridge(9, "virbr0"), docker0=False)

    await setting.bridges.look({"3 docker0", "9 virbr0", "8 lxcbr0"})

    assert setting.bridges.told == ("3 docker0", "9 virbr0")


class Says:
    """dockerd, with these networks."""

    def __init__(self, *networks: Any) -> None:
        self._networks = list(networks)

    async def ask(self, target: str, kind: type[list[Any]], within_s: float = 0.0) -> list[Any] | None:
        return self._networks if target.startswith("/networks?") else None


async def test_what_docker_says_of_its_networks() -> None:
    docker = Says(
        {"Id": "0" * 64, "Driver": "bridge", "Internal": False, "Options": {"com.docker.network.bridge.name": "docker0"}},
        {"Id": "0123456789abcdef", "Driver": "bridge", "Internal": True, "Options": None},
        {"Id": "f" * 64, "Internal": True, "Options": {"com.docker.network.bridge.name": "back0"}},
        {"Id": 7, "Internal": "yes", "Options": []},
        "nonsense",
    )  # fmt: skip

    assert await bridges(docker) == {"docker0": False, "br-0123456789ab": True, "back0": True, "br-7": False}
