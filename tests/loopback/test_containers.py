"""What the running containers carry: when dockerd is asked for it, and how often."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent.docker.containers import Known
from agent.one_pass.local_daemon import LocalDaemon
from agent.targets.container import carried
from agent.values.paths import Paths
from agent.values.policy import Docker, Policy

from .servers import path_asked

PROXY = "HTTP_PROXY=http://10.10.0.2:3128"
FROM_THE_OFFICE = carried([PROXY])
FROM_HOME = carried(())


class Engine:
    """A dockerd that remembers what it was asked."""

    def __init__(self, **environments: list[str]) -> None:
        self.containers = environments  # by id
        self.networks: dict[str, list[str]] = {}  # by id of a container, the ids of those that it is on
        self.drivers: dict[str, str] = {}  # of networks, by id
        self.labels: dict[str, dict[str, str]] = {}
        self.gone: set[str] = set()  # listed, and removed before anybody asks
        self.asked: list[str] = []
        self.is_silent = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            if (path := await path_asked(reader)) is None:
                return
            self.asked.append(path)
            if not self.is_silent:
                found = self._document(path)
                body, status = json.dumps(found).encode(), 404 if found is None else 200
                writer.write(f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def _document(self, path: str) -> object:
        match path.strip("/").split("/"):
            case ["version"]:
                return {"Version": "26.1.5", "ApiVersion": "1.45"}
            case ["info"]:
                return {"ContainersRunning": len(self.containers)}
            case ["containers", "json"]:
                return [self._listed(one) for one in (*self.containers, *self.gone)]
            case ["networks"]:
                return [{"Id": one, "Driver": driver} for one, driver in self.drivers.items()]
            case ["containers", one, "json"] if one in self.containers:
                return {"Id": one, "Config": {"Env": self.containers[one] or None}}
        return None

    def _listed(self, one: str) -> dict[str, object]:
        on = {f"net-{each}": {"NetworkID": each} for each in self.networks.get(one, ())}
        return {"Id": one, "Labels": self.labels.get(one), "NetworkSettings": {"Networks": on} if on else None}

    def asked_now(self) -> list[str]:
        asked, self.asked = self.asked, []
        return [path for path in asked if path.startswith(("/containers/", "/networks"))]


@asynccontextmanager
async def laptop(folder: Path, engine: Engine, known: Known | None = None) -> AsyncIterator[LocalDaemon]:
    (folder / "run").mkdir(exist_ok=True)
    policy = Policy(docker=Docker(restart_command=("false",), socket="/run/docker.sock"))
    async with await asyncio.start_unix_server(engine.answer, folder / "run/docker.sock"):
        yield LocalDaemon(Paths(folder), policy, carried=known)


async def test_each_is_inspected_once_in_its_life(tmp_path: Path) -> None:
    engine = Engine(web=[PROXY], db=[])
    async with laptop(tmp_path, engine) as daemon:
        await daemon.reality()
        assert await daemon.carried() == (FROM_THE_OFFICE, FROM_HOME)
        assert engine.asked_now() == ["/containers/json", "/containers/web/json", "/containers/db/json"]

        del engine.containers["db"]
        engine.containers["job"] = [PROXY]
        await daemon.reality()
        assert await daemon.carried() == (FROM_THE_OFFICE, FROM_THE_OFFICE)
        assert engine.asked_now() == ["/containers/json", "/containers/job/json"]


async def test_a_pass_that_did_not_look_at_docker_asks_nothing(tmp_path: Path) -> None:
    engine = Engine(web=[PROXY])
    async with laptop(tmp_path, engine) as daemon:
        assert await daemon.carried() is None
        await daemon.reality()
        await daemon.carried()
        engine.asked.clear()

        assert await daemon.carried() == (FROM_THE_OFFICE,)

    assert engine.asked == []


async def test_who_asks_for_a_pass_is_told_of_now(tmp_path: Path) -> None:
    engine = Engine(web=[PROXY])
    async with laptop(tmp_path, engine) as daemon:
        await daemon.reality()
        await daemon.carried()
        engine.containers = {"job": []}
        engine.asked.clear()

        assert await daemon.carried(anew=True) == (FROM_HOME,)

        assert engine.asked_now() == ["/containers/json", "/containers/job/json"]


async def test_a_new_policy_knows_what_the_last_one_learnt(tmp_path: Path) -> None:
    engine, known = Engine(web=[PROXY]), Known()
    async with laptop(tmp_path, engine, known) as daemon:
        await daemon.reality()
        await daemon.carried()
        engine.asked.clear()
        after = LocalDaemon(Paths(tmp_path), Policy(docker=Docker(restart_command=("false",))), carried=known)

        await after.reality()

        assert await after.carried() == (FROM_THE_OFFICE,)
        assert engine.asked_now() == ["/containers/json"]


async def test_one_that_is_silent_is_not_asked_and_nothing_is_known(tmp_path: Path) -> None:
    engine = Engine(web=[PROXY])
    async with laptop(tmp_path, engine) as daemon:
        engine.is_silent = True
        await daemon.reality()

        assert await daemon.carried() is None
        assert engine.asked_now() == []


async def test_one_that_falls_silent_meanwhile_is_not_known_either(tmp_path: Path) -> None:
    engine = Engine(web=[PROXY])
    async with laptop(tmp_path, engine) as daemon:
        await daemon.reality()
        await daemon.carried()
        await daemon.reality()
        engine.is_silent = True

        assert await daemon.carried() is None


async def test_one_that_is_gone_and_one_of_a_cluster_do_not_count(tmp_path: Path) -> None:
    engine = Engine(web=[PROXY], task=[], pod=[])
    engine.labels = {"task": {"com.docker.swarm.task.id": "1"}, "pod": {"io.kubernetes.pod.uid": "2"}, "web": {"a": ""}}
    engine.gone = {"short"}
    async with laptop(tmp_path, engine) as daemon:
        await daemon.reality()

        assert await daemon.carried() == (FROM_THE_OFFICE,)


async def test_who_is_on_no_network_of_this_host_is_known_by_what_it_is_on_now(tmp_path: Path) -> None:
    engine = Engine(web=[PROXY], cam=[PROXY], both=[PROXY], late=[PROXY])
    engine.drivers = {"br": "bridge", "lan": "macvlan", "vlan": "ipvlan"}
    engine.networks = {"web": ["br"], "cam": ["lan", "vlan"], "both": ["lan", "br"], "late": ["not listed yet"]}
    async with laptop(tmp_path, engine) as daemon:
        await daemon.reality()
        found = await daemon.carried()
        assert [one.has_no_bridge for one in found or ()] == [False, True, False, False]
        assert engine.asked_now().count("/networks") == 1

        engine.networks["late"] = ["lan"]  # of a network that is known by now
        engine.networks["cam"] = ["lan", "br"]
        found = await daemon.carried(anew=True)

        assert [one.has_no_bridge for one in found or ()] == [False, False, False, True]
        assert engine.asked_now() == ["/containers/json"]
