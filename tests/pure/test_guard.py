"""A guard in front of a proxy on loopback: who is let through to, and what happens between two looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from agent.probe.exchange import DialogueFailed
from agent.probe.guard import Guard
from agent.values.errors import AgentError
from agent.values.listening import Listener
from agent.values.vantage import HOST, Vantage
from agent.values.verdict import Outcome

PORT = 7890
ALICE, BOB = 1000, 1001
HERE, OTHER = "127.0.0.1", "::1"


def on(address: str, uid: int = ALICE, cookie: int = 1, interface: int = 0) -> Listener:
    return Listener(address, PORT, uid, cookie, interface=interface)


class Host:
    """Where there are alice and bob, and somebody else listens at each look."""

    def __init__(self, *looks: Sequence[Listener] | AgentError) -> None:
        self._looks = list(looks)

    def listeners(self, port: int, addresses: Iterable[str]) -> Sequence[Listener]:
        look = self._looks.pop(0)
        if isinstance(look, AgentError):
            raise look
        return [one for one in look if one.port == port]

    def uid(self, name: str) -> int | None:
        return {"alice": ALICE, "bob": BOB}.get(name)

    def name(self, uid: int) -> str:
        return {ALICE: "alice", BOB: "bob"}.get(uid, "")


async def refusal(
    owner: str, *looks: Sequence[Listener] | AgentError, at: Sequence[str] = (HERE,), vantage: Vantage = HOST
) -> tuple[str, str]:
    """How it ends for somebody who connects to the first of these addresses."""
    guard = Guard(owner, Host(*looks), vantage)
    try:
        before = await guard.admitted(at, PORT)
        await guard.check_still(before, at[0], PORT)
    except DialogueFailed as failure:
        return failure.outcome.value, failure.evidence
    return Outcome.OK.value, ""


@pytest.mark.parametrize(
    ("owner", "look", "at", "ending"),
    [
        pytest.param("alice", [on(HERE)], [HERE], ("ok", ""), id="the-owners"),
        pytest.param("alice", [on("0.0.0.0")], [HERE], ("ok", ""), id="on-all-addresses"),
        pytest.param("alice", [on(HERE), on(OTHER)], [HERE, OTHER], ("ok", ""), id="on-both-of-localhost"),
        pytest.param("alice", [on(HERE)], [HERE, OTHER], ("ok", ""), id="on-one-of-localhost"),
        pytest.param("alice", [on(HERE), on("172.17.0.1", BOB)], [HERE], ("ok", ""), id="another-address-does-not-matter"),
        pytest.param("alice", [on(HERE, BOB)], [HERE], ("refused", "alice's is expected; bob listens"), id="somebody-elses"),
        pytest.param("alice", [on(HERE, 1234)], [HERE], ("refused", "alice's is expected; user 1234 listens"), id="somebody-without-a-name"),
        pytest.param("alice", [on(HERE), on(OTHER, BOB)], [HERE, OTHER], ("refused", "alice's is expected; bob listens"), id="somebody-elses-half-of-localhost"),
        pytest.param("alice", [on(HERE, BOB), on(OTHER, 1234)], [HERE, OTHER], ("refused", "alice's is expected; bob and user 1234 listen"), id="two"),
        pytest.param("carol", [on(HERE)], [HERE], ("refused", "carol's is expected (there is no such user); alice listens"), id="an-owner-that-is-not"),
        pytest.param("alice", [], [HERE], ("refused", "nothing listens there"), id="nobody"),
        pytest.param("alice", [on(HERE)], ["10.0.0.1"], ("refused", "not on loopback, where alice's is expected"), id="elsewhere"),
        pytest.param("alice", AgentError("netlink", "no answer"), [HERE], ("error", "cannot tell who listens there: netlink: no answer"), id="not-known"),
    ],
)  # fmt: skip
async def test_who_is_let_through_to(
    owner: str, look: Sequence[Listener] | AgentError, at: list[str], ending: tuple[str, str]
) -> None:
    assert await refusal(owner, look, look, at=at) == ending


@pytest.mark.parametrize(
    ("after", "ending"),
    [
        pytest.param([on(HERE)], ("ok", ""), id="nobody-moved"),
        pytest.param([on(HERE), on(HERE, cookie=2)], ("ok", ""), id="another-worker-of-hers"),
        pytest.param([on(HERE, BOB, 2)], ("refused", "alice's is expected; bob listens"), id="somebody-took-the-port"),
        pytest.param([], ("refused", "nothing listens there"), id="gone"),
        pytest.param(
            [on(HERE, cookie=2)],
            ("error", "alice began to listen while connecting; nothing was sent"),
            id="somebody-may-have-been-there-in-between",
        ),
    ],
)
async def test_whoever_came_in_between_is_told_nothing(after: list[Listener], ending: tuple[str, str]) -> None:
    assert await refusal("alice", [on(HERE)], after) == ending


@pytest.mark.parametrize(
    ("address", "look", "ending"),
    [
        pytest.param("10.0.2.2", [on(HERE)], ("ok", ""), id="the-gateway-leads-to-the-owners"),
        pytest.param("10.0.2.2", [on(HERE, BOB)], ("refused", "alice's is expected; bob listens"), id="the-gateway-leads-to-somebody-elses"),
        pytest.param(HERE, [on(HERE)], ("refused", "not on loopback, where alice's is expected"), id="a-loopback-of-its-own-is-not-the-owners"),
        pytest.param("10.0.2.3", [on(HERE)], ("refused", "not on loopback, where alice's is expected"), id="elsewhere"),
    ],
)  # fmt: skip
async def test_who_is_let_through_to_from_a_network_of_dockers_own(
    address: str, look: Sequence[Listener], ending: tuple[str, str]
) -> None:
    there = Vantage(is_host=False, gateway="10.0.2.2")

    assert await refusal("alice", look, look, at=[address], vantage=there) == ending
