"""What ends an open connection: its address is gone, it is idle, or the other end is no more."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from typing import Final

import pytest
import pytest_asyncio

from agent.probe.dial import Address
from agent.relay.draining import HALF_OPEN_S, IDLE_S, Draining, keep_alive
from agent.relay.names import Names
from agent.relay.pump import Ended, reset
from agent.relay.weight import SENDING, SO_BUF_LOCK, Marks, Weight, held_by, narrow, share
from tests.waiting import until_awaited

PATIENCE_S: Final = 20.0
_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h


class One:
    """A connection."""

    def __init__(self, *, touched_ago_s: float = 0.0, is_half_closed: bool = False) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.end: socket.socket = socket.create_connection(listening.getsockname())
            self.client, _ = listening.accept()
        self.touched = asyncio.get_running_loop().time() - touched_ago_s
        self.is_half_closed = is_half_closed
        self.held = 0
        self.how: Ended | None = None

    def finish(self, how: Ended) -> None:
        self.how = how
        self.client.close()
        self.end.close()


class Setting:
    """Connections, on a host that has these addresses."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.draining = Draining(lambda address: address not in self.gone, sweep_s=0.05)
        self.made: list[One] = []

    def one(self, **how: float) -> One:
        made = One(**how)  # type: ignore[arg-type]
        self.made.append(made)
        self.draining.add(made)
        return made


@pytest_asyncio.fixture
async def setting() -> AsyncIterator[Setting]:
    made = Setting()
    yield made
    made.draining.close()
    for one in made.made:
        one.client.close()
        one.end.close()


async def until_ended(one: One) -> Ended:
    await until_awaited(PATIENCE_S, lambda: one.how, "its end")
    assert one.how is not None
    return one.how


async def test_what_is_idle_for_too_long_is_ended(setting: Setting) -> None:
    fresh = setting.one(touched_ago_s=IDLE_S - 60)
    idle = setting.one(touched_ago_s=IDLE_S + 1)

    assert await until_ended(idle) is Ended.IDLE
    assert fresh.how is None


async def test_what_is_half_closed_has_less_time(setting: Setting) -> None:
    whole = setting.one(touched_ago_s=HALF_OPEN_S + 1)
    half = setting.one(touched_ago_s=HALF_OPEN_S + 1, is_half_closed=True)

    assert await until_ended(half) is Ended.IDLE
    assert whole.how is None


async def test_what_has_lost_its_address_is_ended_and_the_rest_is_not(setting: Setting) -> None:
    one = setting.one()
    setting.draining._look()
    assert one.how is None

    setting.gone.add("127.0.0.1")
    setting.draining._look()

    assert one.how is Ended.ADDRESS_GONE


async def test_after_a_move_nobody_waits_for_a_name_that_was_asked_for_before_it() -> None:
    asked: list[str] = []
    answers = asyncio.Event()

    async def resolve(host: str, _port: int) -> Sequence[Address]:
        asked.append(host)
        async with asyncio.timeout(PATIENCE_S):
            await answers.wait()
        return []

    names = Names(resolve)
    draining = Draining(moved=names.forget)
    try:
        waiting = [asyncio.create_task(names.of("", "hub.test", 443))]
        await until_awaited(PATIENCE_S, lambda: asked, "the look-up")
        draining._look()
        waiting.append(asyncio.create_task(names.of("", "hub.test", 443)))
        await until_awaited(PATIENCE_S, lambda: len(asked) == 2, "another one")
        answers.set()
        await asyncio.gather(*waiting)
    finally:
        draining.close()


async def test_whose_client_has_reset_it_is_ended_though_nobody_takes_what_it_sent(setting: Setting) -> None:
    one = setting.one()
    one.end.send(b"not read")
    reset(one.end)
    one.end.close()

    assert await until_ended(one) is Ended.BROKEN


def deaf(connected: socket.socket) -> None:
    """Nothing that is sent to it arrives from now on, as where its host is gone."""
    drops = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # linux/filter.h: return 0 bytes
    program = struct.pack("HL", 1, ctypes.addressof(drops))
    connected.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


@pytest.mark.needs_root  # some kernels let nobody else put a filter on a socket
async def test_what_is_not_confirmed_for_too_long_is_ended() -> None:
    draining = Draining(lambda _: True, sweep_s=0.05, silent_ms=200)
    gone, there = One(), One()
    try:
        for one in (gone, there):
            draining.add(one)
        deaf(gone.end)
        for one in (gone, there):
            one.client.send(b"is anybody there")

        assert await until_ended(gone) is Ended.SILENT
        assert there.how is None
    finally:
        draining.close()
        for one in (gone, there):
            one.finish(Ended.CLOSED)


async def test_the_kernel_asks_now_and_then_whether_the_other_end_is_there(setting: Setting) -> None:
    one = setting.one()

    keep_alive((one.client, one.end))

    asks = (socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    assert [[each.getsockopt(*option) for option in asks] for each in (one.client, one.end)] == [[1, 20]] * 2


async def test_who_reads_nothing_for_long_is_not_taken_for_gone(setting: Setting) -> None:
    one = setting.one()
    keep_alive((one.client, one.end))
    one.client.setblocking(False)
    try:
        while True:
            one.client.send(bytes(65536))
    except BlockingIOError:
        pass
    await asyncio.sleep(0.3)  # sweeps

    assert one.how is None


async def test_the_kernels_own_limit_would_end_a_reader_that_only_waits() -> None:
    """Why it is not used (FACTS 210)."""
    one = One()
    one.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
    one.client.setblocking(False)
    try:
        while True:
            one.client.send(bytes(65536))
    except BlockingIOError:
        pass

    def error() -> int:
        return one.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    assert await until_awaited(PATIENCE_S, error, "the kernel's end") == errno.ETIMEDOUT
    one.finish(Ended.CLOSED)


async def test_it_looks_at_nothing_while_nothing_is_open(setting: Setting) -> None:
    one = setting.one(touched_ago_s=IDLE_S + 1)
    await until_ended(one)
    setting.draining.discard(one)
    await until_awaited(PATIENCE_S, lambda: setting.draining._sweeping is None, "the last sweep")


async def test_of_all_that_nobody_reads_those_end_that_there_is_no_room_for_and_what_moves_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr("agent.relay.draining._FEW", 2)
    asked_whose: list[Sequence[str]] = []

    def whose(addresses: Sequence[str]) -> Sequence[str]:
        asked_whose.append(addresses)
        return addresses

    draining = Draining(ended=said.append, marks=Marks(much=0, most=500_000, too_much=1 << 40), whose=whose)
    made = [One(touched_ago_s=1800.0) for _ in range(10)]
    try:
        for one in made:
            one.end.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    one.end.send(bytes(65536))  # and `client` is not read
        for one in made[8:]:
            one.touched = asyncio.get_running_loop().time() + PATIENCE_S
        for one in made:
            draining.add(one)

        await until_awaited(PATIENCE_S, lambda: said, "that some were ended")

        assert {one.how for one in made[8:]} == {None}
        assert Ended.TOO_HEAVY in {one.how for one in made[:8]}
        assert "connections were ended, the first of 127.0.0.1" in said[0]
        assert asked_whose[0] == []  # of the containers', which none of these is
    finally:
        draining.close()
        for one in made:
            one.client.close()
            one.end.close()


async def test_what_a_container_holds_by_many_addresses_is_added_up() -> None:
    draining = Draining(whose=lambda addresses: ["port 7"] * len(addresses))
    try:
        own, theirs = (Weight(9, "x", is_container=is_container, is_stuck=True) for is_container in (False, True))

        assert [one.whose for one in draining._by_whose([theirs, own, theirs])] == ["port 7", "", "port 7"]
    finally:
        draining.close()


async def test_while_much_is_held_buffers_have_their_share_and_then_again_what_the_kernel_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.relay.draining._FEW", 2)
    draining = Draining(marks=Marks(much=1_000_000, most=1 << 40, too_much=1 << 40))
    made = [One() for _ in range(200)]
    narrow = 2 * share(len(made))
    try:
        heavy = made[:20]
        for one in heavy:
            one.end.setblocking(False)
            one.client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    one.end.send(bytes(65536))
        for one in made:
            draining.add(one)

        await until_awaited(PATIENCE_S, lambda: {_receives(one.end) for one in made} == {narrow}, "that all are narrow")
        assert {_sends(one.client) for one in made} == {narrow}
        late = One()
        made.append(late)
        draining.add(late)
        assert _receives(late.client) == 2 * share(len(made))  # before a byte of its own has come

        for one in heavy:
            one.client.close()
        await until_awaited(PATIENCE_S, lambda: _sends(late.client) == 2 * SENDING, "that they are wide again")
        assert late.end.getsockopt(socket.SOL_SOCKET, SO_BUF_LOCK) == 0
        sends_no_more = 1  # than it is told to; what it receives is the kernel's to find out (SOCK_SNDBUF_LOCK)
        assert late.client.getsockopt(socket.SOL_SOCKET, SO_BUF_LOCK) == sends_no_more
    finally:
        draining.close()
        for one in made:
            one.client.close()
            one.end.close()


def test_who_has_the_share_of_a_few_is_sent_no_more_at_once_than_before() -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENDING)
        before = _sends(client)

        narrow([client], share(10))

        assert _sends(client) == before
        narrow([client], share(1000))
        assert _sends(client) == 2 * share(1000) < before


async def test_what_others_of_this_kernel_hold_leaves_no_less_room_and_what_is_open_does() -> None:
    marks = Marks(much=16_000_000, most=16_000_000, too_much=1 << 40)
    draining = Draining(marks=marks)
    made: list[One] = []
    try:
        while sum(held_by((one.client, one.end)) for one in made) <= 2 * marks.most:
            made.append(_filled())
            made[-1].touched += PATIENCE_S  # it is not taken for stuck, and ended

        assert draining.room() == marks.most
        draining.add(made[0])
        draining._weighed_at = float("-inf")
        assert draining.room() == max(0, marks.most - held_by((made[0].client, made[0].end))) < marks.most
        for one in made[1:]:
            draining.add(one)
        draining._weighed_at = float("-inf")
        assert draining.room() == 0
    finally:
        draining.close()
        for one in made:
            one.client.close()
            one.end.close()


async def test_what_this_process_holds_counts_though_the_kernel_holds_nothing() -> None:
    """As behind an https proxy, where what is read must be decrypted."""
    draining = Draining(marks=Marks(much=1_000_000, most=2_000_000, too_much=1 << 40))
    light, heavy = One(touched_ago_s=60), One(touched_ago_s=60)
    heavy.held = 2_000_001
    try:
        for one in (light, heavy):
            draining.add(one)

        assert draining.room() == 0
        draining.weigh()

        assert (light.how, heavy.how) == (None, Ended.TOO_HEAVY)
    finally:
        draining.close()
        for one in (light, heavy):
            one.client.close()
            one.end.close()


def _filled() -> One:
    """One whose client is sent all that it takes, and reads nothing."""
    one = One()
    one.end.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            one.end.send(bytes(65536))
    return one


def _receives(one: socket.socket) -> int:
    return one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def _sends(one: socket.socket) -> int:
    return one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
