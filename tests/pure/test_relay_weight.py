"""Which connections end when all together hold too much memory of the kernel's."""

from __future__ import annotations

import struct

from agent.relay.weight import Marks, Weight, counted, share, too_heavy

MARKS = Marks(much=10, most=100, too_much=200)


def stuck(held: int, source: str = "172.17.0.2", *, is_container: bool = True) -> Weight:
    return Weight(held, source, is_container=is_container, is_stuck=True)


def moving(held: int, source: str = "172.17.0.3") -> Weight:
    return Weight(held, source, is_container=True, is_stuck=False)


def test_nothing_ends_while_there_is_room() -> None:
    assert too_heavy([stuck(50), stuck(50)], MARKS) == []


def test_those_of_whoever_holds_most_end_first_and_only_until_there_is_room() -> None:
    weights = [stuck(40, "172.17.0.2"), *(stuck(10, "172.17.0.9") for _ in range(7))]

    assert too_heavy(weights, MARKS) == [1, 2, 3, 4]


def test_who_holds_most_by_many_addresses_ends_before_who_holds_more_by_one() -> None:
    many = [stuck(20, f"172.17.7.{number}")._replace(whose="port 10") for number in range(4)]
    weights = [stuck(30, "172.17.0.9"), *many]

    assert too_heavy(weights, MARKS) == [1, 2]


def test_this_hosts_own_end_last() -> None:
    weights = [stuck(90, "127.0.0.1", is_container=False), stuck(60)]

    assert too_heavy(weights, MARKS) == [1, 0]
    assert too_heavy([stuck(60, "127.0.0.1", is_container=False), stuck(60)], MARKS) == [1]


def test_what_moves_ends_only_if_all_is_lost_else() -> None:
    assert too_heavy([moving(150), stuck(5)], MARKS) == [1]
    assert too_heavy([moving(80), moving(130), stuck(5)], MARKS) == [2, 1]
    assert too_heavy([stuck(150), moving(140), moving(130, "172.17.0.4")], MARKS) == [0, 1]


def test_what_the_kernel_counts_below_zero_for_a_moment_is_nothing() -> None:
    """It comes without a sign: 4 GB that nobody holds would end whoever is fastest."""
    kept = (-4096) & 0xFFFFFFFF

    assert counted(struct.pack("=9I", 100, 1 << 17, 30, 1 << 17, kept, 7, 0, 5, 0)) == 112
    assert counted(b"") == 0


def test_the_more_there_are_the_smaller_is_the_share_of_one() -> None:
    shares = [share(of) for of in (1, 10, 100, 1000, 10_000)]

    assert shares == sorted(shares, reverse=True)
    assert all(share(of) * 4 * of <= 128 * 1024 * 1024 for of in (32, 100, 1000))
    assert share(0) == share(1) == 1024 * 1024
    assert shares[-1] == 16 * 1024
