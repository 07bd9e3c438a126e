"""What comes late, goes away or hangs: proxies, their own ways out, and Docker itself."""

from __future__ import annotations

import re

from tests.waiting import Seen

from .lab.laptop import Laptop
from .lab.places import REGISTRY
from .test_apply import ENVIRONMENT, office_policy
from .test_boot import docker_starts
from .test_roam import AT_ONCE, is_there, restarted, trixie
from .test_service import started

# Of apt, as it unpacks and configures a package.
PACKAGE = (
    "/usr/lib/systemd/system/docker.service /usr/lib/systemd/system/docker.socket /usr/sbin/dockerd /etc/init.d/docker"
)
TAKEN_AWAY = f"""
systemctl stop docker.socket docker.service
mkdir /root/package
for file in {PACKAGE}; do mv $file /root/package; done
systemctl daemon-reload
"""
UNPACKED = f"for file in {PACKAGE}; do mv /root/package/${{file##*/}} $file; done"
CONFIGURED = "systemctl daemon-reload; systemctl start docker.socket docker.service"


def probing(**settings: str) -> str:
    lines = "".join(f'{name} = "{value}"\n' for name, value in settings.items())
    return f'[probe]\nregistry = ["https://{REGISTRY}"]\n{lines}'


@trixie
def test_an_upstream_that_accepts_and_hangs_is_not_waited_for(laptop: Laptop) -> None:
    proxy, backup = laptop.office.tinyproxy, laptop.office.socks
    laptop.policy(
        f'{probing(recheck="1s", timeout="2s", failback="2s")}{AT_ONCE}[upstream.office]\nurl = "{proxy.url}"\n'
        f'[upstream.backup]\nurl = "{backup.url}"\n[[network]]\nuse = ["office", "backup"]\n'
    )
    proxy.freeze()
    laptop.plug("office")
    started(laptop)
    laptop.until(laptop.docker.reports, https=backup.url, within=20)
    laptop.until(is_there, laptop, "network 1", "backup")
    assert laptop.status()["verdicts"]["office"]["verdict"] == "timeout"
    assert laptop.docker.pull().ok

    proxy.start()
    laptop.until(laptop.docker.reports, https=proxy.url, within=20)
    assert laptop.docker.pull().ok

    proxy.freeze()
    laptop.until(laptop.docker.reports, https=backup.url, within=20)
    assert laptop.docker.pull().ok
    laptop.until(is_there, laptop, "network 1", "backup")
    assert restarted(laptop, 3)


@trixie
def test_a_proxy_app_that_starts_after_the_agent_is_taken_before_the_next_probe_is_due(laptop: Laptop) -> None:
    laptop.policy(
        f'{probing(failback="2s")}[upstream.app]\nurl = "http://127.0.0.1:7890"\n[[network]]\nuse = ["app", "direct"]\n'
    )
    laptop.plug("home")
    started(laptop)
    laptop.until(is_there, laptop, "network 1", "direct")
    assert restarted(laptop, 0)

    app = laptop.start_proxy()

    laptop.until(laptop.docker.reports, https=app.url, within=20)  # recheck is a minute
    assert laptop.docker.pull().ok
    assert f"CONNECT {REGISTRY}:443" in app.log_text()
    laptop.until(is_there, laptop, "network 1", "app")
    assert restarted(laptop, 1)


@trixie
def test_the_end_of_a_proxy_app_in_use_is_seen_before_the_next_probe_is_due(laptop: Laptop) -> None:
    app = laptop.start_proxy()
    laptop.policy(f'{probing(recheck="10m")}[upstream.app]\nurl = "{app.url}"\n[[network]]\nuse = ["app", "direct"]\n')
    laptop.plug("home")
    started(laptop)
    laptop.until(laptop.docker.reports, https=app.url, within=20)
    laptop.until(is_there, laptop, "network 1", "app")

    app.stop()

    laptop.until(verdict_shown, laptop, "app", "refused", within=5)


@trixie
def test_a_proxy_app_whose_own_way_out_comes_late_is_waited_for(laptop: Laptop) -> None:
    proxy = laptop.office.tinyproxy
    proxy.stop()
    app = laptop.start_proxy(upstream=proxy)
    laptop.policy('[upstream.app]\nurl = "http://127.0.0.1:7890"\n[[network]]\nuse = ["app", "direct"]\n')
    laptop.plug("office")
    started(laptop)
    laptop.until(is_there, laptop, "network 1", None, "waiting", within=20)
    assert laptop.status()["verdicts"]["app"]["verdict"] == "proxy-down"
    assert restarted(laptop, 0)

    proxy.start()

    laptop.until(laptop.docker.reports, https=app.url, within=20)
    assert laptop.docker.pull().ok
    laptop.until(is_there, laptop, "network 1", "app")
    assert restarted(laptop, 1)


def conditions(laptop: Laptop, code: str) -> Seen:
    found = [condition["code"] for condition in laptop.status().get("conditions", [])]
    return Seen(code in found, found)


def verdict_shown(laptop: Laptop, upstream: str, verdict: str) -> Seen:
    shown = laptop.status()["verdicts"].get(upstream)
    return Seen(shown is not None and shown["verdict"] == verdict, shown)


def version_shown(laptop: Laptop, version: str) -> Seen:
    docker = laptop.status().get("docker") or {}
    return Seen(docker.get("version") == version, docker)


def test_docker_is_installed_after_the_agent_and_upgraded_under_it(laptop: Laptop) -> None:
    proxy = laptop.office.tinyproxy
    version = laptop.docker.version()
    laptop.run("sh", "-euc", TAKEN_AWAY)
    office_policy(laptop)
    laptop.plug("office")
    started(laptop)
    laptop.until(conditions, laptop, "engine-absent")
    assert not laptop.exists(ENVIRONMENT)
    assert proxy.url in laptop.read("/home/alice/.docker/config.json")

    laptop.run("sh", "-euc", f"{UNPACKED}; {CONFIGURED}")

    laptop.until(laptop.docker.reports, https=proxy.url, within=30)
    assert laptop.docker.pull().ok
    laptop.until(is_there, laptop, "office", "office")
    starts = docker_starts(laptop)

    # Another dockerd, which only calls itself otherwise.
    patch = re.sub(r"\d(?=\+|$)", "9", version, count=1)
    other = f"sed -i 's/{version}/{patch}/g' /usr/sbin/dockerd"
    laptop.run("sh", "-euc", f"systemctl stop docker.socket docker.service; {other}; {CONFIGURED}")

    laptop.until(version_shown, laptop, patch)
    laptop.until(is_there, laptop, "office", "office")
    assert patch in laptop.agent("status").stdout
    assert laptop.docker.reports(https=proxy.url)
    assert laptop.docker.pull().ok
    assert docker_starts(laptop) == starts + 1
    # None, where what was written was there before Docker's first start.
    assert laptop.audit.events().count("docker-restarted") <= 1
