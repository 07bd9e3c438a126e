"""The user's own agent killed at random moments of a move: its systemd starts it again, and that one finishes."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator

import pytest

from tests.waiting import Seen

from .lab.laptop import Laptop
from .test_apply import PLACES, through
from .test_own_docker import CONFIG, STATE, Own, installed, own_instance
from .test_service import NAME
from .test_two_users import entries, socket

SEED = 17
KILLS = 3  # in one move
LATEST_S = 2.5  # by then a pass has seen, written and begun to restart, or is done
BOTH = ("HTTP_PROXY", "HTTPS_PROXY")
# As the unit, but that nobody waits five seconds, and nobody counts.
SOON = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=100ms\n"
AT_ONCE = '[docker]\nmin_interval = "0s"\n'


def killed(laptop: Laptop, own: Own, last: int, pause: float) -> int:
    """The one after `last`, so long after it was started or the move; what it began is ended by systemd."""
    pid = laptop.until(lambda: 0 if (now := own.pid()) == last else now, within=20)
    time.sleep(pause)
    own.docker.run("kill", "-KILL", str(pid))
    return pid


def is_right(laptop: Laptop, own: Own, https: str) -> Seen:
    problems = list(wrong(laptop, own, https))
    return Seen(not problems, problems)


def wrong(laptop: Laptop, own: Own, https: str) -> Iterator[str]:
    """In the end."""
    if not own.docker.is_active():
        yield f"Docker is {own.docker.show('ActiveState')}"
    elif not (reported := own.docker.reports(http=https, https=https)):
        yield f"Docker runs with {reported}"
    journal = json.loads(laptop.read(f"{STATE}/journal.json"))["state"]
    if journal["stage"] not in (None, "tried"):
        yield f"the journal holds {journal}"
    values = dict(line.split("=", 1) for line in laptop.read(f"{CONFIG}/dockerd.env").splitlines() if "=" in line)
    if [values.get(name, "").strip('"') for name in BOTH] != [https, https]:
        yield f"the file says {values}"
    if (found := entries(laptop, own)) != ({socket(own): https} if https else {}):
        yield f"config.json says {found}"
    left = laptop.run("find", own.home, "-xdev", "-name", ".*.docker-proxy-agent*").stdout
    if left:
        yield f"left behind: {left}"
    verified = own.agent("audit", "verify")
    if not verified.ok:
        yield verified.stdout


@pytest.mark.long
def test_killed_at_random_moments_of_a_move_it_arrives(laptop: Laptop) -> None:
    proxy, rng = laptop.office.tinyproxy.url, random.Random(f"{SEED} {laptop.suite}")  # noqa: S311
    laptop.plug("home")
    own = own_instance(laptop)
    own.policy(AT_ONCE + through(laptop.office.tinyproxy) + PLACES)
    installed(own)
    laptop.write(f"{own.home}/.config/systemd/user/{NAME}.d/soon.conf", SOON, owner=own.docker.owner)
    own.docker.systemctl("daemon-reload")
    laptop.until(own.is_steady, "elsewhere on earth", within=30)
    last, moves = 0, [("office", "office", proxy), ("home", "elsewhere on earth", "")] * 2

    for place, network, https in moves:
        laptop.plug(place)
        for _ in range(KILLS):
            last = killed(laptop, own, last, rng.uniform(0, LATEST_S))

        laptop.until(own.docker.reports, http=https, https=https, within=90)
        laptop.until(own.is_steady, network, within=60)
        laptop.until(is_right, laptop, own, https, within=10)  # it may just be noting something
    assert int(own.docker.show("NRestarts", NAME)) == len(moves) * KILLS
    laptop.until(own.docker.pulls, within=20)
