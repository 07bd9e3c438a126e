"""What holds a pass back, and how long: what is not finished, a refused password, what came up otherwise."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
import pytest

from agent.one_pass.memory import Memory
from agent.one_pass.reconcile import Alone, reconcile
from agent.one_pass.refused_passwords import REFUSED
from agent.one_pass.registries import Loopback, Registries
from agent.probe.dial import Address
from agent.values.condition import Code, Condition
from agent.values.paths import Paths
from agent.values.policy import Policy, Upstream
from agent.values.secret import Secret
from agent.values.settings import ProxyUrl
from agent.values.vantage import Vantage
from agent.values.verdict import Outcome, Verdict

from .dockerd import Dockerd
from .test_reconcile import OFFICE, Place, at, policy

BEATEN = Condition(Code.NOT_EFFECTIVE, "something else")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(at("10.10.0.1"), Dockerd(tmp_path), office="ok", direct="ok", other="proxy-auth")


@pytest.fixture
def memory(place: Place) -> Memory:
    made = Memory(place.daemon.agent_state)
    made.use(place.policy, place)
    return made


async def test_before_what_was_begun_is_finished_nothing_is_written(place: Place, memory: Memory) -> None:
    """A write would forget whose Docker it is that is down."""
    memory.is_held = True
    await reconcile(place.policy, place, place.daemon.record(), choosing=memory, maker=Alone())
    assert (place.daemon.files(), place.daemon.starts) == ({}, 1)

    memory.is_held = False
    await reconcile(place.policy, place, place.daemon.record(), choosing=memory, maker=Alone())
    assert place.daemon.runs_with == OFFICE


async def test_a_password_that_docker_runs_with_and_a_proxy_refused_is_not_sent_again(
    place: Place, memory: Memory
) -> None:
    """Not by a service that starts anew, either: accounts lock."""
    url = place.policy.upstreams["office"].http
    old = Upstream("other", http=url, https=url, username="alice", password=Secret("hunter2"))
    assert (await memory.works(old, place.snapshot)).outcome is Outcome.PROXY_AUTH
    assert place.asked == ["other"]

    anew = Memory(place.daemon.agent_state)
    anew.use(place.policy, place)

    assert await anew.works(old, place.snapshot) == REFUSED
    assert place.asked == ["other"]
    await anew.works(old, at("10.99.0.1"))
    assert place.asked == ["other", "other"]  # somewhere else it may be another proxy


async def test_a_password_that_is_refused_beside_a_probe_counts_like_one_and_is_not_sent_again(
    place: Place, memory: Memory
) -> None:
    known = place.policy.upstreams["office"]
    upstreams = dict(place.policy.upstreams, office=with_password(known))
    place.policy = msgspec.structs.replace(place.policy, upstreams=upstreams)
    memory.use(place.policy, place)
    _, choice = await memory.choose(place.policy.networks[0], place.snapshot, None)
    assert (choice.upstream, place.asked.count("office")) == ("office", 1)

    place.hears = {"office": Verdict(Outcome.PROXY_AUTH)}
    verdicts, _ = await memory.choose(place.policy.networks[0], place.snapshot, None)
    assert verdicts["office"].outcome is Outcome.PROXY_AUTH

    anew = Memory(place.daemon.agent_state)
    anew.use(place.policy, place)
    verdicts, _ = await anew.choose(place.policy.networks[0], place.snapshot, None)
    assert verdicts["office"] == REFUSED
    assert place.asked.count("office") == 1


async def test_what_is_heard_late_of_a_proxy_that_no_pac_names_any_more_costs_no_pass(
    place: Place, memory: Memory
) -> None:
    place.hears = {"corp: gone.example:8080": Verdict(Outcome.PROXY_AUTH)}
    verdicts, choice = await memory.choose(place.policy.networks[0], place.snapshot, None)
    assert (choice.upstream, verdicts.keys() - place.policy.upstreams.keys()) == ("office", set())


def with_password(upstream: Upstream) -> Upstream:
    return msgspec.structs.replace(upstream, username="alice", password=Secret("hunter2"))


async def test_where_dockerd_stands_elsewhere_everything_is_asked_anew(place: Place, memory: Memory) -> None:
    network = place.policy.networks[0]
    for _ in range(2):
        await memory.choose(network, place.snapshot, None)
    assert place.asked.count("office") == 1

    place.vantage = Vantage(is_host=False, gateway="10.0.2.2", is_closed=True)
    for _ in range(2):
        await memory.choose(network, place.snapshot, None)

    assert place.asked.count("office") == 2


async def test_a_proxy_on_loopback_is_written_as_dockerd_reaches_it_and_recognised_in_what_it_reports(
    tmp_path: Path,
) -> None:
    place = Place(at("10.10.0.1"), Dockerd(tmp_path), local="ok", direct="ok")
    place.policy = policy('[upstream.local]\nurl = "http://localhost:7890"\n[[network]]\nuse = ["local", "direct"]\n')
    place.vantage = Vantage(is_host=False, gateway="10.0.2.2")
    memory = Memory(place.daemon.agent_state)
    memory.use(place.policy, place)

    first, second = [
        await reconcile(place.policy, place, place.daemon.record(), choosing=memory, maker=Alone()) for _ in range(2)
    ]

    running = place.daemon.runs_with
    assert isinstance(running.https, ProxyUrl)
    assert (running.https.host, running.https.port) == ("10.0.2.2", 7890)
    assert first.outcome is not None
    assert (second.outcome, second.seen.in_docker) == (None, "local")


async def test_what_came_up_otherwise_is_tried_again_once_the_unit_is_another(place: Place, memory: Memory) -> None:
    reality = await place.daemon.reality(OFFICE)
    memory.past_restarts.note_came_up_otherwise(OFFICE, reality, BEATEN)
    assert memory.holding(reality).otherwise(OFFICE) == BEATEN

    ours = msgspec.structs.replace(reality.unit, drop_ins=(reality.drop_in_path,))
    assert memory.holding(msgspec.structs.replace(reality, unit=ours)).otherwise(OFFICE) == BEATEN

    theirs = msgspec.structs.replace(reality.unit, drop_ins=("/etc/systemd/system/docker.service.d/mended.conf",))
    assert memory.holding(msgspec.structs.replace(reality, unit=theirs)).otherwise(OFFICE) is None
    elsewhere = msgspec.structs.replace(reality, arguments=("--debug",))
    assert memory.holding(elsewhere).otherwise(OFFICE) is None


AN_APP = """
[probe]
registry = ["http://registry.example/"]
timeout = "1s"
[upstream.app]
url = "http://laptop:1"
[upstream.office]
url = "http://office:1"
"""


async def test_another_policy_forgets_no_app_on_this_host_that_it_has_too(tmp_path: Path, place: Place) -> None:
    """It is not probed again, so nothing would say where it listens, and the service let go of its connection."""

    async def resolve(_host: str, port: int) -> list[Address]:
        return [(socket.AF_INET, ("127.0.1.1", port))]

    def registries(read: Policy) -> Registries:
        return Registries(Paths(tmp_path), read, resolve, loopback=loopback)

    loopback, use = Loopback(), '[[network]]\nuse = ["app"]\n'
    before, saved = policy(AN_APP + use), policy(AN_APP + use + '[docker]\nmin_interval = "7s"\n')
    memory = Memory(place.daemon.agent_state)
    memory.use(before, registries(before))
    await memory.choose(before.networks[0], place.snapshot, None)
    memory.use(saved, registries(saved))
    await memory.choose(saved.networks[0], place.snapshot, None)

    assert [(one.host, one.port) for one in memory.on_this_host("app")] == [("127.0.1.1", 1)]


async def test_what_is_loopback_says_the_resolver_and_it_stays_so_while_it_does_not_answer(tmp_path: Path) -> None:
    names = {"laptop": ["127.0.1.1"], "office": ["127.0.0.1", "fe80::1"]}

    async def resolve(host: str, port: int) -> list[Address]:
        if host not in names:
            raise OSError
        return [(socket.AF_INET6 if ":" in address else socket.AF_INET, (address, port)) for address in names[host]]

    asked = policy(AN_APP)
    registries = Registries(Paths(tmp_path), asked, resolve)
    assert registries.loopback("laptop") == ()
    assert registries.loopback("localhost") == ("127.0.0.1", "::1")

    for _ in range(2):
        await registries.verdicts([asked.upstreams["app"], asked.upstreams["office"]], lambda _: False)
        assert registries.loopback("laptop") == ("127.0.1.1",)
        assert registries.loopback("office") == ()
        names.clear()
