"""Probes of a user's own Docker, from where it stands: what it reaches is what it is told to use."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from agent.values.verdict import DeadEnd

from .lab.laptop import PROBE, Laptop
from .lab.rootless import RootlessDocker
from .test_own_docker import Own, installed
from .test_service import NAME

ON_TRIXIE = pytest.mark.parametrize("laptop", ["trixie"], indirect=True)
PYTHON: Final = "/opt/docker-proxy-agent/bin/python"
# What a user's unit may have (FACTS 140), and what stands there has with it.
CONFINED: Final = (
    "NoNewPrivileges=yes", "SystemCallFilter=@system-service", "SystemCallFilter=~@resources @privileged @keyring @aio @memlock",
    "SystemCallFilter=@chown", "RestrictNamespaces=user mnt net", "MemoryDenyWriteExecute=yes", "LockPersonality=yes",
    "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "SystemCallArchitectures=native",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
)  # fmt: skip
# The upstreams of a policy by name, each with the verdict, what dockerd would be given, and what is said of it.
ASKS: Final = """
import asyncio, json, pathlib, sys
from agent.decide.dead_end import dead_ends
from agent.decide.desired import by_upstream
from agent.docker.vantage import vantage
from agent.one_pass.standpoint import Standpoint
from agent.one_pass.registries import Registries
from agent.probe.side_by_side import everything
from agent.values.dockerd import Phase, Reality, UnitState
from agent.values.paths import Paths
from agent.values.policy_text import parse

async def ask(text, dockerd, main):
    policy = parse(text)
    reality = Reality(UnitState(Phase.RUNNING, main), dockerd=dockerd, vantage=vantage(dockerd, main))
    standpoint = Standpoint()
    standpoint.note(reality)
    registries = Registries(Paths(), policy, standpoint.resolve, standpoint=standpoint)
    verdicts = await registries.verdicts(list(policy.upstreams.values()), everything)
    standpoint.leave()
    given = by_upstream(policy, standpoint.vantage)
    return {
        "stands here": reality.vantage.is_host,
        "said": [str(one) for one in dead_ends(verdicts, reality)],
        **{
            name: {
                "verdict": one.outcome.value,
                "evidence": one.evidence,
                "end": one.dead_end and one.dead_end.name,
                "given": str(given[name].https),
            }
            for name, one in verdicts.items()
        },
    }

print(json.dumps(asyncio.run(ask(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
"""


def asked(laptop: Laptop, own: RootlessDocker, **upstreams: str) -> dict[str, Any]:
    """As by an agent of its owner's, in a unit of hers."""
    policy = PROBE + "".join(f'[upstream.{name}]\nurl = "{url}"\n' for name, url in upstreams.items())
    unit = (
        "systemd-run", "--user", "--quiet", "--wait", "--pipe", "--collect", *(f"--property={one}" for one in CONFINED)
    )  # fmt: skip
    answer = own.run(*unit, PYTHON, "-c", ASKS, policy, str(own.pid()), own.show("MainPID"))
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_a_proxy_on_the_laptops_loopback_works_only_where_it_is_let_through(laptop: Laptop) -> None:
    own = laptop.rootless()
    laptop.plug("home")
    local, in_the_lan = laptop.start_proxy(7890), laptop.start_proxy(7891, laptop.home.laptop_address)
    knows_the_switch = laptop.suite != "bookworm"

    found = asked(laptop, own, local=local.url, lan=in_the_lan.url, nobody="http://127.0.0.1:7999")

    assert not found["stands here"]
    assert (found["direct"]["verdict"], found["lan"]["verdict"]) == ("ok", "ok")
    assert found["local"]["given"] == "http://10.0.2.2:7890"
    assert found["local"]["verdict"] != "ok"
    assert found["local"]["end"] == DeadEnd.LOOPBACK.name
    assert (found["nobody"]["verdict"], found["nobody"]["end"]) == ("refused", None)
    (said,) = found["said"]
    assert ("DISABLE_HOST_LOOPBACK=false" in said) is knows_the_switch
    assert ("has no switch" in said) is not knows_the_switch

    own.drop_in("[Service]\nEnvironment=DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK=false\n", "40-loopback.conf")

    found = asked(laptop, own, local=local.url)
    assert (found["local"]["verdict"] == "ok") is knows_the_switch
    assert ("registry.example:443" in local.log_text()) is knows_the_switch


def test_names_are_looked_up_as_dockerd_does_also_after_a_move(laptop: Laptop) -> None:
    own = laptop.rootless()
    start = own.invocation_id()

    for place, proxy in (("office", laptop.office.tinyproxy), ("guest", None), ("office", laptop.office.tinyproxy)):
        laptop.plug(place)
        found = asked(laptop, own, office=laptop.office.tinyproxy.url)
        works = found["office" if proxy else "direct"]
        assert works["verdict"] == "ok", found

    assert own.invocation_id() == start


@ON_TRIXIE
def test_one_that_runs_in_the_laptops_network_is_probed_from_there(laptop: Laptop) -> None:
    own = laptop.rootless()
    laptop.plug("office")
    local = laptop.start_proxy(7890, upstream=laptop.office.tinyproxy)

    own.detach()

    found = asked(laptop, own, local=local.url)
    assert found["stands here"]
    assert (found["local"]["verdict"], found["local"]["given"]) == ("ok", local.url)
    assert found["said"] == []


def test_an_upstream_with_ipv6_alone_is_a_dead_end_until_docker_has_it(laptop: Laptop) -> None:
    own, office = laptop.rootless(), laptop.campus.tinyproxy
    laptop.plug("campus")

    found = asked(laptop, own, office=office.url)

    assert found["office"]["verdict"] != "ok"
    assert found["office"]["end"] == DeadEnd.IPV6.name
    assert "ROOTLESSKIT_FLAGS=--ipv6" in found["said"][0]

    own.drop_in("[Service]\nEnvironment=DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=--ipv6\n", "40-ipv6.conf")

    laptop.until(lambda: asked(laptop, own, office=office.url)["office"]["verdict"] == "ok", within=20)
    assert asked(laptop, own, office=office.url)["said"] == []


def test_an_app_on_loopback_is_used_once_docker_is_let_through_to_it(laptop: Laptop) -> None:
    own = Own(laptop, laptop.rootless())
    own.policy(
        '[upstream.app]\nurl = "http://localhost:7890"\n[[network]]\nname = "anywhere"\nuse = ["app", "direct"]\n'
    )
    laptop.plug("home")
    app = laptop.start_proxy(7890)
    installed(own)

    laptop.until(own.says, "cannot be reached", within=60)

    status = own.status()
    assert status["upstream"]["name"] == "direct"
    (said,) = [one for one in status["conditions"] if one["code"] == "out-of-reach"]
    if laptop.suite == "bookworm":
        assert "has no switch" in said["remedy"]
        return
    assert "DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK=false" in said["remedy"]
    assert own.docker.reports(http="", https="")

    own.docker.drop_in(
        "[Service]\nEnvironment=DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK=false\n", "40-loopback.conf"
    )

    laptop.until(own.docker.reports, http="http://10.0.2.2:7890", https="http://10.0.2.2:7890", within=90)
    laptop.until(own.docker.pulls, within=20)
    assert "registry.example:443" in app.log_text()
    laptop.until(own.is_steady, "anywhere", within=60)
    assert own.status()["conditions"] == []

    # As in a boot: the agent is up before Docker, and what that then starts with is right at once.
    own.docker.systemctl("stop", "docker.service")
    own.docker.systemctl("restart", NAME)
    laptop.until(own.says, "stopped", within=30)
    own.docker.systemctl("start", "docker.service")
    start = own.docker.invocation_id()
    laptop.until(own.is_steady, "anywhere", within=60)
    assert own.docker.reports(http="http://10.0.2.2:7890", https="http://10.0.2.2:7890")
    assert own.docker.invocation_id() == start
    app.stop()
    laptop.until(own.docker.reports, http="", https="", within=120)
