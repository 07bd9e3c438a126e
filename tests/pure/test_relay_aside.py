"""A kernel that does not answer keeps nobody waiting for it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Sequence

import pytest

from agent.relay.aside import WITHIN_S, Aside
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


def test_it_is_waited_for_once_and_asked_again_when_it_has_answered(held: Held) -> None:
    kernel = Aside(held)
    assert kernel.link_at(BRIDGE) is not None

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
    kernel = Aside(held)
    assert list(kernel.ports_of(BRIDGE)) == list(held.ports_of(BRIDGE))
    assert kernel.default_routes() == held.default_routes()
    assert kernel.routers_are_behind(2)
    assert kernel.ports_to(["172.17.0.2"]) == held.ports_to(["172.17.0.2"])
    held.is_silent = True
    with pytest.raises(NetlinkFailed, match="silent"):
        kernel.ports_to(["172.17.0.2"])


def test_meanwhile_a_bridge_is_what_it_was_and_of_a_new_one_nothing_is_known_yet(held: Held) -> None:
    now = [0.0]
    who = Who(Aside(held, within_s=0.02), lambda: now[0])
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS

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
    who = Who(Aside(held, within_s=0.02), lambda: now[0])
    (port,) = who.whose(["172.17.0.2"])

    held.answers.clear()
    now[0] = WHOSE_KEPT_S
    known, *new = who.whose(["172.17.0.2", "172.17.7.7", "172.17.0.3"])

    assert known == port
    assert port not in new
    assert len(set(new)) == 1


def test_many_questions_that_take_a_little_are_waited_for_no_longer_than_one(held: Held) -> None:
    """As where the lock is held in short pieces: none of them is late."""
    now, takes_s, waited = [0.0], WITHIN_S / 4, [0.0]

    def clock() -> float:
        return now[0]

    class Slow(Host):
        def link_at(self, index: int, /) -> Link | None:
            now[0] += takes_s
            waited[0] += takes_s
            return super().link_at(index)

    kernel = Aside(Slow(), clock=clock)
    answered = [_answers(kernel) for _ in range(100)]
    assert answered == [True] * 4 + [False] * 96
    assert waited[0] == WITHIN_S

    now[0] += 4 * WITHIN_S
    assert [_answers(kernel) for _ in range(100)] == [True] * 2 + [False] * 98  # and then again, for a share
    now[0] += 3600.0
    assert [_answers(kernel) for _ in range(100)] == [True] * 4 + [False] * 96


def test_what_is_believed_for_longer_is_not_asked_for_again_at_each_connection(held: Held) -> None:
    now = [0.0]
    who = Who(Aside(held, within_s=0.02), lambda: now[0])
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS
    asked = len(held.asked)

    held.is_busy = True
    now[0] = KEPT_S
    for _ in range(100):
        assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS
    assert held.asked_while_busy == 1
    assert len(held.asked) == asked
