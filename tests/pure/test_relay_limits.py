"""How many connections there may be: in all, and of one source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.relay.limits import THIS_HOST, Limits, Seat


def container(address: str) -> Seat:
    return Seat(address, is_container=True)


def here(address: str = "127.0.0.1") -> Seat:
    return Seat(address, is_container=False)


def admitted(limits: Limits, seats: Iterable[Seat]) -> int:
    return sum(limits.admit(seat) == "" for seat in seats)


def test_no_source_has_more_than_a_quarter_and_the_others_are_served() -> None:
    limits = Limits(8)

    assert [bool(limits.admit(container("172.17.0.2"))) for _ in range(3)] == [False, False, True]
    assert limits.admit(container("172.17.0.3")) == ""
    assert "172.17.0.2 has 2 connections" in limits.admit(container("172.17.0.2"))


def test_all_together_have_no_more_than_there_are() -> None:
    limits = Limits(4)
    seats = [container(f"172.17.0.{number}") for number in range(3)]
    assert [limits.admit(seat) for seat in (*seats, here())] == [""] * 4

    assert limits.admit(here()) == "all 4 connections of the relay are in use"
    limits.leave(seats[0])
    assert limits.admit(here(), lambda: True) == ""
    assert (limits.open, limits.turned_away) == (4, 1)


def test_however_many_addresses_containers_have_a_quarter_is_left_for_this_host() -> None:
    limits = Limits(8)
    seats = [container(f"172.17.0.{number}") for number in range(20)]

    assert admitted(limits, seats) == 6
    assert "the rest are reserved for this host" in limits.admit(container("172.17.1.1"))
    assert limits.admit(here()) == ""
    limits.leave(seats[1])
    assert limits.admit(container("172.17.1.1")) == ""


class Bridge:
    """Containers by the first two words of their addresses."""

    def __init__(self) -> None:
        self.asked = 0

    def whose(self, addresses: Sequence[str]) -> list[str]:
        self.asked += len(addresses)
        return [address.rsplit(".", 2)[0] for address in addresses]


def test_a_container_with_many_addresses_keeps_no_other_one_out() -> None:
    limits = Limits(64, Bridge().whose)

    assert admitted(limits, (container(f"10.1.0.{number}") for number in range(64))) == 16
    assert "the container at 10.1.7.7 has 16 connections" in limits.admit(container("10.1.7.7"))
    assert limits.admit(container("10.2.0.1")) == ""


def test_however_many_work_together_who_has_none_yet_gets_some() -> None:
    limits = Limits(64, Bridge().whose)
    seats = [container(f"10.{number % 7}.0.{number}") for number in range(200)]

    assert admitted(limits, seats) == 7 * 6  # of 48: no more than are left
    assert "the rest are reserved for other containers" in limits.admit(container("10.3.0.1"))
    assert [limits.admit(container(f"10.9.0.{number}")) for number in range(3)] == [""] * 3


def test_nor_does_this_host_in_their_company() -> None:
    limits = Limits(64, Bridge().whose)
    assert admitted(limits, (here() for _ in range(64))) == 16
    assert admitted(limits, (container(f"10.{number % 9}.0.{number}") for number in range(200))) < 40

    assert limits.admit(container("10.20.0.1")) == ""


def test_as_long_as_there_is_enough_nobody_is_asked_who_they_are_and_then_each_once() -> None:
    bridge = Bridge()
    limits = Limits(64, bridge.whose)
    seats = [container(f"10.{number}.0.1") for number in range(8)]
    assert (admitted(limits, seats), bridge.asked) == (8, 0)

    later = container("10.0.0.9")
    assert (limits.admit(later), bridge.asked) == ("", 9)
    assert seats[0].whose == later.whose == "10.0"
    assert (limits.admit(container("10.0.0.10")), bridge.asked) == ("", 10)


def test_who_has_left_is_forgotten() -> None:
    limits = Limits(8, Bridge().whose)
    for _ in range(100):
        seats = [container("172.17.0.2"), container("172.17.0.3"), container("172.18.0.2"), here()]
        assert admitted(limits, seats) == 4
        for seat in seats:
            limits.leave(seat)

    assert limits.open == limits.of_containers == 0
    assert not limits._by_source
    assert not limits._by_address


def test_who_has_left_before_it_gets_scarce_is_not_counted_when_it_does() -> None:
    limits = Limits(64, Bridge().whose)
    short = [container(f"10.1.0.{number}") for number in range(4)]
    assert admitted(limits, short) == 4
    for seat in short:
        limits.leave(seat)

    assert admitted(limits, (container(f"10.{2 + number % 4}.0.{number}") for number in range(8))) == 8
    assert admitted(limits, (container(f"10.1.0.{number}") for number in range(16))) == 16


def test_a_single_connection_is_always_possible() -> None:
    assert Limits(1).admit(container("172.17.0.2")) == ""


def test_all_users_of_this_host_are_one_source_by_whichever_address_they_come() -> None:
    limits = Limits(16)

    assert admitted(limits, (here(f"127.0.0.{number % 8}") for number in range(40))) == 4
    assert f"{THIS_HOST} has 4 connections" in limits.admit(here("127.0.0.9"))
    assert limits.admit(container("172.17.0.2")) == ""


def test_whatever_others_hold_there_is_room_for_root() -> None:
    limits = Limits(16)
    assert admitted(limits, (here() for _ in range(4))) == 4
    assert admitted(limits, (container(f"172.17.0.{number}") for number in range(40))) == 10

    assert "for root on this host" in limits.admit(container("172.17.0.50"))
    assert limits.admit(here(), lambda: True) == ""
    assert limits.admit(container("172.17.0.2"), lambda: True) != ""
    assert limits.admit(here(), lambda: True) == ""
    assert limits.admit(here(), lambda: True) == "all 16 connections of the relay are in use"


def test_root_has_more_than_a_source_may() -> None:
    limits = Limits(8)
    assert [limits.admit(here()) for _ in range(2)] == ["", ""]

    assert limits.admit(here()) != ""
    assert limits.admit(here(), lambda: True) == ""


def test_a_source_has_its_share_when_it_is_turned_away_though_others_are_not() -> None:
    limits = Limits(16)
    of_one = [
        (limits.has_its_share("172.17.0.2", is_container=True), bool(limits.admit(container("172.17.0.2"))))
        for _ in range(5)
    ]

    assert of_one == [(False, False)] * 4 + [(True, True)]
    for number in range(8):
        assert not limits.has_its_share("172.17.0.9", is_container=True)
        assert limits.admit(container(f"172.17.1.{number}")) == ""
    assert limits.has_its_share("172.17.0.9", is_container=True)  # all of them together have theirs
    assert not limits.has_its_share(THIS_HOST, is_container=False)
