"""What Docker moves through the relay: a build that downloads, a large layer up and down, and a relay that dies meanwhile."""

from __future__ import annotations

import pytest

from tests.waiting import Seen

from .lab.docker import LOCAL_IMAGE
from .lab.laptop import Laptop
from .lab.places import REGISTRY
from .test_relay import HELLO, SERVICE, given, trixie, with_relay
from .test_service import NAME

LARGE = f"{REGISTRY}/large:latest"
MEGABYTES = 100
DOCKERFILE = f"""
FROM {LOCAL_IMAGE}
RUN wget -q -O /hello {HELLO}
RUN busybox dd if=/dev/urandom of=/large bs=1M count={MEGABYTES}
"""
SLOWLY = "tc qdisc replace dev lan root tbf rate 200mbit burst 256kb latency 200ms"  # a pull takes some seconds


def received(laptop: Laptop) -> int:
    return int(laptop.run("cat", "/sys/class/net/wlan0/statistics/rx_bytes").stdout)


def has_received(laptop: Laptop, least: int) -> Seen:
    now = received(laptop)
    return Seen(now >= least, now)


def has_ended(laptop: Laptop, unit: str) -> Seen:
    shown = laptop.docker.systemctl("show", "--property=SubState,ExecMainStatus", unit).stdout
    return Seen("SubState=running" not in shown and "SubState=start" not in shown, shown)


@trixie
@pytest.mark.long
def test_a_build_a_push_and_a_pull_that_the_relay_does_not_survive(laptop: Laptop) -> None:
    squid = laptop.office.squid
    with_relay(laptop)
    given(laptop, "office")
    laptop.until(lambda: "172.17.0.1:3130" in laptop.read("/root/.docker/config.json"), within=20)
    before = laptop.docker.invocation_id()
    laptop.docker.import_image()
    laptop.write("/root/it/Dockerfile", DOCKERFILE)

    built = laptop.docker.cli("build", "--tag", LARGE, "/root/it", check=False, timeout=120)
    assert built.ok, built
    assert HELLO in squid.log()

    pushed = laptop.docker.cli("push", LARGE, check=False, timeout=120)
    assert pushed.ok, pushed

    laptop.docker.cli("image", "rm", "--force", LARGE)
    laptop.docker.cli("builder", "prune", "--force", check=False)
    laptop.office.ground.sh(SLOWLY)
    try:
        begun = received(laptop)
        laptop.run("systemd-run", "--unit=pull", "--remain-after-exit", "docker", "pull", LARGE)
        laptop.until(has_received, laptop, begun + 20_000_000, within=30)
        laptop.run("systemctl", "kill", "--signal=KILL", SERVICE, NAME)
        laptop.until(has_ended, laptop, "pull", within=60)
    finally:
        laptop.office.ground.sh("tc qdisc del dev lan root")
    assert "ExecMainStatus=0" in str(has_ended(laptop, "pull")), laptop.journal("pull")
    assert received(laptop) > begun + MEGABYTES * 1_000_000
    assert laptop.docker.show("NRestarts", SERVICE) == "1"
    assert laptop.docker.invocation_id() == before
