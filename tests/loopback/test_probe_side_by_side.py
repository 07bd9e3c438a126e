"""Fifty upstreams, forty-nine of them black holes: the good one decides, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.probe.probe import Question, probe
from agent.probe.side_by_side import everything, probe_all
from agent.values.policy import RegistryUrl, Upstream
from agent.values.settings import ProxyUrl, Scheme
from agent.values.verdict import Outcome, Verdict
from tests.loopback.certificates import server_tls, trust
from tests.loopback.servers import PATIENCE_S, HttpProxy, Registry, black_hole


def upstream(name: str, proxy: ProxyUrl) -> Upstream:
    return Upstream(name, http=proxy, https=proxy)


def black_holes(hole: ProxyUrl) -> list[Upstream]:
    schemes = (Scheme.HTTP, Scheme.HTTPS, Scheme.SOCKS5)
    return [upstream(f"hole {number}", ProxyUrl(schemes[number % 3], hole.host, hole.port)) for number in range(49)]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


@pytest.mark.parametrize("good_at", [0, 1, 25, 49])
async def test_the_good_one_among_black_holes(tmp_path: Path, good_at: int) -> None:
    async with (
        black_hole() as hole,
        Registry(server_tls("registry.test")) as registry,
        HttpProxy({f"registry.test:{registry.port}": registry}) as proxy,
    ):
        url = RegistryUrl.parse(f"https://registry.test:{registry.port}")
        question = Question((url,), any_of=True, tls=trust(tmp_path), timeout_s=100 * PATIENCE_S)
        upstreams: Sequence[Upstream] = black_holes(hole)
        upstreams = [*upstreams[:good_at], upstream("good", proxy.url()), *upstreams[good_at:]]
        before = open_files()

        # The one that works is enough; no black hole ends by itself before the test's patience does.
        async with asyncio.timeout(PATIENCE_S):
            verdicts = await probe_all(
                upstreams, lambda each: probe(each, question), lambda verdicts: "good" in verdicts
            )

        await registry.until_nobody_is_connected()
        await proxy.until_nobody_is_connected()
        assert open_files() == before
    assert {name: verdict.outcome for name, verdict in verdicts.items()} == {"good": Outcome.OK}


async def test_the_preferred_good_one_bothers_nobody_else(tmp_path: Path) -> None:
    probed: list[str] = []

    async def noted(each: Upstream) -> Verdict:
        probed.append(each.name)
        return Verdict(Outcome.OK)

    await probe_all([Upstream("good"), *(Upstream(f"hole {number}") for number in range(49))], noted)

    assert probed == ["good"]


async def test_all_are_waited_for_when_a_person_asks(tmp_path: Path) -> None:
    async with black_hole() as hole, HttpProxy() as proxy:
        question = Question(
            (RegistryUrl.parse("https://registry.test"),), any_of=True, tls=trust(tmp_path), timeout_s=0.3
        )
        verdicts = await probe_all(
            [*black_holes(hole), upstream("down", proxy.url())], lambda each: probe(each, question), everything
        )

    outcomes = [verdict.outcome for verdict in verdicts.values()]
    assert outcomes == [Outcome.TIMEOUT] * 49 + [Outcome.PROXY_DOWN]
