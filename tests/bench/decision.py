"""A decision over a thousand networks and two hundred upstreams: what is pure of a pass, from snapshot to plan."""

from __future__ import annotations

import time
from statistics import median

from agent.decide.choose import Situation, choose_on
from agent.decide.desired import for_dockerd
from agent.decide.history import History, after, moved
from agent.decide.next_look import next_look
from agent.decide.plan import OwnedDaemonJson, plan
from agent.decide.recognise import recognise
from agent.values.dockerd import Phase, Reality, UnitState
from agent.values.policy import Policy
from agent.values.snapshot import Interface, Snapshot
from agent.values.verdict import Outcome, Verdict
from tests.machine.lab.places import World
from tests.policies import policy_of

from .row import Row

NETWORKS = 1000
UPSTREAMS = 200
TIMES = 20


def rows(_world: World) -> list[Row]:
    policy = _policy()
    took = []
    for n in range(TIMES):
        # Another address each time, as after a move: nothing of it was seen before.
        began = time.perf_counter()
        _decided(policy, f"172.16.0.{n + 1}")
        took.append((time.perf_counter() - began) * 1000)
    return [
        Row(
            f"A decision over {NETWORKS} networks x {UPSTREAMS} upstreams",
            median(took),
            20,
            " ms",
            where="the last network matches, its last upstream works: recognise, choose, when to look next, plan; "
            f"the first time {took[0]:.0f} ms",
        )
    ]


def _decided(policy: Policy, address: str) -> None:
    wlan0 = Interface("wlan0", has_carrier=True, ipv4=(f"{address}/24",), gateways=("172.16.0.254",))
    network = recognise(policy.networks, Snapshot((wlan0,))).network
    failed = {name: Verdict(Outcome.REFUSED) for name in network.use[:-1]}
    history = after(moved(History(), "here", 1.0), {**failed, network.use[-1]: Verdict(Outcome.OK)}, 2.0)
    situation = Situation(policy, network, history)
    choice = choose_on(situation, 2.0)
    assert choice.upstream == network.use[-1], choice
    next_look(situation, choice, 2.0)
    desired = for_dockerd(policy.upstreams[choice.upstream], policy.no_proxy)
    assert plan(desired, Reality(UnitState(Phase.STOPPED)), policy.docker, OwnedDaemonJson(), is_asked_now=False).edits


def _policy() -> Policy:
    names = [f"proxy-{n}" for n in range(UPSTREAMS)]
    use = ", ".join(f'"{name}"' for name in names)
    upstreams = "".join(f'[upstream.{name}]\nurl = "http://{name}.example:3128"\n' for name in names)
    networks = "".join(
        f'[[network]]\nname = "place {n}"\nmatch.ssid = ["Place {n} *"]\n'
        f'match.gateway = ["10.{n // 250}.{n % 250}.1"]\n'
        f'match.address = ["10.{n // 250}.{n % 250}.0/24"]\nuse = [{use}]\n'
        for n in range(NETWORKS - 1)
    )
    here = f'[[network]]\nname = "here"\nmatch.address = ["172.16.0.0/12"]\nuse = [{use}]\n'
    return policy_of(f"{upstreams}{networks}{here}")
