"""How many connections there may be: in all, and of one source."""

from __future__ import annotations

from agent.relay.limits import Limits


def test_no_source_has_more_than_a_quarter_and_the_others_are_served() -> None:
    limits = Limits(8)

    assert [bool(limits.admit("172.17.0.2", is_container=True)) for _ in range(3)] == [False, False, True]
    assert limits.admit("172.17.0.3", is_container=True) == ""
    assert "172.17.0.2 has 2 connections" in limits.admit("172.17.0.2", is_container=True)


def test_all_together_have_no_more_than_there_are() -> None:
    limits = Limits(4)
    assert [limits.admit(f"127.0.0.{number}", is_container=False) for number in range(4)] == [""] * 4

    assert limits.admit("127.0.0.9", is_container=False) == "all 4 connections of the relay are in use"
    limits.leave("127.0.0.1", is_container=False)
    assert limits.admit("127.0.0.9", is_container=False) == ""
    assert (limits.open, limits.turned_away) == (4, 1)


def test_however_many_addresses_containers_have_a_quarter_is_left_for_this_host() -> None:
    limits = Limits(8)
    admitted = [limits.admit(f"172.17.0.{number}", is_container=True) == "" for number in range(20)]

    assert sum(admitted) == 6
    assert "the rest is for this host" in limits.admit("172.17.1.1", is_container=True)
    assert limits.admit("127.0.0.1", is_container=False) == ""
    limits.leave("172.17.0.1", is_container=True)
    assert limits.admit("172.17.1.1", is_container=True) == ""


def test_who_has_left_is_forgotten() -> None:
    limits = Limits(4)
    for _ in range(100):
        assert limits.admit("172.17.0.2", is_container=True) == ""
        limits.leave("172.17.0.2", is_container=True)

    assert limits.open == 0


def test_a_single_connection_is_always_possible() -> None:
    assert Limits(1).admit("172.17.0.2", is_container=True) == ""


def test_whatever_others_of_this_host_hold_there_is_room_for_root() -> None:
    limits = Limits(16)
    held = [limits.admit(f"127.0.0.{number % 8}", is_container=False) == "" for number in range(40)]

    assert sum(held) == 14
    assert "for root on this host" in limits.admit("127.0.0.9", is_container=False)
    assert limits.admit("127.0.0.1", is_container=False, is_roots=lambda: True) == ""
    assert limits.admit("172.17.0.2", is_container=True, is_roots=lambda: True) != ""
    assert limits.admit("127.0.0.1", is_container=False, is_roots=lambda: True) == ""
    assert (
        limits.admit("127.0.0.1", is_container=False, is_roots=lambda: True)
        == "all 16 connections of the relay are in use"
    )


def test_root_has_more_than_a_source_may() -> None:
    limits = Limits(8)
    assert [limits.admit("127.0.0.1", is_container=False) for _ in range(2)] == ["", ""]

    assert limits.admit("127.0.0.1", is_container=False) != ""
    assert limits.admit("127.0.0.1", is_container=False, is_roots=lambda: True) == ""


def test_a_source_has_its_share_when_it_is_turned_away_though_others_are_not() -> None:
    limits = Limits(16)
    of_one = [
        (limits.has_its_share("172.17.0.2", is_container=True), limits.admit("172.17.0.2", is_container=True))
        for _ in range(5)
    ]

    assert [(has, bool(why)) for has, why in of_one] == [(False, False)] * 4 + [(True, True)]
    for number in range(8):
        assert not limits.has_its_share("172.17.0.9", is_container=True)
        assert limits.admit(f"172.17.1.{number}", is_container=True) == ""
    assert limits.has_its_share("172.17.0.9", is_container=True)  # all of them together have theirs
    assert not limits.has_its_share("127.0.0.1", is_container=False)
