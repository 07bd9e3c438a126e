"""A kernel that does not answer keeps nobody waiting for it."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from agent.relay.aside import Aside
from agent.relay.who import KEPT_S, NO_KEPT_S, OUTLIVED_S, WHOSE_KEPT_S, NotYetKnown, Who
from agent.see.netlink import NetlinkFailed, Reached
from agent.see.netlink_messages import Link
from agent.values.relay import Source
from tests.waiting import until

from .test_relay_who import BRIDGE, BRIDGES, Host

PATIENCE_S = 20.0


class Held(Host):
    """Somebody has its lock on interfaces."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.answers.set()
        self.answered = 0
        self.is_busy = False
        self.asked_while_busy = 0

    def link_at(self, index: int, /) -> Link | None:
        if self.is_busy:
            self.asked_while_busy += 1
            raise NetlinkFailed("busy", errno.EBUSY)
        assert self.answers.wait(PATIENCE_S)
        self.answered += 1
        return super().link_at(index)

    def ports_to(self, addresses: Sequence[str], /) -> Sequence[Reached]:
        assert self.answers.wait(PATIENCE_S)
        return super().ports_to(addresses)


@pytest.fixture
def held() -> Iterator[Held]:
    host = Held()
    yield host
    host.answers.set()


def patient(held: Held, clock: Callable[[], float] = time.monotonic) -> Aside:
    """However busy the machine is, it has time to answer."""
    return Aside(held, PATIENCE_S, clock)


def soon_gives_up(kernel: Aside) -> None:
    kernel._within_s = kernel._left_s = 0.02


def test_it_is_waited_for_once_and_asked_again_when_it_has_answered(held: Held) -> None:
    kernel = patient(held)
    assert kernel.link_at(BRIDGE) is not None

    soon_gives_up(kernel)
    held.answers.clear()
    with pytest.raises(NetlinkFailed):
        kernel.link_at(BRIDGE)
    for _ in range(10_000):  # which would take minutes, if each was waited for
        with pytest.raises(NetlinkFailed):
            kernel.ports_of(BRIDGE)
    assert held.asked_for_ports == []
    assert kernel.leads_here("172.17.0.1")  # which is not behind that lock

    held.answers.set()
    until(PATIENCE_S, lambda: held.answered == 2, "that it has answered")
    until(PATIENCE_S, lambda: _answers(kernel), "that it is asked again")


def _answers(kernel: Aside) -> bool:
    try:
        return kernel.link_at(BRIDGE) is not None
    except NetlinkFailed:
        return False


def test_what_it_says_is_said_and_what_it_refuses_is_refused(held: Held) -> None:
    kernel = patient(held)
    assert list(kernel.ports_of(BRIDGE)) == list(held.ports_of(BRIDGE))
    assert kernel.default_routes() == held.default_routes()
    assert kernel.routers_are_behind(2)
    assert kernel.ports_to(["172.17.0.2"]) == held.ports_to(["172.17.0.2"])
    held.is_silent = True
    with pytest.raises(NetlinkFailed, match="silent"):
        kernel.ports_to(["172.17.0.2"])


def test_meanwhile_a_bridge_is_what_it_was_and_of_a_new_one_nothing_is_known_yet(held: Held) -> None:
    now = [0.0]
    kernel = patient(held)
    who = Who(kernel, lambda: now[0])
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS

    soon_gives_up(kernel)
    held.answers.clear()
    now[0] = NO_KEPT_S + OUTLIVED_S - 1
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS
    with pytest.raises(NotYetKnown):
        who.source("172.18.0.2", BRIDGES)
    now[0] = NO_KEPT_S + OUTLIVED_S
    with pytest.raises(NotYetKnown):
        who.source("172.17.0.2", BRIDGES)


def test_meanwhile_new_addresses_are_one_source_however_many_there_are(held: Held) -> None:
    """Else a container with many would get the seats of all others."""
    now = [0.0]
    kernel = patient(held)
    who = Who(kernel, lambda: now[0])
    (port,) = who.whose(["172.17.0.2"])

    soon_gives_up(kernel)
    held.answers.clear()
    now[0] = WHOSE_KEPT_S
    known, *new = who.whose(["172.17.0.2", "172.17.7.7", "172.17.0.3"])

    assert known == port
    assert port not in new
    assert len(set(new)) == 1


def test_many_questions_that_take_a_little_are_waited_for_no_longer_than_one(held: Held) -> None:
    """As where the lock is held in short pieces: none of them is late."""
    now, within_s, waited = [0.0], 1000.0, [0.0]  # not seconds of this machine, which may be busy

    def clock() -> float:
        return now[0]

    class Slow(Host):
        def link_at(self, index: int, /) -> Link | None:
            now[0] += within_s / 4
            waited[0] += within_s / 4
            return super().link_at(index)

    kernel = Aside(Slow(), within_s, clock)
    answered = [_answers(kernel) for _ in range(100)]
    assert answered == [True] * 4 + [False] * 96
    assert waited[0] == within_s

    now[0] += 4 * within_s
    assert [_answers(kernel) for _ in range(100)] == [True] * 2 + [False] * 98  # and then again, for a share
    now[0] += 100 * within_s
    assert [_answers(kernel) for _ in range(100)] == [True] * 4 + [False] * 96


def test_what_is_believed_for_longer_is_not_asked_for_again_at_each_connection(held: Held) -> None:
    now = [0.0]
    who = Who(patient(held), lambda: now[0])
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS
    asked = len(held.asked)

    held.is_busy = True
    now[0] = KEPT_S
    for _ in range(100):
        assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS
    assert held.asked_while_busy == 1
    assert len(held.asked) == asked


def test_a_late_answer_is_there_for_who_asks_again_and_not_for_ever(held: Held) -> None:
    now = [0.0]
    kernel = patient(held, clock=lambda: now[0])
    soon_gives_up(kernel)
    held.answers.clear()
    with pytest.raises(NetlinkFailed):
        kernel.link_at(BRIDGE)
    kernel._left_s = 0.0  # nor may it wait any more

    held.answers.set()
    until(PATIENCE_S, lambda: held.answered == 1, "that it has answered")
    assert until(PATIENCE_S, lambda: _answers(kernel), "its answer")
    assert held.answered == 1

    soon_gives_up(kernel)
    held.answers.clear()
    with pytest.raises(NetlinkFailed):
        kernel.link_at(BRIDGE)
    held.answers.set()
    until(PATIENCE_S, lambda: held.answered == 2, "that it has answered")
    now[0] += 60.0
    kernel._within_s = kernel._left_s = PATIENCE_S
    assert kernel.link_at(BRIDGE) is not None
    assert held.answered == 3  # what was so a minute ago is asked again
