"""A kernel that does not answer keeps nobody waiting for it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from agent.relay.aside import Aside
from agent.relay.who import KEPT_S, NO_KEPT_S, OUTLIVED_S, WHOSE_KEPT_S, End, NotYetKnown, Untold, Who
from agent.see.netlink import NetlinkFailed, Reached
from agent.see.netlink_messages import Link
from agent.values.relay import Source, bridge_of
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
            raise NotYetKnown
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
    kernel.links.within_s = kernel.links.left_s = 0.02


def test_it_is_waited_for_once_and_asked_again_when_it_has_answered(held: Held) -> None:
    kernel = patient(held)
    assert kernel.link_at(BRIDGE) is not None

    soon_gives_up(kernel)
    held.answers.clear()
    with pytest.raises(NotYetKnown):
        kernel.link_at(BRIDGE)
    for _ in range(10_000):  # which would take minutes, if each was waited for
        with pytest.raises(NotYetKnown):
            kernel.ports_of(BRIDGE)
    assert held.asked_for_ports == []
    assert kernel.leads_here("172.17.0.1")  # which is not behind that lock

    held.answers.set()
    until(PATIENCE_S, lambda: held.answered == 2, "that it has answered")
    until(PATIENCE_S, lambda: _answers(kernel), "that it is asked again")


def _answers(kernel: Aside, index: int = BRIDGE) -> bool:
    try:
        kernel.link_at(index)
    except NotYetKnown:
        return False
    return True


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


def test_meanwhile_what_the_agent_says_of_a_bridge_holds_at_once_and_the_bridge_is_what_it_was(held: Held) -> None:
    bridge, other = bridge_of(BRIDGE, f"if{BRIDGE}"), "99 br-0123456789ab"
    who = Who(held, lambda: 0.0)
    who.keep_out([], told=[bridge])
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS

    held.is_busy = True

    assert who.keep_out([], told=[bridge, other])  # as with each new network
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS
    assert who.keep_out([f"if{BRIDGE}"], told=[bridge, other])
    assert who.source("172.17.0.2", BRIDGES) is None
    assert who.is_guest("172.17.0.2")
    assert who.keep_out([], told=[])
    with pytest.raises(Untold):
        who.source("172.17.0.2", BRIDGES)
    who.let_in(other)
    with pytest.raises(Untold):
        who.source("172.17.0.2", BRIDGES)
    who.let_in(bridge)
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS


def test_meanwhile_the_first_container_of_a_bridge_waits_and_is_not_refused(held: Held) -> None:
    who = Who(held, lambda: 0.0)
    assert who.source("10.8.0.2", BRIDGES) is None  # nobody is there

    held.is_busy = True

    with pytest.raises(NotYetKnown):
        who.source("10.8.0.2", BRIDGES)


def test_meanwhile_new_addresses_are_one_source_however_many_there_are(held: Held) -> None:
    """Else a container with many would get the seats of all others."""
    now = [0.0]
    kernel = patient(held)
    who = Who(kernel, lambda: now[0])
    (port,) = who.whose(["172.17.0.2"])

    soon_gives_up(kernel)
    held.answers.clear()
    now[0] = WHOSE_KEPT_S
    known, one, other, at_another_bridge = who.whose(["172.17.0.2", "172.17.7.7", "172.17.0.3", "172.18.0.2"])

    assert known == port
    assert one == other
    assert len({known, one, at_another_bridge}) == 3


def test_many_questions_that_take_a_little_are_waited_for_no_longer_than_one(held: Held) -> None:
    """As where the lock is held in short pieces: none of them is late."""
    now, within_s, in_time = [0.0], 1000.0, [0]  # not seconds of this machine, which may be busy
    goes_on = threading.Event()

    def clock() -> float:
        return now[0]

    class Slow(Host):
        def link_at(self, index: int, /) -> Link | None:
            if not in_time[0]:
                assert goes_on.wait(PATIENCE_S)
                return None
            in_time[0] -= 1
            now[0] += within_s / 4
            return super().link_at(index)

    kernel, indexes = Aside(Slow(), within_s, clock), itertools.count()

    def are_waited_for(count: int) -> bool:
        in_time[0] = count
        goes_on.clear()
        answered = [_answers(kernel, index) for index in itertools.islice(indexes, 100)]
        goes_on.set()
        until(PATIENCE_S, kernel.links.pending["link"].answer.done, "the answer that nobody waited for")
        return answered == [True] * count + [False] * (100 - count)

    assert are_waited_for(4)
    now[0] += 4 * within_s
    assert are_waited_for(2)  # and then again, for a share
    now[0] += 100 * within_s
    assert are_waited_for(4)


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
    with pytest.raises(NotYetKnown):
        kernel.link_at(BRIDGE)
    kernel.links.left_s = 0.0  # nor may it wait any more

    held.answers.set()
    until(PATIENCE_S, lambda: held.answered == 1, "that it has answered")
    assert until(PATIENCE_S, lambda: _answers(kernel), "its answer")
    assert _answers(kernel)
    assert held.answered == 1

    now[0] += 60.0
    kernel.links.within_s = kernel.links.left_s = PATIENCE_S
    assert kernel.link_at(BRIDGE) is not None
    assert held.answered == 2  # what was so a minute ago is asked again


def test_what_takes_several_questions_is_known_in_the_end_though_each_is_late(held: Held) -> None:
    now = [0.0]
    kernel = patient(held, clock=lambda: now[0])
    kernel.links.within_s = kernel.links.left_s = 0.0
    for _ in range(3):  # what it is, its ports, the default routes
        with pytest.raises(NotYetKnown):
            Who(kernel).source("172.18.0.2", BRIDGES)
        until(
            PATIENCE_S, lambda: all(one.answer.done() for one in kernel.links.pending.values()), "that it has answered"
        )

    assert Who(kernel).source("172.18.0.2", BRIDGES) is Source.CONTAINERS


def test_whoever_asks_much_of_one_kind_does_not_keep_others_from_asking(held: Held) -> None:
    """As where a container connects from hundreds of addresses."""
    kernel = patient(held)
    soon_gives_up(kernel)
    held.answers.clear()
    for each in ("172.17.0.2", "172.17.7.7", "172.17.0.3"):
        with pytest.raises(NotYetKnown):
            kernel.ports_to([each])
    with pytest.raises(NotYetKnown):
        kernel.link_at(BRIDGE)

    held.answers.set()

    until(PATIENCE_S, lambda: held.answered == 1, "that it was asked for the link")
    until(PATIENCE_S, lambda: _answers(kernel), "its answer")
    assert held.answered == 1
    assert held.asked_whose == ["172.17.0.2"]


def test_before_linux_6_9_questions_about_connections_keep_nobody_waiting_either() -> None:
    """There, they all wait for each other, and anybody's may take seconds."""
    may_answer = threading.Event()

    class Slow(Host):
        def owner_of(self, near: End, far: End, /) -> int | None:
            assert may_answer.wait(PATIENCE_S)
            return super().owner_of(near, far)

    slow, ends = Slow(), (("127.0.0.1", 40000), ("127.0.0.1", 3130))
    slow.owner = 0
    kernel = Aside(slow, PATIENCE_S, release="6.1.0-18-amd64")
    assert kernel.connections is not None
    kernel.connections.within_s = kernel.connections.left_s = 0.02
    who = Who(kernel)
    for _ in range(10_000):
        assert who.are_roots([ends]) == [False]
    assert not who.is_roots(*ends)
    assert who.source("172.17.0.2", BRIDGES) is Source.CONTAINERS  # which has nothing to do with that

    may_answer.set()
    until(PATIENCE_S, lambda: who.are_roots([ends]) == [True], "that it is asked again")
    until(PATIENCE_S, lambda: who.is_roots(*ends), "that it is asked again")


@pytest.mark.parametrize(
    ("release", "is_asked_for_aside"),
    [
        ("6.18.44-fc", False),
        ("6.9.0", False),
        ("10.0", False),
        ("6.8.0-31-generic", True),
        ("5.15.0", True),
        ("x", True),
    ],
)
def test_from_then_on_they_are_asked_for_at_once(release: str, *, is_asked_for_aside: bool) -> None:
    assert (Aside(Host(), release=release).connections is not None) is is_asked_for_aside
