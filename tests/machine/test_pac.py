"""An office whose only hint is its PAC file, on a real systemd with a real Docker."""

from __future__ import annotations

import pytest

from tests.waiting import Seen

from .lab.laptop import Laptop
from .lab.places import IMAGE, REGISTRY, Proxy

DEAD = "10.10.0.2:9999"
POLICY = """
[upstream.corp]
pac = "{pac}"
pac_refresh = "10s"

[[network]]
name = "office"
match.gateway = ["10.10.0.1"]
use = ["corp", "direct"]
"""
DOCKERFILE = "FROM lab/busybox\nRUN wget -q -O /hello http://10.99.0.10/hello && cat /hello\n"


def way(proxy: Proxy) -> str:
    """As an answer of a PAC has it."""
    scheme, _, where = proxy.url.partition("://")
    return f"{'HTTPS' if scheme == 'https' else 'PROXY'} {where}"


def named(proxy: Proxy) -> str:
    return f"corp → {proxy.url.removeprefix('http://')}"


def pac_is(laptop: Laptop, problem: str) -> Seen:
    found = laptop.status().get("pacs", {}).get("corp") or {}
    return Seen(problem in (found.get("problem") or "nothing"), found)


def asked(laptop: Laptop) -> int:
    """How often the PAC file was asked for since the laboratory was made."""
    return laptop.office.pac_server.log_file.read_text(errors="replace").count("/proxy.pac")


@pytest.mark.trixie
def test_an_office_that_has_nothing_but_its_pac(laptop: Laptop) -> None:
    office, other = laptop.office, laptop.office.tls
    office.says(f'return "PROXY {DEAD}; {way(office.tinyproxy)}";')
    laptop.policy(POLICY.format(pac=office.PAC))
    before = asked(laptop)
    laptop.plug("home")
    assert laptop.agent("install").ok
    laptop.until(laptop.docker.pulls, IMAGE, within=20)
    assert asked(laptop) == before

    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=office.tinyproxy.url, within=30)

    office.tinyproxy.forget()
    assert laptop.docker.pull().ok
    assert f"{REGISTRY}:443" in office.tinyproxy.log()
    laptop.write("/tmp/build/Dockerfile", DOCKERFILE)
    laptop.docker.import_image()
    built = laptop.docker.cli("build", "--no-cache", "/tmp/build", check=False, timeout=120)
    assert "hello from the internet" in built.stdout + built.stderr, built
    shown = laptop.agent("status").stdout
    assert named(office.tinyproxy) in shown
    assert f"{named(office.tinyproxy).partition(' ')[0]} → {DEAD} refused" in shown
    assert laptop.docker.show("ActiveState", "docker-proxy-agent-pac.socket") == "active"

    office.says(f'return "{way(other)}";')
    laptop.until(laptop.docker.reports, https=other.url, within=40)  # nobody moved

    laptop.plug("home")
    laptop.until(laptop.docker.reports, https="", within=60)
    office.pac_server.stop()
    laptop.plug("office")
    laptop.until(laptop.docker.reports, https=other.url, within=60)
    laptop.until(pac_is, laptop, "pac.corp.example", within=10)
    laptop.run("systemctl", "restart", "docker-proxy-agent", timeout=60)
    laptop.until(pac_is, laptop, "pac.corp.example", within=20)
    assert laptop.status()["docker"]["in_use"] == named(other)
    assert laptop.agent("audit", "verify").ok
    assert "pac-copies" not in laptop.journal("docker-proxy-agent", lines=1000)
