"""Requests for whole URLs through real sockets: several on one connection, bodies both ways, and every early end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from agent.probe.dial import Address
from agent.probe.stream import StreamFailed, Via, open_stream
from agent.relay.by_source import FEW
from agent.relay.client import Client
from agent.relay.conversation import Conversation, Request
from agent.relay.forward import ByOrders, Forwarding, Opener, Result, Shared, Turn
from agent.relay.limits import ROOTS
from agent.relay.open import NotOpened, Opened, Opening
from agent.relay.pump import Pipes, reset
from agent.relay.refusals import no_way
from agent.relay.turns import Turns
from agent.relay.ways import Way, Ways
from agent.relay.where import Near
from agent.values.relay import Orders, RelayUpstream, Source
from agent.values.secret import Secret
from agent.values.settings import Credentials, ProxyUrl, Scheme
from tests.loopback.servers import HOST, PATIENCE_S, Server, basic, closed_port
from tests.waiting import until_awaited

NAME = b"relay-1"
LARGE = bytes(range(256)) * 32768  # 8 MB, more than all buffers between


class Directly:
    """Opens to the host that is asked for."""

    async def open(self, request: Request) -> Opened:
        try:
            return Opened(Way("direct"), await open_stream(request.host, request.port, Via()))
        except StreamFailed as failure:
            raise NotOpened(no_way("direct", failure.evidence)) from failure

    async def may_follow(self, request: Request, kept: Opened) -> bool:
        return True

    def note_refused(self, request: Request, way: Way, evidence: str) -> None:
        raise AssertionError(evidence)


class Bare(Directly):
    """As most ways are: a socket from which the rest of a large body goes on without a copy."""

    async def open(self, request: Request) -> Opened:
        connected = socket.socket()
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, (request.host, request.port))
        return Opened(Way("direct"), connected)


class Relay:
    """As the process will be, for whole URLs only. Keeps how each connection ended."""

    def __init__(self, opener: Opener | None = None, look_s: float = 30, leaves_s: float = 0.02) -> None:
        self.opener = opener or Directly()
        self.ended: list[Result | None] = []
        self._shared = Shared(NAME, Pipes(), Turns(), look_s, leaves_s)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[socket.socket]:
        """A client's socket, and at its other end the relay."""
        theirs, ours = await _pair()
        serving = asyncio.create_task(self._serve(theirs))
        try:
            with ours:
                async with asyncio.timeout(PATIENCE_S):
                    yield ours
        finally:
            async with asyncio.timeout(PATIENCE_S):
                await serving

    async def _serve(self, connected: socket.socket) -> None:
        conversation, client = Conversation(), Client(connected)
        forwarding = Forwarding(conversation, client, self.opener, shared=self._shared)
        result: Result | None = Result.NEXT
        while result is Result.NEXT:
            event = conversation.next_event()
            if isinstance(event, Request):
                result = await forwarding.carry(event)
            elif event is None:
                conversation.receive(await client.read())
            else:
                result = None
        self.ended.append(result)
        if result is Result.TUNNEL:
            await self._tunnel(client, forwarding)
        elif result is Result.RESET:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connected.close()
        else:
            await client.part()
        await forwarding.aclose()

    async def _tunnel(self, client: Client, forwarding: Forwarding) -> None:
        end = forwarding.switched()
        async with asyncio.TaskGroup() as tasks:
            back = tasks.create_task(_copy(end.read, client.write))
            await _copy(client.read, end.write)
            back.cancel()
        client.connected.close()


async def _copy(read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]) -> None:
    while data := await read():
        await write(data)


async def _pair() -> tuple[socket.socket, socket.socket]:
    loop = asyncio.get_running_loop()
    with socket.create_server((HOST, 0)) as listener:
        listener.setblocking(False)
        ours = socket.socket()
        ours.setblocking(False)
        await loop.sock_connect(ours, listener.getsockname())
        theirs, _ = await loop.sock_accept(listener)
    return theirs, ours


class Origin(Server):
    """Takes a head for each of the answers, says it, and closes after the last one if there are no more."""

    def __init__(self, *answers: bytes, stays: bool = True) -> None:
        super().__init__()
        self._answers = answers
        self._stays = stays

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in self._answers:
            await self.head(reader)
            writer.write(answer)
            await writer.drain()
        if self._stays:
            await reader.read()


def answer(body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), headers, body)


def asking(server: Server, method: bytes = b"GET", headers: bytes = b"") -> bytes:
    end = f"{HOST}:{server.port}".encode()
    return b"%s http://%s/ HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, end, end, headers)


async def say(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


async def hear(client: socket.socket, end: bytes = b"") -> bytes:
    """Up to these bytes, or all of it."""
    loop = asyncio.get_running_loop()
    heard = b""
    while not (end and heard.endswith(end)) and (data := await loop.sock_recv(client, 1 << 20)):
        heard += data
    return heard


async def test_requests_to_one_host_share_a_connection() -> None:
    relay = Relay()
    async with Origin(answer(b"one"), answer(b"two")) as origin, relay.connected() as client:
        await say(client, asking(origin) + asking(origin))

        assert (await hear(client, b"two")).count(b"HTTP/1.1 200 OK") == 2
        assert origin.accepted == 1


async def test_what_may_switch_takes_no_connection_of_another_request_and_leaves_none() -> None:
    """By a proxy it goes in a tunnel, which is opened for it alone."""
    relay = Relay()
    async with Origin(answer(b"one")) as origin, relay.connected() as client:
        for number, headers in enumerate((b"", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b""), 1):
            await say(client, asking(origin, headers=headers))
            await hear(client, b"one")
            assert origin.accepted == number


async def test_another_host_gets_a_connection_of_its_own() -> None:
    relay = Relay()
    async with Origin(answer(b"one")) as first, Origin(answer(b"two")) as second, relay.connected() as client:
        await say(client, asking(first) + asking(second))

        await hear(client, b"two")
        assert (first.accepted, second.accepted) == (1, 1)
        await first.until_nobody_is_connected()


def corp(server: Server) -> Ways:
    url = ProxyUrl(Scheme.HTTP, HOST, server.port, Credentials("corp\\me", Secret("p@ss")))
    return Ways(Orders(1, (RelayUpstream("corp", url, url),)))


class AsTold:
    """By orders that the test changes, for a container, and names that resolve to what it says."""

    def __init__(self, ways: Ways, source: Source = Source.CONTAINERS) -> None:
        self.ways = ways
        self.address = "192.0.2.7"
        opening = Opening(self, Near([].__contains__, [].__contains__), resolve=self._resolve)
        self.opener = ByOrders(opening, lambda: self.ways, source=source, peer="172.17.0.2")

    async def _resolve(self, host: str, port: int) -> Sequence[Address]:
        return [(socket.AF_INET, (self.address, port))]

    def note_failed(self, upstream: str, failure: StreamFailed, used: str = "", /) -> None:
        raise AssertionError(failure)


async def test_a_proxy_is_asked_for_the_whole_url_with_its_own_password() -> None:
    async with Origin(answer(b"one"), answer(b"two")) as proxy:
        async with Relay(AsTold(corp(proxy)).opener).connected() as client:
            theirs = b"Proxy-Authorization: Basic dGhlaXJz\r\n"
            await say(client, b"GET http://end.test/x HTTP/1.1\r\nHost: end.test\r\n" + theirs + b"\r\n")
            await hear(client, b"one")

        assert proxy.heads[0].startswith(b"GET http://end.test/x HTTP/1.1\r\nHost: end.test\r\n")
        assert basic("corp\\me", "p@ss") in proxy.heads[0]
        assert theirs not in proxy.heads[0]


async def test_a_new_way_is_taken_by_the_next_request() -> None:
    async with Origin(answer(b"one"), answer(b"two")) as first, Origin(answer(b"three")) as second:
        told = AsTold(corp(first))
        async with Relay(told.opener).connected() as client:
            asked = b"GET http://end.test/ HTTP/1.1\r\nHost: end.test\r\n\r\n"
            for said in (b"one", b"two"):
                await say(client, asked)
                await hear(client, said)
            assert first.accepted == 1

            told.ways = corp(second)
            await say(client, asked)
            await hear(client, b"three")
        assert first.accepted == second.accepted == 1


async def test_a_name_that_leads_here_by_now_is_refused_on_a_connection_that_is_kept_too() -> None:
    """The proxy is on this host, and looks the name up for each request: what it finds is as near to it as to us."""
    async with Origin(answer(b"one"), answer(b"two")) as proxy:
        told = AsTold(corp(proxy))
        async with Relay(told.opener).connected() as client:
            asked = b"GET http://end.test/ HTTP/1.1\r\nHost: end.test\r\n\r\n"
            await say(client, asked)
            await hear(client, b"one")

            told.address = "127.0.0.1"
            await say(client, asked)
            assert (await hear(client)).startswith(b"HTTP/1.1 403 end.test is loopback\r\n")
        assert len(proxy.heads) == 1


async def test_a_page_of_the_proxys_own_is_refused_by_the_path_that_is_asked_for() -> None:
    async with Origin(answer(b"secrets")) as squid:
        told = AsTold(corp(squid))
        async with Relay(told.opener).connected() as client:
            await say(client, b"GET http://end.test/squid-internal-mgr/info HTTP/1.1\r\nHost: end.test\r\n\r\n")

            assert (await hear(client)).startswith(b"HTTP/1.1 403 end.test is asked for a page of Squid itself")
        assert squid.accepted == 0


async def test_a_server_that_closes_after_its_answer_is_asked_on_a_new_connection() -> None:
    relay = Relay()
    async with Origin(answer(b"one"), stays=False) as origin, relay.connected() as client:
        for _ in range(3):
            await say(client, asking(origin))
            assert (await hear(client, b"one")).startswith(b"HTTP/1.1 200")

        assert origin.accepted == 3


async def test_nor_does_one_that_closes_as_the_next_request_comes_lose_it() -> None:
    """Nobody knows whether the server has seen it: only what can be repeated goes over a kept connection."""
    relay = Relay()
    async with Origin(answer(b"one"), b"", stays=False) as origin, relay.connected() as client:
        for _ in range(2):
            await say(client, asking(origin))
            assert (await hear(client, b"one")).startswith(b"HTTP/1.1 200")

        assert (len(origin.heads), origin.accepted) == (3, 2)


class ResetsTheSecond(Server):
    """Resets the connection at the second request on it, as many do with one that was idle."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.head(reader)
        writer.write(answer(b"one"))
        await writer.drain()
        await self.head(reader)
        reset(writer.get_extra_info("socket"))
        writer.transport.abort()


async def test_nor_one_that_resets_it_then() -> None:
    relay = Relay()
    async with ResetsTheSecond() as origin, relay.connected() as client:
        for _ in range(2):
            await say(client, asking(origin))
            assert (await hear(client, b"one")).startswith(b"HTTP/1.1 200")

        assert origin.accepted == 2


@pytest.mark.parametrize("method", [b"POST", b"GET"])
async def test_what_cannot_be_repeated_gets_a_new_connection(method: bytes) -> None:
    """Nor is a body."""
    relay = Relay()
    async with Origin(answer(b"one"), answer(b"two")) as origin, relay.connected() as client:
        await say(client, asking(origin))
        await hear(client, b"one")
        await say(client, asking(origin, method, b"Content-Length: 0\r\n"))
        await hear(client, b"one")

        assert origin.accepted == 2


class SaysMore(Server):
    """After its answer another one, when the test wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted = asyncio.Event()
        self.said = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.head(reader)
        writer.write(answer(b"one"))
        async with asyncio.timeout(PATIENCE_S):
            await self.wanted.wait()
        writer.write(answer(b"unasked"))
        self.said.set()
        await reader.read()


@pytest.mark.parametrize("is_bare", [True, False], ids=["socket", "stream"])
async def test_what_comes_unasked_is_no_answer_to_the_next_request(is_bare: bool) -> None:
    direct = AsTold(Ways(Orders(1, (RelayUpstream("direct"),))), Source.LOOPBACK)
    relay = Relay(direct.opener if is_bare else Directly())
    async with SaysMore() as origin, relay.connected() as client:
        await say(client, asking(origin))
        await hear(client, b"one")
        origin.wanted.set()
        async with asyncio.timeout(PATIENCE_S):
            await origin.said.wait()

        await say(client, asking(origin))

        assert b"unasked" not in await hear(client, b"one")
        assert origin.accepted == 2


class Takes(Server):
    """Takes a whole body, and says it again."""

    def __init__(self, length: int = len(LARGE)) -> None:
        super().__init__()
        self._length = length

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.head(reader)
        body = await reader.readexactly(self._length)
        writer.write(answer(body))
        await writer.drain()
        await reader.read()


async def test_large_bodies_go_both_ways() -> None:
    relay = Relay()
    async with Takes() as origin, relay.connected() as client:
        headers = b"Content-Length: %d\r\n" % len(LARGE)
        saying = asyncio.create_task(say(client, asking(origin, b"PUT", headers) + LARGE))
        heard = await hear(client, LARGE[-512:])
        await saying

        assert heard.partition(b"\r\n\r\n")[2] == LARGE


either_way = pytest.mark.parametrize("opener", [Directly(), Bare()], ids=["copied", "poured"])


@either_way
async def test_large_answers_follow_each_other_on_one_connection(opener: Opener) -> None:
    relay = Relay(opener)
    async with Origin(answer(LARGE), answer(LARGE), answer(b"end")) as origin, relay.connected() as client:
        await say(client, asking(origin) * 3)

        heard = await hear(client, b"\r\n\r\nend")

        assert heard.count(LARGE) == 2
        assert origin.accepted == 1


@either_way
async def test_after_a_large_answer_the_server_may_close(opener: Opener) -> None:
    relay = Relay(opener)
    last = answer(LARGE, b"Connection: close\r\n")
    async with Origin(last, stays=False) as origin, relay.connected() as client:
        for _ in range(2):
            await say(client, asking(origin))
            assert (await hear(client, LARGE[-512:])).endswith(LARGE)

        assert origin.accepted == 2


@either_way
async def test_half_a_large_answer_is_no_answer(opener: Opener) -> None:
    relay = Relay(opener)
    async with Origin(answer(LARGE)[:-1], stays=False) as origin, relay.connected() as client:
        await say(client, asking(origin))
        with pytest.raises(ConnectionResetError):
            await hear(client)


@either_way
async def test_who_goes_in_the_middle_of_a_large_answer_is_not_waited_for(opener: Opener) -> None:
    relay = Relay(opener)
    async with Origin(answer(LARGE) + LARGE) as origin:
        async with relay.connected() as client:
            await say(client, asking(origin))
            await asyncio.get_running_loop().sock_recv(client, 1000)
        await origin.until_nobody_is_connected()
    assert relay.ended == [Result.RESET]


@either_way
async def test_who_reads_slowly_gets_all_of_a_large_answer(opener: Opener) -> None:
    relay = Relay(opener, look_s=0.01)  # so it is looked often, and nobody is given up
    async with Origin(answer(LARGE)) as origin, relay.connected() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        await say(client, asking(origin))
        await asyncio.sleep(0.1)

        assert (await hear(client, LARGE[-512:])).endswith(LARGE)


class Declines(Server):
    """Answers as soon as it has the head."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.head(reader)
        writer.write(b"HTTP/1.1 413 Too large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        await writer.drain()


async def test_an_answer_before_the_end_of_the_body_arrives() -> None:
    relay = Relay()
    async with Declines() as origin, relay.connected() as client:
        await say(client, asking(origin, b"PUT", b"Content-Length: 99999\r\n") + b"x" * 1000)

        heard = await hear(client)

        assert heard.startswith(b"HTTP/1.1 413 Too large\r\n")
        assert heard.endswith(b"no")
    assert relay.ended == [Result.PART]


async def test_who_sends_no_more_gets_its_answer() -> None:
    relay = Relay()
    async with Origin(answer(b"one")) as origin, relay.connected() as client:
        await say(client, asking(origin))
        client.shutdown(socket.SHUT_WR)

        assert (await hear(client)).endswith(b"one")


async def test_who_is_gone_is_not_waited_for() -> None:
    relay = Relay(look_s=0.05)
    async with Origin(b"") as origin:
        async with relay.connected() as client:
            await say(client, asking(origin))
            await origin.until_asked()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await origin.until_nobody_is_connected()
    assert relay.ended == [Result.RESET]


async def test_who_is_gone_in_the_middle_of_its_body_takes_the_request_along() -> None:
    relay = Relay()
    async with Origin(b"") as origin:
        async with relay.connected() as client:
            await say(client, asking(origin, b"PUT", b"Content-Length: 9\r\n") + b"half")
            await origin.until_asked()
        await origin.until_nobody_is_connected()
    assert relay.ended == [Result.RESET]


class Hesitates(Opened):
    """Takes a head, and more only when the test wants it; then it answers."""

    def __init__(self, over: socket.socket) -> None:
        super().__init__(Way("direct"), over)
        self.is_asked = False
        self.wanted = asyncio.Event()
        self.came = 0

    async def read(self) -> bytes:
        await self._until_wanted()
        return answer(b"", b"Connection: close\r\n")

    async def write(self, data: bytes) -> None:
        if self.is_asked:
            await self._until_wanted()
            self.came += len(data)
        self.is_asked = True

    async def _until_wanted(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.wanted.wait()


@pytest.mark.parametrize("how", ["reset", "closed", "whole"])
async def test_an_upload_that_nobody_takes_ends_with_its_client_unless_it_has_sent_all(how: str) -> None:
    body = LARGE[:100_000]
    theirs, end = socket.socketpair()
    hesitates = Hesitates(theirs)
    relay = Relay(Given(hesitates))
    with theirs, end:
        async with relay.connected() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            await say(client, b"PUT http://end.test/ HTTP/1.1\r\nHost: end.test\r\nContent-Length: 100000\r\n\r\n")
            await until_awaited(PATIENCE_S, lambda: hesitates.is_asked, "the head")
            await say(client, body if how == "whole" else body[:-1])
            if how == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif how == "whole":
                client.shutdown(socket.SHUT_WR)
                await asyncio.sleep(0.2)  # it is looked at some times
                assert relay.ended == []
                hesitates.wanted.set()
                await hear(client)
    assert relay.ended == [Result.PART if how == "whole" else Result.RESET]


async def test_who_sends_the_rest_of_its_body_and_no_more_is_there_while_that_is_read() -> None:
    """Between the kernel and whoever waits for the read, it looks as if half of it had not come."""
    relay = Relay(leaves_s=0)
    async with Takes(9) as origin, relay.connected() as client:
        await say(client, asking(origin, b"PUT", b"Content-Length: 9\r\n") + b"half")
        await origin.until_asked()
        client.send(b"of it")
        client.shutdown(socket.SHUT_WR)

        assert (await hear(client)).endswith(b"halfof it")


@pytest.mark.parametrize(
    ("is_half_closed", "silent_s", "ends"),
    [(True, 200, False), (True, 300, True), (False, 3000, False), (False, 3600, True)],
)
async def test_an_answer_that_does_not_come_is_waited_for_no_longer_by_who_may_be_gone(
    is_half_closed: bool, silent_s: float, ends: bool
) -> None:
    ours, theirs = await _pair()
    end, _end = socket.socketpair()
    hesitates = Hesitates(end)
    conversation = Conversation()
    conversation.receive(b"GET http://end.test/ HTTP/1.1\r\nHost: end.test\r\n\r\n")
    request = conversation.next_event()
    assert isinstance(request, Request)
    forwarding = Forwarding(
        conversation, Client(theirs), Given(hesitates), shared=Shared(NAME, Pipes(), Turns(), look_s=0.01)
    )
    with ours, theirs, end, _end:
        carrying = asyncio.create_task(forwarding.carry(request))
        await until_awaited(PATIENCE_S, lambda: hesitates.is_asked, "the head")
        if is_half_closed:
            ours.shutdown(socket.SHUT_WR)
        forwarding._touched -= silent_s
        if ends:
            heard = await asyncio.wait_for(hear(ours, b"status\n"), PATIENCE_S)
            assert heard.startswith(b"HTTP/1.1 502 through direct: nothing came for %d minutes" % (silent_s / 60))
        else:
            await asyncio.sleep(0.1)  # it is looked at some times
            assert not carrying.done()
            hesitates.wanted.set()
        async with asyncio.timeout(PATIENCE_S):
            assert await carrying is (Result.PART if ends else Result.NEXT)


class Resets(Server):
    """Instead of an answer."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.head(reader)
        reset(writer.get_extra_info("socket"))
        writer.transport.abort()


@either_way
async def test_a_server_that_breaks_off_instead_of_an_answer_is_said_to(opener: Opener) -> None:
    relay = Relay(opener)
    async with Resets() as origin, relay.connected() as client:
        await say(client, asking(origin))

        assert (await hear(client)).startswith(b"HTTP/1.1 502 through direct: connection lost\r\n")
    assert relay.ended == [Result.PART]


async def test_a_body_that_is_none_is_refused_and_the_request_is_broken_off() -> None:
    relay = Relay()
    async with Origin(b"") as origin, relay.connected() as client:
        await say(client, asking(origin, b"PUT", b"Transfer-Encoding: chunked\r\n"))
        await origin.until_asked()
        await say(client, b"zzz\r\n")

        assert (await hear(client)).startswith(b"HTTP/1.1 400 broken HTTP\r\n")
        await origin.until_nobody_is_connected()


@pytest.mark.parametrize("half", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"HTTP/1.1 200 OK\r\n"])
async def test_half_an_answer_is_no_answer(half: bytes) -> None:
    relay = Relay()
    async with Origin(half, stays=False) as origin, relay.connected() as client:
        await say(client, asking(origin))

        if b"Content-Length" in half:
            assert await hear(client, b"half")
            with pytest.raises(ConnectionResetError):
                await hear(client)
        else:
            assert (await hear(client)).startswith(
                b"HTTP/1.1 502 through direct: closed in the middle of its answer\r\n"
            )


async def test_nobody_there() -> None:
    relay = Relay()
    async with relay.connected() as client:
        end = f"{HOST}:{closed_port()}".encode()
        await say(client, b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n" % (end, end))

        said = await hear(client)

        assert said.startswith(b"HTTP/1.1 502 through direct: connecting to " + end + b": nothing listens there\r\n")
        assert b"\nSee: sudo docker-proxy-agent status\n" in said


async def test_an_upstream_that_leads_back_is_not_followed_for_ever() -> None:
    relay = Relay()
    async with Origin(b"") as origin, relay.connected() as client:
        await say(client, asking(origin, headers=b"Via: 1.1 relay-1\r\n"))

        assert (await hear(client)).startswith(b"HTTP/1.1 508 the upstream leads back to this relay\r\n")
        assert origin.accepted == 0


class Echoes(Server):
    """Switches, and then says what it is told."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.head(reader)
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        while data := await reader.read(65536):
            writer.write(data)


async def test_what_is_switched_to_something_else_is_a_tunnel() -> None:
    relay = Relay()
    async with Echoes() as origin, relay.connected() as client:
        await say(client, asking(origin, headers=b"Connection: Upgrade\r\nUpgrade: websocket\r\n") + b"early")
        assert (await hear(client, b"early")).partition(b"\r\n\r\n")[2] == b"helloearly"
        await say(client, b"\x81\x00")
        assert await hear(client, b"\x81\x00")
        client.shutdown(socket.SHUT_WR)
    assert relay.ended == [Result.TUNNEL]


CHUNKS = b"1\r\na\r\n" * 1000  # pieces of one byte
TIMES = 20


class Ready(Opened):
    """An end that has always sent more, and takes everything at once: no read and no write is a pause."""

    def __init__(self, over: socket.socket, answers: list[bytes], until: asyncio.Event | None = None) -> None:
        """`until`: it answers nothing before."""
        super().__init__(Way("direct"), over)
        self._answers = answers
        self._until = until

    async def read(self) -> bytes:
        if self._until is not None:
            async with asyncio.timeout(PATIENCE_S):
                await self._until.wait()
        return self._answers.pop(0) if self._answers else b""

    async def write(self, data: bytes) -> None:
        """Taken."""


class ReadyClient(Client):
    """So is this one."""

    def __init__(self, connected: socket.socket, says: list[bytes]) -> None:
        super().__init__(connected)
        self._says = says
        self.has_said_all = asyncio.Event()

    async def read(self, most: int = 65536) -> bytes:
        said = self._says.pop(0) if self._says else b""
        if not self._says:
            self.has_said_all.set()
        return said

    async def write(self, data: bytes) -> None:
        """Taken."""


class Given:
    """Opens what it was given."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    async def open(self, request: Request) -> Opened:
        return self._opened

    async def may_follow(self, request: Request, kept: Opened) -> bool:
        return True

    def note_refused(self, request: Request, way: Way, evidence: str) -> None:
        raise AssertionError(evidence)


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
POST = b"POST http://end.test/ HTTP/1.1\r\nHost: end.test\r\n"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


async def rounds(said: bytes, body: list[bytes], answers: list[bytes]) -> int:
    """Of the loop, until it is through: a client has said this, and says the body when it is read from."""
    ours, theirs = await _pair()
    with ours, theirs:
        conversation, client = Conversation(), ReadyClient(ours, body)
        conversation.receive(said)
        request = conversation.next_event()
        assert isinstance(request, Request)
        opener = Given(Ready(theirs, answers, client.has_said_all if body else None))
        carrying = asyncio.create_task(
            Forwarding(conversation, client, opener, shared=Shared(NAME, Pipes(), Turns())).carry(request)
        )
        turns = 0
        while not carrying.done():
            turns += 1
            await asyncio.sleep(0)
        assert carrying.result() is Result.NEXT
    return turns


async def test_whoever_is_always_ready_holds_nobody_else_up() -> None:
    """A piece of one byte takes as long as a large one, and a read may bring thousands."""
    body, head = [*[CHUNKS] * TIMES, LAST_CHUNK], b"HTTP/1.1 200 OK\r\n" + CHUNKED

    assert await rounds(POST + b"\r\n", [], [head, *body]) > TIMES * 1000 / 16
    assert await rounds(POST + CHUNKED, [*body], [EMPTY]) > TIMES * 1000 / 16
    assert await rounds(POST + CHUNKED + b"".join(body), [], [EMPTY]) > TIMES * 1000 / 16


async def test_nor_does_whoever_sends_large_pieces() -> None:
    """Others have their turn after each that is read."""
    body, head = [*[b"10000\r\n" + bytes(65536) + b"\r\n"] * 50, LAST_CHUNK], b"HTTP/1.1 200 OK\r\n" + CHUNKED

    assert await rounds(POST + b"\r\n", [], [head, *body]) >= 50
    assert await rounds(POST + CHUNKED, [*body], [EMPTY]) >= 50


async def test_large_heads_of_answers_are_read_a_few_at_a_time() -> None:
    """One of 64 KB takes 3 ms to read, and a container may be sent 256 at the same moment."""
    answer = b"HTTP/1.1 200 OK\r\nX: a" + b" " * 20_000 + b"\r\nContent-Length: 0\r\n\r\n"
    shared = Shared(NAME, Pipes(), Turns())
    async with contextlib.AsyncExitStack() as ends:
        ready: list[tuple[Forwarding, Request]] = []
        for _ in range(12):
            ours, theirs = await _pair()
            ends.enter_context(ours)
            ends.enter_context(theirs)
            conversation = Conversation()
            conversation.receive(b"GET http://end.test/ HTTP/1.1\r\nHost: end.test\r\n\r\n")
            request = conversation.next_event()
            assert isinstance(request, Request)
            opener = Given(Ready(theirs, [answer]))
            ready.append((Forwarding(conversation, ReadyClient(ours, []), opener, shared=shared), request))

        carrying = [asyncio.create_task(forwarding.carry(request)) for forwarding, request in ready]
        done = [0]
        async with asyncio.timeout(PATIENCE_S):
            while done[-1] < len(carrying):
                await asyncio.sleep(0)
                done.append(sum(task.done() for task in carrying))

        assert [task.result() for task in carrying] == [Result.NEXT] * len(carrying)
    assert max(after - before for before, after in itertools.pairwise(done)) <= 4


async def test_a_large_head_of_an_answer_does_not_wait_for_all_of_another_source() -> None:
    answer = b"HTTP/1.1 200 OK\r\nX: a" + b" " * 5_000 + b"\r\nContent-Length: 0\r\n\r\n"
    shared = Shared(NAME, Pipes(), Turns())
    async with contextlib.AsyncExitStack() as ends, asyncio.timeout(PATIENCE_S):
        carrying: list[asyncio.Task[Result]] = []
        pairs = [await _pair() for _ in range(101)]
        for source, (ours, theirs) in zip(["172.17.0.2"] * 100 + [ROOTS], pairs, strict=True):
            ends.enter_context(ours)
            ends.enter_context(theirs)
            conversation = Conversation()
            conversation.receive(b"GET http://end.test/ HTTP/1.1\r\nHost: end.test\r\n\r\n")
            request = conversation.next_event()
            assert isinstance(request, Request)
            forwarding = Forwarding(
                conversation, ReadyClient(ours, []), Given(Ready(theirs, [answer])), shared=shared,
                whose=functools.partial(str, source),
            )  # fmt: skip
            carrying.append(asyncio.create_task(forwarding.carry(request)))
        await carrying[-1]
        assert sum(task.done() for task in carrying) <= 2 * FEW + 8
        await asyncio.gather(*carrying)


async def test_however_many_are_always_ready_a_round_of_the_loop_is_short_and_a_newcomer_does_not_wait_for_them() -> (
    None
):
    turns, events, is_over = Turns(), 0, False

    async def never_pauses() -> None:
        nonlocal events
        turn = Turn(turns)
        while not is_over:
            events += 1
            await turn.event()

    busy = [asyncio.create_task(never_pauses()) for _ in range(200)]
    try:
        await until_awaited(PATIENCE_S, lambda: events > 200 * 200, "that none is new any more")
        rounds = []
        for _ in range(50):
            before = events
            await asyncio.sleep(0)
            rounds.append(events - before)
        assert 0 < max(rounds) <= 4 * 16

        before, newcomer = events, Turn(turns)
        for _ in range(40):  # events
            await newcomer.event()
        assert events - before <= 4 * 4 * 16
    finally:
        is_over = True
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*busy)


async def test_root_does_not_wait_for_all_others_that_have_waited_as_often() -> None:
    turns, events, is_over = Turns(), 0, False

    async def never_pauses() -> None:
        nonlocal events
        turn = Turn(turns, lambda: "172.17.0.2")
        while not is_over:
            events += 1
            await turn.event()

    busy = [asyncio.create_task(never_pauses()) for _ in range(200)]
    roots = Turn(turns, lambda: ROOTS)
    try:
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(10 * 16):  # it has waited often
                await roots.event()
            await until_awaited(PATIENCE_S, lambda: events > 200 * 200, "that the others have, too")
            before = events
            for _ in range(10 * 16):
                await roots.event()
        assert events - before < 10 * 200  # the others, each once in ten turns of its own at most
    finally:
        is_over = True
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*busy)


async def test_who_comes_anew_all_the_time_keeps_nobody_out_who_has_waited_often() -> None:
    """Answers in chunks have waited often; a container opens one short connection after the other meanwhile."""
    turns, is_over = Turns(), False

    async def is_always_new() -> None:
        while not is_over:
            await turns.next(is_first=True)

    busy = [asyncio.create_task(is_always_new()) for _ in range(20)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(10):
                await turns.next(is_first=False)
    finally:
        is_over = True
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*busy)
