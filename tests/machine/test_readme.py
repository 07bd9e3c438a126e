"""What README shows of a terminal is what a laptop prints, from the pull that fails to the one that works."""

from __future__ import annotations

import re
from pathlib import Path

from tests.waiting import Seen

from .lab.laptop import Laptop
from .test_install import bare, make
from .test_roam import is_there, trixie

__all__ = ["bare"]

README = (Path(__file__).parents[2] / "README.md").read_text()
SHOWN = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
BY_HAND = """[Service]
Environment="HTTP_PROXY=http://proxy.corp.example:8888" "HTTPS_PROXY=http://proxy.corp.example:8888"
Environment="NO_PROXY=localhost,.corp.example"
"""


def shown(command: str) -> list[list[str]]:
    """What README prints behind it, each time; without the dots for what is left out."""
    return [[line for line in constant(text) if line != "…"] for typed, text in SHOWN if typed == command]


def constant(text: str) -> list[str]:
    """Without what differs from one run to the next."""
    for pattern, word in (
        (r"\b\d+(\.\d+)? (ms|s|min|h)\b", "N"),
        (r"\b\d\d:\d\d:\d\d\b", "T"),
        (r"\+dfsg\d+", ""),
        (r"\b[0-9a-f]{12}: ", "LAYER: "),
    ):
        text = re.sub(pattern, word, text)
    return text.rstrip("\n").split("\n")


def prints(laptop: Laptop, command: str, wanted: list[str]) -> Seen:
    """Whether it prints these lines now, whatever else. A long one is folded on the page."""
    ran = laptop.run(*command.removeprefix("sudo ").split(), check=False, timeout=120)
    printed = " ".join(constant(ran.stdout + ran.stderr))
    return Seen([line for line in wanted if line not in printed] == [], ran)


@trixie
def test_what_readme_shows_is_what_a_laptop_prints(bare: Laptop) -> None:
    laptop = bare
    fails, works = shown("docker pull busybox")
    laptop.run("usermod", "--append", "--groups", "docker", "alice")
    laptop.docker.drop_in(BY_HAND, "http-proxy.conf")
    laptop.plug("home")
    laptop.until(prints, laptop, "docker pull busybox", fails, within=20)

    laptop.plug("office")
    make(laptop, "install")
    [first] = shown("sudo docker-proxy-agent init")
    assert prints(laptop, "docker-proxy-agent init", first)
    assert prints(laptop, "docker-proxy-agent init --write", first)
    laptop.until(is_there, laptop, "office", "corp-proxy", within=30)
    [status] = shown("docker-proxy-agent status")
    laptop.until(prints, laptop, "docker-proxy-agent status", status, within=10)

    laptop.plug("home")
    laptop.until(laptop.docker.reports, http="", https="", within=30)
    laptop.until(prints, laptop, "docker pull busybox", works, within=20)
