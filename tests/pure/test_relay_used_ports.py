"""How many connections containers have to one place, in a minute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent.relay.used_ports import FEW, MOST, UsedPorts

PROXY: Final = ("10.0.0.9", 3128)
ELSEWHERE: Final = ("10.0.0.9", 443)


def by_port(peers: Sequence[str]) -> list[str]:
    """Two containers, each with a network of addresses."""
    return [peer.rpartition(".")[0] for peer in peers]


def opened(used: UsedPorts, peer: str, wanted: int, place: tuple[str, int] = PROXY) -> int:
    return sum(not used.why_not(place, f"{peer}.{number % 250}") for number in range(wanted))


def test_half_of_the_ports_stay_free_and_one_container_does_not_have_all_of_the_others() -> None:
    used = UsedPorts(by_port, lambda: 0.0)
    alone = opened(used, "172.17.0", MOST)
    assert MOST * 2 // 3 <= alone <= MOST * 2 // 3 + FEW
    assert 1_000 < opened(used, "172.17.1", MOST) < MOST - alone
    assert opened(used, "172.17.0", 10) == 0
    assert opened(used, "172.17.0", 10, ELSEWHERE) == 10
    assert "connections to 10.0.0.9 port 3128 were opened for containers" in used.why_not(PROXY, "172.17.0.2")


def test_after_a_minute_the_ports_are_free_again_and_not_before() -> None:
    now = 9.9
    used = UsedPorts(by_port, lambda: now)
    full = opened(used, "172.17.0", MOST)
    now += 60
    assert opened(used, "172.17.0", 10) == 0
    now += 1
    assert opened(used, "172.17.0", MOST) == full


def test_whoever_connects_to_ever_so_many_places_hides_nothing_by_it() -> None:
    used = UsedPorts(by_port, lambda: 0.0)
    full = opened(used, "172.17.0", MOST)
    for number in range(20_000):
        assert not used.why_not((f"10.{number >> 8}.0.{number & 255}", 80), "172.17.0.2")
    assert full > FEW
    assert opened(used, "172.17.0", 10) == 0
    assert sum(map(len, used._slots)) <= 4096
