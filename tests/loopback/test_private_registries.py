"""Private registries of daemon.json that the chosen proxy does not lead to, asked of a real one on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from agent.docker.config_file import ConfigFile
from agent.one_pass.registries import Registries
from agent.one_pass.world import TheWorld
from agent.probe.dial import Address
from agent.system.clock import SystemClock
from agent.values.condition import Code
from agent.values.dockerd import Phase, Reality, UnitState
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.secret import Secret
from agent.values.settings import ProxyUrl, Scheme
from agent.values.verdict import Outcome
from tests.loopback.certificates import server_tls
from tests.loopback.servers import HttpProxy, Registry
from tests.policies import policy_of

INSECURE = ["10.1.2.3:5000", "10.1.2.4:5000", "registry.corp:5000", "hub.example:5000", "10.0.0.0/8", "192.168.7.7"]


async def resolve(host: str, port: int) -> Sequence[Address]:
    addresses = {"registry.corp": "10.1.2.5", "hub.example": "203.0.113.9", "127.0.0.1": "127.0.0.1"}
    return [(2, (addresses[host], port))]


def policy(url: ProxyUrl) -> Policy:
    return policy_of(f'[probe]\ntimeout = "5s"\n[upstream.office]\nurl = "{url}"\nno_proxy = ["192.168.0.0/16"]\n')


def with_password(url: ProxyUrl) -> Policy:
    read = policy(url)
    office = msgspec.structs.replace(read.upstreams["office"], username="alice", password=Secret("hunter2"))
    return msgspec.structs.replace(read, upstreams={**read.upstreams, "office": office})


def daemon_json(paths: Paths, **keys: object) -> None:
    paths.daemon_json.parent.mkdir(parents=True, exist_ok=True)
    paths.daemon_json.write_text(json.dumps(keys))


@pytest.mark.waits
async def test_what_the_proxy_does_not_lead_to_is_said_with_the_entry_for_no_proxy(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    daemon_json(paths, **{"insecure-registries": INSECURE, "registry-mirrors": ["https://10.1.2.6"]})
    async with (
        Registry(server_tls("registry.test")) as unbelieved,
        Registry() as plain,
        HttpProxy({"10.1.2.4:5000": unbelieved, "registry.corp:5000": plain}) as proxy,
    ):
        read = policy(proxy.url())
        registries = Registries(paths, read, resolve)

        said = await registries.beside(read.upstreams["office"])

        assert {condition.code for condition in said} == {Code.REGISTRY_UNREACHABLE}
        assert sorted(condition.remedy for condition in said) == [
            'If 10.1.2.3 is in this network: upstream.office.no_proxy = ["10.1.2.3"]',
            'If 10.1.2.6 is in this network: upstream.office.no_proxy = ["10.1.2.6"]',
        ]
        assert "proxy-down" in said[0].text
        # A public one and what no_proxy names already are not asked for; an insecure one is tried on plain http, too.
        assert {end.partition(":")[0] for end in proxy.asked} == {"10.1.2.3", "10.1.2.4", "10.1.2.6", "registry.corp"}
        assert proxy.asked.count("10.1.2.3:5000") == 2

        asked = len(proxy.asked)
        assert await registries.beside(read.upstreams["office"]) == said
        assert len(proxy.asked) == asked  # once for each arrival

        registries.note_arrival()
        assert await registries.beside(read.upstreams["office"]) == said
        assert len(proxy.asked) > asked

        daemon_json(paths)
        assert await registries.beside(read.upstreams["office"]) == ()


async def test_a_service_does_not_wait_for_it_and_is_told(tmp_path: Path) -> None:
    paths, told = Paths(tmp_path), asyncio.Event()
    daemon_json(paths, **{"insecure-registries": ["10.1.2.3:5000"]})
    async with HttpProxy() as proxy:
        read = policy(proxy.url())
        registries = Registries(paths, read, resolve, told.set)

        assert await registries.beside(read.upstreams["office"]) == ()
        async with asyncio.timeout(10):
            await told.wait()

        assert [one.code for one in await registries.beside(read.upstreams["office"])] == [Code.REGISTRY_UNREACHABLE]


class Later(SystemClock):
    """Some minutes have passed."""

    minutes = 0

    def boottime_s(self) -> float:
        return self.minutes * 60 + super().boottime_s()


class Mends(HttpProxy):
    """Leads nowhere until it does."""

    def leads(self, end: str, registry: Registry) -> None:
        self._reaches = {end: registry}


async def test_what_failed_is_asked_again_after_ten_minutes_and_what_changed_is_told(tmp_path: Path) -> None:
    """A proxy that has a bad moment on arrival said so for the whole stay."""
    paths, told, clock = Paths(tmp_path), asyncio.Event(), Later()
    daemon_json(paths, **{"registry-mirrors": ["http://registry.corp:5000"]})
    async with Registry() as registry, Mends() as proxy:
        read = policy(proxy.url())
        office = read.upstreams["office"]
        registries = Registries(paths, read, resolve, told.set, clock=clock)

        async def comes() -> tuple[Code, ...]:
            async with asyncio.timeout(10):
                await told.wait()
            told.clear()
            return tuple(one.code for one in await registries.beside(office))

        assert await registries.beside(office) == ()
        assert await comes() == (Code.REGISTRY_UNREACHABLE,)
        asked = len(proxy.asked)

        proxy.leads("registry.corp:5000", registry)
        clock.minutes = 9
        assert len(await registries.beside(office)) == 1
        assert len(proxy.asked) == asked

        clock.minutes = 11
        assert len(await registries.beside(office)) == 1  # as it was, until more is known
        assert await comes() == ()
        assert len(proxy.asked) > asked

        clock.minutes = 60
        asked = len(proxy.asked)
        assert await registries.beside(office) == ()
        assert len(proxy.asked) == asked  # what works is not asked again


async def test_what_fails_as_before_is_no_reason_to_look(tmp_path: Path) -> None:
    paths, clock, told = Paths(tmp_path), Later(), list[str]()
    daemon_json(paths, **{"insecure-registries": ["10.1.2.3:5000"]})
    async with HttpProxy() as proxy:
        read = policy(proxy.url())
        registries = Registries(paths, read, resolve, lambda: told.append("told"), clock=clock)

        for minutes in (0, 11, 22, 33):  # each begins when the one before has come to its end
            clock.minutes, asked = minutes, len(proxy.asked)
            async with asyncio.timeout(10):
                while len(proxy.asked) == asked:
                    await registries.beside(read.upstreams["office"])
                    await asyncio.sleep(0.01)

        assert told == ["told"]


async def test_a_password_that_is_wrong_by_now_is_sent_once_and_the_refusal_is_heard(tmp_path: Path) -> None:
    """Accounts lock: eight registries are no reason to send it eight times."""
    paths, told = Paths(tmp_path), asyncio.Event()
    daemon_json(paths, **{"insecure-registries": [f"10.1.2.{number}:5000" for number in range(8)]})
    async with HttpProxy(login=("alice", "another so far")) as proxy:
        read = with_password(proxy.url())
        registries = Registries(paths, read, resolve, told.set)

        assert await registries.beside(read.upstreams["office"]) == ()
        async with asyncio.timeout(10):
            await told.wait()

        assert [b"Proxy-Authorization" in head for head in proxy.heads] == [True]
        assert await registries.beside(read.upstreams["office"]) == ()
        assert {name: verdict.outcome for name, verdict in registries.take_heard().items()} == {
            "office": Outcome.PROXY_AUTH
        }
        assert registries.take_heard() == {}
        assert len(proxy.heads) == 1


async def test_another_arrival_ends_the_asking_and_not_the_command_that_waits_for_it(tmp_path: Path) -> None:
    paths, is_asked = Paths(tmp_path), asyncio.Event()
    daemon_json(paths, **{"insecure-registries": ["registry.corp:5000"]})

    async def hangs(_host: str, _port: int) -> Sequence[Address]:
        is_asked.set()
        await asyncio.get_running_loop().create_future()
        return ()

    read = with_password(ProxyUrl(Scheme.HTTP, "127.0.0.1", 9))
    registries = Registries(paths, read, hangs)
    async with asyncio.timeout(10):
        waiting = asyncio.create_task(registries.beside(read.upstreams["office"]))
        await is_asked.wait()

        registries.note_arrival()

        assert await waiting == ()


async def test_a_password_that_is_right_still_goes_to_all_of_them(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    daemon_json(paths, **{"registry-mirrors": [f"https://10.1.2.{number}" for number in range(8)]})
    async with HttpProxy(login=("alice", "hunter2")) as proxy:
        read = with_password(proxy.url())
        registries = Registries(paths, read, resolve)

        assert len(await registries.beside(read.upstreams["office"])) == 8
        assert sorted(proxy.asked) == [f"10.1.2.{number}:443" for number in range(8)]
        assert registries.take_heard() == {}


@pytest.mark.parametrize("text", ["{,}", '{"insecure-registries": 5}', '{"insecure-registries": ["", "a b", "::"]}'])
async def test_what_nobody_understands_is_not_asked_for(tmp_path: Path, text: str) -> None:
    paths = Paths(tmp_path)
    paths.daemon_json.parent.mkdir(parents=True)
    paths.daemon_json.write_text(text)
    async with HttpProxy() as proxy:
        read = policy(proxy.url())

        assert await Registries(paths, read, resolve).beside(read.upstreams["office"]) == ()

        assert proxy.asked == []


async def test_those_of_the_file_that_dockerd_reads_are_asked_for(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    daemon_json(paths, **{"insecure-registries": ["10.1.2.3:5000"]})  # --config-file names another one
    text = json.dumps({"insecure-registries": ["10.1.2.4:5000"]})
    config_file = ConfigFile(paths)
    config_file.note(Reality(UnitState(Phase.RUNNING), daemon_json_path="/srv/docker.json", daemon_json=text))
    async with HttpProxy({}) as proxy:
        read = policy(proxy.url())

        await Registries(paths, read, resolve, config_file=config_file).beside(read.upstreams["office"])

        assert {end.partition(":")[0] for end in proxy.asked} == {"10.1.2.4"}


async def test_in_a_pass_they_are_those_that_the_look_at_docker_found(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    async with HttpProxy({}) as proxy:
        read = policy(proxy.url())
        world = TheWorld(paths, read)
        daemon_json(paths, **{"insecure-registries": ["10.1.2.4:5000"]})
        await world.daemon.reality()
        daemon_json(paths, **{"insecure-registries": ["10.1.2.3:5000"]})

        await world.prober.beside(read.upstreams["office"])
        before = {end.partition(":")[0] for end in proxy.asked}
        await world.daemon.reality()
        await world.prober.beside(read.upstreams["office"])

        assert before == {"10.1.2.4"}
        assert {end.partition(":")[0] for end in proxy.asked} == {"10.1.2.3", "10.1.2.4"}


class Thinking(HttpProxy):
    """Refuses a password once it is told to."""

    def __init__(self) -> None:
        super().__init__(login=("alice", "another so far"))
        self.may_answer = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.head(reader)
        async with asyncio.timeout(10):
            await self.may_answer.wait()
        writer.write(b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n')
        await reader.read()


async def test_a_password_that_is_on_its_way_is_heard_of_whatever_comes_meanwhile(tmp_path: Path) -> None:
    paths, told = Paths(tmp_path), asyncio.Event()
    daemon_json(paths, **{"insecure-registries": ["10.1.2.3:5000"]})
    async with Thinking() as proxy:
        read = with_password(proxy.url())
        registries = Registries(paths, read, resolve, told.set)
        assert await registries.beside(read.upstreams["office"]) == ()
        await proxy.until_asked()
        assert registries.is_password_out

        registries.note_arrival()
        proxy.may_answer.set()
        async with asyncio.timeout(10):
            await told.wait()

        assert [verdict.outcome for verdict in registries.take_heard().values()] == [Outcome.PROXY_AUTH]
        assert not registries.is_password_out
