"""What other programs of the laptop follow the agent by: the units of the pages, as they stand there."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.pages import block_typed, blocks
from tests.sources import ROOT
from tests.waiting import Seen

from .lab.laptop import Laptop
from .test_apply import through
from .test_service import is_at, started

PATH, SERVICE, METRICS, TIMER = (
    "docker-proxy-choice.path", "docker-proxy-choice.service", "docker-proxy-agent-metrics.service",
    "docker-proxy-agent-metrics.timer",
)  # fmt: skip
COLLECTED: Final = "/var/lib/prometheus/node-exporter/docker-proxy-agent.prom"
# Instead of the page's script, which is about programs that are not here.
SCRIPT: Final = '#!/bin/sh\necho "$(id -un) $DPA_NETWORK $DPA_UPSTREAM $HTTPS_PROXY" >>"$HOME/followed"\n'
OFFICE: Final = '[[network]]\nname = "office"\nmatch.gateway = ["10.10.0.1"]\nuse = ["office", "direct"]\n'


def unit(page: str, name: str) -> str:
    text = (ROOT / page).read_text()
    found = re.search(rf"`[^`]*/{re.escape(name)}`[^`]*```ini\n(.*?)```", text, re.DOTALL)
    assert found is not None, name
    return found[1]


def lines(page: str, beginning: str) -> list[str]:
    """Of the block that begins so."""
    (block,) = [found for found in blocks((ROOT / page).read_text(), "sh") if found.startswith(beginning)]
    return [*block_typed(block)]


def asked_by_apt(laptop: Laptop) -> str:
    """Which proxy, once the unit of the page has run."""
    laptop.run("systemctl", "start", "docker-proxy-apt.service")
    http, https = laptop.run("apt-config", "dump", "Acquire::http::Proxy", "Acquire::https::Proxy").stdout.splitlines()
    assert http.partition('"')[2] == https.partition('"')[2]
    return http.partition('"')[2].removesuffix('";')


@pytest.mark.trixie
def test_a_users_own_script_runs_as_the_user_when_the_choice_changes_and_metrics_are_collected(laptop: Laptop) -> None:
    home, folder = "/home/alice", "/home/alice/.config/systemd/user"
    for name in (PATH, SERVICE):
        laptop.write(f"{folder}/{name}", unit("docs/recipes/choice.md", name), owner="alice")
    laptop.write(f"{home}/.local/bin/docker-proxy-choice", SCRIPT, owner="alice")
    for name in (METRICS, TIMER):
        laptop.write(f"/etc/systemd/system/{name}", unit("docs/monitoring.md", name))
    laptop.run("systemctl", "daemon-reload")
    laptop.run("mkdir", "-p", COLLECTED.rpartition("/")[0])
    uid = laptop.run("id", "--user", "alice").stdout.strip()
    laptop.run(
        "sh",
        "-euc",
        f"mkdir -p /var/lib/systemd/linger; touch /var/lib/systemd/linger/alice; systemctl start user@{uid}",
    )
    for line in lines("docs/recipes/choice.md", "chmod +x"):
        laptop.run("env", f"XDG_RUNTIME_DIR=/run/user/{uid}", "sh", "-euc", line, user="alice")
    proxy = laptop.office.tinyproxy.url
    laptop.plug("office")
    laptop.policy("")

    def followed() -> list[str]:
        found = laptop.run("cat", f"{home}/followed", check=False).stdout
        return found.splitlines()

    def has_followed(line: str) -> Seen:
        return Seen(followed()[-1:] == [line], followed())

    started(laptop)
    laptop.until(is_at, laptop, "elsewhere", within=30)  # where nothing works: there is no choice, and no file yet
    assert followed() == ["alice   "]

    laptop.run("mkdir", "-m", "755", "/etc/docker-proxy-agent/config.d")
    laptop.write("/etc/docker-proxy-agent/config.d/10-corp.toml", through(laptop.office.tinyproxy) + OFFICE)
    laptop.until(has_followed, f"alice office office {proxy}", within=60)
    laptop.until(is_at, laptop, "office", within=30)
    laptop.write(
        "/etc/systemd/system/docker-proxy-apt.service", unit("docs/recipes/choice.md", "docker-proxy-apt.service")
    )
    assert asked_by_apt(laptop) == proxy
    before = len(followed())
    laptop.plug("home")
    laptop.until(has_followed, "alice elsewhere direct ", within=60)
    assert len(followed()) == before + 1
    assert asked_by_apt(laptop) == "DIRECT"

    assert laptop.run("stat", "--format=%a %U", "/run/docker-proxy-agent/choice.env").stdout.split() == ["644", "root"]
    laptop.run("systemctl", "start", METRICS)
    collected = laptop.read(COLLECTED)
    assert "\ndocker_proxy_agent_up 1\n" in collected
    assert 'docker_proxy_agent_choice{network="elsewhere",upstream="direct"} 1' in collected
    for line in lines("docs/monitoring.md", "sudo systemctl daemon-reload"):
        laptop.run("sh", "-euc", line.removeprefix("sudo "))
    assert laptop.run("systemctl", "show", "--property=Triggers", "--value", TIMER).stdout.strip() == METRICS
    laptop.run("systemctl", "stop", "docker-proxy-agent")
    laptop.run("systemctl", "start", METRICS)
    assert "\ndocker_proxy_agent_up 0\n" in laptop.read(COLLECTED)
    assert laptop.run("ls", COLLECTED.rpartition("/")[0]).stdout.split() == ["docker-proxy-agent.prom"]

    for line in lines("docs/monitoring.md", f"sudo systemctl disable --now {TIMER}"):
        laptop.run("sh", "-euc", line.removeprefix("sudo "))
    assert laptop.run("ls", COLLECTED.rpartition("/")[0]).stdout == ""
    assert laptop.docker.show("LoadState", TIMER) == "not-found"
