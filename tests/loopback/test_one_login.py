"""What a PAC names has one password: it is not sent to each of its proxies at once. Accounts lock."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest

from agent.decide.pac import Answered, Said, unfold
from agent.one_pass.memory import Memory
from agent.one_pass.registries import Registries
from agent.values.pac import read_answer
from agent.values.paths import Paths
from agent.values.policy import Policy, RegistryUrl
from agent.values.secret import Secret
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome, Verdict

from .servers import HOST, HttpProxy, Registry, Server
from .test_reconcile import policy

TEXT = """
[probe]
registry = ["{registry}"]
timeout = "4s"
[upstream.corp]
pac = "http://wpad.corp.example/wpad.dat"
username = "alice"
trusted = ["127.0.0.0/8"]
[[network]]
name = "office"
match.gateway = ["10.10.0.1"]
use = ["corp"]
"""
OTHERS = ("alice", "another so far")
OURS = ("alice", "hunter2")


def named(registry: str, *proxies: Server) -> Policy:
    """The policy, where the PAC names these."""
    read = policy(TEXT.format(registry=registry))
    corp = msgspec.structs.replace(read.upstreams["corp"], password=Secret("hunter2"))
    read = msgspec.structs.replace(read, upstreams={**read.upstreams, "corp": corp})
    answer = read_answer("; ".join(f"PROXY {HOST}:{one.port}" for one in proxies))
    said = Said((Answered(RegistryUrl.parse(registry), answer),))
    return unfold(read, read.networks[0], {"corp": said})


async def looked(root: Path, read: Policy, registries: Registries | None = None) -> list[Verdict]:
    registries = registries or Registries(Paths(root), read)
    names = read.networks[0].use
    async with asyncio.timeout(10):
        found = await registries.verdicts([read.upstreams[name] for name in names], lambda _: False)
    return [found[name] for name in names]


class Silent(HttpProxy):
    """Takes connections, and says nothing."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.read())
        await reader.read()


@pytest.mark.parametrize("registry", ["https://registry.test", "http://registry.test"])
async def test_one_that_is_wrong_is_sent_once(tmp_path: Path, registry: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(HttpProxy(login=OTHERS)) for _ in range(5)]

        verdicts = await looked(tmp_path, named(registry, *proxies))

    assert {one.outcome for one in verdicts} == {Outcome.PROXY_AUTH}
    assert sum(proxy.refused_logins for proxy in proxies) == 1
    assert sum(one.evidence.endswith("has refused the same password: not sent here") for one in verdicts) == 4


async def test_one_that_was_taken_goes_to_the_others(tmp_path: Path) -> None:
    async with Registry() as registry, contextlib.AsyncExitStack() as stack:
        end = f"registry.test:{registry.port}"
        proxies = [await stack.enter_async_context(HttpProxy({end: registry}, login=OURS)) for _ in range(3)]

        verdicts = await looked(tmp_path, named(f"http://{end}", *proxies))

    assert [one.outcome for one in verdicts] == [Outcome.OK] * 3


@pytest.mark.waits
async def test_one_that_says_nothing_does_not_keep_it_from_the_others(tmp_path: Path) -> None:
    async with Registry() as registry, Silent() as silent:
        end = f"registry.test:{registry.port}"
        async with HttpProxy({end: registry}, login=OURS) as proxy:
            verdicts = await looked(tmp_path, named(f"http://{end}", silent, proxy))

    assert [one.outcome for one in verdicts] == [Outcome.TIMEOUT, Outcome.OK]


async def test_one_that_others_take_is_refused_by_one_alone(tmp_path: Path) -> None:
    async with Registry() as registry, HttpProxy(login=OTHERS) as other:
        end = f"registry.test:{registry.port}"
        async with HttpProxy({end: registry}, login=OURS) as proxy:
            read = named(f"http://{end}", other, proxy)
            registries = Registries(Paths(tmp_path), read)
            ours = read.upstreams[read.networks[0].use[1]]
            await registries.verdicts([ours], lambda _: False)

            verdicts = await looked(tmp_path, read, registries)

    assert [one.outcome for one in verdicts] == [Outcome.PROXY_AUTH, Outcome.OK]


async def test_one_that_was_refused_is_not_sent_to_what_the_pac_names_next(tmp_path: Path) -> None:
    memory, here = Memory(tmp_path), Snapshot()
    async with HttpProxy(login=OTHERS) as first, HttpProxy(login=OTHERS) as second:
        for proxy in (first, second):
            read = named("https://registry.test", proxy)
            if proxy is first:
                memory.use(read, Registries(Paths(tmp_path), read))
            memory.know(read)
            verdicts, _ = await memory.choose(read.networks[0], here, None)
            assert verdicts[read.networks[0].use[0]].outcome is Outcome.PROXY_AUTH

    assert (first.refused_logins, second.refused_logins) == (1, 0)


@pytest.mark.parametrize("login", [OURS, OTHERS])
async def test_what_is_asked_by_one_registry_alone(tmp_path: Path, login: tuple[str, str]) -> None:
    """A refused password is heard of all the same, and is not sent again."""
    async with Registry() as registry:
        end = f"registry.test:{registry.port}"
        async with HttpProxy({end: registry}, login=login) as proxy:
            read = named(f"http://{end}", proxy)
            url = RegistryUrl.parse(f"http://{end}")
            probe = msgspec.structs.replace(read.probe, registry=(url, RegistryUrl.parse("http://other.test")))
            registries = Registries(Paths(tmp_path), msgspec.structs.replace(read, probe=probe))
            upstream = read.upstreams[read.networks[0].use[0]]

            async with asyncio.timeout(10):
                verdict = await registries.verdict_by((url,), upstream)

    is_ours = login == OURS
    assert verdict.outcome is (Outcome.OK if is_ours else Outcome.PROXY_AUTH)
    assert registries.take_heard() == ({} if is_ours else {upstream.name: verdict})
