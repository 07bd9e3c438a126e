"""How many connections there may be: in all, and of one source."""

from __future__ import annotations

from agent.relay.limits import Limits


def test_no_source_has_more_than_a_quarter_and_the_others_are_served() -> None:
    limits = Limits(8)

    assert [bool(limits.admit("172.17.0.2")) for _ in range(3)] == [False, False, True]
    assert limits.admit("172.17.0.3") == ""
    assert "172.17.0.2 has 2 connections" in limits.admit("172.17.0.2")


def test_all_together_have_no_more_than_there_are() -> None:
    limits = Limits(4)
    assert [limits.admit(f"172.17.0.{number}") for number in range(4)] == [""] * 4

    assert limits.admit("127.0.0.1") == "all 4 connections of the relay are in use"
    limits.leave("172.17.0.1")
    assert limits.admit("127.0.0.1") == ""
    assert (limits.open, limits.turned_away) == (4, 1)


def test_who_has_left_is_forgotten() -> None:
    limits = Limits(4)
    for _ in range(100):
        assert limits.admit("172.17.0.2") == ""
        limits.leave("172.17.0.2")

    assert limits.open == 0


def test_a_single_connection_is_always_possible() -> None:
    assert Limits(1).admit("172.17.0.2") == ""
