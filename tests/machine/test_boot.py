"""Booting with the unit enabled: Docker starts once and with the right settings, and is never made to wait for long.

Each boot is measured by systemd's own clock and printed (`pytest -s`): how long until Docker was up, and how much of that it
waited for the agent.
"""

from __future__ import annotations

import pytest

from .lab.laptop import Laptop
from .lab.places import REGISTRY
from .test_apply import ENVIRONMENT, office_policy
from .test_service import NAME, installed

LOOSELY_S = 20.0  # what a boot may take here; it takes 2
HOLES = "".join(f'[upstream.hole{n}]\nurl = "http://10.99.0.{n}:3128"\n' for n in (71, 72, 73))
LATE_NETWORK = """
[Unit]
DefaultDependencies=no
After=local-fs.target
Before=network-online.target
Wants=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -euc 'sleep 2; ip address add 10.10.0.100/24 dev wlan0; ip route add default via 10.10.0.1 dev wlan0'
[Install]
WantedBy=network-online.target
"""


def seconds(laptop: Laptop, property_: str, unit: str = "") -> float:
    """A moment of systemd's monotonic clock; 0: it has not come."""
    units = ("--", unit) if unit else ()
    return int(laptop.run("systemctl", "show", "--value", "--property", f"{property_}Monotonic", *units).stdout) / 1e6


def docker_up_s(laptop: Laptop, case: str) -> float:
    """Seconds from the start of systemd until Docker was up, in the boot that has just been."""
    boot = seconds(laptop, "UserspaceTimestamp")
    up = seconds(laptop, "ActiveEnterTimestamp", "docker.service") - boot
    line = f"{laptop.suite}, {case}: Docker up after {up:.2f} s"
    if laptop.docker.show("UnitFileState", NAME) == "enabled":
        line += f", the agent ready within {ready_s(laptop):.2f} s"
    print(line)
    return up


def ready_s(laptop: Laptop) -> float:
    """Seconds from the start of the agent until it was ready: what Docker waits."""
    started = seconds(laptop, "InactiveExitTimestamp", NAME)
    return seconds(laptop, "ActiveEnterTimestamp", NAME) - started


def docker_starts(laptop: Laptop) -> int:
    """How often Docker was started since this boot."""
    said = laptop.run("journalctl", "--boot", "--output=cat", "--unit=docker.service").stdout.splitlines()
    return sum(line.startswith(("Starting Docker Application", "Starting docker.service")) for line in said)


def is_ready(laptop: Laptop) -> bool:
    return laptop.docker.show("ActiveState", NAME) == "active"


@pytest.mark.sid
def test_at_the_office_docker_starts_once_and_with_the_proxy(laptop: Laptop) -> None:
    laptop.plug("office")
    laptop.reboot()
    assert docker_up_s(laptop, "at the office, without the agent") < LOOSELY_S
    office_policy(laptop)
    installed(laptop)

    for case in ("for the first time", "again"):
        laptop.reboot()

        assert docker_up_s(laptop, f"at the office, {case}") < LOOSELY_S
        assert laptop.docker.reports(https=laptop.office.tinyproxy.url)
        assert laptop.docker.pull().ok
        assert docker_starts(laptop) == 1
        assert "docker-restarted" not in laptop.audit.events()

    # Home meanwhile: what stands there from the office must not be what Docker starts with.
    laptop.plug("home")
    laptop.run("systemctl", "stop", NAME)
    laptop.reboot()
    assert docker_up_s(laptop, "at home, after the office") < LOOSELY_S
    assert laptop.docker.reports(https="")
    assert docker_starts(laptop) == 1


def test_a_network_that_comes_up_while_booting_is_waited_for_as_docker_does(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.write("/etc/systemd/system/late-network.service", LATE_NETWORK)
    laptop.plug("office")
    laptop.network("ip address flush dev wlan0")
    laptop.run("systemctl", "enable", "late-network.service")
    installed(laptop)

    laptop.reboot()

    assert docker_up_s(laptop, "a network after 2 s") < LOOSELY_S
    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)
    assert docker_starts(laptop) == 1


@pytest.mark.sid
def test_a_docker_that_only_its_socket_starts_is_not_woken(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    installed(laptop)
    laptop.run("systemctl", "disable", "docker.service")

    laptop.reboot()

    laptop.until(is_ready, laptop)
    laptop.run("systemctl", "reload", NAME)
    laptop.until(laptop.exists, ENVIRONMENT)
    assert laptop.docker.show("ActiveState") == "inactive"
    assert laptop.docker.show("ActiveState", "docker.socket") == "active"
    assert docker_starts(laptop) == 0

    said = laptop.run("docker", "info").stdout
    assert f"HTTPS Proxy: {laptop.office.tinyproxy.url}" in said
    assert docker_starts(laptop) == 1
    assert "docker-restarted" not in laptop.audit.events()


BROKEN = "[[network]]\nuse = [\n"
# That there is none and that it is broken are one to systemd: a unit that is ready at once.
POLICIES = [
    pytest.param("trixie", "", id="trixie-none"),
    pytest.param("trixie", BROKEN, id="trixie-broken"),
    pytest.param("bookworm", BROKEN, id="bookworm-broken"),
]


@pytest.mark.parametrize(("laptop", "policy"), POLICIES, indirect=["laptop"])
def test_without_a_policy_docker_does_not_wait(laptop: Laptop, policy: str) -> None:
    if policy:
        laptop.policy(policy)
    laptop.plug("office")
    installed(laptop)

    laptop.reboot()

    assert docker_up_s(laptop, "a broken policy" if policy else "no policy") < LOOSELY_S
    assert is_ready(laptop)
    assert ready_s(laptop) < 4  # seconds: of Python's own start; it would be 5 if something were waited for
    assert not laptop.exists(ENVIRONMENT)
    assert docker_starts(laptop) == 1
    office_policy(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=20)


def test_offline_and_plugged_in_later(laptop: Laptop) -> None:
    office_policy(laptop)
    installed(laptop)

    laptop.reboot()

    assert docker_up_s(laptop, "offline") < LOOSELY_S
    assert is_ready(laptop)
    assert laptop.docker.reports(https="")
    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=20)
    assert docker_starts(laptop) == 2


def test_a_network_that_swallows_everything_holds_docker_up_for_five_seconds_at_most(laptop: Laptop) -> None:
    patient = f'[probe]\nregistry = ["https://{REGISTRY}"]\ntimeout = "30s"\n'
    laptop.policy(f'{patient}{HOLES}[[network]]\nuse = ["hole71", "hole72", "hole73"]\n')
    laptop.plug("office")
    laptop.office.swallow()
    installed(laptop)

    laptop.reboot()

    assert docker_up_s(laptop, "a black hole") < LOOSELY_S
    assert 4.5 < ready_s(laptop) < 8
    assert docker_starts(laptop) == 1
    assert laptop.docker.reports(https="")
