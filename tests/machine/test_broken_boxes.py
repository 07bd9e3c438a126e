"""Laptops at the office on which `docker pull` is broken: `doctor` names it, and what a person then types mends it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from .lab.laptop import Laptop
from .test_apply import DAEMON_JSON, PASSWORD_FILE, office_policy
from .test_good_file import REFUSED
from .test_roam import AT_ONCE, is_there
from .test_service import NAME, started

BY_HAND = "/etc/systemd/system/docker.service.d/zzz-by-hand.conf"
_COMMAND = re.compile(r"(?:^|: )((?:sudo )?(?:systemctl|docker-proxy-agent) .*)$")
AGAIN = "systemctl daemon-reload; systemctl restart docker.service"


@dataclass(frozen=True)
class Box:
    name: str
    breaks: Callable[[Laptop], None]
    told: str  # by doctor, before all else
    deed: str = ""  # what it says to do where no command does it; what a person types is read from what it prints
    # Broken before the agent came. Within a minute after its restart of Docker, what goes wrong is laid to the settings.
    was_first: bool = False
    takes_flags: bool = False  # Docker 20.10 knows no such flags, and does not start with them


def typed(script: str) -> Callable[[Laptop], None]:
    """A mistake that was typed at the office."""

    def breaks(laptop: Laptop) -> None:
        laptop.run("sh", "-uc", script, check=False, timeout=120)

    return breaks


def at_home(script: str) -> Callable[[Laptop], None]:
    """One that was typed at home, and shows at the office."""

    def breaks(laptop: Laptop) -> None:
        laptop.plug("home")
        laptop.until(is_there, laptop, "elsewhere on earth", "direct", within=60)
        typed(script)(laptop)
        laptop.plug("office")

    return breaks


def drop_in(text: str) -> Callable[[Laptop], None]:
    """One of docker.service that somebody copied from somewhere; it comes after ours."""

    def breaks(laptop: Laptop) -> None:
        laptop.write(BY_HAND, text)
        typed(AGAIN)(laptop)

    return breaks


def start_limit(laptop: Laptop) -> None:
    """By something that has gone meanwhile."""
    laptop.write(BY_HAND, "[Service]\nExecStartPre=/bin/false\nRestartSec=10ms\n")
    typed(AGAIN)(laptop)
    laptop.until(lambda: laptop.docker.show("ActiveState") == "failed", within=30)
    typed(f"rm {BY_HAND}; systemctl daemon-reload")(laptop)


def daemon_json(laptop: Laptop) -> None:
    laptop.write(DAEMON_JSON, REFUSED[0][0])
    typed("systemctl restart docker.service")(laptop)


def password(laptop: Laptop) -> None:
    laptop.office.change_password("an0ther")


BOXES = [
    Box("agent-stopped", at_home(f"systemctl disable --now {NAME}"), f"{NAME}: does not run"),
    Box("agent-masked", at_home(f"mv /etc/systemd/system/{NAME} /usr/lib/systemd/system/; systemctl daemon-reload; systemctl mask --now {NAME}"), f"{NAME}: is masked"),
    Box("paused", at_home("docker-proxy-agent pause"), "the agent: is paused since "),
    Box("pinned", typed("docker-proxy-agent pin direct; docker-proxy-agent apply --now"), "direct is pinned"),
    Box("values-unset", drop_in("[Service]\nUnsetEnvironment=HTTP_PROXY HTTPS_PROXY http_proxy https_proxy\n"), f"{BY_HAND}: UnsetEnvironment=HTTP_PROXY HTTPS_PROXY", f"rm {BY_HAND}"),
    Box("flags", drop_in("[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --https-proxy=http://10.10.0.9:1\n"), f"{BY_HAND}: dockerd is started with --https-proxy", f"rm {BY_HAND}", takes_flags=True),
    Box("docker-masked", typed("systemctl stop docker.socket docker.service; systemctl mask --runtime docker.service"), "docker.service: is masked"),
    Box("start-limit", start_limit, "docker.service: has failed", was_first=True),
    Box("daemon-json", daemon_json, f"docker.service does not start with {DAEMON_JSON}: {REFUSED[0][1]}", f"rm {DAEMON_JSON}", was_first=True),
    Box("password", password, f"{PASSWORD_FILE}: the proxy of [upstream.office] refuses the user and password", f"printf 'an0ther\\n' >{PASSWORD_FILE}"),
]  # fmt: skip


def printed(command: str) -> str:
    """What is to be typed, out of what a finding says to do; '' where it names no command."""
    found = _COMMAND.search(command)
    return found[1].replace("sudo ", "") if found else ""


# A box is booted for each of these, and broken again as soon as it works. No two are broken at home in one: a network
# that keeps changing would have to stand still first.
IN_TURN = [
    ("start-limit", "values-unset", "agent-stopped", "docker-masked"),
    ("daemon-json", "flags", "paused"),
    ("pinned", "password", "agent-masked"),
]


def test_each_box_has_its_turn() -> None:
    assert sorted(name for names in IN_TURN for name in names) == sorted(box.name for box in BOXES)


# What the last ones break is the agent's own, and how systemd masks a unit the first ones show.
TURNS = [
    pytest.param(suite, names, id=f"{suite}-{names[0]}")
    for suite, turns in (("trixie", IN_TURN), ("bookworm", IN_TURN[:2]))
    for names in turns
]


@pytest.mark.parametrize(("laptop", "names"), TURNS, indirect=["laptop"])
def test_what_is_broken_is_named_by_doctor_and_mended_by_what_a_person_then_types(
    laptop: Laptop, names: tuple[str, ...]
) -> None:
    office_policy(laptop, laptop.office.squid, docker=AT_ONCE)
    laptop.plug("office")
    by_name = {box.name: box for box in BOXES}
    boxes = [by_name[name] for name in names if laptop.suite == "trixie" or not by_name[name].takes_flags]
    for number, box in enumerate(boxes):
        print(f"{box.name}:")  # shown with a test that fails
        if box.was_first:
            assert number == 0
            box.breaks(laptop)
            started(laptop)
        else:
            if number == 0:
                started(laptop)
            laptop.until(laptop.docker.reports, https=laptop.office.squid.url_reported, within=60)
            laptop.until(laptop.docker.pulls, within=20)
            box.breaks(laptop)
        is_mended(laptop, box)


def is_mended(laptop: Laptop, box: Box) -> None:
    laptop.until(lambda: not laptop.docker.pulls(), within=60)
    asked = laptop.agent("doctor", "--json")
    assert asked.code == 1, asked
    found = json.loads(asked.stdout)["findings"]
    first = found[0]
    assert first["is_broken"], found
    assert box.told in f"{first['where']}: {first['what']}", found
    typing = "; ".join(filter(None, (box.deed, printed(first["command"]))))
    assert typing, first
    laptop.run("sh", "-uc", typing, timeout=120)
    laptop.until(laptop.docker.pulls, within=90)
