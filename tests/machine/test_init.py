"""A laptop as its owner left it: from a first policy by `init` to a Docker that pulls at the office, at home and by VPN."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from .lab.box import Ran
from .lab.laptop import POLICY, Laptop
from .lab.places import HUB, HUB_IMAGE
from .test_roam import is_there
from .test_vpn import BOTH_HALVES

CONF = "/etc/systemd/system/docker.service.d/http-proxy.conf"
PASSWORD_FILE = "/etc/docker-proxy-agent/corp-proxy.password"
LOGGED_IN = '{"auths": {"registry.example": {"auth": "aHVudGVyMg=="}}}'
NAMED = "http://proxy.corp.example:3128"
# As Docker's socket shows it.
REPORTED = NAMED.replace("://", "://xxxxx:xxxxx@")
ASKED = f"{HUB}:443"


def by_dockers_manual(laptop: Laptop) -> str:
    """http-proxy.conf as people have it, with a password in the URL."""
    url = laptop.office.squid.url_with_password.replace(laptop.office.PROXIES, "proxy.corp.example")
    escaped = url.replace("%", "%%")
    return (
        f'[Service]\nEnvironment="HTTP_PROXY={escaped}"\nEnvironment="HTTPS_PROXY={escaped}"\n'
        'Environment="NO_PROXY=localhost,.corp.example"\n'
    )


def init(laptop: Laptop, *options: str) -> Ran:
    ran = laptop.agent("init", *options)
    assert ran.ok, ran
    assert laptop.office.squid.password not in ran.stdout + ran.stderr
    return ran


def networks(laptop: Laptop) -> dict[str, dict[str, Any]]:
    return {network["name"]: network for network in tomllib.loads(laptop.read(POLICY))["network"]}


def of_client(laptop: Laptop, user: str) -> dict[str, Any]:
    """What the user's config.json says, without what the user had said there."""
    said: dict[str, Any] = json.loads(laptop.read(f"/home/{user}/.docker/config.json"))
    assert said.pop("auths") == json.loads(LOGGED_IN)["auths"]
    return said


def pulls_by_the_office(laptop: Laptop, network: str) -> None:
    laptop.until(laptop.docker.reports, http=REPORTED, https=REPORTED, within=60)
    laptop.until(is_there, laptop, network, "corp-proxy", within=20)
    laptop.office.squid.forget()
    laptop.until(laptop.docker.pulls, HUB_IMAGE, within=20)
    assert ASKED in laptop.office.squid.log()
    for user in ("alice", "bob"):
        assert of_client(laptop, user)["proxies"]["default"]["httpsProxy"] == NAMED


def test_init_and_nothing_else_typed_makes_docker_pull_in_every_place(laptop: Laptop) -> None:
    laptop.run("usermod", "--append", "--groups", "docker", "bob")
    for user in ("alice", "bob"):
        laptop.write(f"/home/{user}/.docker/config.json", LOGGED_IN, mode=0o600, owner=user)
    local = laptop.start_proxy()
    laptop.plug("home")
    laptop.docker.drop_in(by_dockers_manual(laptop), "http-proxy.conf")
    conf = laptop.read(CONF)
    assert not laptop.docker.pull(HUB_IMAGE).ok  # which is why somebody looks for the agent
    laptop.plug("office")

    assert "sudo docker-proxy-agent init\n" in laptop.agent("install").stdout
    init(laptop, "--write")

    assert networks(laptop)["office"]["match"] == {"dns_search": ["corp.example"]}
    assert laptop.read(PASSWORD_FILE) == laptop.office.squid.password
    assert laptop.run("stat", "--format=%a %U", PASSWORD_FILE).stdout == "600 root\n"
    pulls_by_the_office(laptop, "office")

    # One way home on each suite: one more restart within a minute would have to wait.
    is_open = laptop.suite == "trixie"
    if not is_open:
        local.stop()
    url, upstream = (local.url, "local-7890") if is_open else ("", "direct")
    asked_so_far = len(local.log_text())  # by `init`, too
    laptop.plug("home")
    laptop.until(laptop.docker.reports, http=url, https=url, within=60)
    laptop.until(is_there, laptop, "elsewhere", upstream, within=20)
    laptop.until(laptop.docker.pulls, HUB_IMAGE, within=20)
    assert (f"CONNECT {ASKED}" in local.log_text()[asked_so_far:]) == is_open
    assert [of_client(laptop, user) for user in ("alice", "bob")] == [{}, {}]  # no container reaches the app

    # What the VPN brings has no domain, so that it is no office yet, and nobody gets the password.
    vpn = laptop.vpn()
    laptop.network(f"for half in {BOTH_HALVES}; do ip route add $half via {vpn.GATEWAY}; done")
    laptop.write("/etc/resolv.conf", f"nameserver {laptop.office.gateway}\n")
    added = init(laptop, "--add-network", "vpn", "--write")

    assert "found" not in added.stderr  # what the agent wrote, and what the policy has already
    assert networks(laptop)["vpn"]["match"] == {"interface": ["tun0"]}
    assert [*networks(laptop)] == ["office", "vpn", "elsewhere"]
    pulls_by_the_office(laptop, "vpn")
    assert laptop.read(CONF) == conf
