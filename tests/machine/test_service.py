"""The installed service on a real systemd: it follows the laptop, tells systemd, and stands in nobody's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from .lab.laptop import POLICY, Laptop
from .lab.places import IMAGE
from .test_apply import office_policy

UNIT = Path(__file__).parents[2] / "systemd/docker-proxy-agent.service"
NAME = "docker-proxy-agent.service"


def installed(laptop: Laptop) -> None:
    laptop.write(f"/etc/systemd/system/{NAME}", UNIT.read_text())
    laptop.run("systemctl", "daemon-reload")
    laptop.run("systemctl", "enable", "--quiet", NAME)


def started(laptop: Laptop) -> None:
    installed(laptop)
    laptop.run("systemctl", "start", NAME, timeout=30)


def is_at(laptop: Laptop, network: str) -> bool:
    shown = laptop.status()
    return bool(shown.get("network")) and shown["network"]["name"] == network


@pytest.mark.long
@pytest.mark.sid
def test_it_follows_the_laptop(laptop: Laptop) -> None:
    office_policy(laptop)
    started(laptop)
    proxy = laptop.office.tinyproxy

    for _ in range(2):
        laptop.plug("office")
        laptop.until(laptop.docker.reports, https=proxy.url, within=60)
        assert laptop.docker.pull().ok
        laptop.plug("home")
        laptop.until(laptop.docker.reports, https="", within=60)  # an unsteady network has to stand first
        laptop.until(laptop.docker.pulls, IMAGE, within=20)

    status = laptop.agent("status")
    assert status.ok, status
    assert status.stdout.startswith("STEADY         elsewhere on earth, direct, since ")
    assert laptop.agent("audit", "verify").ok
    assert "Chose office in office" in laptop.journal("docker-proxy-agent", lines=1000)


@pytest.mark.trixie
def test_ready_without_a_policy_and_a_policy_that_comes_later(laptop: Laptop) -> None:
    laptop.plug("office")

    started(laptop)

    assert laptop.agent("status").stdout.startswith(f"IDLE           {POLICY}: there is no policy")
    assert not laptop.exists("/etc/docker-proxy-agent/dockerd.env")
    office_policy(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=15)


@pytest.mark.trixie
def test_a_second_agent_is_told_who_runs(laptop: Laptop) -> None:
    office_policy(laptop)
    started(laptop)
    pid = laptop.docker.show("MainPID", NAME)

    ran = laptop.agent("run")

    assert ran.code == 1
    assert f"process {pid} holds the lock" in ran.stderr


@pytest.mark.sid
def test_stopping_it_leaves_everything_as_it_is(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=15)
    before = laptop.docker.invocation_id()

    laptop.run("systemctl", "stop", NAME, timeout=30)

    assert laptop.docker.invocation_id() == before
    assert laptop.docker.pull().ok
    assert laptop.agent("status").code == 3
    assert laptop.audit.events()[-1] == "agent-stopped"
    assert laptop.docker.show("Result", NAME) == "success"


@pytest.mark.parametrize("laptop", ["bookworm"], indirect=True)  # 200 of them on the other: test_noise.py
def test_containers_that_come_and_go_are_no_reason_for_anything(laptop: Laptop) -> None:
    office_policy(laptop)
    laptop.plug("home")
    started(laptop)
    laptop.until(is_at, laptop, "elsewhere on earth", within=15)
    laptop.docker.import_image()
    before = laptop.docker.invocation_id(), laptop.audit.events()

    laptop.run("sh", "-euc", "for i in $(seq 20); do docker run --rm lab/busybox:latest true; done", timeout=120)

    assert (laptop.docker.invocation_id(), laptop.audit.events()) == before


@pytest.mark.trixie
def test_a_proxy_that_dies_and_comes_back(laptop: Laptop) -> None:
    laptop.policy(
        '[probe]\nregistry = ["https://registry.example"]\nrecheck = "1s"\nfailback = "2s"\n'
        '[upstream.office]\nurl = "http://10.10.0.2:8888"\n[upstream.backup]\nurl = "socks5://10.10.0.2:1080"\n'
        '[docker]\nmin_interval = "1s"\n[[network]]\nuse = ["office", "backup"]\n'
    )
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=15)

    laptop.office.tinyproxy.stop()
    laptop.until(laptop.docker.reports, https="socks5://10.10.0.2:1080", within=30)
    assert laptop.docker.pull().ok

    laptop.office.tinyproxy.start()
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    assert laptop.docker.pull().ok
