"""Bytes to the end, whatever lies between; and the via there by name."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import socket
import ssl
import subprocess
import sys
import threading
import traceback
from collections.abc import Generator, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.probe.dial import Address, Ground, in_a_thread, threaded
from agent.probe.exchange import DialogueFailed
from agent.probe.stopwatch import Step, Stopwatch
from agent.probe.stream import Stream, StreamFailed, Via, _Records, open_proxy, open_stream
from agent.values.secret import Secret
from agent.values.settings import Credentials, ProxyUrl, Scheme
from agent.values.verdict import Outcome
from tests.loopback.certificates import server_tls, trust
from tests.loopback.servers import (
    HOST,
    PATIENCE_S,
    Cuts,
    HttpProxy,
    Registry,
    Says,
    Server,
    SocksProxy,
    closed_port,
    first_ended,
    pump,
)
from tests.waiting import until_awaited


class Echo(Server):
    """Says what it is told."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@pytest.mark.parametrize("scheme", [None, Scheme.HTTP, Scheme.HTTPS, Scheme.SOCKS5])
async def test_what_is_written_arrives_and_comes_back(tmp_path: Path, scheme: Scheme | None) -> None:
    message = bytes(range(256)) * 4096  # more than any buffer between
    async with Echo() as echo:
        reaches = {f"{HOST}:{echo.port}": echo}
        tls = server_tls(HOST) if scheme is Scheme.HTTPS else None
        async with SocksProxy(reaches) if scheme is Scheme.SOCKS5 else HttpProxy(reaches, tls=tls) as proxy:
            via = Via(proxy.url(scheme) if scheme else None, trust(tmp_path).context())
            async with await open_stream(HOST, echo.port, via) as stream:
                writing = asyncio.create_task(stream.write(message))
                received = b""
                while len(received) < len(message):
                    received += await stream.read()
                await writing

    assert received == message


async def test_what_came_with_the_proxys_answer_is_read_next() -> None:
    async with (
        Says(b"HTTP/1.1 200 OK\r\n\r\n220 mail.test", b" ready") as proxy,
        await open_stream("mail.test", 25, Via(proxy.url())) as stream,
    ):
        received = b""
        while piece := await stream.read():
            received += piece

    assert received == b"220 mail.test ready"


class Overhears(Server):
    """Stands before an end, and keeps the pieces in which it is spoken to."""

    def __init__(self, end: Server) -> None:
        super().__init__()
        self._end = end
        self.pieces: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end_reader, end_writer = await asyncio.open_connection(self._end.host, self._end.port)

        async def hand_on() -> None:
            while piece := await reader.read(65536):
                self.pieces.append(piece)
                end_writer.write(piece)

        try:
            await first_ended(hand_on(), pump(end_reader, writer))
        finally:
            end_writer.transport.abort()


def to_port(port: int) -> Via:
    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        return [(socket.AF_INET, (HOST, port))]

    return Via(ground=Ground(resolve))


async def test_no_request_waits_for_the_end_to_confirm_the_handshake(tmp_path: Path) -> None:
    async with Registry(server_tls("registry.test")) as registry, Overhears(registry) as between:
        way, tls = to_port(between.port), trust(tmp_path).context()
        async with await open_stream("registry.test", 443, way, end_tls=tls) as stream:
            for _ in range(100):  # what was sent would be heard by now
                await asyncio.sleep(0)
            await stream.write(b"GET /v2/ HTTP/1.1\r\nHost: registry.test\r\n\r\n")
            answer = await stream.read()

    assert answer.startswith(b"HTTP/1.1 401")
    assert len(between.pieces) == 2, "its hello; and the end of the handshake together with the request"


class Greeted(Server):
    """Asked, as soon as the handshake has ended on this side."""

    async def serve(self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        self.keep(b"")
        await reader.read()


async def test_a_handshake_that_nothing_follows_is_ended_all_the_same(tmp_path: Path) -> None:
    async with Greeted(server_tls("registry.test")) as end:
        tls = trust(tmp_path).context()
        async with await open_stream("registry.test", 443, to_port(end.port), end_tls=tls):
            pass
        await end.until_asked()


async def test_an_https_proxy_is_not_spoken_to_unchecked() -> None:
    async with Says(waits=False, stays=True) as proxy:
        with pytest.raises(TypeError):
            await open_proxy(Via(proxy.url(Scheme.HTTPS)))


async def test_what_was_said_before_tls_is_not_taken_for_the_proxys_answer(tmp_path: Path) -> None:
    async with (
        Says(b"HTTP/1.1 200 OK\r\n\r\n", waits=False, stays=True) as proxy,
        await open_proxy(Via(proxy.url())) as stream,
    ):

        def overheard() -> Generator[bytes, bytes, bytes]:
            said: bytes = yield b""
            return said

        await stream.shake(overheard())
        with pytest.raises(DialogueFailed, match="before TLS"):
            await stream.secure_proxy(trust(tmp_path).context(), HOST)


async def test_the_proxy_is_reached_by_ipv6() -> None:
    async with Says(b"HTTP/1.1 503 x\r\n\r\n", host="::1") as proxy:
        with pytest.raises(StreamFailed) as caught:
            await open_stream("registry.test", 443, Via(proxy.url()))

    assert caught.value.evidence.startswith(f"asking the proxy [::1]:{proxy.port} for registry.test: 503")


async def test_a_failure_says_what_where_and_how_long() -> None:
    port = closed_port()
    watch = Stopwatch()

    with pytest.raises(StreamFailed) as caught:
        await open_stream("registry.test", 443, Via(ProxyUrl(Scheme.HTTP, HOST, port)), watch=watch)

    failure = caught.value
    assert (failure.outcome, failure.step) == (Outcome.REFUSED, Step.CONNECT)
    assert failure.timings.connect is not None
    assert failure.timings.proxy is None


@pytest.mark.parametrize("scheme", [Scheme.HTTP, Scheme.SOCKS5])
async def test_no_failure_shows_the_password(scheme: Scheme) -> None:
    login = Credentials("alice", Secret("open sesame"))
    kind = SocksProxy if scheme is Scheme.SOCKS5 else HttpProxy
    async with kind(login=("alice", "another")) as proxy:
        via = Via(msgspec.structs.replace(proxy.url(scheme), credentials=login))
        with pytest.raises(StreamFailed) as caught:
            await open_stream("registry.test", 443, via)

    assert caught.value.outcome is Outcome.PROXY_AUTH
    shown = repr(via) + repr(caught.value) + "".join(traceback.format_exception(caught.value))
    assert "sesame" not in shown
    assert base64.b64encode(b"alice:open sesame").decode() not in shown


# Names.


def answers(*hosts: tuple[str, int]) -> Via:
    """A resolver whose answer is this, whatever it is asked."""

    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        return [(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port)) for host, port in hosts]

    return Via(ground=Ground(resolve))


async def test_the_next_address_is_tried_when_one_refuses() -> None:
    async with Echo() as echo:
        via = answers(("::1", closed_port()), (HOST, closed_port()), (HOST, echo.port))
        async with await open_stream("echo.test", 7, via) as stream:
            await stream.write(b"hello")
            assert await stream.read() == b"hello"


async def test_the_next_address_is_tried_when_one_hangs() -> None:
    with socket.socket() as full:  # its queue is full: further connections hang
        full.bind((HOST, 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection((HOST, port)):
            async with (
                Echo() as echo,
                await open_stream("echo.test", 7, answers((HOST, port), (HOST, echo.port))) as stream,
            ):
                await stream.write(b"hello")
                assert await stream.read() == b"hello"


async def test_of_several_failures_the_telling_one_is_told() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        return [(socket.AF_APPLETALK, ("x", 1)), (socket.AF_INET, (HOST, closed_port()))]

    with pytest.raises(StreamFailed) as caught:
        await open_stream("echo.test", 7, Via(ground=Ground(resolve)))

    assert caught.value.outcome is Outcome.REFUSED


async def test_the_systems_resolver_knows_localhost() -> None:
    addresses = await in_a_thread("localhost", 443)

    assert {address[0] for _, address in addresses} <= {"127.0.0.1", "::1"}
    assert all(address[1] == 443 for _, address in addresses)
    assert addresses


async def test_a_look_up_asks_the_kernel_nothing_that_waits_for_its_lock_on_interfaces() -> None:
    """glibc would, to sort the addresses of a name that has several."""

    def look_up(host: str, port: int) -> Sequence[Address]:
        socket.socket(socket.AF_UNIX).close()
        with pytest.raises(OSError, match="not supported"):
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
        return [(family, address) for family, *_, address in socket.getaddrinfo("127.0.0.1", port)]

    assert await threaded(look_up)("two.test", 443)
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()  # nobody else is refused


@pytest.mark.parametrize("name", ["a..test", "x" * 64 + ".test"])
async def test_what_cannot_be_a_name_is_dns(name: str) -> None:
    with pytest.raises(StreamFailed) as caught:
        await open_stream(name, 443, Via())

    assert (caught.value.outcome, caught.value.step) == (Outcome.DNS, Step.RESOLVE)


async def test_a_name_without_addresses_is_dns() -> None:
    with pytest.raises(StreamFailed) as caught:
        await open_stream("empty.test", 443, answers())

    assert caught.value.outcome is Outcome.DNS


async def test_a_hanging_resolver_holds_up_nobody() -> None:
    """More names than a pool has threads hang, and one that is known is still found."""
    end = threading.Event()

    def look_up(host: str, port: int) -> Sequence[Address]:
        if host == "hangs.test":
            end.wait(60)
        return [(socket.AF_INET, (HOST, port))]

    resolve = threaded(look_up)
    hanging = [asyncio.create_task(resolve("hangs.test", 443)) for _ in range(100)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await resolve("known.test", 443) == [(socket.AF_INET, (HOST, 443))]
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        assert all(
            isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*hanging, return_exceptions=True)
        )
    finally:
        end.set()


def test_a_hanging_resolver_does_not_keep_the_process_alive() -> None:
    script = (
        "import asyncio, threading\n"
        "from agent.probe.dial import threaded\n"
        "async def main():\n"
        "    try:\n"
        "        async with asyncio.timeout(0.1):\n"
        "            await threaded(lambda host, port: threading.Event().wait())('hangs.test', 1)\n"
        "    except TimeoutError:\n"
        "        print('gave up')\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout == "gave up\n"


async def test_tls_tickets_are_no_news_of_a_connection_that_is_kept(tmp_path: Path) -> None:
    """A server sends them as soon as it has the first request, and nobody reads them."""
    async with Says(b"the answer", tls=server_tls(HOST), stays=True) as proxy:
        stream = await open_proxy(Via(proxy.url(Scheme.HTTPS), trust(tmp_path).context()))
        async with stream:
            await stream.write(b"a request")
            assert await stream.read() == b"the answer"

            assert stream.is_quiet
            assert stream.held == 0


class Parts(Server):
    """Says a word when asked, or good-bye by TLS alone, or both at once; the connection stays."""

    def __init__(self, word: bytes, *, parts: bool) -> None:
        super().__init__(server_tls(HOST))
        self._word, self._parts = word, parts

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(self._word)
            if self._parts:
                tls = writer.get_extra_info("ssl_object")
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.unwrap()
                writer.transport._ssl_protocol._process_outgoing()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("word", "parts"), [(b"", True), (b"more", False), (b"more", True)])
async def test_a_kept_connection_behind_tls_that_has_news_is_not_quiet(
    tmp_path: Path, word: bytes, *, parts: bool
) -> None:
    async with Parts(word, parts=parts) as proxy:
        stream = await open_proxy(Via(proxy.url(Scheme.HTTPS), trust(tmp_path).context()))
        async with stream:
            await stream.write(b"a request")
            await until_awaited(PATIENCE_S, lambda: not stream.is_quiet, "news")

            assert await stream.read() == word
            await until_awaited(PATIENCE_S, lambda: stream.is_quiet is not parts, "whether it has ended")


async def test_an_end_without_a_good_bye_is_one_unless_it_is_in_the_middle_of_a_record(tmp_path: Path) -> None:
    """Else half a file would be taken for the whole."""
    said = b"x" * 10_000
    async with Says(said, said, waits=False, stays=True, tls=server_tls(HOST)) as end:
        for whole, and_more in ((True, 0), (True, 3), (True, 5), (True, 6), (False, 0)):
            async with Cuts(end, whole=whole, and_more=and_more) as between:
                stream = await open_proxy(Via(between.url(Scheme.HTTPS), trust(tmp_path).context()))
                async with stream, asyncio.timeout(PATIENCE_S):
                    if whole:
                        assert await stream.read() == said
                    if whole and not and_more:
                        assert await stream.read() == b""
                    else:
                        with pytest.raises(ConnectionResetError):
                            await stream.read()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_where_records_end_is_known_however_they_come(size: int) -> None:
    records = [b"\x17\x03\x03" + length.to_bytes(2, "big") + bytes(length) for length in (1, 0, 700, 4, 16_000)]
    ends = {0, *itertools.accumulate(map(len, records))}
    together, seen = b"".join(records), _Records()
    for at in range(0, len(together), size):
        assert seen.is_within is (at not in ends)
        seen.note(together[at : at + size])
    assert not seen.is_within


class Breaks(Server):
    """Says a word when asked, and something in the same moment that is no TLS."""

    def __init__(self) -> None:
        super().__init__(server_tls(HOST))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(b"half a file")
            writer.transport._ssl_protocol._transport.write(b"HTTP/1.1 502 -")  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_looked_at", [False, True])
async def test_what_breaks_tls_right_behind_data_is_no_end_of_these(tmp_path: Path, *, is_looked_at: bool) -> None:
    async with Breaks() as proxy:
        stream = await open_proxy(Via(proxy.url(Scheme.HTTPS), trust(tmp_path).context()))
        async with stream:
            await stream.write(b"a request")
            if is_looked_at:
                await until_awaited(PATIENCE_S, lambda: not stream.is_quiet, "news")
            assert await stream.read() == b"half a file"
            assert not stream.is_quiet
            with pytest.raises(ssl.SSLError):
                await stream.read()


class Floods(Server):
    """Says as much as it can, and hears nothing."""

    async def serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(bytes(100_000))
            await writer.drain()


@pytest.mark.parametrize("is_end_secured", [False, True])
async def test_behind_tls_little_is_held_of_what_nobody_reads_or_takes(tmp_path: Path, is_end_secured: bool) -> None:
    """And it is told how much. asyncio's own TLS holds up to 2 MB."""
    tls = trust(tmp_path).context()
    end_tls = (server_tls("end.test"), tls) if is_end_secured else (None, None)
    async with (
        Floods(end_tls[0]) as end,
        HttpProxy({"end.test:443": end}, tls=server_tls(HOST)) as proxy,
        await open_stream("end.test", 443, Via(proxy.url(Scheme.HTTPS), tls), end_tls=end_tls[1]) as stream,
    ):
        await stream.read()
        await until_awaited(PATIENCE_S, lambda: stream.held > 64 * 1024, "that it holds what nobody reads")
        assert stream.held <= 256 * 1024

        sending = asyncio.create_task(_for_ever(stream))
        seen = stream.held
        await until_awaited(PATIENCE_S, lambda: stream.held > seen + 16 * 1024, "that it holds what nobody takes")
        await asyncio.sleep(0.1)
        assert stream.held <= 512 * 1024
        sending.cancel()


async def _for_ever(stream: Stream) -> None:
    while True:
        await stream.write(bytes(64 * 1024))
