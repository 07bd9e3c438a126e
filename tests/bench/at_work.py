"""The laptop with the agent at work under its unit, and Docker asked without detour."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.machine.lab.docker import DockerDown
from tests.machine.lab.laptop import AGENT, Laptop
from tests.machine.lab.places import REGISTRY, World
from tests.machine.lab.rootfs import TRIXIE
from tests.waiting import Seen, until

UNIT = "docker-proxy-agent.service"
_LOOK_AGAIN_S = 0.005


_EVERYWHERE = "[[network]]\nuse = {use}\n"
_BY_GATEWAY = """
[[network]]
name = "office"
match.gateway = ["10.10.0.1"]
use = {use}

[[network]]
name = "home"
match.gateway = ["10.20.0.1"]
use = {use}
"""


def policy(world: World, probe: str = "", use: str = '["office", "direct"]', *, by_gateway: bool = False) -> str:
    """The office's proxy wherever it works, and no rule that spaces restarts within it out."""
    return f"{upstreams(world, probe)}{(_BY_GATEWAY if by_gateway else _EVERYWHERE).format(use=use)}"


def upstreams(world: World, probe: str = "") -> str:
    """The same without its networks."""
    return (
        f'[probe]\nregistry = ["https://{REGISTRY}"]\n{probe}'
        f'[docker]\nmin_interval = "0s"\n'
        f'[upstream.office]\nurl = "{world.office.tinyproxy.url}"\n'
    )


@contextmanager
def at_work(world: World, text: str) -> Iterator[Laptop]:
    """On Debian 13, with the service as `install` leaves it, and plugged in nowhere."""
    with Laptop(TRIXIE, world) as laptop:
        laptop.policy(text)
        laptop.run(AGENT, "install", timeout=60)
        yield laptop


def process(laptop: Laptop) -> Path:
    """Of the agent, in /proc."""
    return laptop.proc(int(laptop.docker.show("MainPID", UNIT)))


def python(laptop: Laptop) -> str:
    """The interpreter that the command names in its first line."""
    return laptop.run("sed", "-n", "1s/^#!//p", AGENT).stdout.strip()


def rests(laptop: Laptop, state: str = "steady") -> Seen:
    """Whether the agent has nothing to do; what is to be measured then begins from rest."""
    shown = laptop.status()
    return Seen(shown.get("state") == state, (shown.get("state"), shown.get("conditions")))


def unplugged(laptop: Laptop) -> None:
    """Between two places, and for long enough that it is no storm of news."""
    laptop.unplug()
    laptop.until(rests, laptop, "offline", within=20)
    time.sleep(2.0)


def answered(laptop: Laptop, https: str | None = None, within: float = 60) -> float:
    """The moment (of time.monotonic) when dockerd answered, with that proxy if one is named."""

    def look() -> float | None:
        try:
            info = laptop.docker.api_at_once("/info")
        except DockerDown:
            return None
        return time.monotonic() if https is None or info["HttpsProxy"] == https else None

    moment = until(within, look, f"dockerd answers with {https!r}", every=_LOOK_AGAIN_S)
    assert moment is not None  # until it was something
    return moment


def bare_restart(laptop: Laptop) -> float:
    """Seconds from `systemctl restart docker` until dockerd answers; what the start limit counts is not measured."""
    laptop.run("systemctl", "reset-failed", "docker.service", "docker.socket")
    before = time.monotonic()
    laptop.run("systemctl", "restart", "docker.service")
    return answered(laptop) - before
