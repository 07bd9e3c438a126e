"""The relay as a whole: orders come by a file, what it says of itself goes into one, and in between it serves."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import itertools
import json
import os
import re
import resource
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import types
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from agent.decide.relay import is_full
from agent.one_pass.relay_report import FallenBack
from agent.probe.dial import Address, Resolve
from agent.probe.probe import Question, probe
from agent.relay.arrivals import SERVED, Turn
from agent.relay.by_source import FEW
from agent.relay.carried import Carried
from agent.relay.draining import Draining
from agent.relay.noted import Noted
from agent.relay.open import Opening
from agent.relay.process import DRAINS_S, given, listening
from agent.relay.pump import Ended, reset
from agent.relay.serving import Serving, Told, _Arrived
from agent.relay.tally import Tally
from agent.relay.visit import PATIENCE, Patience
from agent.relay.weight import OPENING, SO_BUF_LOCK, UNREAD, Marks, held_by
from agent.relay.where import Near
from agent.relay.who import OUTLIVED_S, NotYetKnown, Who
from agent.see import netlink
from agent.see.netlink import Reached
from agent.see.netlink_messages import Link
from agent.system.disk import LocalDisk
from agent.system.files import read_file, refill_file
from agent.values.errors import AgentError
from agent.values.listening import Backlog
from agent.values.policy import RegistryUrl, Upstream
from agent.values.relay import LogMode, Orders, RelayUpstream, Source, bridge_of, orders_file
from agent.values.secret import Secret
from agent.values.settings import Credentials, ProxyUrl, Scheme
from agent.values.verdict import Outcome
from tests.loopback.certificates import CORP, server_tls, trust
from tests.loopback.relays import DIRECT, PATIENCE_S, Client, relay
from tests.loopback.servers import Cuts, HttpProxy, Registry, Says, Server, closed_port
from tests.pure.test_relay_who import BRIDGE, Host
from tests.waiting import until_awaited

ROOT: Final = Path(__file__).parents[2]
AS_SYSTEMD: Final = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
from agent.cli import main
raise SystemExit(main(sys.argv[2:]))
"""
PASSWORD: Final = "pa55w0rd-of-the-relay"


def echo() -> Server:
    return Says(waits=False, stays=True, echoes=True)


def by(name: str, url: ProxyUrl) -> RelayUpstream:
    return RelayUpstream(name, url, url)


async def test_a_tunnel_and_what_is_said_of_it(tmp_path: Path) -> None:
    async with echo() as end, relay(tmp_path, Orders(7, (DIRECT,))) as one:
        client = await one.tunnel("127.0.0.1", end.port)
        assert await client.echoes()
        client.close()
        await until_awaited(PATIENCE_S, lambda: one.running._serving.is_idle, "the tunnel's end")
        one.running._state.write()

        state = one.state()
        (carried,) = state.carried
        assert (state.generation, state.pid, state.connections, state.problem) == (7, os.getpid(), 0, "")
        assert (carried.upstream, carried.open, carried.connections) == ("direct", 0, 1)
        assert (carried.bytes_up, carried.bytes_down) == (5, 5)


async def test_what_no_proxy_sends_directly_is_no_word_of_the_upstream_that_is_called_direct(tmp_path: Path) -> None:
    """Or the agent would record that the relay fell back to it, though nothing failed."""
    orders = Orders(7, (by("corp", ProxyUrl(Scheme.HTTP, "127.0.0.1", 9)), DIRECT), no_proxy=("127.0.0.1",))
    async with echo() as end, relay(tmp_path, orders) as one:
        await one.until_it_obeys(7)
        before, _ = FallenBack().news(one.state(), orders, 100.0)
        client = await one.tunnel("127.0.0.1", end.port)
        client.close()
        await until_awaited(PATIENCE_S, lambda: one.running._serving.is_idle, "the tunnel's end")
        one.running._state.write()

        assert [(each.upstream, each.connections) for each in one.state().carried] == [("direct (no_proxy)", 1)]
        assert before.news(one.state(), orders, 200.0)[1] == {}


async def test_bytes_of_an_open_tunnel_are_counted_while_it_is_open(tmp_path: Path) -> None:
    async with echo() as end, relay(tmp_path, Orders(1, (DIRECT,))) as one:
        client = await one.tunnel("127.0.0.1", end.port)
        assert await client.echoes()
        one.running._state.write()

        assert (one.state().connections, one.state().carried[0].bytes_down) == (1, 5)
        assert await client.echoes()
        one.running._state.write()
        assert one.state().carried[0].bytes_down == 10
        (carried,) = one.running._serving.live
        assert carried.connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1  # nobody else would ask
        client.close()


async def test_requests_for_urls_on_one_connection(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with Says(answer) as server, Says(answer) as other, relay(tmp_path, Orders(1, (DIRECT,))) as one:
        client = await one.client()
        for asked in (server, other):
            client.say(f"GET http://127.0.0.1:{asked.port}/x HTTP/1.1\r\nHost: 127.0.0.1:{asked.port}\r\n\r\n".encode())
            assert (await client.head()).startswith(b"HTTP/1.1 200 ")
            assert await client.heard(2) == b"ok"
        client.close()

    assert server.heads[0].startswith(b"GET /x HTTP/1.1\r\n")
    assert other.heads[0].startswith(b"GET /x HTTP/1.1\r\n")


async def test_a_body_without_a_length_that_ends_in_the_middle_of_a_record_of_tls_is_not_taken_for_the_whole(
    tmp_path: Path,
) -> None:
    CORP.cert_pem.write_to_path(str(tmp_path / "corp.pem"))
    says = Says(b"HTTP/1.1 200 OK\r\n\r\n", bytes(10_000), tls=server_tls("localhost"), stays=True)
    async with says as proxy, Cuts(proxy) as between:
        upstream = by("corp", ProxyUrl(Scheme.HTTPS, "localhost", between.port))
        async with relay(tmp_path, Orders(1, (upstream,), ca_file=str(tmp_path / "corp.pem"))) as one:
            client = await one.client()
            client.say(b"GET http://end.test/ HTTP/1.1\r\nHost: end.test\r\n\r\n")
            assert (await client.head()).startswith(b"HTTP/1.1 200 ")
            with pytest.raises(ConnectionResetError):
                await client.rest()
            client.close()


async def test_a_tunnel_after_a_request_on_the_same_connection(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with Says(answer) as server, echo() as end, relay(tmp_path, Orders(1, (DIRECT,))) as one:
        client = await one.client()
        client.say(f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        await client.head()
        await client.heard(2)

        await client.connect("127.0.0.1", end.port)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert await client.echoes()
        client.close()


def all_kept(live: Iterable[Carried]) -> bool:
    return all(carried.is_kept for carried in live)


async def test_a_client_that_asks_for_nothing_just_now_loses_nothing_by_a_move(tmp_path: Path) -> None:
    async with Registry() as server, relay(tmp_path, Orders(1, (DIRECT,))) as one:
        client = await one.client()
        asked = f"GET http://127.0.0.1:{server.port}/v2/ HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
        for _ in range(2):
            client.say(asked)
            assert (await client.head()).startswith(b"HTTP/1.1 401 ")
            assert await client.heard(2) == b"{}"
            live = one.running._serving.live
            await until_awaited(PATIENCE_S, functools.partial(all_kept, live), "that it is kept")
            for carried in (*live,):
                carried.finish(Ended.ADDRESS_GONE)
        client.close()

    assert server.accepted == 2


async def test_a_client_that_waits_for_its_second_answer_learns_of_a_move(tmp_path: Path) -> None:
    """Also if it is asked for on the connection of the first."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with Says(answer, stays=True) as server, relay(tmp_path, Orders(1, (DIRECT,))) as one:
        client = await one.client()
        asked = f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
        client.say(asked)
        await client.head()
        await client.heard(2)
        live = one.running._serving.live
        await until_awaited(PATIENCE_S, functools.partial(all_kept, live), "that it is kept")
        (carried,) = live
        before = carried.moved[0]
        client.say(asked)
        await until_awaited(PATIENCE_S, lambda: carried.moved[0] == 2 * before, "the second request")

        carried.finish(Ended.ADDRESS_GONE)

        with pytest.raises(ConnectionResetError):
            await client.rest()
        client.close()
    assert server.accepted == 1


async def test_what_goes_from_socket_to_socket_counts_as_any_other_byte(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000)
    async with Says(answer) as server, relay(tmp_path, Orders(1, (DIRECT,))) as one:
        client = await one.client()
        client.say(f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        await client.head()
        assert await client.heard(1_000_000) == bytes(1_000_000)
        client.close()
        await until_awaited(PATIENCE_S, lambda: one.running._serving.is_idle, "that it has left")
        one.running._state.write()

    (direct,) = one.state().carried
    assert direct.bytes_down == len(answer)


async def test_an_upgrade_becomes_a_tunnel(tmp_path: Path) -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    server = Says(switch, stays=True, echoes=True)
    async with server, relay(tmp_path, Orders(1, (DIRECT,), log=LogMode.CONNECTIONS)) as one:
        client = await one.client()
        end = f"127.0.0.1:{server.port}"
        client.say(
            f"GET http://{end}/ws HTTP/1.1\r\nHost: {end}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode()
        )
        assert (await client.head()).startswith(b"HTTP/1.1 101 ")
        assert await client.echoes()
        client.close()
        await until_awaited(PATIENCE_S, one.log.exists, "the log")


async def test_without_orders_it_says_so_and_begins_as_soon_as_they_come(tmp_path: Path) -> None:
    async with echo() as end, relay(tmp_path) as one:
        client = await one.client()
        await client.connect("127.0.0.1", end.port)
        assert (await client.head()).startswith(b"HTTP/1.1 503 ")
        assert b"docker-proxy-agent status" in await client.rest()
        client.close()
        assert "does not exist" in one.state().problem

        one.obey(Orders(3, (DIRECT,)))

        await one.until_it_obeys(3)
        client = await one.tunnel("127.0.0.1", end.port)
        assert await client.echoes()
        client.close()


async def test_orders_are_found_also_if_their_folder_comes_later(tmp_path: Path) -> None:
    async with relay(tmp_path) as one:
        folder = one.paths.relay_orders.parent
        folder.rmdir()
        await until_awaited(PATIENCE_S, lambda: one.running._orders._again is not None, "that the folder is gone")
        folder.mkdir()
        one.obey(Orders(3, (DIRECT,)))

        await one.until_it_obeys(3)


async def test_orders_are_obeyed_however_long_the_agent_takes_to_swap_them(tmp_path: Path) -> None:
    """On a busy host it may stand still in the middle: then no event tells that the file can be read."""
    async with relay(tmp_path, Orders(1, (DIRECT,))) as one:
        await one.until_it_obeys(1)
        new, disk = tmp_path / "new", LocalDisk()
        new.write_bytes(orders_file(Orders(2, (DIRECT,))))
        with new.open("r+b") as held, disk.readers_wait(held.fileno()):
            disk.rename(new, one.paths.relay_orders)
            await until_awaited(PATIENCE_S, lambda: one.running._orders._unread, "that it cannot be read")
            assert one.state().problem == ""

        await one.until_it_obeys(2)
        assert one.said == []


async def test_orders_that_are_refilled_on_a_full_disk_are_read(tmp_path: Path) -> None:
    """The same file has other bytes, and was away for a moment."""
    async with relay(tmp_path, Orders(1, (DIRECT, RelayUpstream("spare")))) as one:
        path = one.paths.relay_orders
        before = read_file(path)
        assert before is not None

        refill_file(path, orders_file(Orders(2, (DIRECT,))), expected=before)
        await one.until_it_obeys(2)
        assert one.state().problem == ""


async def test_orders_that_are_torn_change_nothing_and_what_is_in_them_is_not_shown(tmp_path: Path) -> None:
    proxy = ProxyUrl(Scheme.HTTP, "proxy.test", 3128, Credentials("me", Secret(PASSWORD)))
    async with echo() as end, relay(tmp_path, Orders(3, (DIRECT,))) as one:
        one.written(orders_file(Orders(4, (by("corp", proxy),)))[:-3])
        await until_awaited(PATIENCE_S, lambda: one.state().problem, "the problem")

        assert "cannot be parsed" in one.state().problem
        assert one.state().generation == 3
        client = await one.tunnel("127.0.0.1", end.port)
        assert await client.echoes()
        client.close()
        assert PASSWORD not in f"{one.said}{one.paths.relay_state.read_text()}"


async def test_a_switch_leaves_open_tunnels_alone_and_the_next_goes_the_new_way(tmp_path: Path) -> None:
    async with echo() as end, HttpProxy({"end.test:443": end}) as corp, relay(tmp_path, Orders(1, (DIRECT,))) as one:
        before = await one.tunnel("127.0.0.1", end.port)
        one.obey(Orders(2, (by("corp", corp.url()),)))
        await one.until_it_obeys(2)

        after = await one.tunnel("end.test", 443)
        assert await after.echoes()
        assert await before.echoes()
        assert corp.asked == ["end.test:443"]
        before.close()
        after.close()


async def test_that_an_upstream_failed_is_said_within_a_second(tmp_path: Path) -> None:
    gone = by("corp", ProxyUrl(Scheme.HTTP, "127.0.0.1", closed_port()))
    async with (
        echo() as end,
        HttpProxy({"end.test:443": end}) as backup,
        relay(tmp_path, Orders(5, (gone, by("backup", backup.url())))) as one,
    ):
        client = await one.tunnel("end.test", 443)
        assert await client.echoes()
        await until_awaited(PATIENCE_S, lambda: one.state().failed, "the failure")

        failed = one.state().failed
        assert failed is not None
        assert (failed.number, failed.upstream, failed.outcome) == (1, "corp", "refused")
        assert (failed.generation, failed.used) == (5, "backup")
        client.close()


async def test_who_is_not_meant_is_closed_before_a_byte_is_read(tmp_path: Path) -> None:
    async with relay(tmp_path, Orders(1, (DIRECT,), sources=(Source.CONTAINERS,))) as one:
        for _ in range(2):
            with contextlib.suppress(ConnectionResetError):
                client = await one.client()
                assert await client.rest() == b""
                client.close()
        await until_awaited(PATIENCE_S, lambda: one.state().refused, "who was refused")

        assert one.state().refused[0].source == "127.0.0.1"
        assert [line for line in one.said if "refused" in line] == [
            "refused: 127.0.0.1 is neither this host nor a container of it that has a way out"
        ]


async def test_whoever_may_not_any_more_is_ended_as_soon_as_that_is_said(tmp_path: Path) -> None:
    """A network may be known to lead nowhere only after its first container has come."""
    async with (
        echo() as end,
        Says(b"", stays=True) as silent,
        Registry() as registry,
        relay(tmp_path, Orders(1, (DIRECT,))) as one,
    ):
        tunnel = await one.tunnel("127.0.0.1", end.port)
        kept = await one.client()
        kept.say(
            f"GET http://127.0.0.1:{registry.port}/v2/ HTTP/1.1\r\nHost: 127.0.0.1:{registry.port}\r\n\r\n".encode()
        )
        await kept.head()
        assert await kept.heard(2) == b"{}"
        asking = await one.client()
        asking.say(f"GET http://127.0.0.1:{silent.port}/ HTTP/1.1\r\nHost: 127.0.0.1:{silent.port}\r\n\r\n".encode())
        await until_awaited(PATIENCE_S, lambda: silent.heads, "the request")
        waiting = await one.client()
        waiting.say(b"CONNECT")

        one.obey(Orders(2, (DIRECT,), sources=(Source.CONTAINERS,)))

        for client in (tunnel, kept, asking, waiting):
            with pytest.raises(ConnectionResetError):
                await client.rest()
            client.close()


async def test_strangers_who_come_all_at_once_do_not_take_a_whole_turn_of_the_loop(tmp_path: Path) -> None:
    async with relay(tmp_path, Orders(1, (DIRECT,), sources=(Source.CONTAINERS,))) as one:
        strangers = [socket.create_connection(("127.0.0.1", one.port), timeout=PATIENCE_S) for _ in range(40)]
        refused: list[socket.socket] = []
        turns = 0
        while len(refused) < len(strangers):
            before = len(refused)
            await asyncio.sleep(0)
            refused = [each for each in strangers if _is_reset(each)]
            assert len(refused) - before <= 8
            turns += 1
            assert turns < 10_000
        for each in strangers:
            each.close()


def _is_reset(connected: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connected, 0)
    return bool(poll.poll(0))  # POLLERR or POLLHUP


async def test_who_has_too_many_is_told_why_and_the_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = [1000]
    monkeypatch.setattr(netlink, "owner_of", lambda _near, _far: owners[0])
    async with echo() as end, relay(tmp_path, Orders(1, (DIRECT,), max_connections=8)) as one:
        held = [await one.tunnel("127.0.0.1", end.port) for _ in range(2)]
        for address in ("127.0.0.1", "127.0.0.2"):
            client = await one.client(address)
            await client.connect("127.0.0.1", end.port)
            assert (await client.head()).startswith(b"HTTP/1.1 503 this host has 2 connections")
            client.close()

        owners[0] = 0
        other = await one.client()
        await other.connect("127.0.0.1", end.port)
        assert (await other.head()).startswith(b"HTTP/1.1 200 ")
        assert await other.echoes()
        one.running._state.write()
        assert one.state().turned_away == 2
        for each in (*held, other):
            each.close()
        await until_awaited(PATIENCE_S, lambda: one.running._serving.is_idle, "that they have left")
        for each in [await one.tunnel("127.0.0.1", end.port) for _ in range(2)]:
            each.close()


async def test_whatever_is_shared_is_shared_by_where_a_container_is(tmp_path: Path) -> None:
    async with relay(tmp_path) as one:
        running, serving = one.running, one.running._serving
        shared = serving._limits, serving.opening._names, running._by_pac, running._draining

        assert [each._whose for each in shared] == [serving._who.whose] * 4


async def test_a_probe_tells_the_relays_own_limits_from_those_of_an_upstream_that_speaks_like_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netlink, "owner_of", lambda _near, _far: 1000)
    speaks_like_it = b"HTTP/1.1 503 x\r\nDocker-Proxy-Relay: limits\r\nContent-Length: 0\r\n\r\n"
    async with (
        Says(speaks_like_it) as corp,
        relay(tmp_path, Orders(1, (by("corp", corp.url()),), max_connections=4)) as one,
    ):
        url = ProxyUrl(Scheme.HTTP, "127.0.0.1", one.port)
        through = Upstream("relay", http=url, https=url)
        of_upstream = await probe(through, asking(tmp_path, "http://registry.test"))
        assert (of_upstream.outcome, is_full(of_upstream)) == (Outcome.PROXY_DOWN, False)
        await until_awaited(PATIENCE_S, lambda: one.running._serving.is_idle, "that it has left")

        holds = await one.client()
        holds.say(b"C")
        await until_awaited(PATIENCE_S, lambda: not one.running._serving.is_idle, "that it is there")
        for registry in ("http://registry.test", "https://registry.test"):
            assert is_full(await probe(through, asking(tmp_path, registry)))
        holds.close()


def asking(folder: Path, registry: str) -> Question:
    return Question((RegistryUrl.parse(registry),), any_of=True, tls=trust(folder), timeout_s=PATIENCE_S)


async def test_however_many_are_turned_away_at_once_each_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe among them must not take the relay for one that does not work."""
    monkeypatch.setattr(netlink, "owner_of", lambda _near, _far: 1000)
    async with echo() as end, relay(tmp_path, Orders(1, (DIRECT,), max_connections=8)) as one:
        held = [await one.tunnel("127.0.0.1", end.port) for _ in range(2)]
        turned = [await one.client() for _ in range(150)]
        for client in turned[::2]:
            await client.connect("127.0.0.1", end.port)

        for client in turned:
            assert (await client.head()).startswith(b"HTTP/1.1 503 this host has 2 connections")
        for client in (*turned, *held):
            client.close()


async def test_that_an_upstream_wants_another_password_for_a_url_is_said_and_that_a_server_does_is_not(
    tmp_path: Path,
) -> None:
    refuses = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
    async with (
        HttpProxy(login=("me", PASSWORD)) as corp,
        Says(refuses) as server,
        relay(tmp_path, Orders(1, (by("corp", corp.url()),), no_proxy=("127.0.0.1",))) as one,
    ):
        for host in (f"127.0.0.1:{server.port}", "end.test"):
            one.running._state.write()
            assert one.state().failed is None
            client = await one.client()
            client.say(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert b" 502 " in await client.head()
            client.close()

        await until_awaited(PATIENCE_S, lambda: one.state().failed, "the failure")
        failed = one.state().failed
        assert failed is not None
        assert (failed.upstream, failed.outcome, failed.evidence) == ("corp", "proxy-auth", "407, asks for Basic")


async def test_a_new_network_is_no_reason_to_send_a_pacs_proxy_a_password_that_it_refused(tmp_path: Path) -> None:
    async with HttpProxy(login=("me", PASSWORD)) as corp:
        url = ProxyUrl(Scheme.HTTP, "127.0.0.1", corp.port, Credentials("me", Secret("another")))
        hearsay = RelayUpstream("corp → one", url, url, named_by="corp")
        async with relay(tmp_path, Orders(1, (hearsay,))) as one:
            for generation in (1, 2):
                one.obey(Orders(generation, (hearsay,), told=(f"{generation} br-x",)))
                await one.until_it_obeys(generation)
                client = await one.client()
                await client.connect("end.test", 443)
                assert b" 502 " in await client.head()
                client.close()

        assert corp.refused_logins == 1


async def test_a_server_that_says_407_in_a_proxys_name_keeps_no_tunnel_from_that_proxy(tmp_path: Path) -> None:
    says = Says(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
    async with says, echo() as end, HttpProxy({"bad.test:80": says, "bad.test": says, "end.test:443": end}) as corp:
        url = ProxyUrl(Scheme.HTTP, "127.0.0.1", corp.port, Credentials("me", Secret(PASSWORD)))
        async with relay(tmp_path, Orders(1, (RelayUpstream("corp → one", url, url, named_by="corp"),))) as one:
            await one.until_it_obeys(1)
            for said in (b"407, asks for Basic", b"its password was refused before"):
                client = await one.client()
                client.say(b"GET http://bad.test/ HTTP/1.1\r\nHost: bad.test\r\n\r\n")
                assert said in await client.head()
                client.close()

            client = await one.tunnel("end.test", 443)
            assert await client.echoes()
            client.close()


def test_the_kernel_tells_whose_a_connection_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, address = server.accept()
        with accepted:
            assert netlink.owner_of(address, server.getsockname()) == os.getuid()
            assert netlink.owner_of(("127.0.0.2", address[1]), server.getsockname()) is None
            assert netlink.owner_of(server.getsockname(), ("127.0.0.1", 1)) is None
            assert client.fileno() >= 0


def test_whose_it_was_is_not_known_once_nobody_has_it_open() -> None:
    """The kernel says root's, whoever has closed it: anybody could connect, and close, as root."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        clients = [socket.create_connection(server.getsockname()) for _ in range(40)]
        accepted = [server.accept() for _ in clients]
        ends = [(address, server.getsockname()) for _, address in accepted]
        clients[1].shutdown(socket.SHUT_WR)
        for client in clients[2::2]:
            client.close()

        assert netlink.owners_of(ends) == [os.getuid(), os.getuid(), *[None, os.getuid()] * 19]
        assert [netlink.owner_of(*each) for each in ends] == netlink.owners_of(ends)
        for each in (*clients, *(each for each, _ in accepted)):
            each.close()
    assert netlink.owners_of([]) == []


def test_the_kernel_tells_how_many_wait_at_a_socket_and_how_many_it_dropped() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        address = server.getsockname()
        assert netlink.backlog_of(*address) == Backlog(cookie_of(server), waiting=0, most=1)
        clients = [socket.socket() for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(address)

        found = netlink.backlog_of(*address)
        assert found is not None
        assert (found.cookie, found.waiting, found.most) == (cookie_of(server), 2, 1)
        assert found.dropped >= 2
        for client in clients:
            client.close()
    assert netlink.backlog_of(*address) is None


def cookie_of(one: socket.socket) -> int:
    """asm-generic/socket.h: SO_COOKIE."""
    return int.from_bytes(one.getsockopt(socket.SOL_SOCKET, 57, 8), sys.byteorder)


async def test_a_slow_head_is_given_up_and_who_says_nothing_is_closed(tmp_path: Path) -> None:
    async with relay(tmp_path, Orders(1, (DIRECT,)), patience=Patience(head_s=0.2, next_s=0.2)) as one:
        slow = await one.client()
        slow.say(b"CONNECT end.test:443 HTTP/1.1\r\nHost: ")
        assert (await slow.head()).startswith(b"HTTP/1.1 408 ")
        slow.close()

        silent = await one.client()
        assert await silent.rest() == b""
        silent.close()


async def test_large_heads_are_read_one_after_the_other_and_others_have_their_turn_between(tmp_path: Path) -> None:
    """One of 64 KB takes 3 ms to read, and a container may have 256 that are whole at the same moment."""
    head = b"GET http://127.0.0.1/ HTTP/1.0\r\nHost: elsewhere.test\r\nX: a" + b" " * 20_000 + b"\r\n\r\n"
    async with relay(tmp_path, Orders(1, (DIRECT,))) as one, asyncio.timeout(PATIENCE_S):
        await one.until_it_obeys(1)
        clients = [socket.create_connection(("127.0.0.1", one.port)) for _ in range(12)]
        try:
            for client in clients:
                client.setblocking(False)
                await asyncio.get_running_loop().sock_sendall(client, head[:-1])

            def is_read() -> bool:
                served = [guest.connected for guest in one.running._serving._tasks.values()]
                is_sent = not any(_count(client, termios.TIOCOUTQ) for client in clients)
                return is_sent and len(served) == len(clients) and not any(_count(s, termios.FIONREAD) for s in served)

            await until_awaited(PATIENCE_S, is_read, "all but the last byte is read")
            for client in clients:
                client.send(head[-1:])
            assert await _most_in_a_round(clients) <= 3  # what is sent may be seen some rounds later
        finally:
            for client in clients:
                client.close()


async def test_a_large_head_that_came_with_the_body_before_it_takes_its_turn_as_well(tmp_path: Path) -> None:
    """The answers to those before it may all come at the same moment."""
    are_all_there, asked, there = asyncio.Event(), 0, 0

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked, there
        with contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            asked += 1
            await reader.readexactly(5)
            there += 1
            await asyncio.wait_for(are_all_there.wait(), PATIENCE_S)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()

    async with (
        relay(tmp_path, Orders(1, (DIRECT,))) as one,
        asyncio.timeout(PATIENCE_S),
        await asyncio.start_server(answers, "127.0.0.1") as server,
    ):
        await one.until_it_obeys(1)
        origin = f"127.0.0.1:{server.sockets[0].getsockname()[1]}".encode()
        first = b"PUT http://" + origin + b"/ HTTP/1.1\r\nHost: " + origin + b"\r\nContent-Length: 5\r\n\r\n"
        head = b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: elsewhere.test\r\nX: a" + b" " * 20_000 + b"\r\n\r\n"
        clients = [socket.create_connection(("127.0.0.1", one.port)) for _ in range(12)]
        try:
            for client in clients:
                client.setblocking(False)
                await asyncio.get_running_loop().sock_sendall(client, first)
            await until_awaited(PATIENCE_S, lambda: asked == len(clients), "that all of the first are asked for")
            for client in clients:
                await asyncio.get_running_loop().sock_sendall(client, b"hello" + head)
            await until_awaited(PATIENCE_S, lambda: there == len(clients), "that their bodies are there")
            are_all_there.set()
            assert await _most_in_a_round(clients) <= 3  # what is sent may be seen some rounds later
        finally:
            for client in clients:
                client.close()


@pytest.mark.parametrize("whose", ["a container", pytest.param("root", marks=pytest.mark.needs_root)])
async def test_a_large_head_does_not_wait_for_all_of_another_source(whose: str) -> None:
    """However many of those have come before it."""
    host, many = Host(), 80
    host.ways["172.17.0.3"] = host.ways["172.17.0.2"]
    head = b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: elsewhere.test\r\nX: a" + b" " * 5_000 + b"\r\n\r\n"
    who = Who(host) if whose == "a container" else Who()
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=who) as (one, port), asyncio.timeout(PATIENCE_S):
        clients: list[socket.socket] = []
        for number in range(many + 1):
            is_last = number == many
            if whose == "root":
                came = socket.create_connection(("127.0.0.1", port)) if is_last else _of_another_user("127.0.0.1", port)
            else:
                with socket.create_server(("127.0.0.1", 0)) as listens:
                    came, connected = socket.create_connection(listens.getsockname()), listens.accept()[0]
                connected.setblocking(False)
                peer = "172.17.0.3" if is_last else "172.17.0.2"
                one._admit(_Arrived(connected, Source.CONTAINERS, (peer, 1), ("172.17.0.1", 3130)), Turn.OTHERS)
            came.setblocking(False)
            clients.append(came)
        await until_awaited(PATIENCE_S, lambda: len(one._tasks) == len(clients), "that all are served")
        for client in clients:
            client.send(head)  # while the loop stands still: all are there when it comes round
        await _most_in_a_round(clients[-1:])
        assert sum(map(_has_answer, clients)) <= 2 * FEW + 8  # of those that came first, and a few
        for client in clients:
            client.close()


@pytest.mark.needs_root
async def test_whose_an_open_connection_is_can_be_told_while_it_is_open() -> None:
    async with begun(looked_up, Orders(1, (DIRECT,)), []) as (one, port):
        theirs, roots = _of_another_user("127.0.0.1", port), socket.create_connection(("127.0.0.1", port))
        await until_awaited(PATIENCE_S, lambda: len(one._tasks) == 2, "that both are served")
        served = {guest.connected.getpeername(): guest.connected for guest in one._tasks.values()}

        found = [one.pipes.rounds.whose_is(served[each.getsockname()]) for each in (theirs, roots)]

        assert found == ["this host", "root"]
        for each in (theirs, roots):
            each.close()


@pytest.mark.needs_root
async def test_nor_does_a_large_answer_to_root_wait_for_those_to_others() -> None:
    asked, answer = 0, asyncio.Event()

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            asked += 1
            await asyncio.wait_for(answer.wait(), PATIENCE_S)
            writer.write(b"HTTP/1.1 400 No\r\nX: " + b"x" * 5_000 + b"\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            await reader.read()

    async with (
        begun(looked_up, Orders(1, (DIRECT,)), []) as (_, port),
        asyncio.timeout(PATIENCE_S),
        await asyncio.start_server(answers, "127.0.0.1") as server,
    ):
        end = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        clients = [_of_another_user("127.0.0.1", port) for _ in range(100)]
        clients.append(socket.create_connection(("127.0.0.1", port)))
        clients[-1].setblocking(False)
        for number, client in enumerate(clients, start=1):
            client.send(f"GET http://{end}/ HTTP/1.1\r\nHost: {end}\r\n\r\n".encode())
            await until_awaited(PATIENCE_S, lambda: asked == number, "that it is asked for")  # noqa: B023 - at once
        answer.set()
        await _most_in_a_round(clients[-1:])
        assert sum(map(_has_answer, clients)) <= 2 * FEW + 8
        for client in clients:
            client.close()


def _count(connected: socket.socket, what: int) -> int:
    """Of bytes in the kernel."""
    (count,) = struct.unpack("i", fcntl.ioctl(connected, what, b"\0\0\0\0"))
    return int(count)


async def _most_in_a_round(clients: Sequence[socket.socket]) -> int:
    """Of answers, each time that the loop comes round, until all are there."""
    answered = [0]
    while answered[-1] < len(clients):
        await asyncio.sleep(0)
        answered.append(sum(map(_has_answer, clients)))
    return max(after - before for before, after in itertools.pairwise(answered))


def _has_answer(client: socket.socket) -> bool:
    try:
        return b"HTTP/1.1 400 " in client.recv(4096, socket.MSG_PEEK)
    except BlockingIOError:
        return False


async def test_many_idle_tunnels_and_the_next_is_served(tmp_path: Path) -> None:
    async with echo() as end, relay(tmp_path, Orders(1, (DIRECT,), max_connections=2000)) as one:
        held = [await one.tunnel("127.0.0.1", end.port) for _ in range(200)]

        client = await one.tunnel("127.0.0.1", end.port)
        assert await client.echoes()
        assert all([await each.echoes() for each in held])
        assert {_coroutines(task) for task in one.running._serving._tasks} == {2}, "each takes memory for hours"
        for each in (client, *held):
            each.close()


def _coroutines(task: asyncio.Task[None]) -> int:
    """That wait in each other."""
    count = 0
    waiting: object = task.get_coro()
    while isinstance(waiting, types.CoroutineType):
        count, waiting = count + 1, waiting.cr_await
    return count


async def test_connections_are_written_down_if_asked_for_without_paths_and_headers(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with echo() as end, Says(answer) as server:
        async with relay(tmp_path, Orders(1, (DIRECT,), log=LogMode.CONNECTIONS)) as one:
            client = await one.tunnel("127.0.0.1", end.port)
            assert await client.echoes()
            client.say_no_more()
            await client.rest()
            client.close()
            client = await one.client()
            client.say(
                f"GET http://127.0.0.1:{server.port}/secret?q=1 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                f"Authorization: {PASSWORD}\r\n\r\n".encode()
            )
            await client.head()
            await client.heard(2)
            await until_awaited(PATIENCE_S, lambda: one.log.exists() and one.log.read_text().count("\n") == 2, "lines")
            client.close()
            client = await one.client()
            await client.connect("127.0.0.1", nobody := closed_port())
            await client.rest()
            client.close()

        assert stat.S_IMODE(one.log.stat().st_mode) == 0o640
        first, second, third = map(json.loads, one.log.read_text().splitlines())
        assert (first["source"], first["host"], first["port"]) == ("127.0.0.1", "127.0.0.1", end.port)
        assert (first["upstream"], first["up"], first["down"], first["result"]) == ("direct", 5, 5, "closed")
        assert (second["port"], second["result"]) == (server.port, "next")
        assert (third["port"], third["upstream"], third["up"], third["down"]) == (nobody, "direct", 0, 0)
        assert "nothing listens there" in third["result"]
        assert "secret" not in one.log.read_text()
        assert PASSWORD not in one.log.read_text()


async def test_in_the_summary_is_a_line_for_each_upstream(tmp_path: Path) -> None:
    async with echo() as end, relay(tmp_path, Orders(1, (DIRECT,))) as one:
        client = await one.tunnel("127.0.0.1", end.port)
        assert await client.echoes()
        client.close()
        await until_awaited(PATIENCE_S, lambda: one.running._serving.is_idle, "the tunnel's end")
        one.running._sum_up()
        one.running._sum_up()

        assert one.said == ["direct: 1 connections, 0.0 MB down, 0.0 MB up"]
        assert not one.log.exists()


# The process.


@contextlib.contextmanager
def started(root: Path, handed: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    """As systemd starts it: the socket is its descriptor 3."""
    running = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", AS_SYSTEMD, str(handed.fileno()), "--root", str(root), "relay"],
        cwd=ROOT,
        pass_fds=(handed.fileno(),),
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait(timeout=PATIENCE_S)


async def _connected(port: int, host: str, end_port: int) -> Client:
    async with asyncio.timeout(PATIENCE_S):
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
    await client.connect(host, end_port)
    assert (await client.head()).startswith(b"HTTP/1.1 200 ")
    return client


async def test_whoever_connects_while_it_restarts_waits_and_is_served(tmp_path: Path) -> None:
    _write_orders(tmp_path, Orders(1, (DIRECT,)))
    with socket.create_server(("127.0.0.1", 0), backlog=100) as handed:
        port = handed.getsockname()[1]
        async with echo() as end:
            with started(tmp_path, handed) as first:
                client = await _connected(port, "127.0.0.1", end.port)
                assert await client.echoes()
                first.send_signal(signal.SIGTERM)
                status = await asyncio.to_thread(first.wait, PATIENCE_S)
                assert status == 0
                with contextlib.suppress(ConnectionResetError):
                    assert await client.rest() == b""
                client.close()

            waiting = asyncio.create_task(_connected(port, "127.0.0.1", end.port))
            await asyncio.sleep(0)
            with started(tmp_path, handed):
                client = await waiting
                assert await client.echoes()
                client.close()


def test_a_thousand_idle_tunnels_by_a_policy_that_allows_them_take_little_memory(tmp_path: Path) -> None:
    """All of this host, which may have a quarter of what there may be; and one more is served."""
    _write_orders(tmp_path, Orders(1, (DIRECT,), max_connections=4096))
    with (
        _descriptors(4096),
        socket.create_server(("127.0.0.1", 0), backlog=1100) as handed,
        socket.create_server(("127.0.0.1", 0), backlog=1100) as end,
        started(tmp_path, handed) as process,
        contextlib.ExitStack() as held,
    ):
        end.settimeout(PATIENCE_S)
        ports = handed.getsockname()[1], end.getsockname()[1]
        for source in range(2, 6):
            _hold(held, *ports, source=f"127.0.0.{source}", end=end)
        before = _resident_kb(process.pid)

        ends = [_hold(held, *ports, source=f"127.0.0.{2 + number % 4}", end=end) for number in range(1000)]

        grown = _resident_kb(process.pid) - before
        for near, far in (ends[0], ends[-1]):
            near.sendall(b"hello")
            assert far.recv(5) == b"hello"
        assert grown < 8 * 1024, f"{grown} KB"


def _write_orders(root: Path, orders: Orders) -> None:
    path = root / "run/docker-proxy-agent/relay.json"
    path.parent.mkdir(parents=True)
    (root / "run/docker-proxy-relay").mkdir(parents=True)
    path.write_bytes(orders_file(orders))


def _hold(
    held: contextlib.ExitStack, port: int, end_port: int, *, source: str, end: socket.socket
) -> tuple[socket.socket, socket.socket]:
    """A tunnel, and both its ends."""
    near = held.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S, (source, 0)))
    near.sendall(f"CONNECT 127.0.0.1:{end_port} HTTP/1.1\r\nHost: 127.0.0.1:{end_port}\r\n\r\n".encode())
    assert near.recv(1000).startswith(b"HTTP/1.1 200 ")
    return near, held.enter_context(end.accept()[0])


@contextlib.contextmanager
def _descriptors(least: int) -> Iterator[None]:
    """Both ends of each tunnel are this process's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, least), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _resident_kb(pid: int) -> int:
    shown = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", shown, re.MULTILINE)[1])  # type: ignore[index]


async def test_what_is_under_way_at_the_end_is_carried_on(tmp_path: Path) -> None:
    async with echo() as end, relay(tmp_path, Orders(1, (DIRECT,))) as one:
        client = await one.tunnel("127.0.0.1", end.port)
        draining = asyncio.create_task(one.running.drain(asyncio.Event()))
        await asyncio.sleep(0)
        late = await one.client()  # who comes now is the next relay's
        await late.connect("127.0.0.1", end.port)
        assert await client.echoes()
        assert not draining.done()
        client.say_no_more()
        await client.rest()
        client.close()
        async with asyncio.timeout(PATIENCE_S):
            await draining
        assert one.running._tally.totals()["direct"][0] == 1
        late.close()


async def test_told_a_second_time_to_end_it_leaves_what_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sockets become others, and nobody is served for as long as this one lives."""
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(PATIENCE_S)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    _write_orders(tmp_path, Orders(1, (DIRECT,)))
    loop = asyncio.get_running_loop()
    with told, socket.create_server(("127.0.0.1", 0)) as handed, started(tmp_path, handed) as running:
        async with echo() as end:
            client = await _connected(handed.getsockname()[1], "127.0.0.1", end.port)
            running.send_signal(signal.SIGTERM)
            while await asyncio.to_thread(told.recv, 100) != b"STOPPING=1":
                pass
            assert await client.echoes()

            never_still = asyncio.create_task(_is_never_still(client))
            began = loop.time()
            running.send_signal(signal.SIGTERM)
            status = await asyncio.to_thread(running.wait, PATIENCE_S)
            took = loop.time() - began
            never_still.cancel()
            client.close()

    assert (status, took < DRAINS_S / 2) == (0, True), f"{took:.1f} s"


async def _is_never_still(client: Client) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        for _ in range(1000):
            if not await client.echoes():
                return
            await asyncio.sleep(0.1)


async def test_whoever_waits_for_a_way_when_it_stops_is_told_so(tmp_path: Path) -> None:
    """A probe of the agent's in that moment must not take it for broken."""
    async with (
        Says(stays=True) as hangs,
        relay(tmp_path, Orders(1, (by("corp", ProxyUrl(Scheme.HTTP, "127.0.0.1", hangs.port)),))) as one,
    ):
        waiting, silent = await one.client(), await one.client()
        await waiting.connect("end.test", 443)
        await until_awaited(PATIENCE_S, lambda: hangs.heads, "that the proxy was asked")

        await one.running._serving.aclose()

        said = await waiting.head()
        assert said.startswith(b"HTTP/1.1 503 the relay is being stopped")
        assert b"\r\ndocker-proxy-relay: limits\r\n" in said
        with pytest.raises(ConnectionResetError):
            await silent.rest()
        for client in (waiting, silent):
            client.close()


async def test_systemd_is_told_that_it_is_ready_and_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(PATIENCE_S)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    _write_orders(tmp_path, Orders(1, (DIRECT,)))
    with told, socket.create_server(("127.0.0.1", 0)) as handed, started(tmp_path, handed) as running:
        heard = [await asyncio.to_thread(told.recv, 100) for _ in range(4)]
        async with echo() as end:
            client = await _connected(handed.getsockname()[1], "127.0.0.1", end.port)
            running.send_signal(signal.SIGTERM)
            while heard[-1] == b"WATCHDOG=1":
                heard.append(await asyncio.to_thread(told.recv, 100))
            assert await client.echoes()  # what is under way has its time
            client.close()

    assert heard[:4] == [b"READY=1", *[b"WATCHDOG=1"] * 3]
    assert heard[-1] == b"STOPPING=1"


def test_without_sockets_it_says_who_starts_it() -> None:
    with pytest.raises(AgentError, match="systemd starts it: systemctl start docker-proxy-relay"):
        given({}, os.getpid())


@pytest.mark.parametrize("end", ["0.0.0.0:0", "[::]:0", "proxy.test:3130", "127.0.0.1:x", "127.0.0.1"])
def test_it_never_listens_for_the_whole_network(end: str) -> None:
    with pytest.raises(AgentError):
        listening([end])


def test_where_it_cannot_listen_it_says_who_to_look_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(AgentError) as refused:
        listening([end := f"127.0.0.1:{taken.getsockname()[1]}"])
    with pytest.raises(AgentError, match=r"--listen 192\.0\.2\.1:0: cannot listen there: .+ See which .+: ip address$"):
        listening(["192.0.2.1:0"])

    assert str(refused.value).startswith(
        f"--listen {end}: cannot listen there: Address already in use. See who has it: "
    )


def test_sockets_of_another_process_are_not_taken() -> None:
    with pytest.raises(AgentError):
        given({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, os.getpid())


async def _opened(port: int) -> Client:
    async with asyncio.timeout(PATIENCE_S):
        return Client(*await asyncio.open_connection("127.0.0.1", port))


async def looked_up(_host: str, port: int) -> Sequence[Address]:
    return [(socket.AF_INET, ("127.0.0.1", port))]


@contextlib.asynccontextmanager
async def serving(resolve: Resolve, orders: Orders, said: list[str]) -> AsyncIterator[int]:
    """At a port on loopback, with names that are looked up so."""
    async with begun(resolve, orders, said) as (_, port):
        yield port


@contextlib.asynccontextmanager
async def begun(
    resolve: Resolve,
    orders: Orders,
    said: list[str],
    *,
    who: Who | None = None,
    patience: Patience = PATIENCE,
    draining: Draining | None = None,
) -> AsyncIterator[tuple[Serving, int]]:
    """The same, and what serves."""
    draining, tally = draining or Draining(), Tally()
    told = Told(Noted(said.append), lambda: None, lambda _line: None)
    opening = Opening(tally, Near(netlink.leads_here, Who().is_guest), resolve=resolve)
    one = Serving(opening, tally, who=who or Who(), draining=draining, told=told, patience=patience)
    one.obey(orders)
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listens:
        listens.setblocking(False)
        one.listen(listens)
        try:
            yield one, listens.getsockname()[1]
        finally:
            await one.aclose()
            draining.close()


@pytest.mark.needs_root
async def test_whatever_another_user_fills_dockerd_gets_its_connection_and_its_look_up() -> None:
    goes_on = asyncio.Event()

    async def resolve(host: str, port: int) -> Sequence[Address]:
        if host != "hub.test":
            async with asyncio.timeout(PATIENCE_S):
                await goes_on.wait()
        return [(socket.AF_INET, ("127.0.0.1", port))]

    async with echo() as end, serving(resolve, Orders(1, (DIRECT,), max_connections=64), []) as port:
        theirs = [_of_another_user(f"127.0.0.{1 + number % 8}", port) for number in range(100)]
        try:
            for number, each in enumerate(theirs):
                each.sendall(f"CONNECT slow{number}.test:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            refused = 0
            for each in theirs[56:]:
                async with asyncio.timeout(PATIENCE_S):
                    refused += (await asyncio.get_running_loop().sock_recv(each, 13)) == b"HTTP/1.1 503 "
            assert refused == len(theirs) - 56

            client = await _opened(port)
            await client.connect("hub.test", end.port)
            assert (await client.head()).startswith(b"HTTP/1.1 200 ")
            assert await client.echoes()
            client.close()
        finally:
            goes_on.set()
            for each in theirs:
                each.close()


@pytest.mark.needs_root
async def test_dockerd_does_not_wait_for_the_connections_of_others_that_came_before_it() -> None:
    """They come while the loop stands still, as from many processes at once."""
    async with echo() as end, begun(looked_up, Orders(1, (DIRECT,), max_connections=2048), []) as (one, port):
        gone = [_of_another_user(f"127.0.0.{1 + number % 8}", port) for number in range(100)]
        theirs = [_of_another_user(f"127.0.0.{1 + number % 8}", port) for number in range(400)]
        for each in gone:
            each.sendall(b"GET http://hub.test/ HTTP/1.1\r\n")
            each.close()
        try:
            docker = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
            docker.setblocking(False)
            docker.send(f"CONNECT hub.test:{end.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            async with asyncio.timeout(PATIENCE_S):
                answer = await asyncio.get_running_loop().sock_recv(docker, 100)

            assert answer.startswith(b"HTTP/1.1 200 ")
            assert len(one._arrivals) > 0  # others wait, and their turn comes
            await until_awaited(PATIENCE_S, lambda: not one._arrivals, "their turn")
            assert (len(one._tasks), one.turned_away) == (401, 100)
            docker.close()
        finally:
            for each in theirs:
                each.close()


async def test_a_container_is_served_before_all_of_another_one_that_came_before_it() -> None:
    """Though that has as many addresses as it likes."""
    host, many = Host(), [f"172.17.1.{number}" for number in range(100)]
    host.ways |= dict.fromkeys((*many, "172.17.0.3"), host.ways["172.17.0.2"])
    host.ports |= dict.fromkeys(many, host.ports["172.17.0.2"])
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(host)) as (one, _):
        clients = []
        for peer in (*many, "172.17.0.3"):
            with socket.create_server(("127.0.0.1", 0)) as listens:
                clients.append(socket.create_connection(listens.getsockname()))
                connected, _ = listens.accept()
            connected.setblocking(False)
            one._receive(connected, (peer, 40000), ("172.17.0.1", 3130))
        one._take_turn()

        served = [guest.seat.address for guest in one._tasks.values()]
        assert (served.count("172.17.0.3"), len(served)) == (1, SERVED)
        for each in clients:
            each.close()


async def test_whoever_has_gone_again_keeps_no_container_waiting_in_the_kernels_queue() -> None:
    """As a stranger in the network can: the relay would ask the kernel about each, and take a few in each round."""
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(Host())) as (one, port):
        (listening,) = one._listening
        one._listening[listening] = ("172.17.0.1", 3130)
        for number in range(200):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as gone:
                if number % 2:
                    reset(gone)
        stays = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)

        one._accept(listening)

        assert len(one._tasks) == 2  # the first, which is judged whatever it has done, and the one that stays
        stays.setblocking(False)
        stays.send(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert (await asyncio.get_running_loop().sock_recv(stays, 13)) == b"HTTP/1.1 400 "
        stays.close()


async def test_a_crowd_waits_whatever_memory_others_hold_and_who_sends_no_more_is_served_as_well() -> None:
    """A client may close its sending half once it has asked: it reads the answer."""
    most = 64 * UNREAD
    draining = Draining(marks=Marks(much=most, most=most, too_much=1 << 40))
    held: list[socket.socket] = []
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(Host()), draining=draining) as (one, port):
        try:
            with socket.create_server(("127.0.0.1", 0)) as listens:
                while held_by(held) <= 2 * most:
                    held += socket.create_connection(listens.getsockname()), listens.accept()[0]
                    held[-1].setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            held[-1].send(bytes(65536))
            clients = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) for _ in range(60)]
            for each in clients:
                each.setblocking(False)
                each.send(b"GET / HTTP/1.1\r\n\r\n")
                each.shutdown(socket.SHUT_WR)
            for each in clients:
                async with asyncio.timeout(PATIENCE_S):
                    assert (await asyncio.get_running_loop().sock_recv(each, 13)) == b"HTTP/1.1 400 "
                each.close()
            assert one.turned_away == 0
        finally:
            for each in held:
                each.close()


async def test_what_is_sent_before_a_way_is_open_is_bounded_and_weighed() -> None:
    """Nobody reads it: a thousand of them would else hold what the relay has for all."""
    goes_on = asyncio.Event()

    async def slowly(host: str, port: int) -> Sequence[Address]:
        async with asyncio.timeout(PATIENCE_S):
            await goes_on.wait()
        return await looked_up(host, port)

    async with echo() as end, begun(slowly, Orders(1, (DIRECT,)), []) as (one, port):
        client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        client.setblocking(False)
        client.send(f"CONNECT hub.test:{end.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until_awaited(PATIENCE_S, lambda: one.opening._names._running, "that it is looked up")
        (waits,) = one.draining._open
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += client.send(bytes(65536))

        assert (waits.client.getpeername(), waits.end) == (client.getsockname(), None)
        assert 0 < held_by([waits.client]) <= UNREAD
        assert waits.client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * OPENING
        goes_on.set()
        head = b"HTTP/1.1 200 Connection established\r\n\r\n"
        got = 0
        async with asyncio.timeout(PATIENCE_S):
            while got < len(head) + sent:
                got += len(await asyncio.get_running_loop().sock_recv(client, 1 << 20))
        assert waits not in one.draining._open
        is_the_kernels = 1  # how much it receives; SOCK_SNDBUF_LOCK alone is left
        assert waits.client.getsockopt(socket.SOL_SOCKET, SO_BUF_LOCK) == is_the_kernels
        client.close()


async def test_so_is_what_is_sent_while_the_way_of_a_later_request_opens() -> None:
    goes_on = asyncio.Event()

    async def resolve(host: str, port: int) -> Sequence[Address]:
        if host == "slow.test":
            async with asyncio.timeout(PATIENCE_S):
                await goes_on.wait()
        return await looked_up(host, port)

    async with Registry() as server, begun(resolve, Orders(1, (DIRECT,)), []) as (one, port):
        client = await _opened(port)

        def ask(host: str) -> None:
            client.say(f"GET http://{host}:{server.port}/v2/ HTTP/1.1\r\nHost: {host}:{server.port}\r\n\r\n".encode())

        ask("hub.test")
        assert (await client.head()).startswith(b"HTTP/1.1 401 ")
        assert await client.heard(2) == b"{}"
        ask("slow.test")
        await until_awaited(PATIENCE_S, lambda: one.opening._names._running, "that it is looked up")
        assert [each.end for each in one.draining._open] == [None]

        goes_on.set()
        assert (await client.head()).startswith(b"HTTP/1.1 401 ")
        assert None not in [each.end for each in one.draining._open]
        client.close()


def come(one: Serving, *peers: str) -> list[socket.socket]:
    """Containers with these addresses have connected; their ends."""
    clients = []
    for peer in peers:
        with socket.create_server(("127.0.0.1", 0)) as listens:
            clients.append(socket.create_connection(listens.getsockname()))
            connected, _ = listens.accept()
        for each in (clients[-1], connected):
            each.setblocking(False)
        one._receive(connected, (peer, 40000), ("172.17.0.1", 3130))
    return clients


async def test_who_waits_for_a_way_and_may_not_come_in_any_more_is_told_nothing() -> None:
    """What it would be told is that the relay is being stopped."""

    async def never(_host: str, _port: int) -> Sequence[Address]:
        await asyncio.Event().wait()
        return ()

    async with begun(never, Orders(1, (DIRECT,)), []) as (one, port):
        client = await _opened(port)
        await client.connect("hub.test", 443)
        await until_awaited(PATIENCE_S, lambda: one.opening._names._running, "that it is looked up")

        one.obey(Orders(2, (DIRECT,), sources=(Source.CONTAINERS,)))

        with pytest.raises(ConnectionResetError):
            await client.rest()
        client.close()


async def test_who_waits_for_its_turn_and_may_not_come_in_any_more_is_not_served() -> None:
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(Host())) as (one, _):
        clients = come(one, *["172.17.0.2"] * 40)
        one.obey(Orders(2, (DIRECT,), sources=(Source.LOOPBACK,)))

        assert one.is_idle
        for each in clients:
            with pytest.raises(ConnectionResetError):
                each.recv(1)
            each.close()


async def test_who_has_come_in_is_not_ended_where_the_agent_has_to_look_once_more() -> None:
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(Host())) as (one, _):
        (client,) = come(one, "172.17.0.2")
        one._take_turn()
        one.obey(Orders(2, (DIRECT,), told=()))

        client.send(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert (await asyncio.get_running_loop().sock_recv(client, 100)).startswith(b"HTTP/1.1 400 ")
        client.close()


async def test_where_there_is_no_memory_for_those_who_wait_they_are_told_so() -> None:
    draining = Draining(marks=Marks(much=0, most=0, too_much=1 << 40))
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(Host()), draining=draining) as (one, _):
        clients = come(one, *["172.17.0.2"] * 60)
        one._take_turn()

        assert one.turned_away == 60 - SERVED
        assert clients[-1].recv(100).startswith(b"HTTP/1.1 503 too many connect at once\r\n")
        for each in clients:
            each.close()


async def test_while_the_agent_says_nothing_of_a_network_it_counts_as_one_that_leads_out() -> None:
    said: list[str] = []
    bridge = bridge_of(BRIDGE, f"if{BRIDGE}")
    orders = Orders(1, (DIRECT,), told=())
    async with begun(looked_up, orders, said, who=Who(Host()), patience=Patience(word_s=0.2)) as (one, _):
        for number in range(2):
            with socket.create_server(("127.0.0.1", 0)) as listens:
                client = socket.create_connection(listens.getsockname())
                connected, _ = listens.accept()
            for each in (client, connected):
                each.setblocking(False)
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            one._receive(connected, ("172.17.0.2", 40000), ("172.17.0.1", 3130))
            one._take_turn()
            assert one.tally.state(0).untold == ((bridge,) if not number else ())
            assert one.is_idle is (not number)  # from then on nobody waits there

            async with asyncio.timeout(PATIENCE_S):
                assert (await asyncio.get_running_loop().sock_recv(client, 100)).startswith(b"HTTP/1.1 400 ")
            assert one.tally.state(0).untold == ()
            client.close()

    assert said == [f"let in by bridge if{BRIDGE}: the agent has not said whether it leads nowhere"]


class Busy(Host):
    """Somebody holds the lock that questions about links wait for."""

    is_busy = True
    is_busy_about_ports = False
    asked_in_vain = 0

    def ports_to(self, addresses: Sequence[str], /) -> Sequence[Reached]:
        if self.is_busy_about_ports:
            raise NotYetKnown
        return super().ports_to(addresses)

    def link_at(self, index: int, /) -> Link | None:
        if self.is_busy:
            self.asked_in_vain += 1
            raise NotYetKnown
        return super().link_at(index)


async def test_who_comes_before_the_kernel_has_said_where_from_waits_for_that() -> None:
    host = Busy()
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(host)) as (one, _):
        clients = come(one, *["172.17.0.2"] * 3)
        one._take_turn()
        assert len(one._unanswered) == 3
        one.obey(Orders(2, (DIRECT,), internal=("other",)))
        assert len(one._unanswered) == 3  # nor does another word of the agent's end them

        host.is_busy = False
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(PATIENCE_S):
                assert (await asyncio.get_running_loop().sock_recv(client, 100)).startswith(b"HTTP/1.1 400 ")
            client.close()


async def test_but_not_for_ever_and_not_however_many_they_are() -> None:
    host = Busy()
    host.is_busy_about_ports = True
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(host), patience=Patience(word_s=0.3)) as (one, _):
        at_four_bridges = ("172.17.0.2", "172.18.0.2", "172.19.0.2", "10.5.0.2")
        clients = come(one, *at_four_bridges * 64, "10.1.0.2")

        with pytest.raises(ConnectionResetError):
            clients[-1].recv(1)
        assert len(one._unanswered) == 256
        assert one.turned_away == 1
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ConnectionResetError):
                await asyncio.get_running_loop().sock_recv(clients[0], 1)
        await until_awaited(PATIENCE_S, lambda: one.turned_away == 257, "that none waits any more")
        assert one.tally.state(0).refused == ()  # nobody knows whether they may
        for each in clients:
            each.close()


async def test_of_those_who_wait_for_the_kernel_one_container_is_a_quarter_at_most_or_all_new_ones_of_a_bridge() -> (
    None
):
    host, many = Busy(), [f"172.17.1.{number}" for number in range(100)]
    host.ways |= dict.fromkeys((*many, "172.17.0.3"), host.ways["172.17.0.2"])
    who = Who(host)
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=who) as (one, _):
        who.whose(["172.17.0.2", "172.17.0.3"])
        host.is_busy_about_ports = True
        clients = come(one, *many, *["172.17.0.2"] * 100, "172.17.0.3", "172.18.0.2")

        waiting = [peer for _, (_, (peer, _), _) in one._unanswered]
        assert waiting == [*many[:64], *["172.17.0.2"] * 64, "172.17.0.3", "172.18.0.2"]
        one._ask_again()
        assert len(one._unanswered) == len(waiting)  # whoever has a place keeps it
        for each in clients:
            each.close()


async def test_who_may_not_come_in_any_more_whatever_the_kernel_says_is_ended_while_it_says_nothing() -> None:
    host, now = Busy(), [0.0]
    host.is_busy = False
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(host, lambda: now[0])) as (one, _):
        (client,) = come(one, "172.17.0.2")
        one._take_turn()
        await asyncio.sleep(0)
        host.is_busy, now[0] = True, 2 * OUTLIVED_S
        one.obey(Orders(2, (DIRECT,), sources=(Source.LOOPBACK,)))

        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ConnectionResetError):
                await asyncio.get_running_loop().sock_recv(client, 1)
        (late,) = come(one, "172.17.0.2")
        with pytest.raises(ConnectionResetError):  # nor does it wait
            late.recv(1)
        for each in (client, late):
            each.close()


async def test_and_who_may_not_because_of_what_it_says_as_soon_as_it_has_said_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.relay.serving._JUDGES_AGAIN_S", 0.01)
    host, now = Busy(), [0.0]
    host.is_busy = False
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(host, lambda: now[0])) as (one, _):
        (client,) = come(one, "172.17.0.2")
        one._take_turn()
        host.is_busy, now[0] = True, 2 * OUTLIVED_S
        one.obey(Orders(2, (DIRECT,), internal=(f"if{BRIDGE}",)))
        asked = host.asked_in_vain
        await until_awaited(PATIENCE_S, lambda: host.asked_in_vain > asked + 2, "that it is asked again")
        assert not one.is_idle

        host.is_busy = False

        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ConnectionResetError):
                await asyncio.get_running_loop().sock_recv(client, 1)
        assert one._judges_again is None
        client.close()


async def test_of_those_who_wait_for_word_on_a_bridge_one_container_is_a_quarter_at_most() -> None:
    host, many = Host(), [f"172.17.1.{number}" for number in range(150)]
    host.ways |= dict.fromkeys((*many, "172.17.0.3"), host.ways["172.17.0.2"])
    host.ports |= dict.fromkeys(many, host.ports["172.17.0.2"])
    async with begun(looked_up, Orders(1, (DIRECT,), told=()), [], who=Who(host)) as (one, _):
        ends: list[socket.socket] = []
        for peer in (*many, *many, "172.17.0.3"):
            client, connected = socket.socketpair()
            ends.append(client)
            one._receive(connected, (peer, 40000), ("172.17.0.1", 3130))

        ((_, waiting),) = one._waiting_at.items()
        assert [peer for _, (peer, _), _ in waiting.connections] == [*many[:64], "172.17.0.3"]
        assert (one.turned_away, one.tally.state(0).refused) == (2 * len(many) - 64, ())
        for each in ends:
            each.close()


async def test_however_often_the_agent_says_something_else_nobody_waits_for_word_on_a_bridge_for_longer() -> None:
    async with begun(looked_up, Orders(1, (DIRECT,), told=()), [], who=Who(Host())) as (one, _):
        (client,) = come(one, "172.17.0.2")
        ((bridge, waiting),) = one._waiting_at.items()
        until = waiting.timer.when()
        for number in range(2, 5):
            one.obey(Orders(number, (DIRECT,), told=(f"{number} other",)))

        assert one._waiting_at[bridge].timer.when() == until
        assert len(one._waiting_at[bridge].connections) == 1
        client.close()


async def test_whoever_still_waits_for_its_turn_when_the_relay_ends_is_closed() -> None:
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(Host())) as (one, _):
        clients = come(one, *["172.17.0.2"] * 100)
        await one.aclose()
        assert one.is_idle
        for each in clients:
            assert each.recv(1) == b""
            each.close()


async def test_whoever_was_accepted_when_it_stops_is_served_still() -> None:
    async with begun(looked_up, Orders(1, (DIRECT,)), [], who=Who(Host())) as (one, _):
        clients = come(one, *["172.17.0.2"] * 100)
        one._take_turn()
        one.stop_listening()
        assert len(one._arrivals) == 100 - SERVED
        for each in clients:
            each.send(b"GET / HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(PATIENCE_S):
                assert (await asyncio.get_running_loop().sock_recv(each, 100)).startswith(b"HTTP/1.1 400 ")
            each.close()


def _of_another_user(source: str, port: int) -> socket.socket:
    """A socket is that user's who makes it."""
    os.seteuid(65534)
    try:
        made = socket.socket()
    finally:
        os.seteuid(0)
    made.bind((source, 0))
    made.settimeout(PATIENCE_S)
    made.connect(("127.0.0.1", port))
    made.setblocking(False)
    return made


async def test_an_error_of_its_own_ends_one_connection_and_quotes_nothing(tmp_path: Path) -> None:
    async def broken(_host: str, _port: int) -> Sequence[Address]:
        raise LookupError(PASSWORD)

    said: list[str] = []
    async with echo() as end, serving(broken, Orders(1, (DIRECT,)), said) as port:
        for name, is_served in (("end.test", False), ("127.0.0.1", True)):
            client = await _opened(port)
            await client.connect(name, end.port)
            if is_served:
                assert (await client.head()).startswith(b"HTTP/1.1 200 ")
            else:
                with pytest.raises(ConnectionResetError):
                    await client.rest()
            client.close()

    (line,) = said
    assert "LookupError, test_relay_process.py:" in line
    assert PASSWORD not in line


async def test_no_site_is_told_what_this_is(tmp_path: Path) -> None:
    async with Says() as end, relay(tmp_path, Orders(1, (DIRECT,))) as one:
        client = await one.client()
        client.say(f"GET http://127.0.0.1:{end.port}/ HTTP/1.1\r\nHost: 127.0.0.1:{end.port}\r\n\r\n".encode())
        await until_awaited(PATIENCE_S, lambda: end.heads, "the request")
        client.close()

        (via,) = re.findall(rb"^via:.*", end.heads[0].lower(), re.MULTILINE)
        assert b"docker" not in via
