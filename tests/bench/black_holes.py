"""Fifty upstreams, forty-nine of which never answer: what the good one, which is preferred, has to wait for them."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from agent.probe.probe import Question, probe
from agent.probe.side_by_side import probe_all
from agent.probe.tls import Trust
from agent.values.policy import RegistryUrl, Upstream
from agent.values.settings import ProxyUrl, Scheme
from tests.loopback.certificates import server_tls, trust
from tests.loopback.servers import HttpProxy, Registry, black_hole
from tests.machine.lab.places import World

from .figures import in_ms
from .row import Row

UPSTREAMS = 50
TIMES = 30


def rows(_world: World) -> list[Row]:
    return asyncio.run(_rows())


async def _rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return await _measured(trust(Path(folder)))


async def _measured(tls: Trust) -> list[Row]:
    async with (
        black_hole() as hole,
        Registry(server_tls("registry.test")) as registry,
        HttpProxy({f"registry.test:{registry.port}": registry}) as proxy,
    ):
        url = RegistryUrl.parse(f"https://registry.test:{registry.port}")
        question = Question((url,), any_of=True, tls=tls, timeout_s=3.0)
        good = _upstream("good", proxy.url())
        others = [_upstream(f"hole {n}", ProxyUrl(Scheme.HTTP, hole.host, hole.port)) for n in range(UPSTREAMS - 1)]
        alone: list[float] = []
        among: list[float] = []
        for _ in range(TIMES):
            alone.append(await _took([good], question))
            among.append(await _took([good, *others], question))
    return [
        Row(
            f"{UPSTREAMS} upstreams, {UPSTREAMS - 1} black holes, the preferred good, ÷ the good one alone",
            median(among) / median(alone),
            1.2,
            baseline=f"alone {median(alone) * 1000:.1f} ms",
            where=f"{in_ms(among)} on loopback",
        )
    ]


async def _took(upstreams: Sequence[Upstream], question: Question) -> float:
    began = time.perf_counter()
    found = await probe_all(upstreams, lambda each: probe(each, question))
    took = time.perf_counter() - began
    assert found["good"].is_ok, found
    return took


def _upstream(name: str, proxy: ProxyUrl) -> Upstream:
    return Upstream(name, http=proxy, https=proxy)
