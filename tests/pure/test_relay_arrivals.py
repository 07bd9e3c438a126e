"""Who is served first when many connect at once."""

from __future__ import annotations

from collections.abc import Sequence

from agent.relay.arrivals import FEW, HELD, MOST, SERVED, TURNED_AWAY, Arrivals, Turn


class Door:
    """Connections by their names: `root…` are root's, `gone…` have closed, and a container's begin with its own."""

    def __init__(self, *full: str) -> None:
        """`full`: who has its share."""
        self.asked: list[str] = []
        self.arrivals = Arrivals(
            self._are_roots,
            lambda one: one.startswith("gone"),
            whose=lambda names: [*map(whose, names)],
            has_its_share=lambda source, _one: source in full,
        )

    def _are_roots(self, names: Sequence[str]) -> list[bool]:
        self.asked += names
        return [name.startswith("root") for name in names]

    def come(self, *names: str) -> None:
        for name in names:
            self.arrivals.add(name)


def whose(name: str) -> str:
    return first if (first := name.partition(" ")[0]).isupper() else ""


def others(count: int, what: str = "other") -> list[str]:
    return [f"{what} {number}" for number in range(count)]


def test_a_few_are_served_as_they_come_and_nobody_asks_whose_they_are() -> None:
    door = Door()
    few = [*others(FEW - 1), "root"]
    door.come(*few)

    assert list(door.arrivals.next_ones()) == [(name, Turn.SERVED) for name in few]
    assert (door.asked, len(door.arrivals)) == ([], 0)


def test_roots_is_served_before_all_who_came_before_it() -> None:
    door = Door()
    door.come(*others(300), "root")

    turn = list(door.arrivals.next_ones())

    assert turn == [("root", Turn.ROOTS), *((name, Turn.OTHERS) for name in others(SERVED))]
    assert len(door.arrivals) == 300 - SERVED
    door.come("root later")
    assert next(door.arrivals.next_ones()) == ("root later", Turn.ROOTS)


def test_each_is_asked_for_once_and_all_are_served_in_the_end() -> None:
    door = Door()
    door.come(*others(100))
    served: list[str] = []
    while door.arrivals:
        turn = [name for name, turn in door.arrivals.next_ones() if turn is not Turn.TOO_MANY]
        assert 0 < len(turn) <= SERVED
        served += turn

    assert served == door.asked == others(100)


def test_each_source_has_its_turn_however_many_another_has_waiting() -> None:
    door = Door()
    door.come(*others(500, "A"), *others(2, "B"), "C 0")

    first = [name for name, _ in door.arrivals.next_ones()]

    assert first == ["A 0", "B 0", "C 0", "A 1", "B 1", *others(SERVED - 3, "A")[2:]]
    door.come(*others(2, "B"))
    assert {"B 0", "B 1"} < {name for name, _ in door.arrivals.next_ones()}


def test_of_too_many_the_newest_go_of_the_source_that_has_most_waiting() -> None:
    door = Door()
    door.come(*others(SERVED + 30, "A"), *others(SERVED + 20, "B"), "C 0", "C 1", "C 2", "C 3")
    kept = 30

    turned_away = [name for name, turn in door.arrivals.next_ones(kept) if turn is Turn.TOO_MANY]

    of_a, of_b = (sum(name.startswith(one) for name in turned_away) for one in "AB")
    assert of_a + of_b == len(turned_away) == SERVED + 54 - kept
    assert {name for name in turned_away if name.startswith("A")} == set(others(SERVED + 30, "A")[-of_a:])
    assert abs((SERVED + 30 - of_a) - (SERVED + 20 - of_b)) <= 2  # as many of both are left
    assert len(door.arrivals) == kept


def test_who_has_its_share_already_is_turned_away_before_those_who_have_more_waiting() -> None:
    door = Door("A")
    door.come(*others(20, "A"), *others(60, "B"))

    turn = list(door.arrivals.next_ones(50))

    assert [name for name, turn in turn if turn is Turn.TOO_MANY] == [
        *others(20, "A")[: SERVED // 2 - 1 : -1],
        *others(60, "B")[:-3:-1],
    ]
    assert len(door.arrivals) == 50


def test_who_has_gone_meanwhile_costs_nobody_a_turn() -> None:
    door = Door()
    door.come(*others(50, "gone"), *others(20))

    turn = list(door.arrivals.next_ones())

    assert [name for name, turn in turn if turn is Turn.TOO_MANY] == others(50, "gone")
    assert [name for name, turn in turn if turn is Turn.OTHERS] == others(SERVED)


def test_more_than_may_wait_are_turned_away_a_few_in_each_turn() -> None:
    door = Door()
    door.come(*others(MOST + 1000))

    turn = list(door.arrivals.next_ones())

    assert [name for name, turn in turn if turn is Turn.TOO_MANY] == others(MOST + 1000)[: -TURNED_AWAY - 1 : -1]
    while len(door.arrivals) > MOST:
        assert list(door.arrivals.next_ones())
    assert [turn for _, turn in door.arrivals.next_ones()] == [Turn.OTHERS] * SERVED


def test_no_more_than_a_few_are_turned_away_in_a_turn_also_where_others_have_gone() -> None:
    door = Door()
    door.come(*others(TURNED_AWAY - 10, "gone"), *others(200, "A"))

    assert [turn for _, turn in door.arrivals.next_ones(0)].count(Turn.TOO_MANY) == TURNED_AWAY


def test_of_sources_that_have_as_many_waiting_it_is_the_one_whose_turn_is_later() -> None:
    door = Door()
    door.come(*(f"{source} {number}" for number in range(SERVED) for source in "ABC"))

    turned_away = [name for name, turn in door.arrivals.next_ones(SERVED * 2 - 1) if turn is Turn.TOO_MANY]

    assert turned_away == [f"C {SERVED - 1}"]  # A has had one turn more, and the next is B's


def test_where_there_is_no_memory_left_nobody_waits() -> None:
    door = Door()
    door.come(*others(60))

    assert [turn for _, turn in door.arrivals.next_ones(0)] == [Turn.OTHERS] * SERVED + [Turn.TOO_MANY] * (60 - SERVED)


def test_there_is_room_until_so_many_wait() -> None:
    door = Door()
    assert door.arrivals.room == HELD
    door.come(*others(HELD))
    assert door.arrivals.room == 0
    assert list(door.arrivals.all()) == others(HELD)
    assert door.arrivals.room == HELD
