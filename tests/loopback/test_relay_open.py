"""A connection by the orders: by every kind of upstream, once through the next, and never to where it may not go."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import netifaces
import pytest

from agent.probe.dial import Address, threaded
from agent.probe.stream import StreamFailed
from agent.relay import used_ports
from agent.relay.by_source import FEW as FEW_WAIT
from agent.relay.limits import Whose
from agent.relay.names import FEW, MOST, MOST_OF_ONE, Names
from agent.relay.open import LOOKS_S, Asked, NotOpened, Opened, Opening
from agent.relay.ways import Ways
from agent.relay.where import Near
from agent.relay.who import NotYetKnown
from agent.see.interfaces import addresses
from agent.see.netlink import NetlinkFailed
from agent.values.relay import LIMITS, Orders, RelayUpstream, Source
from agent.values.secret import Secret
from agent.values.settings import Credentials, ProxyUrl, Scheme
from agent.values.verdict import Outcome
from tests.loopback.certificates import CORP, server_tls
from tests.loopback.servers import HttpProxy, Says, Server, SocksProxy, black_hole, closed_port
from tests.waiting import until_awaited

PATIENCE_S: Final = 20.0
LOGIN: Final = ("corp\\me", "p@ss:w/rd")
CREDENTIALS: Final = Credentials(LOGIN[0], Secret(LOGIN[1]))
DIRECT: Final = RelayUpstream("direct")

NOTHING_NEAR: Final = Near(frozenset[str]().__contains__, frozenset[str]().__contains__)


class Failures:
    """Who is told."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, Outcome, str]] = []

    def note_failed(self, upstream: str, failure: StreamFailed, used: str = "", /) -> None:
        self.noted.append((upstream, failure.outcome, used))


class Setting:
    """Names that resolve to what a table says, and a host whose own addresses are these."""

    def __init__(
        self,
        names: Mapping[str, str] | None = None,
        own: frozenset[str] = frozenset(),
        guests: frozenset[str] = frozenset(),
        *,
        is_own: Callable[[str], bool] | None = None,
        unknown: int = socket.EAI_NONAME,
    ) -> None:
        self._names = names or {}
        self._unknown = unknown
        self.failures = Failures()
        self.looked_up: list[str] = []
        self.opening = Opening(
            self.failures, Near(is_own or own.__contains__, guests.__contains__), resolve=threaded(self._look_up)
        )

    def _look_up(self, host: str, port: int) -> Sequence[Address]:
        self.looked_up.append(host)
        if host not in self._names:
            raise socket.gaierror(self._unknown, "not found")
        found = self._names[host].split(",")
        return [(socket.AF_INET6 if ":" in address else socket.AF_INET, (address, port)) for address in found]

    async def open(self, asked: Asked, *upstreams: RelayUpstream, ca_file: str = "") -> Opened:
        async with asyncio.timeout(PATIENCE_S):
            return await self.opening.open(asked, Ways(Orders(1, upstreams, ca_file=ca_file)))


def docker(host: str, port: int, *, is_tunnel: bool = True) -> Asked:
    return Asked(host, port, Source.LOOPBACK, "127.0.0.1", is_tunnel=is_tunnel)


def container(host: str, port: int, *, is_tunnel: bool = True) -> Asked:
    return Asked(host, port, Source.CONTAINERS, "172.17.0.2", is_tunnel=is_tunnel)


def by(name: str, url: ProxyUrl, **more: object) -> RelayUpstream:
    return RelayUpstream(name, url, url, **more)  # type: ignore[arg-type]


def _with(url: ProxyUrl) -> ProxyUrl:
    return ProxyUrl(url.scheme, url.host, url.port, CREDENTIALS)


def echo() -> Server:
    return Says(waits=False, stays=True, echoes=True)


async def echoed(opened: Opened) -> bytes:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await opened.write(b"hello")
            return await opened.read()
    finally:
        await opened.aclose()


async def test_directly_by_a_name_looked_up_here() -> None:
    setting = Setting({"end.test": "127.0.0.1"})
    async with echo() as end:
        opened = await setting.open(docker("end.test", end.port), DIRECT)

        assert await echoed(opened) == b"hello"
        assert opened.way.upstream == "direct"


@pytest.mark.parametrize("scheme", list(Scheme))
async def test_through_every_kind_of_proxy_with_its_password(tmp_path: Path, scheme: Scheme) -> None:
    CORP.cert_pem.write_to_path(str(tmp_path / "corp.pem"))
    setting = Setting({"localhost": "127.0.0.1"})
    async with echo() as end:
        reaches = {"end.test:443": end}
        proxy: HttpProxy | SocksProxy = (
            SocksProxy(reaches, login=LOGIN) if scheme.is_socks
            else HttpProxy(reaches, login=LOGIN, tls=server_tls("localhost") if scheme is Scheme.HTTPS else None)
        )  # fmt: skip
        async with proxy:
            upstream = by("corp", _with(proxy.url(scheme, "localhost")))
            opened = await setting.open(docker("end.test", 443), upstream, ca_file=str(tmp_path / "corp.pem"))

            assert await echoed(opened) == b"hello"
        assert proxy.asked == ["end.test:443"]
    assert setting.failures.noted == []


async def test_a_proxy_is_believed_by_the_certificates_that_the_orders_of_now_name(tmp_path: Path) -> None:
    CORP.cert_pem.write_to_path(str(tmp_path / "corp.pem"))
    setting = Setting({"localhost": "127.0.0.1"})
    async with echo() as end, HttpProxy({"end.test:443": end}, tls=server_tls("localhost")) as proxy:
        upstream = by("corp", proxy.url(Scheme.HTTPS, "localhost"))
        with pytest.raises(NotOpened, match="certificate"):
            await setting.open(docker("end.test", 443), upstream)
        opened = await setting.open(docker("end.test", 443), upstream, ca_file=str(tmp_path / "corp.pem"))

        assert await echoed(opened) == b"hello"


async def test_that_the_relay_may_not_read_the_file_of_the_proxys_ca_is_said(tmp_path: Path) -> None:
    """The agent may, and finds that the upstream works."""
    setting = Setting({"localhost": "127.0.0.1"})
    async with HttpProxy({}, tls=server_tls("localhost")) as proxy:
        upstream = by("corp", proxy.url(Scheme.HTTPS, "localhost"))
        with pytest.raises(NotOpened) as told:
            await setting.open(docker("end.test", 443), upstream, ca_file=str(tmp_path))  # as if it were forbidden
    assert told.value.refusal.reason.endswith(f"certificate; {tmp_path}: Is a directory; it is ignored")


class Moves(Setting):
    """Other orders come while the proxy's name is looked up."""

    def __init__(self, before: Orders, after: Orders) -> None:
        super().__init__({"localhost": "127.0.0.1"})
        self.ways, self._after = Ways(before), after

    def _look_up(self, host: str, port: int) -> Sequence[Address]:
        if self.ways.latest is self.ways:
            Ways(self._after, self.ways)
        return super()._look_up(host, port)


@pytest.mark.parametrize("scheme", list(Scheme))
async def test_a_password_that_was_taken_back_meanwhile_is_not_sent(tmp_path: Path, scheme: Scheme) -> None:
    """A look-up takes seconds, and in the network where it ends anybody may answer for that name."""
    CORP.cert_pem.write_to_path(str(tmp_path / "corp.pem"))
    proxy: HttpProxy | SocksProxy = (
        SocksProxy(login=LOGIN) if scheme.is_socks
        else HttpProxy(login=LOGIN, tls=server_tls("localhost") if scheme is Scheme.HTTPS else None)
    )  # fmt: skip
    async with proxy, asyncio.timeout(PATIENCE_S):
        url, ca_file = proxy.url(scheme, "localhost"), str(tmp_path / "corp.pem")
        setting = Moves(
            Orders(1, (by("corp", _with(url)),), ca_file=ca_file), Orders(2, (by("corp", url),), ca_file=ca_file)
        )
        with pytest.raises(NotOpened):
            await setting.opening.open(docker("end.test", 443), setting.ways)
        assert proxy.asked == []
        if not scheme.is_socks:
            opened = await setting.opening.open(docker("end.test", 80, is_tunnel=False), setting.ways)
            assert opened.way.proxy == url  # the request is sent as that says
            await opened.aclose()


async def test_what_is_told_meanwhile_with_a_password_goes_by_the_last_one() -> None:
    async with echo() as end, HttpProxy({"end.test:443": end}, login=LOGIN) as proxy, asyncio.timeout(PATIENCE_S):
        url = proxy.url(host="localhost")
        old = msgspec.structs.replace(_with(url), credentials=Credentials("alice", Secret("the one before")))
        for before, times in ((old, 2), (_with(url), 1)):
            setting = Moves(Orders(1, (by("corp", before),)), Orders(2, (by("corp", _with(url)), DIRECT)))
            opened = await setting.opening.open(docker("end.test", 443), setting.ways)
            assert await echoed(opened) == b"hello"
            assert setting.looked_up == ["localhost"] * times
        assert proxy.refused_logins == 0


@pytest.mark.parametrize("is_given_back", [True, False])
async def test_on_arrival_a_password_that_offline_is_not_there_is_waited_for(*, is_given_back: bool) -> None:
    """Until the agent has looked which network this is. Without it the proxy would refuse everybody meanwhile."""
    async with echo() as end, HttpProxy({"end.test:443": end}, login=LOGIN) as proxy, asyncio.timeout(PATIENCE_S):
        setting, whole, bare = Setting(), by("corp", _with(proxy.url())), by("corp", proxy.url())
        ways = Ways(Orders(2, (bare,)), Ways(Orders(1, (whole,))))
        setting.opening.note_moved()
        opening = asyncio.create_task(setting.opening.open(docker("end.test", 443), ways))
        await asyncio.sleep(0.1)
        assert not opening.done()
        others = Ways(Orders(3, (bare,), max_connections=7), ways)  # such as have none, either
        await asyncio.sleep(0.1)
        assert not opening.done()
        Ways(Orders(4, (whole if is_given_back else bare,), max_connections=7), others)
        if is_given_back:
            assert await echoed(await opening) == b"hello"
            assert proxy.refused_logins == 0
        else:
            with pytest.raises(NotOpened):
                await opening
            assert proxy.refused_logins == 1
        began = asyncio.get_running_loop().time()
        with pytest.raises(NotOpened):  # who has not moved has nothing to wait for
            await Setting().opening.open(docker("end.test", 443), Ways(Orders(2, (bare,)), Ways(Orders(1, (whole,)))))
        assert asyncio.get_running_loop().time() - began < LOOKS_S


async def test_for_a_request_the_proxy_itself_is_opened_and_by_socks_the_server() -> None:
    setting = Setting()
    async with Says(b"answer", stays=True) as server, SocksProxy({"end.test:80": server}) as socks:
        opened = await setting.open(docker("end.test", 80, is_tunnel=False), by("corp", server.url()))
        assert opened.is_to_proxy
        assert await echoed(opened) == b"answer"

        opened = await setting.open(docker("end.test", 80, is_tunnel=False), by("socks", socks.url(Scheme.SOCKS5)))
        assert not opened.is_to_proxy
        assert await echoed(opened) == b"answer"


async def test_what_may_become_another_protocol_is_a_tunnel_for_the_proxy_as_well() -> None:
    switching = Asked("end.test", 80, Source.CONTAINERS, "172.17.0.2", is_tunnel=False, is_switch=True)
    async with echo() as end, HttpProxy({"end.test:80": end}) as proxy:
        opened = await Setting({}).open(switching, by("corp", proxy.url()))

        assert not opened.is_to_proxy
        assert await echoed(opened) == b"hello"

    async with Says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as squid:  # ports but 443, as it comes
        with pytest.raises(NotOpened) as told:
            await Setting().open(switching, by("corp", squid.url()), DIRECT)
    refusal = told.value.refusal
    assert refusal.status == 403
    assert refusal.reason.endswith("403 Forbidden to CONNECT, which an Upgrade needs")


async def test_a_wrong_password_is_not_told_as_what_an_upgrade_needs() -> None:
    switching = Asked("end.test", 80, Source.CONTAINERS, "172.17.0.2", is_tunnel=False, is_switch=True)
    async with Says(b"HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n") as tinyproxy:
        with pytest.raises(NotOpened) as told:
            await Setting().open(switching, by("corp", _with(tinyproxy.url())))
    refusal = told.value.refusal
    assert (refusal.status, refusal.reason.partition("end.test: ")[2]) == (
        502,
        "401 Unauthorized to CONNECT: refuses the user and password",
    )


async def test_what_came_with_the_proxys_answer_is_not_lost() -> None:
    async with Says(b"HTTP/1.1 200 OK\r\n\r\nfirst words", stays=True) as proxy:
        opened = await Setting().open(docker("end.test", 443), by("corp", proxy.url()))

        assert await opened.read() == b"first words"
        await opened.aclose()


class Holds(Server):
    """A proxy that answers all at the same moment."""

    def __init__(self, answer: bytes, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self._answer = answer
        self._answers = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.head(reader)
        await asyncio.wait_for(self._answers.wait(), PATIENCE_S)
        writer.write(self._answer)
        await reader.read()

    async def answer_when_asked(self, times: int) -> None:
        await until_awaited(PATIENCE_S, lambda: len(self.heads) == times, f"that {times} have asked")
        self._answers.set()


@pytest.mark.parametrize("scheme", [Scheme.HTTP, Scheme.HTTPS])
async def test_large_answers_of_proxies_are_read_one_after_the_other(tmp_path: Path, scheme: Scheme) -> None:
    """One of 64 KB takes 5 ms to read, and a proxy may answer hundreds at the same moment."""
    CORP.cert_pem.write_to_path(str(tmp_path / "corp.pem"))
    setting = Setting({"localhost": "127.0.0.1"})
    answer = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000 + b"\r\n\r\n"
    async with Holds(answer, server_tls("localhost") if scheme is Scheme.HTTPS else None) as proxy:
        upstream, ca_file = by("corp", proxy.url(scheme, "localhost")), str(tmp_path / "corp.pem")
        ways = Ways(Orders(1, (upstream,), ca_file=ca_file))
        opening = [asyncio.create_task(setting.opening.open(docker("end.test", 443), ways)) for _ in range(6)]
        await proxy.answer_when_asked(6)
        done = [0]
        async with asyncio.timeout(PATIENCE_S):
            while done[-1] < len(opening):
                await asyncio.sleep(0)
                done.append(sum(task.done() for task in opening))
        for task in opening:
            await task.result().aclose()
    assert max(after - before for before, after in itertools.pairwise(done)) == 1


async def test_nor_does_dockerd_wait_for_all_that_a_container_has_asked_for() -> None:
    answer = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000 + b"\r\n\r\n"
    async with Holds(answer) as proxy, asyncio.timeout(PATIENCE_S):
        setting, ways = Setting(), Ways(Orders(1, (by("corp", proxy.url()),)))
        dockerd = msgspec.structs.replace(docker("192.0.2.1", 443), is_roots=lambda: True)
        opening: list[asyncio.Task[Opened]] = []
        for asked in [container("192.0.2.1", 443)] * 80 + [dockerd]:
            opening.append(asyncio.create_task(setting.opening.open(asked, ways)))
            await until_awaited(PATIENCE_S, lambda: len(proxy.heads) == len(opening), "that it has asked")
        await proxy.answer_when_asked(81)
        await opening[-1]
        assert sum(task.done() for task in opening) <= 2 * FEW_WAIT + 8
        for each in await asyncio.gather(*opening):
            await each.aclose()


class AnswersHello(Server):
    """A proxy whose TLS goes on for all at the same moment."""

    def __init__(self) -> None:
        super().__init__()
        self._by = server_tls("localhost")
        self._answers = asyncio.Event()
        self.greeted = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self._by.wrap_bio(came, goes, server_side=True)
        while not goes.pending:
            came.write(await reader.read(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                session.do_handshake()
        self.greeted += 1
        await asyncio.wait_for(self._answers.wait(), PATIENCE_S)
        writer.write(goes.read())
        await reader.read()

    async def answer_when_greeted(self, times: int) -> None:
        await until_awaited(PATIENCE_S, lambda: self.greeted == times, f"that {times} have begun TLS")
        self._answers.set()


async def test_tls_with_a_proxy_goes_on_for_one_after_the_other_and_dockerd_does_not_wait_for_all(
    tmp_path: Path,
) -> None:
    """To check a certificate takes up to 3 ms, and a container may have hundreds checked at the same moment."""
    CORP.cert_pem.write_to_path(str(tmp_path / "corp.pem"))
    setting = Setting({"localhost": "127.0.0.1"})
    async with AnswersHello() as proxy, asyncio.timeout(PATIENCE_S):
        upstream = by("corp", proxy.url(Scheme.HTTPS, "localhost"))
        ways = Ways(Orders(1, (upstream,), ca_file=str(tmp_path / "corp.pem")))
        dockerd = msgspec.structs.replace(docker("192.0.2.1", 80, is_tunnel=False), is_roots=lambda: True)
        opening: list[asyncio.Task[Opened]] = []
        for asked in [container("192.0.2.1", 80, is_tunnel=False)] * 80 + [dockerd]:
            opening.append(asyncio.create_task(setting.opening.open(asked, ways)))
            await until_awaited(PATIENCE_S, lambda: proxy.greeted == len(opening), "that it has begun TLS")
        await proxy.answer_when_greeted(81)
        done = [0]
        while not opening[-1].done():
            await asyncio.sleep(0)
            done.append(sum(task.done() for task in opening))
        for each in await asyncio.gather(*opening):
            await each.aclose()
    assert max(after - before for before, after in itertools.pairwise(done)) == 1
    assert done[-1] <= 2 * FEW_WAIT + 8


async def test_containers_leave_this_host_ports_to_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port of a connection that the relay has ended stays taken for a minute, and dockerd uses the same proxy."""
    monkeypatch.setattr(used_ports, "MOST", 3)
    monkeypatch.setattr(used_ports, "FEW", 0)
    setting = Setting()
    async with Says(b"HTTP/1.1 200 OK\r\n\r\n", stays=True) as proxy:
        for _ in range(2):
            await (await setting.open(container("192.0.2.1", 443), by("corp", proxy.url()))).aclose()
        with pytest.raises(NotOpened) as told:
            await setting.open(container("192.0.2.1", 443), by("corp", proxy.url()), DIRECT)
        assert told.value.refusal.status == 503
        assert told.value.refusal.says == LIMITS
        assert "2 connections to 127.0.0.1 port" in told.value.refusal.reason
        assert setting.failures.noted == []

        await (await setting.open(docker("192.0.2.1", 443), by("corp", proxy.url()))).aclose()


async def test_the_next_is_tried_once_and_that_the_first_failed_is_told() -> None:
    setting = Setting()
    gone = ProxyUrl(Scheme.HTTP, "127.0.0.1", closed_port())
    async with echo() as end, HttpProxy({"end.test:443": end}) as backup:
        opened = await setting.open(docker("end.test", 443), by("corp", gone), by("backup", backup.url()), DIRECT)

        assert await echoed(opened) == b"hello"
        assert opened.way.upstream == "backup"
    assert setting.failures.noted == [("corp", Outcome.REFUSED, "backup")]


async def test_what_a_proxy_forbids_is_not_got_past_it() -> None:
    setting = Setting({"bad.test": "127.0.0.1"})
    async with Says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy, echo() as end:
        with pytest.raises(NotOpened) as told:
            await setting.open(docker("bad.test", end.port), by("corp", proxy.url()), DIRECT)

    assert told.value.refusal.status == 403
    assert "through corp: " in told.value.refusal.reason
    assert setting.failures.noted == []
    assert setting.looked_up == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", 502, id="407"),
        pytest.param(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", 502, id="502"),
        pytest.param(b"SSH-2.0-x\r\n", 502, id="no-http"),
        pytest.param(b"HTTP/1.1 503 x\r\nDocker-Proxy-Relay: limits\r\n\r\n", 502, id="503-as-ours-would-be"),
    ],
)
async def test_a_client_is_never_asked_for_a_password(answer: bytes, status: int) -> None:
    async with Says(answer) as proxy:
        with pytest.raises(NotOpened) as told:
            await Setting().open(docker("end.test", 443), by("corp", _with(proxy.url())))

    assert told.value.refusal.status == status
    assert LOGIN[1] not in str(told.value.refusal.body)
    assert "limits" not in told.value.refusal.reason


async def test_a_host_that_nobody_reaches_is_no_news_of_the_upstreams() -> None:
    """Else a container that asks for what is not there would have all of them probed again and again."""
    setting = Setting()
    async with HttpProxy() as corp:
        with pytest.raises(NotOpened):
            await setting.open(docker("gone.test", 443), by("corp", corp.url()), DIRECT)

    assert setting.failures.noted == []


async def test_a_proxy_that_cannot_be_reached_is_news_also_without_another() -> None:
    setting = Setting()
    with pytest.raises(NotOpened) as told:
        await setting.open(docker("end.test", 443), by("corp", ProxyUrl(Scheme.HTTP, "127.0.0.1", closed_port())))

    assert told.value.refusal.status == 502
    assert setting.failures.noted == [("corp", Outcome.REFUSED, "")]


@pytest.mark.waits
async def test_a_black_hole_is_given_up_in_time_and_the_next_is_tried() -> None:
    setting = Setting({"end.test": "127.0.0.1"})
    async with black_hole() as silent, echo() as end:
        opened = await setting.open(docker("end.test", end.port), by("corp", silent), DIRECT)

        assert await echoed(opened) == b"hello"
    assert setting.failures.noted == [("corp", Outcome.TIMEOUT, "direct")]


async def test_without_orders_for_this_place_nothing_is_opened() -> None:
    with pytest.raises(NotOpened) as told:
        await Setting().open(docker("end.test", 443))

    assert told.value.refusal.status == 503


# What a container may not be connected to.


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "169.254.169.254",
        "192.0.2.7",
        "100.100.100.200",
        "fd00:ec2::254",
    ],
)
@pytest.mark.parametrize("upstream", ["direct", "distant", "here"])
async def test_a_container_is_not_led_to_an_address_of_this_host_whatever_the_way(host: str, upstream: str) -> None:
    setting = Setting(own=frozenset({"192.0.2.7"}))
    proxy = ProxyUrl(Scheme.HTTP, "127.0.0.1" if upstream == "here" else "203.0.113.1", 3128)
    with pytest.raises(NotOpened) as told:
        await setting.open(container(host, 22), DIRECT if upstream == "direct" else by("corp", proxy))

    assert told.value.refusal.status == 403
    assert setting.failures.noted == []


async def test_nor_anywhere_while_the_kernel_does_not_say_what_an_address_is() -> None:
    asked: list[str] = []

    def silent(address: str) -> bool:
        asked.append(address)
        raise NetlinkFailed("silent", errno.ENOBUFS)

    opening = Opening(Failures(), Near(silent, silent), resolve=threaded(lambda _host, _port: []))
    with pytest.raises(NotOpened) as told:
        await opening.open(container("203.0.113.9", 443), Ways(Orders(1, (DIRECT,))))

    assert told.value.refusal.status == 403
    assert "the kernel does not answer" in told.value.refusal.reason
    assert asked == ["203.0.113.9"]  # it would not answer the second time, either


async def test_a_name_waits_until_a_busy_kernel_has_said_what_its_address_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.relay.open._ASKS_AGAIN_S", 0.01)
    busy = [True] * 3

    def is_guest(_address: str) -> bool:
        if busy and busy.pop():
            raise NotYetKnown
        return True

    setting = Setting({"end.test": "203.0.113.9"})
    near = Near(frozenset[str]().__contains__, is_guest)
    opening = Opening(Failures(), near, resolve=threaded(setting._look_up))
    with pytest.raises(NotOpened) as told:
        await opening.open(container("end.test", 443), Ways(Orders(1, (DIRECT,))))

    assert busy == []
    assert told.value.refusal.reason == "end.test is a container or guest of this host"


async def test_nor_directly_by_a_name_that_leads_here() -> None:
    setting = Setting({"evil.test": "127.0.0.1"})
    async with echo() as end:
        with pytest.raises(NotOpened) as told:
            await setting.open(container("evil.test", end.port), DIRECT)
        assert end.accepted == 0

    assert told.value.refusal.status == 403


@pytest.mark.parametrize("asked", ["198.18.7.7", "db.test"])
async def test_nor_to_another_container_which_docker_keeps_apart(asked: str) -> None:
    """By its address, and by a name of whoever's DNS; the address stands for one behind a bridge."""
    setting = Setting({"db.test": "198.18.7.7"}, guests=frozenset({"198.18.7.7"}))
    with pytest.raises(NotOpened) as told:
        await setting.open(container(asked, 5432), DIRECT)

    assert (told.value.refusal.status, told.value.refusal.reason) == (
        403,
        f"{asked} is a container or guest of this host",
    )


@pytest.fixture
def elsewhere() -> str:
    """An address of this machine, of which the relay is told that it is none."""
    known = addresses(netifaces.interfaces()).values()
    found = next((ip.partition("/")[0] for one in known for ip in one.ipv4 if not ip.startswith("127.")), None)
    return found or pytest.skip("this machine has no address but loopback")


async def test_nor_by_a_second_look_up_that_answers_otherwise(elsewhere: str) -> None:
    """It is looked up once, and what was looked at is what is connected to."""
    asked: list[str] = []

    def look_up(host: str, port: int) -> Sequence[Address]:
        asked.append(host)
        return [(socket.AF_INET, ("127.0.0.1" if asked[1:] else elsewhere, port))]

    opening = Opening(Failures(), NOTHING_NEAR, resolve=threaded(look_up))
    async with echo() as end, asyncio.timeout(PATIENCE_S):
        with pytest.raises(NotOpened) as told:
            await opening.open(container("evil.test", end.port), Ways(Orders(1, (DIRECT,))))
        assert end.accepted == 0

    assert asked == ["evil.test"]
    assert told.value.refusal.status == 502


async def test_of_a_name_with_several_addresses_only_those_that_are_elsewhere_are_tried() -> None:
    setting = Setting({"end.test": "192.0.2.7,127.0.0.1"}, own=frozenset({"192.0.2.7"}))
    async with echo() as end:
        with pytest.raises(NotOpened) as told:
            await setting.open(container("end.test", end.port), DIRECT)
        assert end.accepted == 0

    assert told.value.refusal.status == 403


async def test_and_by_one_of_them_that_is_elsewhere_it_is_reached(elsewhere: str) -> None:
    setting = Setting({"end.test": f"127.0.0.1,{elsewhere}"})
    async with Says(waits=False, stays=True, echoes=True, host=elsewhere) as end:
        assert await echoed(await setting.open(container("end.test", end.port), DIRECT)) == b"hello"


async def test_nor_through_a_proxy_on_this_host_by_a_name_that_leads_here() -> None:
    setting = Setting({"evil.test": "127.0.0.1"})
    async with HttpProxy() as px:
        with pytest.raises(NotOpened) as told:
            await setting.open(container("evil.test", 22), by("px", px.url()))
        assert px.accepted == 0

    assert told.value.refusal.status == 403


async def test_nor_through_one_that_is_at_another_address_of_this_host() -> None:
    setting = Setting({"evil.test": "127.0.0.1"}, own=frozenset({"192.0.2.7"}))
    with pytest.raises(NotOpened) as told:
        await setting.open(container("evil.test", 22), by("px", ProxyUrl(Scheme.HTTP, "192.0.2.7", 3128)))

    assert (told.value.refusal.status, told.value.refusal.reason) == (403, "evil.test is loopback")


@pytest.mark.parametrize("host", ["evil.test.", "localhost", "localhost.", "x.localhost"])
async def test_nor_by_one_that_the_proxy_reads_otherwise_than_this_hosts_resolver(host: str) -> None:
    """glibc finds `localhost.` in no file; squid leaves the dot out."""
    setting = Setting({"evil.test": "127.0.0.1"})
    async with HttpProxy() as px:
        with pytest.raises(NotOpened) as told:
            await setting.open(container(host, 22), by("px", px.url()))
        assert px.accepted == 0

    assert told.value.refusal.status == 403


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("can't start new thread"),
        socket.gaierror(socket.EAI_SYSTEM, "System error"),
        UnicodeError("label too long"),
        None,  # it hangs
    ],
)
async def test_a_name_that_could_not_be_looked_up_does_not_pass_and_is_no_fault_of_the_proxy(
    monkeypatch: pytest.MonkeyPatch, failure: Exception | None
) -> None:
    monkeypatch.setattr("agent.relay.open._CHECKED_WITHIN_S", 0.1)

    async def look_up(_host: str, _port: int) -> Sequence[Address]:
        if failure is None:
            await asyncio.Event().wait()
        raise failure or AssertionError

    failures = Failures()
    opening = Opening(failures, NOTHING_NEAR, resolve=look_up)
    async with HttpProxy() as px, asyncio.timeout(PATIENCE_S):
        orders = Orders(1, (by("px", px.url()), DIRECT))
        with pytest.raises(NotOpened) as told:
            await opening.open(container("end.test", 443), Ways(orders))
        assert px.accepted == 0

    assert told.value.refusal.status == 403
    assert "cannot be looked up on this host" in told.value.refusal.reason
    assert not failures.noted


@pytest.mark.parametrize(
    "unknown",
    [
        pytest.param(socket.EAI_NONAME, id="not-there"),
        pytest.param(socket.EAI_NODATA, id="without-addresses"),
        pytest.param(socket.EAI_AGAIN, id="no-name-server-answers"),
        pytest.param(socket.EAI_FAIL, id="its-name-server-fails"),
    ],
)
async def test_a_name_that_nobody_here_knows_passes_to_a_proxy_on_this_host(unknown: int) -> None:
    setting = Setting(unknown=unknown)
    async with echo() as end, HttpProxy({"only.corp.test:443": end}) as px:
        opened = await setting.open(container("only.corp.test", 443), by("px", px.url()))

        assert await echoed(opened) == b"hello"
    assert setting.looked_up == ["only.corp.test"]


UNKNOWN_HERE: Final = "is not known on this host, and may be a container beside the proxy"


@pytest.mark.parametrize(
    ("host", "why"),
    [
        pytest.param("redis", f"redis {UNKNOWN_HERE}", id="known-to-its-dns-alone"),
        pytest.param("redis.", f"redis. {UNKNOWN_HERE}", id="with-a-dot-at-its-end"),
        pytest.param("db", "db is a container or guest of this host", id="a-guests"),
        pytest.param("intranet", "", id="known-here"),
        pytest.param("only.corp.test", "", id="with-a-dot"),
    ],
)
async def test_a_proxy_in_a_container_is_not_asked_for_names_that_only_its_neighbours_may_have(
    host: str, why: str
) -> None:
    guests = frozenset({"127.0.8.3", "198.18.7.7"})
    setting = Setting({"db": "198.18.7.7", "intranet": "203.0.113.7"}, guests=guests)
    async with echo() as end, HttpProxy({f"{host}:443": end}, host="127.0.8.3") as squid:
        way = by("squid", squid.url())
        if not why:
            assert await echoed(await setting.open(container(host, 443), way)) == b"hello"
            return
        with pytest.raises(NotOpened) as told:
            await setting.open(container(host, 443), way)
        assert (told.value.refusal.status, told.value.refusal.reason) == (403, why)
        assert squid.accepted == 0


async def test_nor_for_one_that_leads_to_a_neighbour_also_where_it_is_no_address_of_this_host() -> None:
    nowhere = "255.255.255.255"  # to which the kernel connects nobody
    setting = Setting({"db": "198.18.7.7"}, guests=frozenset({nowhere, "198.18.7.7"}))
    with pytest.raises(NotOpened) as told:
        await setting.open(container("db", 443), by("squid", ProxyUrl(Scheme.HTTP, nowhere, 3128)))

    assert (told.value.refusal.status, told.value.refusal.reason) == (403, "db is a container or guest of this host")


async def test_but_one_on_this_host_is_also_if_its_address_is_on_a_bridge_of_guests() -> None:
    gateway = frozenset({"127.0.8.3"})
    setting = Setting(own=gateway, guests=gateway)
    async with echo() as end, HttpProxy({"redis:443": end}, host="127.0.8.3") as px:
        assert await echoed(await setting.open(container("redis", 443), by("px", px.url()))) == b"hello"


@pytest.mark.parametrize(
    ("host", "why"),
    [
        pytest.param("redis", f"redis {UNKNOWN_HERE}", id="may-be-its-neighbours"),
        pytest.param(
            "end.test", "end.test cannot be told from this host: the kernel does not answer", id="may-be-near"
        ),
    ],
)
async def test_nor_is_a_proxy_of_which_the_kernel_does_not_say_where_it_is(host: str, why: str) -> None:
    def silent(_address: str) -> bool:
        raise NetlinkFailed("silent", errno.ENOBUFS)

    opening = Opening(Failures(), Near(silent, silent), resolve=threaded(Setting({"end.test": "203.0.113.9"})._look_up))
    nowhere = by("corp", ProxyUrl(Scheme.HTTP, "255.255.255.255", 3128))  # to which the kernel connects nobody
    with pytest.raises(NotOpened) as told:
        await opening.open(container(host, 443), Ways(Orders(1, (nowhere,))))

    assert (told.value.refusal.status, told.value.refusal.reason) == (403, why)


MANY: Final = ",".join(f"10.1.{number >> 8}.{number & 255}" for number in range(3900))


async def test_a_name_with_thousands_of_addresses_does_not_keep_others_waiting() -> None:
    """The kernel is asked of each, and whoever answers for the name says how many."""
    asked: list[str] = []

    def is_own(address: str) -> bool:
        asked.append(address)
        return address != "127.0.0.1"

    async with HttpProxy() as px, asyncio.timeout(PATIENCE_S):
        for way, why, most in ((DIRECT, "many.test is this host", 8), (by("px", px.url()), "64 addresses", 0)):
            setting = Setting({"many.test": MANY}, is_own=is_own)
            with pytest.raises(NotOpened) as told:
                await setting.open(container("many.test", 443), way)
            assert told.value.refusal.status == 403
            assert why in told.value.refusal.reason
            assert len(asked) == most
            asked.clear()
        assert px.accepted == 0


async def test_nor_do_many_who_ask_for_one_name_at_the_same_moment() -> None:
    asked = 0

    def is_own(address: str) -> bool:
        nonlocal asked
        asked += 1
        return True

    setting = Setting({"many.test": MANY}, is_own=is_own)
    opened = [asyncio.create_task(setting.open(container("many.test", 443), DIRECT)) for _ in range(30)]
    seen = [0]
    async with asyncio.timeout(PATIENCE_S):
        while not all(task.done() for task in opened):
            await asyncio.sleep(0)
            seen.append(asked)
    assert [str(task.exception()) for task in opened if not isinstance(task.exception(), NotOpened)] == []
    assert asked >= 30 * 8
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 8


async def test_nor_if_this_host_asks_for_it() -> None:
    """An account without rights does; and each address that refuses at once costs a socket."""
    names = {"many.test": ",".join(f"127.1.0.{number + 1}" for number in range(9))}
    async with Says(host="127.1.0.9") as ninth:
        for way in (DIRECT, by("px", ProxyUrl(Scheme.HTTP, "many.test", ninth.port))):
            with pytest.raises(NotOpened):
                await Setting(names).open(docker("many.test", ninth.port), way)
        assert ninth.accepted == 0


async def test_of_a_name_with_many_addresses_some_of_either_family_are_tried() -> None:
    """Where IPv6 leads nowhere, a site with ever so many addresses of it is reached by IPv4."""
    setting = Setting({"both.test": ",".join(["::1"] * 9 + ["127.0.0.1"])})
    async with echo() as end:
        assert await echoed(await setting.open(docker("both.test", end.port), DIRECT)) == b"hello"


async def test_between_the_addresses_of_a_name_others_have_their_turn() -> None:
    turns: list[int] = []

    def is_own(address: str) -> bool:
        turns.append(rounds)
        return True

    rounds = 0
    setting = Setting({"many.test": MANY}, is_own=is_own)
    opening = asyncio.create_task(setting.open(container("many.test", 443), DIRECT))
    async with asyncio.timeout(PATIENCE_S):
        while not opening.done():
            rounds += 1
            await asyncio.sleep(0)
    with pytest.raises(NotOpened):
        await opening
    assert max(map(turns.count, turns)) == 4


async def test_who_asks_for_a_name_with_one_address_does_not_wait_for_all_of_those_with_many() -> None:
    """A hundred through a proxy on this host, which may choose any of them."""
    names, asked, others = {"many.test": MANY.split(",")[:64], "one.test": ["10.2.0.1"]}, 0, 100

    def is_own(address: str) -> bool:
        nonlocal asked
        asked += 1
        return address != "127.0.0.1"

    async def at_once(host: str, port: int) -> Sequence[Address]:
        return [(socket.AF_INET, (address, port)) for address in names[host]]

    opening = Opening(Failures(), Near(is_own, frozenset[str]().__contains__), resolve=at_once)
    ways = Ways(Orders(1, (by("px", ProxyUrl(Scheme.HTTP, "127.0.0.1", closed_port())),)))
    many = [asyncio.create_task(opening.open(container("many.test", 443), ways)) for _ in range(others)]
    async with asyncio.timeout(PATIENCE_S):
        while asked <= others * 4 * 2:  # noqa: ASYNC110 - each has had a turn, and not much more
            await asyncio.sleep(0)
        before = asked
        with pytest.raises(NotOpened):
            await opening.open(container("one.test", 443), ways)
        between = asked - before
        assert {type(end) for end in await asyncio.gather(*many, return_exceptions=True)} == {NotOpened}

    assert asked - before > others * 40
    assert between < others * 2


@pytest.mark.parametrize("host", ["proxy.home", "192.0.2.1"])
async def test_a_proxy_on_this_host_is_not_asked_for_pages_of_itself(host: str) -> None:
    setting = Setting()
    path = b"/squid-internal-mgr/info"
    page = Asked(host, 80, Source.CONTAINERS, "172.17.0.2", is_tunnel=False, path=path)
    of_host = Asked(host, 80, Source.LOOPBACK, "127.0.0.1", is_tunnel=False, path=path)
    async with HttpProxy() as squid, asyncio.timeout(PATIENCE_S):
        way = by("squid", squid.url())
        for asked in (page, container("tinyproxy.stats", 80, is_tunnel=False), container("tinyproxy.stats", 80)):
            with pytest.raises(NotOpened) as told:
                await setting.open(asked, way)
            assert (told.value.refusal.status, told.value.refusal.reason[-21:]) == (403, "is not for containers")
        assert squid.accepted == 0

        kept = await setting.open(container(host, 80, is_tunnel=False), way)
        assert not await setting.opening.may_follow(page, kept)
        await kept.aclose()
        await (await setting.open(of_host, way)).aclose()


async def test_an_address_of_ipv4_within_ipv6_is_no_way_around_what_holds_for_a_proxy_on_this_host() -> None:
    """One AAAA record of the proxy's name is enough for it."""
    setting = Setting({"proxy.corp.test": "::ffff:127.0.0.1", "end.test": "127.0.0.1"})
    async with HttpProxy() as px, asyncio.timeout(PATIENCE_S):
        for proxy in ("::ffff:127.0.0.1", "proxy.corp.test"):
            way = by("px", ProxyUrl(Scheme.HTTP, proxy, px.port))
            for asked in ("end.test", "tinyproxy.stats"):
                with pytest.raises(NotOpened) as told:
                    await setting.open(container(asked, 80), way)
                assert told.value.refusal.status == 403, told.value.refusal.reason
        assert px.accepted == 0


async def test_docker_itself_may_reach_this_host() -> None:
    setting = Setting({"end.test": "127.0.0.1"})
    async with echo() as end:
        assert await echoed(await setting.open(docker("127.0.0.1", end.port), DIRECT)) == b"hello"
        assert await echoed(await setting.open(docker("end.test", end.port), DIRECT)) == b"hello"


@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"])
async def test_the_relay_is_not_its_own_upstream(host: str) -> None:
    async with echo() as relay:
        opening = Opening(Failures(), NOTHING_NEAR, (relay.port,))
        url = ProxyUrl(Scheme.HTTP, host, relay.port)
        with pytest.raises(NotOpened) as told:
            await opening.open(docker("end.test", 443), Ways(Orders(1, (by("loop", url),))))
        assert relay.accepted == 0

    assert told.value.refusal.status == 502
    assert "the relay itself" in told.value.refusal.reason


async def test_nor_is_it_led_to_itself() -> None:
    """It would ask itself again and again, until all connections are in use."""
    async with echo() as relay:
        opening = Opening(Failures(), NOTHING_NEAR, (relay.port,))
        with pytest.raises(NotOpened) as told:
            await opening.open(docker("127.0.0.1", relay.port), Ways(Orders(1, (DIRECT,))))
        assert relay.accepted == 0

    assert (told.value.refusal.status, told.value.refusal.reason) == (403, "that is the relay itself")


@pytest.mark.parametrize("uid", [os.getuid() + 1, None])
async def test_a_password_is_not_sent_to_another_users_listener(uid: int | None) -> None:
    setting = Setting()
    async with HttpProxy() as stranger:
        with pytest.raises(NotOpened):
            await setting.open(docker("end.test", 443), by("px", _with(stranger.url()), owner="px", owner_uid=uid))
        assert stranger.heads == []


async def test_the_owners_listener_gets_it() -> None:
    setting = Setting()
    async with echo() as end, HttpProxy({"end.test:443": end}, login=LOGIN) as px:
        upstream = by("px", _with(px.url()), owner="px", owner_uid=os.getuid())

        assert await echoed(await setting.open(docker("end.test", 443), upstream)) == b"hello"


class Resolver:
    """Names that begin with `slow` hang until they may go on."""

    def __init__(self, whose: Whose = list) -> None:
        self.goes_on = threading.Event()
        self.asked: list[str] = []
        self.names = Names(threaded(self._look_up), whose)

    def _look_up(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        if host.startswith("slow"):
            self.goes_on.wait(PATIENCE_S)
        return [(socket.AF_INET, ("192.0.2.1", port))]

    def begin(self, source: str, host: str) -> asyncio.Task[Sequence[Address]]:
        return asyncio.create_task(self.names.of(source, host, 443, is_container=source.startswith("172.17.")))

    async def until_asked(self, times: int) -> None:
        await until_awaited(PATIENCE_S, lambda: len(self.asked) == times, f"{times} look-ups")

    async def end(self, *waiting: asyncio.Task[Sequence[Address]]) -> None:
        self.goes_on.set()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*waiting, return_exceptions=True)
        await until_awaited(PATIENCE_S, lambda: not self.names._kept, "that no look-up is left")


async def test_a_container_that_asks_for_names_without_end_does_not_keep_docker_from_its_own() -> None:
    resolver = Resolver()
    waiting = [resolver.begin("172.17.0.2", f"slow{number}.test") for number in range(MOST_OF_ONE + 5)]
    try:
        await resolver.until_asked(MOST_OF_ONE)
        async with asyncio.timeout(PATIENCE_S):
            assert await resolver.names.of("127.0.0.1", "hub.test", 443) == [(socket.AF_INET, ("192.0.2.1", 443))]
        waiting[0].cancel()  # its thread goes on, and so does what it counts
        await asyncio.gather(waiting[0], return_exceptions=True)
        late = resolver.begin("172.17.0.2", "late.test")
        await asyncio.sleep(0)
        assert not late.done()
    finally:
        await resolver.end(*waiting)
    assert await late == [(socket.AF_INET, ("192.0.2.1", 443))]
    assert not resolver.names._by_source


async def test_nor_another_container_by_however_many_addresses_it_asks() -> None:
    resolver = Resolver(lambda addresses: [address.rpartition(".")[0] for address in addresses])
    waiting = [resolver.begin(f"172.17.0.{number}", f"slow{number}.test") for number in range(2 * MOST)]
    try:
        await resolver.until_asked(FEW + MOST_OF_ONE)
        async with asyncio.timeout(PATIENCE_S):
            assert await resolver.begin("172.17.9.1", "hub.test") == [(socket.AF_INET, ("192.0.2.1", 443))]
    finally:
        await resolver.end(*waiting)
    assert (resolver.names._by_source, resolver.names._of_containers) == ({}, 0)


async def test_nor_do_all_containers_together() -> None:
    resolver = Resolver()
    waiting = [resolver.begin(f"172.17.0.{number % 9}", f"slow{number}.test") for number in range(2 * MOST)]
    try:
        await resolver.until_asked(MOST - 3 * MOST_OF_ONE)
        async with asyncio.timeout(PATIENCE_S):
            assert await resolver.names.of("127.0.0.1", "hub.test", 443) == [(socket.AF_INET, ("192.0.2.1", 443))]
            # Nor do they and this host's users together keep the relay from those of its upstreams.
            waiting += [resolver.begin("127.0.0.1", f"slow-too{number}.test") for number in range(2 * MOST_OF_ONE)]
            await resolver.until_asked(MOST - 2 * MOST_OF_ONE + 1)
            # And root has its own, whatever other users of this host do.
            waiting.append(asyncio.create_task(resolver.names.of("127.0.0.1", "theirs.test", 443)))
            found = await resolver.names.of("127.0.0.1", "hub.test", 443, is_roots=lambda: True)
            assert found == [(socket.AF_INET, ("192.0.2.1", 443))]
            assert "theirs.test" not in resolver.asked
            assert await resolver.names.of("", "proxy.test", 3128) == [(socket.AF_INET, ("192.0.2.1", 3128))]
    finally:
        await resolver.end(*waiting)
    assert not resolver.names._by_source


async def test_a_name_that_is_just_being_looked_up_is_looked_up_once() -> None:
    resolver = Resolver()
    waiting = [resolver.begin("", "slow.test") for _ in range(50)]
    await resolver.until_asked(1)
    await resolver.end(*waiting)

    assert resolver.asked == ["slow.test"]
    assert {waited.result()[0] for waited in waiting} == {(socket.AF_INET, ("192.0.2.1", 443))}


async def test_who_gives_up_takes_the_answer_from_nobody_who_waits_for_the_same() -> None:
    resolver = Resolver()
    gone, there = (resolver.begin("", "slow.test") for _ in range(2))
    await resolver.until_asked(1)
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await resolver.end(there)

    assert there.result() == [(socket.AF_INET, ("192.0.2.1", 443))]


async def test_nobody_new_waits_for_a_look_up_that_may_hang() -> None:
    resolver = Resolver()
    before = resolver.begin("", "slow.test")
    await resolver.until_asked(1)
    running = resolver.names._running
    running["slow.test", 443] = msgspec.structs.replace(
        running["slow.test", 443], began=running["slow.test", 443].began - 3
    )

    after = resolver.begin("", "slow.test")
    await resolver.until_asked(2)
    await resolver.end(before, after)


async def test_a_name_that_was_looked_up_is_looked_up_again_for_the_next_connection() -> None:
    """By the resolv.conf of now."""
    resolver = Resolver()
    for _ in range(2):
        async with asyncio.timeout(PATIENCE_S):
            await resolver.names.of("", "hub.test", 443)

    assert resolver.asked == ["hub.test"] * 2


async def test_after_a_move_nobody_waits_for_the_name_server_of_the_last_place() -> None:
    resolver = Resolver()
    before = resolver.begin("", "slow.test")
    await resolver.until_asked(1)

    resolver.names.forget()
    after = resolver.begin("", "slow.test")
    await resolver.until_asked(2)

    await resolver.end(before, after)
    assert after.result() == [(socket.AF_INET, ("192.0.2.1", 443))]


async def test_who_gives_up_before_its_turn_leaves_it_to_others() -> None:
    resolver = Resolver()
    slow = [resolver.begin(f"172.17.0.{number % 9}", f"slow{number}.test") for number in range(MOST - 3 * MOST_OF_ONE)]
    await resolver.until_asked(len(slow))
    waiting = [resolver.begin("172.17.0.20", f"wanted{number}.test") for number in range(MOST_OF_ONE)]
    await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await resolver.end(*slow)

    async with asyncio.timeout(PATIENCE_S):
        assert await resolver.begin("172.17.0.20", "hub.test") == [(socket.AF_INET, ("192.0.2.1", 443))]
    assert (resolver.names._by_source, resolver.names._of_containers) == ({}, 0)


async def test_an_answer_from_the_last_place_ends_no_look_up_of_this_one() -> None:
    asked: list[asyncio.Future[Sequence[Address]]] = []

    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        asked.append(asyncio.get_running_loop().create_future())
        async with asyncio.timeout(PATIENCE_S):
            return await asked[-1]

    names = Names(resolve)

    def begin() -> asyncio.Task[Sequence[Address]]:
        return asyncio.create_task(names.of("", "hub.test", 443))

    before = begin()
    await until_awaited(PATIENCE_S, lambda: len(asked) == 1, "the first look-up")
    names.forget()
    now = begin()
    await until_awaited(PATIENCE_S, lambda: len(asked) == 2, "the one of this place")
    asked[0].set_result([(socket.AF_INET, ("192.0.2.1", 443))])
    await before
    await until_awaited(PATIENCE_S, lambda: len(names._kept) == 1, "that the first is over")
    later = begin()
    await asyncio.sleep(0)
    asked[1].set_result([(socket.AF_INET, ("192.0.2.2", 443))])

    assert await now == await later == [(socket.AF_INET, ("192.0.2.2", 443))]
    assert len(asked) == 2
