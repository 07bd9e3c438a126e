"""What Docker moves through the relay: a build, apt in a container, large layers, and a relay that is upgraded or dies meanwhile."""

from __future__ import annotations

import hashlib

import pytest

from tests.waiting import Seen

from .lab.docker import LOCAL_IMAGE
from .lab.laptop import AGENT, Laptop
from .lab.places import REGISTRY
from .test_relay import HELLO, SERVICE, given, trixie, with_relay
from .test_service import NAME

LARGE = f"{REGISTRY}/large:latest"
MEGABYTES = 200
HUGE = f"{REGISTRY}/huge:latest"
HUGE_MEGABYTES = 300
DOCKERFILE = f"""
FROM {LOCAL_IMAGE}
RUN wget -q -O /hello {HELLO}
RUN busybox dd if=/dev/urandom of=/large bs=1M count={MEGABYTES}
"""
SLOWLY = "tc qdisc replace dev lan root tbf rate 40mbit burst 256kb latency 200ms"  # a pull takes a minute
CODE = "/opt/docker-proxy-agent/lib/python3*/site-packages/agent/__init__.py"
# This Debian's own apt, in a container; and all that it needs to be told.
APT = "-v /usr:/usr:ro -v /usr/lib:/lib:ro -v /usr/lib64:/lib64:ro -v /root/apt:/apt"
OPTIONS = {
    "Dir": "/apt",
    "Dir::Etc": "/apt/etc",
    "Dir::State::Status": "/apt/status",
    "Dir::Bin::Methods": "/usr/lib/apt/methods",
    "APT::Sandbox::User": "",
    "Acquire::Languages": "none",
}


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
def test_a_build_a_push_and_pulls_that_the_relay_and_the_agent_do_not_survive(laptop: Laptop) -> None:
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

    _apt_updates_in_a_container(laptop)

    laptop.docker.cli("image", "rm", "--force", LARGE)
    laptop.docker.cli("builder", "prune", "--force", check=False)
    _pulls(laptop, LARGE, MEGABYTES, ("systemctl", "kill", "--signal=KILL", SERVICE, NAME))
    assert laptop.docker.show("NRestarts", SERVICE) == "1"

    laptop.internet.put_images(f"huge={HUGE_MEGABYTES}")
    laptop.until(lambda: laptop.docker.show("ActiveState", NAME) == "active", within=30)
    relay, agent = (laptop.docker.show("MainPID", unit) for unit in (SERVICE, NAME))
    laptop.run("sh", "-euc", f"sed -i 's/^__version__ = .*/__version__ = \"9.9.9\"/' {CODE}")
    _pulls(laptop, HUGE, HUGE_MEGABYTES, (AGENT, "install"))
    assert laptop.docker.show("MainPID", SERVICE) != relay
    assert laptop.docker.show("MainPID", NAME) != agent
    laptop.until(lambda: laptop.status()["version"] == "9.9.9", within=20)
    assert laptop.docker.invocation_id() == before


def _pulls(laptop: Laptop, image: str, megabytes: int, meanwhile: tuple[str, ...]) -> None:
    """To its end, whatever is done while it is under way. The way is narrow until that is done, and wide then."""
    unit = f"pull-{megabytes}"
    begun = received(laptop)
    laptop.office.ground.sh(SLOWLY)
    try:
        laptop.run("systemd-run", f"--unit={unit}", "--remain-after-exit", "docker", "pull", image)
        laptop.until(has_received, laptop, begun + 5_000_000, within=30)
        laptop.run(*meanwhile)
        assert not has_ended(laptop, unit), "it was over before"
    finally:
        laptop.office.ground.sh("tc qdisc del dev lan root")
    laptop.until(has_ended, laptop, unit, within=90)
    assert "ExecMainStatus=0" in str(has_ended(laptop, unit)), laptop.journal(unit)
    assert received(laptop) > begun + megabytes * 1_000_000


def _apt_updates_in_a_container(laptop: Laptop) -> None:
    """From a mirror, by plain http: told of the relay by nothing but what every container is given."""
    mirror = laptop.internet.files / "debian"
    mirror.mkdir(exist_ok=True)
    packages = "".join(f"Package: it{n}\nVersion: 1\nArchitecture: all\nFilename: ./it{n}.deb\n\n" for n in range(9))
    (mirror / "Packages").write_text(packages)
    digest = hashlib.sha256(packages.encode()).hexdigest()
    (mirror / "Release").write_text(
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {digest} {len(packages)} Packages\n"
    )
    laptop.write("/root/apt/etc/sources.list", "deb [trusted=yes] http://10.99.0.10/debian ./\n")
    laptop.write("/root/apt/status", "")
    laptop.run("sh", "-euc", "cd /root/apt; mkdir -p etc/apt.conf.d etc/preferences.d var/lib/apt/lists/partial")
    options = [word for name, value in OPTIONS.items() for word in ("-o", f"{name}={value}")]
    laptop.office.squid.forget()

    updated = laptop.docker.cli("run", "--rm", *APT.split(), LOCAL_IMAGE, "/usr/bin/apt-get", *options, "update")

    assert "Err:" not in updated.stdout, updated
    asked = [line for line in laptop.office.squid.log() if "/debian/" in line]
    assert any(line.endswith("/Packages") for line in asked), asked
    assert laptop.run("sh", "-c", "cat /root/apt/var/lib/apt/lists/*_Packages").stdout == packages
