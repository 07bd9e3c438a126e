"""The relay goes for each request where the PAC says: real proxies, and a real evaluator."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest

from agent.cli.relay import evaluator
from agent.probe.dial import Address, threaded
from agent.probe.pac import ByChild, ByUnit, Opened
from agent.relay.by_pac import MOST_KEPT, ByPac
from agent.relay.names import MOST_OF_ONE
from agent.relay.open import Asked, NotOpened, Opening
from agent.relay.ways import Ways
from agent.relay.where import Near
from agent.values.paths import Paths
from agent.values.relay import Orders, RelayPac, RelayUpstream
from agent.values.settings import ProxyUrl, Scheme
from tests.waiting import until_awaited

from .servers import HttpProxy, closed_port
from .test_relay_open import CREDENTIALS, LOGIN, Failures, Setting, container, docker, echo, echoed

WITHIN_S = 30.0


class Evaluator:
    """A child, as where no systemd is; counts how many there were."""

    def __init__(self) -> None:
        self.begun = 0
        self.is_there = True

    async def open(self) -> Opened:
        self.begun += 1
        if not self.is_there:
            raise OSError("nobody listens")
        return await ByChild().open()


class Ticks:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def script(*lines: str) -> str:
    return "\n".join(["function FindProxyForURL(url, host) {", *lines, "}"])


def upstream(name: str, proxy: HttpProxy, *, has_password: bool = False) -> RelayUpstream:
    url = ProxyUrl(Scheme.HTTP, "127.0.0.1", proxy.port, CREDENTIALS if has_password else None)
    return RelayUpstream(name, url, url)


def whose_in_test(addresses: Sequence[str]) -> list[str]:
    return ["port 7" if address in (ONE, ONES_TOO) else address for address in addresses]


class Relay:
    """What opens connections by orders with a PAC."""

    def __init__(self, own: frozenset[str] = frozenset()) -> None:
        self.evaluator, self.clock = Evaluator(), Ticks()
        self.by_pac = ByPac(self.evaluator, self.clock, whose_in_test)
        names = Setting({"end.test": "127.0.0.1", "localhost": "127.0.0.1"})
        self.opening = Opening(
            Failures(),
            Near(own.__contains__, frozenset[str]().__contains__),
            resolve=threaded(names._look_up),
            by_pac=self.by_pac,
        )

    async def way(self, orders: Orders, asked: Asked) -> str:
        """The upstream by which it was opened, and worked."""
        async with asyncio.timeout(WITHIN_S):
            opened = await self.opening.open(asked, Ways(orders))
            assert await echoed(opened) == b"hello"
            return opened.way.upstream


@asynccontextmanager
async def a_relay(own: frozenset[str] = frozenset()) -> AsyncIterator[Relay]:
    relay = Relay(own)
    try:
        yield relay
    finally:
        await relay.by_pac.aclose()


def test_who_evaluates_is_systemds_unit_only_for_a_relay_that_systemd_starts(tmp_path: Path) -> None:
    assert evaluator(Paths(), ()) == ByUnit(Paths().pac_socket)
    assert evaluator(Paths(), ("127.0.0.1:3130",)) == evaluator(Paths(tmp_path), ()) == ByChild()


async def test_each_host_goes_its_own_way() -> None:
    async with echo() as end, a_relay() as relay:
        everywhere = {"one.test:443": end, "two.test:443": end, f"end.test:{end.port}": end}
        async with HttpProxy(everywhere, login=LOGIN) as one, HttpProxy(everywhere) as two:
            text = script(
                f'if (host == "two.test") return "PROXY 127.0.0.1:{two.port}";',
                'if (host == "end.test") return "DIRECT";',
                f'return "PROXY 127.0.0.1:{closed_port()}; PROXY 127.0.0.1:{one.port}";',
            )
            known = upstream("corp → one", one, has_password=True)
            orders = Orders(1, (known,), pac=RelayPac("corp", text, known=(known,)))

            found = [
                await relay.way(orders, docker(host, port))
                for host, port in (("one.test", 443), ("two.test", 443), ("end.test", end.port), ("one.test", 443))
            ]

            # What nobody knows is used all the same, and never with a password; `one` wants one.
            assert found == ["corp → one", "corp", "direct", "corp → one"]
            assert (one.asked, two.asked) == (["one.test:443"] * 2, ["two.test:443"])
            assert relay.evaluator.begun == 1


async def test_an_answer_is_kept_for_a_minute_and_another_script_asks_anew() -> None:
    async with echo() as end, HttpProxy({"one.test:443": end}) as one, a_relay() as relay:
        known = upstream("corp → one", one)
        text = script(f'return "PROXY 127.0.0.1:{one.port}";')
        orders = Orders(1, (known,), pac=RelayPac("corp", text, known=(known,)))
        assert await relay.way(orders, docker("one.test", 443)) == "corp → one"
        relay.evaluator.is_there = False
        (line,) = relay.by_pac._lines.values()
        await line._asker.aclose()  # as its limits do

        relay.clock.now = 59.0
        assert await relay.way(orders, docker("one.test", 443)) == "corp → one"
        assert relay.evaluator.begun == 1

        relay.clock.now = 61.0
        assert await relay.way(orders, docker("one.test", 443)) == "corp → one"  # by the orders: nobody answers
        assert relay.evaluator.begun == 2
        assert await relay.way(orders, docker("one.test", 443)) == "corp → one"
        assert relay.evaluator.begun == 2  # and nobody is asked again for some seconds


async def test_a_script_that_never_ends_leads_where_the_registries_go() -> None:
    async with echo() as end, HttpProxy({"one.test:443": end}) as one, a_relay() as relay:
        known = upstream("corp → one", one)
        orders = Orders(1, (known,), pac=RelayPac("corp", script("while (true) {}"), known=(known,)))

        assert await relay.way(orders, docker("one.test", 443)) == "corp → one"


async def test_what_the_policy_excepts_is_not_asked() -> None:
    async with echo() as end, a_relay() as relay:
        text = script('return "PROXY 127.0.0.1:1";')
        excepted = Orders(1, (RelayUpstream("direct"),), no_proxy=("end.test",), pac=RelayPac("corp", text))
        of_corp = Orders(1, (RelayUpstream("direct"),), pac=RelayPac("corp", text, no_proxy=("end.test",)))

        assert await relay.way(excepted, docker("end.test", end.port)) == "direct"
        assert await relay.way(of_corp, docker("end.test", end.port)) == "direct"
        assert relay.evaluator.begun == 0


async def test_it_opens_no_door_for_a_container() -> None:
    """A PAC that says of a name where a container wants to get in on this host."""
    async with echo() as end, HttpProxy({"one.test:443": end}) as one, a_relay() as relay:
        text = script(
            f'if (host == "one.test") return "PROXY 127.0.0.1:{one.port}";',
            f'if (host == "door.test") return "PROXY 127.0.0.1:{end.port}";',
            'return "DIRECT";',
        )
        known = upstream("corp → one", one)
        orders = Orders(1, (known,), pac=RelayPac("corp", text, known=(known,)))

        assert await relay.way(orders, container("one.test", 443)) == "corp → one"  # the agent knows it as a proxy
        for host, port in (("door.test", 443), ("end.test", end.port)):
            with pytest.raises(NotOpened) as refused:
                await relay.way(orders, container(host, port))
            assert refused.value.refusal.status == 403
        unknown = Orders(1, (known,), pac=RelayPac("corp", text))
        with pytest.raises(NotOpened):
            await relay.way(unknown, container("one.test", 443))


@pytest.mark.parametrize("named", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("works", [None, False])
async def test_nor_does_one_that_it_names_for_a_registry_and_nobody_has_seen_work(
    works: bool | None, named: str
) -> None:
    """A PAC that names for the registry, behind what works, where a container wants to get in on this host."""
    async with echo() as end, HttpProxy({"door.test:443": end}) as one, a_relay() as relay:
        at_door = ProxyUrl(Scheme.HTTP, named, one.port)
        door = RelayUpstream("corp → door", at_door, at_door, named_by="corp", works=works)
        seen = msgspec.structs.replace(door, works=True)
        dead_url = ProxyUrl(Scheme.HTTP, "127.0.0.1", closed_port())
        dead = RelayUpstream("corp → dead", dead_url, dead_url, named_by="corp", works=True)
        text = script(f'return "PROXY {named}:{one.port}";')

        def orders(behind: RelayUpstream) -> Iterator[Orders]:
            yield Orders(1, (dead, behind), pac=RelayPac("corp", text, known=(dead, behind)))  # the PAC decides
            yield Orders(1, (dead, behind))  # the order in which they stand

        for hearsay in orders(door):
            with pytest.raises(NotOpened) as refused:
                await relay.way(hearsay, container("door.test", 443))
            assert refused.value.refusal.status == 403
            assert await relay.way(hearsay, docker("door.test", 443)) == "corp → door"
        for known in orders(seen):
            assert await relay.way(known, container("door.test", 443)) == "corp → door"
        assert len(one.asked) == 4


async def test_what_it_says_by_chance_takes_no_pull_away() -> None:
    """One of two proxies is down, and each question is answered otherwise."""
    async with echo() as end, HttpProxy({"registry.test:443": end, "blobs.test:443": end}) as one, a_relay() as relay:
        dead = f"PROXY 127.0.0.1:{closed_port()}"
        # To the agent it has said the other one.
        text = script(f'return "{dead}";')
        known = upstream("corp → one", one)
        pac = RelayPac("corp", text, settled=("registry.test:443",), known=(known,))
        orders = Orders(1, (known,), pac=pac)

        assert await relay.way(orders, docker("registry.test", 443)) == "corp → one"
        assert relay.evaluator.begun == 0
        for host in ("blobs.test", "registry.test", "blobs.test"):
            assert await relay.way(orders, docker(host, 443)) == "corp → one"
        assert relay.evaluator.begun == 1


async def test_what_a_pacs_proxy_forbids_is_not_got_past_it_by_the_last_resort() -> None:
    async with echo() as end, HttpProxy({"end.test:443": end}) as chosen, HttpProxy() as other, a_relay() as relay:
        known = upstream("corp → chosen", chosen)
        pac = RelayPac("corp", script(f'return "PROXY 127.0.0.1:{other.port}";'), known=(known,))

        with pytest.raises(NotOpened):
            await relay.way(Orders(1, (known,), pac=pac), docker("end.test", 443))

        assert (other.asked, chosen.asked) == (["end.test:443"], [])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_pac_that_names_the_relay_itself_leads_along_its_answer(host: str) -> None:
    async with echo() as end, HttpProxy({"end.test:443": end}) as one, a_relay() as relay:
        itself = closed_port()
        relay.opening._own_ports = frozenset({itself})
        text = script(f'return "PROXY {host}:{itself}; PROXY 127.0.0.1:{one.port}";')

        assert await relay.way(Orders(1, (), pac=RelayPac("corp", text)), docker("end.test", 443)) == "corp"
        assert one.asked == ["end.test:443"]


async def test_names_that_a_pac_makes_of_what_a_container_asks_for_keep_docker_from_nothing() -> None:
    async with echo() as end, HttpProxy({"registry.test:443": end}) as one:
        never, taken = asyncio.Event(), asyncio.Event()
        hanging: list[str] = []

        async def resolve(host: str, port: int) -> Sequence[Address]:
            if host.startswith("p-"):
                hanging.append(host)
                if len(hanging) == MOST_OF_ONE:
                    taken.set()
                async with asyncio.timeout(WITHIN_S):
                    await never.wait()
            return [(socket.AF_INET, ("127.0.0.1", port))]

        by_pac = ByPac(Evaluator())
        near = Near(lambda _: True, lambda _: False)
        opening = Opening(Failures(), near, resolve=resolve, by_pac=by_pac)
        proxy = ProxyUrl(Scheme.HTTP, "proxy.test", one.port)
        known = RelayUpstream("corp → one", proxy, proxy, named_by="corp", works=True)
        pac = RelayPac(
            "corp", script('return "PROXY p-" + host + ":8080";'), settled=("registry.test:443",), known=(known,)
        )
        ways = Ways(Orders(1, (known,), pac=pac))
        asks = [opening.open(container(f"h{number}.test", 443), ways) for number in range(MOST_OF_ONE + 2)]
        tasks = [asyncio.create_task(one_ask) for one_ask in asks]
        try:
            async with asyncio.timeout(WITHIN_S):
                await taken.wait()
            async with asyncio.timeout(3.0):
                opened = await opening.open(docker("registry.test", 443), ways)
                await opened.aclose()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            never.set()
            await by_pac.aclose()


@pytest.mark.parametrize("works", [None, True])
async def test_a_password_that_a_pacs_proxy_refuses_is_sent_once_unless_it_is_known_to_be_right(
    works: bool | None,
) -> None:
    async with HttpProxy(login=("alice", "another")) as one, a_relay() as relay:
        url = ProxyUrl(Scheme.HTTP, "127.0.0.1", one.port, CREDENTIALS)
        known = RelayUpstream("corp → one", url, url, named_by="corp", works=works)
        text = script(f'return "PROXY 127.0.0.1:{one.port}";')
        orders = Orders(1, (known,), pac=RelayPac("corp", text, known=(known,)))
        ways = Ways(orders)

        for number in range(4):
            with pytest.raises(NotOpened) as refused:
                await relay.opening.open(docker(f"host{number}.test", 443), ways)
            assert refused.value.refusal.status == 502
            said = "its password was refused before" if number and not works else "407"
            assert said in refused.value.refusal.reason
        assert (one.refused_logins, one.accepted) == ((4, 4) if works else (1, 1))  # it is not even connected to
        if works is None:  # it is tried anew once the agent has seen it work, and not for each network of Docker's
            other = Ways(msgspec.structs.replace(orders, told=("7 br-x",)), ways)
            seen = msgspec.structs.replace(known, works=True)
            by_now = Ways(Orders(3, (seen,), pac=RelayPac("corp", text, known=(seen,))), other)
            for told, logins in ((other, 1), (by_now, 2)):
                with pytest.raises(NotOpened):
                    await relay.opening.open(docker("one.test", 443), told)
                assert one.refused_logins == logins


async def test_no_more_hosts_are_kept_than_that() -> None:
    async with a_relay() as relay:
        pac = RelayPac("corp", script('return "DIRECT";'))
        async with asyncio.timeout(WITHIN_S):
            for number in range(MOST_KEPT + 10):
                assert await relay.by_pac.ways(pac, f"host{number}.test", 443, is_tunnel=True)

        (line,) = relay.by_pac._lines.values()
        assert len(line.kept) == MOST_KEPT


SLOW: Final = script(
    "var began = Date.now();",
    'if (host == "never.test") while (true) {}',
    "while (/^slow/.test(host) && Date.now() - began < 200) {}",
    'return "DIRECT";',
)
ONE, OTHER, ONES_TOO = "172.17.0.2", "172.17.0.3", "172.17.9.9"


async def test_a_container_that_asks_for_what_takes_long_keeps_nobody_else_from_the_pac() -> None:
    pac = RelayPac("corp", SLOW)
    async with a_relay() as relay, asyncio.timeout(WITHIN_S):

        async def has_answer(host: str, container: str = "") -> bool:
            return await relay.by_pac.ways(pac, host, 443, is_tunnel=True, container=container) is not None

        flood = [asyncio.create_task(has_answer(f"slow{number}.test", ONE)) for number in range(100)]
        await asyncio.sleep(0)  # they stand in line now

        assert await has_answer("intra.test")
        assert await has_answer("intra.test", OTHER)
        assert not all(await asyncio.gather(*flood))  # or it was no flood
        assert await has_answer("again.test", ONE)


async def test_one_that_is_never_answered_silences_itself_alone() -> None:
    pac = RelayPac("corp", SLOW)
    async with a_relay() as relay, asyncio.timeout(WITHIN_S):

        async def has_answer(host: str, container: str = "") -> bool:
            return await relay.by_pac.ways(pac, host, 443, is_tunnel=True, container=container) is not None

        assert not await has_answer("never.test", ONE)
        asked_for = relay.evaluator.begun
        assert not await has_answer("intra.test", ONE)
        assert not await has_answer("intra.test", ONES_TOO)
        assert relay.evaluator.begun == asked_for
        assert await has_answer("intra.test", OTHER)

        assert not await has_answer("never.test")
        assert await has_answer("intra.test")
        asked_for = relay.evaluator.begun
        assert not await has_answer("never.test")
        assert relay.evaluator.begun == asked_for

        relay.clock.now = 11.0
        assert await has_answer("intra.test", ONE)


async def test_root_does_not_stand_behind_others_of_this_host() -> None:
    pac = RelayPac("corp", SLOW)
    async with a_relay() as relay, asyncio.timeout(WITHIN_S):
        never = asyncio.create_task(relay.by_pac.ways(pac, "never.test", 443, is_tunnel=True))
        await until_awaited(WITHIN_S, lambda: relay.evaluator.begun == 1, "its process is begun")

        assert await relay.by_pac.ways(pac, "hub.test", 443, is_tunnel=True, is_roots=lambda: True)
        assert not never.done()
        assert await never is None
