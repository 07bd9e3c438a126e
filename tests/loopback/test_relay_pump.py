"""Bytes through a tunnel: what comes out is what went in, whatever is slow, half closed or reset."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import os
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, cast

import msgspec
import pytest

from agent.probe.stream import Stream, Via, open_stream
from agent.relay.by_source import FEW
from agent.relay.pour import Pouring
from agent.relay.pump import CHUNK, PARTED_S, Direction, Ended, Pipes, TlsTunnel, Tunnel
from agent.relay.rounds import WITHIN_S, Rounds
from agent.values.settings import Scheme
from tests.loopback.certificates import server_tls, trust
from tests.loopback.servers import Cuts, HttpProxy, Says, Server
from tests.waiting import until_awaited

PATIENCE_S: Final = 20.0
SPOKEN: Final = bytes(range(256)) * 512  # 128 KiB


class Ends(msgspec.Struct):
    """What is at the two ends of a tunnel."""

    client: socket.socket
    server: socket.socket
    tunnel: Tunnel


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection, non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        other, _ = listening.accept()
    for each in (one, other):
        each.setblocking(False)
    return one, other


@asynccontextmanager
async def tunnel(pipes: Pipes | None = None) -> AsyncIterator[Ends]:
    client, ours = _pair()
    theirs, server = _pair()
    kept = pipes or Pipes()
    carrying = Tunnel(ours, theirs, kept)
    carrying.start()
    try:
        yield Ends(client, server, carrying)
    finally:
        carrying.finish(Ended.STOPPED)
        client.close()
        server.close()
        if pipes is None:
            kept.close()


async def sent(by: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.get_running_loop().sock_sendall(by, data)


async def received(by: socket.socket, length: int) -> bytes:
    """So many bytes; fewer if it ends before."""
    got = bytearray()
    async with asyncio.timeout(PATIENCE_S):
        while len(got) < length:
            data = await asyncio.get_running_loop().sock_recv(by, min(65536, length - len(got)))
            if not data:
                break
            got += data
    return bytes(got)


async def ended(carrying: Tunnel) -> Ended:
    async with asyncio.timeout(PATIENCE_S):
        return await asyncio.shield(carrying.ended)


def _reset(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


async def test_both_directions_at_once_in_pieces_of_any_size() -> None:
    chosen = random.Random(7)  # noqa: S311
    up, down = chosen.randbytes(5_000_000), chosen.randbytes(7_000_000)

    async def pieces(by: socket.socket, data: bytes) -> None:
        at = 0
        while at < len(data):
            size = chosen.choice([1, 7, 1400, 65536, 700_000])
            await sent(by, data[at : at + size])
            at += size

    async with tunnel() as ends:
        _, _, came_up, came_down = await asyncio.gather(
            pieces(ends.client, up), pieces(ends.server, down), received(ends.server, len(up)),
            received(ends.client, len(down)),
        )  # fmt: skip

        assert hashlib.sha256(came_up).digest() == hashlib.sha256(up).digest()
        assert hashlib.sha256(came_down).digest() == hashlib.sha256(down).digest()
        assert ends.tunnel.moved == (len(up), len(down))


async def test_a_reader_that_does_not_read_holds_back_the_sender_and_loses_nothing() -> None:
    data = random.Random(8).randbytes(24 * 1024 * 1024)  # noqa: S311
    async with tunnel() as ends:
        sending = asyncio.create_task(sent(ends.server, data))
        await until_awaited(PATIENCE_S, lambda: ends.tunnel.down.is_held_back, "held back")

        assert not sending.done()
        assert 0 < ends.tunnel.held <= CHUNK
        got = await received(ends.client, len(data))

        await sending
        assert got == data
        assert ends.tunnel.held == 0


async def test_when_much_has_been_read_it_is_looked_at_before_more_is() -> None:
    """What is read is then held by a socket of somebody who may not read."""
    looked: list[int] = []
    data = bytes(40 * 1024 * 1024)
    pipes = Pipes(look=lambda: looked.append(pipes.read))
    async with tunnel(pipes) as ends:
        await asyncio.gather(sent(ends.server, data), received(ends.client, len(data)))
        await asyncio.gather(sent(ends.client, data), received(ends.server, len(data)))

    assert set(looked) == {0}
    assert 8 <= len(looked) <= 10
    pipes.close()


async def test_an_urgent_byte_holds_up_nothing_that_comes_after_it() -> None:
    """splice(2) stops at it, though the socket is readable."""
    async with tunnel() as ends:
        await sent(ends.client, b"before")
        assert await received(ends.server, 6) == b"before"

        ends.client.send(b"!", socket.MSG_OOB)
        await sent(ends.client, SPOKEN)

        assert await received(ends.server, len(SPOKEN)) == SPOKEN
        assert ends.tunnel.moved == (6 + len(SPOKEN), 0)


async def test_nor_does_it_in_the_rest_of_a_body() -> None:
    server, ours = _pair()
    theirs, client = _pair()
    pipes = Pipes()
    moved: list[int] = []
    pouring = Pouring(ours, theirs, 1 + len(SPOKEN), pipes=pipes, moved=moved.append)
    async with asyncio.timeout(PATIENCE_S):
        all_of_it = asyncio.create_task(pouring.all(PATIENCE_S, lambda: None))
        await sent(server, b"a")
        assert await received(client, 1) == b"a"

        server.send(b"!", socket.MSG_OOB)
        await sent(server, SPOKEN + b"of what follows it")

        assert await received(client, len(SPOKEN)) == SPOKEN
        await all_of_it
    assert sum(moved) == 1 + len(SPOKEN)
    assert ours.recv(100) == b"of what follows it"
    pipes.close()
    for each in (server, ours, theirs, client):
        each.close()


async def test_who_has_sent_all_may_still_listen() -> None:
    async with tunnel() as ends:
        await sent(ends.client, b"all of it")
        ends.client.shutdown(socket.SHUT_WR)

        assert await received(ends.server, 100) == b"all of it"
        await sent(ends.server, SPOKEN)
        ends.server.shutdown(socket.SHUT_WR)

        assert await received(ends.client, len(SPOKEN) + 1) == SPOKEN
        assert await ended(ends.tunnel) is Ended.CLOSED


async def test_a_server_that_has_said_all_still_gets_the_rest() -> None:
    async with tunnel() as ends:
        ends.server.shutdown(socket.SHUT_WR)
        assert await received(ends.client, 1) == b""

        await sent(ends.client, SPOKEN)
        ends.client.shutdown(socket.SHUT_WR)

        assert await received(ends.server, len(SPOKEN) + 1) == SPOKEN
        assert await ended(ends.tunnel) is Ended.CLOSED


@pytest.mark.parametrize("who", ["client", "server"])
async def test_a_reset_is_passed_on_as_one(who: str) -> None:
    async with tunnel() as ends:
        broken, other = (ends.client, ends.server) if who == "client" else (ends.server, ends.client)
        await sent(broken, b"half of")
        assert await received(other, 7) == b"half of"

        _reset(broken)

        with pytest.raises(ConnectionResetError):
            await received(other, 1)
        assert await ended(ends.tunnel) is Ended.BROKEN


async def test_a_reset_while_the_other_end_does_not_read_is_passed_on_when_it_does() -> None:
    async with tunnel() as ends:
        sending = asyncio.create_task(sent(ends.server, bytes(24 * 1024 * 1024)))
        await until_awaited(PATIENCE_S, lambda: ends.tunnel.down.is_held_back, "held back")
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        _reset(ends.server)

        with pytest.raises(ConnectionResetError):
            await received(ends.client, 24 * 1024 * 1024)
        assert await ended(ends.tunnel) is Ended.BROKEN


async def test_a_tunnel_that_is_ended_from_outside_is_reset_on_both_sides() -> None:
    async with tunnel() as ends:
        ends.tunnel.finish(Ended.ADDRESS_GONE)

        for one in (ends.client, ends.server):
            with pytest.raises(ConnectionResetError):
                await received(one, 1)
        assert await ended(ends.tunnel) is Ended.ADDRESS_GONE


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_an_idle_tunnel_holds_two_sockets_and_nothing_else() -> None:
    pipes = Pipes()
    before = _descriptors()
    async with tunnel(pipes) as ends:
        await sent(ends.client, SPOKEN)
        assert await received(ends.server, len(SPOKEN)) == SPOKEN
        pipes.close()

        assert _descriptors() == before + 4  # our two, and the two at its ends
    assert _descriptors() == before


async def test_a_pipe_with_bytes_in_it_is_never_given_to_another_tunnel() -> None:
    pipes = Pipes()
    async with tunnel(pipes) as ends:
        sending = asyncio.create_task(sent(ends.server, b"secret" * 4_000_000))
        await until_awaited(PATIENCE_S, lambda: ends.tunnel.down.is_held_back, "held back")
        ends.tunnel.finish(Ended.IDLE)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    async with tunnel(pipes) as ends:
        await sent(ends.client, b"hello")
        assert await received(ends.server, 5) == b"hello"
        await sent(ends.server, b"world")
        assert await received(ends.client, 5) == b"world"
    pipes.close()


@contextmanager
def always_ready(folder: Path) -> Iterator[tuple[int, socket.socket]]:
    """A file has always more, and what takes it always room; sockets have so only now and then."""
    path = folder / "large"
    path.touch()
    os.truncate(path, 16 * CHUNK)
    with path.open("rb") as source, Path(os.devnull).open("wb") as sink:
        yield source.fileno(), cast("socket.socket", sink)


async def test_however_much_is_there_others_have_their_turn_after_four_megabytes(tmp_path: Path) -> None:
    async with tunnel() as ends:
        with always_ready(tmp_path) as (source, sink):
            direction = Direction(ends.tunnel, source, sink)

            direction._readable()

            assert direction.moved == 4 * 1024**2


def takes_long() -> Callable[[], float]:
    """A clock by which two turns are a round."""
    return functools.partial(next, itertools.count(step=WITHIN_S / 2))


async def most_in_a_round(moved: Callable[[], Sequence[int]]) -> int:
    """Of those that move anything each time that the loop comes round, until all have."""
    most, before = 0, moved()
    async with asyncio.timeout(PATIENCE_S):
        while not all(before):
            await asyncio.sleep(0)
            now = moved()
            most = max(most, sum(one != other for one, other in zip(before, now, strict=True)))
            before = now
    return most


async def test_however_many_have_much_to_carry_the_loop_soon_comes_round() -> None:
    """And whoever connects is served between. In the end, all of it has arrived."""
    pipes = Pipes(rounds=Rounds(clock=takes_long()))
    async with AsyncExitStack() as stack:
        several = [await stack.enter_async_context(tunnel(pipes)) for _ in range(3 * FEW)]
        for ends in several:
            ends.server.send(SPOKEN[:60_000])  # while the loop stands still
            ends.client.send(SPOKEN[:50_000])
            ends.client.shutdown(socket.SHUT_WR)

        assert await most_in_a_round(lambda: [one for ends in several for one in ends.tunnel.moved]) <= 3
        for ends in several:
            assert await received(ends.client, 60_000) == SPOKEN[:60_000]
            assert await received(ends.server, 60_000) == SPOKEN[:50_000]
    pipes.close()


async def test_who_waits_for_a_slow_reader_waits_for_its_turn_as_well() -> None:
    pipes = Pipes(rounds=Rounds(clock=takes_long()))
    async with AsyncExitStack() as stack:
        several = [await stack.enter_async_context(tunnel(pipes)) for _ in range(2 * FEW)]
        data = random.Random(9).randbytes(16 * 1024 * 1024)  # noqa: S311
        sending = [asyncio.create_task(sent(ends.server, data)) for ends in several[:4]]
        await until_awaited(PATIENCE_S, lambda: all(ends.tunnel.down.is_held_back for ends in several[:4]), "held back")
        for ends in several[4:]:
            ends.server.send(SPOKEN[:60_000])
        got = await asyncio.gather(*(received(ends.client, len(data)) for ends in several[:4]))
        assert got == [data] * 4
        await asyncio.gather(*sending)
    pipes.close()


async def test_a_tunnel_that_is_ended_while_it_waits_for_its_turn_stays_ended() -> None:
    pipes = Pipes(rounds=Rounds(clock=takes_long()))
    async with AsyncExitStack() as stack:
        several = [await stack.enter_async_context(tunnel(pipes)) for _ in range(3 * FEW)]
        for ends in several:
            ends.server.send(b"hello")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting = [ends.tunnel for ends in several if ends.tunnel.moved == (0, 0)]
        assert len(waiting) > FEW
        for one in waiting:
            one.finish(Ended.STOPPED)
        pairs = [_pair() for _ in waiting]  # with the descriptors that those had
        for _, other in pairs:
            other.send(b"y")
        others = [ends for ends in several if ends.tunnel not in waiting]
        assert [await received(ends.client, 5) for ends in others] == [b"hello"] * len(others)
        await until_awaited(PATIENCE_S, lambda: not pipes.rounds._waiting, "their turn")
        assert {one.moved for one in waiting} == {(0, 0)}
        assert {one.recv(1) for one, _ in pairs} == {b"y"}
        for each in itertools.chain(*pairs):
            assert not asyncio.get_running_loop().remove_reader(each)
            each.close()
    pipes.close()


@pytest.mark.parametrize("is_up", [True, False])
async def test_nor_do_many_tunnels_through_tls(tmp_path: Path, is_up: bool) -> None:
    said, count, rounds = SPOKEN[:30_000], 12, Rounds()
    end = Says(*[] if is_up else [said], waits=not is_up, stays=True, echoes=is_up)
    async with end, HttpProxy({"end.test:443": end}, tls=server_tls("localhost")) as proxy:
        via = Via(proxy.url(Scheme.HTTPS, "localhost"), trust(tmp_path).context())
        pairs = [_pair() for _ in range(count)]
        several = [TlsTunnel(ours, await open_stream("end.test", 443, via), rounds=rounds) for _, ours in pairs]
        running = [asyncio.create_task(one.run()) for one in several]
        await asyncio.sleep(0)
        for client, _ in pairs:
            client.send(said if is_up else b"say")

        passed_on = functools.partial(lambda place: [one.moved[place] for one in several], int(not is_up))
        assert await most_in_a_round(passed_on) <= 4
        for client, _ in pairs:
            assert await received(client, len(said)) == said
            client.close()
        for one in several:
            one.finish(Ended.STOPPED)
        await asyncio.gather(*running)


async def test_nor_do_many_bodies_that_are_poured_keep_the_loop() -> None:
    pipes, count, moved = Pipes(rounds=Rounds(clock=takes_long())), 3 * FEW, Counter[int]()
    with ExitStack() as ends:
        pouring: list[asyncio.Task[None]] = []
        for number in range(count):
            (ours, server), (client, theirs) = _pair(), _pair()
            for each in (ours, server, client, theirs):
                ends.enter_context(each)
            server.send(SPOKEN[:60_000])
            one = Pouring(ours, theirs, 60_000, pipes=pipes, moved=functools.partial(_add, moved, number))
            pouring.append(asyncio.create_task(one.all(PATIENCE_S, lambda: None)))

        # Those of the first round take what one that cannot be seen from here may.
        assert await most_in_a_round(lambda: [moved[number] for number in range(count)]) <= 6
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*pouring)
    assert set(moved.values()) == {60_000}
    pipes.close()


def _add(moved: Counter[int], number: int, count: int) -> None:
    moved[number] += count


async def test_it_goes_on_with_the_small_pipes_that_a_user_with_many_gets() -> None:
    pipes = Pipes(size=4096)
    async with tunnel(pipes) as ends:
        sending = asyncio.create_task(sent(ends.server, SPOKEN * 8))
        assert await received(ends.client, 8 * len(SPOKEN)) == SPOKEN * 8
        await sending
    assert not pipes._free


@asynccontextmanager
async def behind_tls(tmp_path: Path, end: Server) -> AsyncIterator[Stream]:
    """To this server, through an https proxy."""
    async with end, HttpProxy({"end.test:443": end}, tls=server_tls("localhost")) as proxy:
        via = Via(proxy.url(Scheme.HTTPS, "localhost"), trust(tmp_path).context())
        yield await open_stream("end.test", 443, via)


@pytest.mark.parametrize("last", ["client", "server"])
async def test_through_tls_to_a_proxy(tmp_path: Path, last: str) -> None:
    end = Says(waits=False, stays=True, echoes=True)
    async with behind_tls(tmp_path, end) as stream:
        client, ours = _pair()
        carrying = TlsTunnel(ours, stream)
        running = asyncio.create_task(carrying.run())

        sending = asyncio.create_task(sent(client, SPOKEN * 20))
        assert await received(client, 20 * len(SPOKEN)) == SPOKEN * 20
        await sending
        assert carrying.moved == (20 * len(SPOKEN), 20 * len(SPOKEN))

        assert carrying.held == 0
        if last == "client":
            _reset(client)
        else:
            carrying.finish(Ended.STOPPED)
            with pytest.raises(ConnectionResetError):
                await received(client, 1)
            client.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await running is (Ended.BROKEN if last == "client" else Ended.STOPPED)


async def test_a_server_behind_tls_that_has_said_all_is_heard_to_its_end(tmp_path: Path) -> None:
    """Though the client has not closed, and may never."""
    end = Says(b"all of it", waits=False)
    async with behind_tls(tmp_path, end) as stream:
        client, ours = _pair()
        running = asyncio.create_task(TlsTunnel(ours, stream).run())
        with client:
            assert await received(client, 1000) == b"all of it"
        async with asyncio.timeout(PATIENCE_S):
            assert await running is Ended.CLOSED


async def test_an_https_proxy_that_ends_in_the_middle_of_a_record_resets_the_client(tmp_path: Path) -> None:
    end = Says(SPOKEN, waits=False, stays=True)
    async with end, HttpProxy({"end.test:443": end}, tls=server_tls("localhost")) as proxy, Cuts(proxy) as between:
        via = Via(between.url(Scheme.HTTPS, "localhost"), trust(tmp_path).context())
        client, ours = _pair()
        running = asyncio.create_task(TlsTunnel(ours, await open_stream("end.test", 443, via)).run())
        with client, pytest.raises(ConnectionResetError):
            await received(client, len(SPOKEN))
        async with asyncio.timeout(PATIENCE_S):
            assert await running is Ended.BROKEN


async def test_what_a_client_sends_to_a_server_behind_tls_that_has_closed_fills_no_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is for nobody, and asyncio says so of each piece."""
    end = Says(b"all of it", waits=False)
    async with behind_tls(tmp_path, end) as stream:
        client, ours = _pair()
        running = asyncio.create_task(TlsTunnel(ours, stream).run())
        with client:
            assert await received(client, 1000) == b"all of it"
            await sent(client, SPOKEN * 20)
        async with asyncio.timeout(PATIENCE_S):
            assert await running is Ended.CLOSED
    assert caplog.records == []


async def test_who_has_closed_and_hears_nothing_behind_tls_keeps_no_seat(tmp_path: Path) -> None:
    """The server is not told, and may wait for ever."""
    end = Says(waits=False, stays=True, echoes=True)
    async with behind_tls(tmp_path, end) as stream:
        client, ours = _pair()
        running = asyncio.create_task(TlsTunnel(ours, stream, parted_s=0.5).run())
        with client:
            await sent(client, b"hello")
            assert await received(client, 5) == b"hello"
        async with asyncio.timeout(PATIENCE_S):
            assert await running is Ended.IDLE


class SaysLater(Says):
    """When the test wants it."""

    def __init__(self, *segments: bytes) -> None:
        super().__init__(*segments, waits=False)
        self.wanted = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.wait_for(self.wanted.wait(), PATIENCE_S)
        await super().serve(reader, writer)


async def test_who_closes_its_half_after_a_long_silence_behind_tls_is_not_taken_for_gone_at_once(
    tmp_path: Path,
) -> None:
    end = SaysLater(b"all of it")
    async with behind_tls(tmp_path, end) as stream:
        client, ours = _pair()
        tunnel = TlsTunnel(ours, stream)
        running = asyncio.create_task(tunnel.run())
        with client:
            tunnel.touched -= 2 * PARTED_S
            client.shutdown(socket.SHUT_WR)
            await until_awaited(PATIENCE_S, lambda: tunnel.is_half_closed, "that it has closed its half")
            end.wanted.set()
            assert await received(client, 1000) == b"all of it"
        async with asyncio.timeout(PATIENCE_S):
            assert await running is Ended.CLOSED


async def test_who_has_closed_its_half_and_is_slow_to_read_behind_tls_gets_all(tmp_path: Path) -> None:
    end = Says(b"x" * 8_000_000, waits=False)
    async with behind_tls(tmp_path, end) as stream:
        client, ours = _pair()
        tunnel = TlsTunnel(ours, stream)
        with client:
            client.shutdown(socket.SHUT_WR)
            running = asyncio.create_task(tunnel.run())
            await until_awaited(PATIENCE_S, lambda: tunnel.is_half_closed and tunnel._taken_down, "that it has to wait")
            tunnel.touched -= 2 * PARTED_S
            tunnel._look_whether_it_waits()
            assert 0 < tunnel.held < 512 * 1024
            assert len(await received(client, 8_000_000)) == 8_000_000
        async with asyncio.timeout(PATIENCE_S):
            assert await running is Ended.CLOSED


class Waits(Rounds):
    """Until the test lets its turn come."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()

    async def turn(self, _client: socket.socket) -> None:
        await asyncio.wait_for(self.goes_on.wait(), PATIENCE_S)


async def test_nor_is_who_has_just_read_the_last_behind_tls_taken_for_gone_however_long_that_took(
    tmp_path: Path,
) -> None:
    """The server may have more to say."""
    async with behind_tls(tmp_path, Says(b"all for now", waits=False, stays=True)) as stream:
        client, ours = _pair()
        rounds = Waits()
        tunnel = TlsTunnel(ours, stream, rounds=rounds)
        running = asyncio.create_task(tunnel.run())
        with client:
            client.shutdown(socket.SHUT_WR)
            await until_awaited(PATIENCE_S, lambda: tunnel.is_half_closed and tunnel._taken_down, "that it has to wait")
            tunnel.touched -= 2 * PARTED_S
            tunnel._look_whether_it_waits()
            assert tunnel._parting is not None
            assert tunnel._parting.when() > asyncio.get_running_loop().time() + 1  # and not all the time

            rounds.goes_on.set()
            assert await received(client, 11) == b"all for now"
            await until_awaited(PATIENCE_S, lambda: not tunnel._taken_down, "that it has read it")
            tunnel._look_whether_it_waits()

            assert not running.done()
            tunnel.finish(Ended.STOPPED)
            async with asyncio.timeout(PATIENCE_S):
                assert await running is Ended.STOPPED
