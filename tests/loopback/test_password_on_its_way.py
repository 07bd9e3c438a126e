"""A look that has sent a password hears what becomes of it, whatever comes meanwhile: accounts lock."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest

from agent.one_pass.at_rest import Interrupted
from agent.one_pass.memory import Memory
from agent.one_pass.reconcile import Alone, reconcile
from agent.one_pass.registries import Registries
from agent.values.paths import Paths
from agent.values.reason import Reason
from agent.values.secret import Secret
from agent.values.snapshot import Snapshot

from .dockerd import Dockerd
from .servers import HttpProxy
from .test_reconcile import Place, at, policy

_HERE = msgspec.structs.replace(at("10.10.0.1"), dns_servers=("127.0.0.1",))
_WITH_DNS = msgspec.structs.replace(_HERE, dns_servers=("10.10.0.53",))


@pytest.fixture
def dockerd(tmp_path: Path) -> Dockerd:
    return Dockerd(tmp_path)


class Thinking(HttpProxy):
    """Takes a while to refuse a password; somebody is told that it has come."""

    def __init__(self) -> None:
        super().__init__(login=("alice", "another so far"))
        self.has_heard = asyncio.Event()
        self.has_answered = False
        self.takes_s = 0.3

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.head(reader)
        self.has_heard.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.takes_s):
                await reader.read()
                return  # who asked has gone
        self.has_answered = True
        writer.write(b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n')
        await reader.read()


class Behind(Place):
    """Behind a real proxy."""

    def __init__(self, dockerd: Dockerd, proxy: Thinking, registry: str) -> None:
        super().__init__(_HERE, dockerd)
        self.proxy = proxy
        self.comes: Snapshot = _HERE  # once the proxy has heard the password
        read = policy(
            f'[probe]\ntimeout = "20s"\nregistry = ["{registry}"]\n[upstream.office]\nurl = "{proxy.url()}"\n'
            '[[network]]\nname = "office"\nmatch.gateway = ["10.10.0.1"]\nuse = ["office"]\n'
        )
        office = msgspec.structs.replace(read.upstreams["office"], username="alice", password=Secret("hunter2"))
        self.policy = msgspec.structs.replace(read, upstreams={**read.upstreams, "office": office})
        self._registries = Registries(Paths(dockerd.root), self.policy)

    @property
    def prober(self) -> Registries:  # type: ignore[override]
        return self._registries

    async def see(self) -> Snapshot:
        return self.comes if self.proxy.has_heard.is_set() else self.snapshot

    def dns_elsewhere(self) -> tuple[str, ...]:
        return self.comes.dns_elsewhere if self.proxy.has_heard.is_set() else ()


class Told(Alone):
    """Of one thing, once the proxy has heard the password."""

    def __init__(self, proxy: Thinking, *news: Reason) -> None:
        self._proxy = proxy
        self._news = list(news)

    async def interrupted(self) -> Reason:
        async with asyncio.timeout(10):
            await self._proxy.has_heard.wait()
        if not self._news:
            await asyncio.Event().wait()
        return self._news.pop()


@pytest.mark.parametrize("registry", ["https://registry.test", "http://registry.test"])
@pytest.mark.parametrize(
    ("comes", "news"),
    [
        pytest.param(_WITH_DNS, [], id="dns"),
        pytest.param(msgspec.structs.replace(_HERE, dns_search=("corp",)), [Reason.NETWORK], id="more-of-the-network"),
        pytest.param(_HERE, [Reason.REQUEST], id="a-person"),
    ],
)
async def test_a_refused_password_is_not_sent_again_because_something_came_before_its_answer(
    dockerd: Dockerd, registry: str, comes: Snapshot, news: list[Reason]
) -> None:
    async with Thinking() as proxy:
        place = Behind(dockerd, proxy, registry)
        place.comes = comes
        memory = Memory(dockerd.agent_state)
        memory.use(place.policy, place.prober)
        maker = Told(proxy, *news)

        async with asyncio.timeout(20):
            with contextlib.suppress(Interrupted):
                await reconcile(place.policy, place, dockerd.record(), choosing=memory, maker=maker)
            await reconcile(place.policy, place, dockerd.record(), choosing=memory, maker=Alone())

        assert len(proxy.heads) == 1


async def test_no_answer_is_waited_for_where_the_host_has_left(dockerd: Dockerd) -> None:
    async with Thinking() as proxy:
        place = Behind(dockerd, proxy, "https://registry.test")
        proxy.takes_s, place.comes = 3.0, Snapshot(())
        memory = Memory(dockerd.agent_state)
        memory.use(place.policy, place.prober)

        maker = Told(proxy, Reason.NETWORK)
        done = await reconcile(place.policy, place, dockerd.record(), choosing=memory, maker=maker)

        assert done.seen.snapshot.is_offline
        assert not place.prober.is_password_out
        assert not proxy.has_answered


async def test_an_answer_that_does_not_come_is_not_waited_for_long(dockerd: Dockerd) -> None:
    async with Thinking() as proxy:
        place = Behind(dockerd, proxy, "https://registry.test")
        proxy.takes_s = 60.0
        memory = Memory(dockerd.agent_state)
        memory.use(place.policy, place.prober)

        async with asyncio.timeout(15):  # a probe of this policy takes 20 s
            with pytest.raises(Interrupted):
                await reconcile(
                    place.policy, place, dockerd.record(), choosing=memory, maker=Told(proxy, Reason.REQUEST)
                )

        assert not proxy.has_answered
