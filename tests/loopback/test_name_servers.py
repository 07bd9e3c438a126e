"""A DNS server on loopback that is asked whether it knows a name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.docker.config_file import ConfigFile
from agent.one_pass.docker_defaults import container_dns
from agent.see.name_servers import ContainerDns, spellings, unknown_to
from agent.see.resolver import OF_RESOLVED, RESOLV_CONF, Resolver, for_containers
from agent.values.paths import Paths, layout_of_user


class Server(asyncio.DatagramProtocol):
    """Knows `proxy.corp`; a name that begins with `quiet` gets no answer, and one with `odd` no DNS."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if b"quiet" in data:
            return
        if b"odd" in data:
            self.transport.sendto(b"?", addr)
            return
        status = 0 if b"\x05proxy\x04corp\x00" in data else 3
        self.transport.sendto(data[:2] + bytes([0x81, 0x80 | status]) + data[4:], addr)


@asynccontextmanager
async def server(
    address: str = "127.0.0.1", port: int = 0, protocol: type[asyncio.DatagramProtocol] = Server
) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(protocol, local_addr=(address, port))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("name", "is_unknown"),
    [
        pytest.param("proxy.corp", False, id="known"),
        pytest.param("proxy.elsewhere", True, id="not-known"),
        pytest.param("quiet.corp", False, id="silence-is-no-answer"),
        pytest.param("odd.corp", False, id="no-dns"),
        pytest.param("a..b", False, id="no-name"),
    ],
)
async def test_what_a_server_knows(name: str, is_unknown: bool) -> None:
    async with server() as port:
        assert await unknown_to(["127.0.0.1"], [name], port) == is_unknown


async def test_a_silent_server_is_waited_for_once_whatever_is_asked() -> None:
    """Seen: one silent server and six domains held the clients' look up for 3.5 s."""
    unanswered: list[bytes] = []
    unanswered_before: list[int] = []

    class Silent(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            unanswered.append(data)

    class Second(Server):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            unanswered_before.append(len(unanswered))
            super().datagram_received(data, addr)

    names = spellings("proxy", tuple("abcdef"))
    async with server("127.0.0.2", protocol=Silent) as port, server("127.0.0.1", port, Second):
        assert await unknown_to(["127.0.0.2", "127.0.0.1"], names, port)

    assert unanswered_before == [len(names)] * len(names)  # all were on their way before the first had waited


async def test_one_where_nobody_answers_is_passed_over() -> None:
    async with server() as port:
        assert await unknown_to(["no address", "127.0.0.2", "127.0.0.1"], ["proxy.elsewhere"], port)


@pytest.mark.parametrize(
    ("name", "search", "asked"),
    [
        pytest.param("proxy", ("corp", "lan"), ("proxy", "proxy.corp", "proxy.lan"), id="short"),
        pytest.param("proxy.corp", ("lan",), ("proxy.corp", "proxy.corp.lan"), id="with-a-dot"),
        pytest.param("proxy.corp.", ("lan",), ("proxy.corp.",), id="whole"),
        pytest.param("proxy", (), ("proxy",), id="no-domains"),
        pytest.param("p", tuple("abcdefgh"), ("p", "p.a", "p.b", "p.c", "p.d", "p.e", "p.f"), id="bounded"),
    ],
)
def test_what_is_looked_up_for_a_name(name: str, search: tuple[str, ...], asked: tuple[str, ...]) -> None:
    assert spellings(name, search) == asked


@pytest.mark.parametrize(
    ("search", "is_unknown"),
    [((), True), (("elsewhere",), True), (("elsewhere", "corp"), False), (("quiet", "elsewhere"), False)],
)
async def test_a_short_name_is_known_by_one_of_its_domains(search: tuple[str, ...], is_unknown: bool) -> None:
    async with server() as port:
        assert await unknown_to(["127.0.0.1"], spellings("proxy", search), port) == is_unknown


@pytest.mark.parametrize(
    ("daemon_json", "asked"),
    [
        pytest.param(None, ContainerDns(("10.1.1.1",), ("lan",), "of this host's resolv.conf"), id="no-file"),
        pytest.param('{"dns": ["10.9.9.9"]}', ContainerDns(("10.9.9.9",), ("lan",), "dns in daemon.json"), id="dns"),
        pytest.param(
            '{"dns": ["10.9.9.9"], "dns-search": ["corp"]}',
            ContainerDns(("10.9.9.9",), ("corp",), "dns in daemon.json"),
            id="both",
        ),
        pytest.param("{,}", ContainerDns((), (), ""), id="what-nobody-understands"),
    ],
)
def test_whom_containers_ask_says_daemon_json_before_the_host(
    tmp_path: Path, daemon_json: str | None, asked: ContainerDns
) -> None:
    paths = Paths(tmp_path)
    for path, text in (
        (paths.below(RESOLV_CONF), "nameserver 10.1.1.1\nsearch lan\n"),
        (paths.daemon_json, daemon_json),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text)

    assert container_dns(paths, ConfigFile(paths)) == asked


def test_containers_behind_a_bridge_elsewhere_ask_whom_the_host_asks(tmp_path: Path) -> None:
    """So only `dns` in daemon.json can be somebody else."""
    paths = Paths(tmp_path, layout_of_user(1000, "/home/alice", {}))
    for path in (paths.below(RESOLV_CONF), paths.daemon_json):
        path.parent.mkdir(parents=True)
    paths.below(RESOLV_CONF).write_text("nameserver 10.1.1.1\nsearch lan\n")

    assert container_dns(paths, ConfigFile(paths)).servers == ()
    paths.daemon_json.write_text('{"dns": ["10.9.9.9"]}')
    assert container_dns(paths, ConfigFile(paths)).servers == ("10.9.9.9",)


RESOLVED = "nameserver 192.168.1.1\nnameserver 10.8.0.1\nsearch corp.example\n"


@pytest.mark.parametrize(
    ("etc", "resolved", "servers", "search"),
    [
        pytest.param("nameserver 10.1.1.1\nsearch corp\n", None, ("10.1.1.1",), ("corp",), id="as-it-stands"),
        pytest.param("nameserver 127.0.0.53\n", RESOLVED, ("192.168.1.1", "10.8.0.1"), ("corp.example",), id="stub"),
        pytest.param("nameserver 127.0.0.53\n", None, (), (), id="stub-alone"),
        pytest.param("nameserver 127.0.0.1\nsearch corp\n", RESOLVED, (), ("corp",), id="dnsmasq"),
        pytest.param("nameserver 127.0.0.1\nnameserver 10.1.1.1\n", None, ("10.1.1.1",), (), id="without-loopback"),
        pytest.param("nameserver 127.0.0.53\nnameserver ::1\n", RESOLVED, (), (), id="more-than-the-stub-is-no-stub"),
        pytest.param(None, RESOLVED, (), (), id="no-file"),
    ],
)
def test_whom_containers_ask(
    tmp_path: Path, etc: str | None, resolved: str | None, servers: tuple[str, ...], search: tuple[str, ...]
) -> None:
    for path, text in ((RESOLV_CONF, etc), (OF_RESOLVED, resolved)):
        file = Paths(tmp_path).below(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            file.write_text(text)

    assert for_containers(Paths(tmp_path)) == Resolver(servers, search)
