"""The agent killed in the middle, on a real Docker under a real systemd: the next start finishes or undoes it.

As tests/loopback/test_crash.py, with what only a real machine has: a unit that systemd goes on restarting after the
agent is dead, a drop-in, and a dockerd that is down. The suites share the moments.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.loopback import crash
from tests.loopback.crash import Moment
from tests.waiting import NotInTime

from .lab.laptop import Laptop
from .lab.rootfs import TRIXIE
from .test_apply import DROP_IN, ENVIRONMENT

PYTHON = "/opt/docker-proxy-agent/bin/python"
WATCHED = """\
import json, os, sys
sys.path.insert(0, "/run/crash")
import crash
crash.begun("", "agent", *json.loads(sys.argv[1]), os.getpid())
from agent.cli import main
raise SystemExit(main(["apply", "--now"]))
"""
TOLD = "/run/crash/told"
STATE = "/var/lib/docker-proxy-agent"
REFUSING = "[Service]\nExecStartPre=/bin/sh -c 'case \"$HTTPS_PROXY\" in *8888*) exit 1;; esac'\nRestartSec=100ms\n"
ABOUT = (  # what is worth dying just before
    f"exchange {STATE[1:]}/journal.json",
    f"to free {STATE[1:]}/journal.json",
    f"torn {ENVIRONMENT.rpartition('/')[0][1:]}/.dockerd.env.*",
    f"to free {ENVIRONMENT[1:]}",
    f"to free {DROP_IN[1:]}",
    "run systemctl daemon-reload",
    "run systemctl try-restart",
    "run systemctl stop",
    "run systemctl start",
)


def watched(laptop: Laptop, dies: Moment | None) -> int:
    """`apply`, which dies in this moment; None: it tells all of them."""
    asked = json.dumps([dies, None if dies else TOLD])
    return laptop.run(PYTHON, "-c", WATCHED, asked, check=False, timeout=120).code


def moments(laptop: Laptop) -> list[Moment]:
    """Those that tell two machines apart, and the first look at Docker after its restart."""
    laptop.run("rm", "-f", TOLD)
    watched(laptop, None)
    told = [Moment(*json.loads(line)) for line in laptop.read(TOLD).splitlines()]
    restart = next(number for number, one in enumerate(told) if "try-restart" in one.what)
    looks = [one for one in told[restart:] if one.what == "connect run/docker.sock"]
    return [one for one in told if any(about in one.what for about in ABOUT) or one in looks[:1]]


def shared(laptop: Laptop, found: Sequence[Moment]) -> Sequence[Moment]:
    return found[::2] if laptop.suite == TRIXIE.name else found[1::2]


def wrong(laptop: Laptop, https: str) -> list[str]:
    """After the next start. What the service is writing just now, such as the clients' half, is not left behind."""
    found: list[str] = []

    def is_right() -> bool:
        found[:] = _wrong(laptop, https)
        return not found

    with contextlib.suppress(NotInTime):
        laptop.until(is_right, within=20)
    return found


def _wrong(laptop: Laptop, https: str) -> Iterator[str]:
    if not laptop.docker.is_active() or laptop.docker.show("ActiveState", "docker.socket") != "active":
        yield f"Docker is {laptop.docker.show('ActiveState')}"
    elif not (reported := laptop.docker.reports(https=https)):
        yield f"Docker runs with {reported}"
    journal = laptop.read(f"{STATE}/journal.json")
    if not any(f'"stage":{stage}' in journal for stage in ("null", '"tried"')):
        yield f"the journal holds {journal}"
    left = laptop.run("find", "/etc", "/var/lib/docker-proxy-agent", "-name", ".*.docker-proxy-agent*").stdout
    if left:
        yield f"left behind: {left}"
    verified = laptop.agent("audit", "verify")
    if not verified.ok:
        yield verified.stdout


def values(laptop: Laptop) -> str:
    return laptop.read(ENVIRONMENT) if laptop.exists(ENVIRONMENT) else ""


def as_before(laptop: Laptop) -> None:
    """Nothing of ours stands anywhere, Docker runs directly, and the office's proxy is wanted."""
    restored = laptop.agent("restore", "--now")
    assert restored.ok, restored
    laptop.run("rm", "-f", f"{STATE}/quarantine.json")


def cut_short(laptop: Laptop, https: str) -> None:
    """Each moment of this suite; `https`: with what Docker runs in the end."""
    laptop.write("/run/crash/crash.py", Path(crash.__file__).read_text())
    laptop.policy('[upstream.office]\nurl = "http://10.10.0.2:8888"\n[[network]]\nuse = ["office"]\n')
    laptop.plug("office")
    laptop.agent("apply")
    as_before(laptop)
    found = shared(laptop, moments(laptop))
    tried: dict[str, list[str]] = {}
    for moment in found:
        as_before(laptop)

        died = watched(laptop, moment)

        problems = [] if died in (-9, 137) else [f"lived through it: {died}"]
        if (now := values(laptop)) and "HTTPS_PROXY=" not in now:
            problems.append(f"torn: {now!r}")
        ran = laptop.agent("apply")
        problems += wrong(laptop, https)
        if problems:
            problems.append(str(ran))
        tried[str(moment)] = problems
    for name, problems in tried.items():
        print(name, *problems, sep="\n    ")
    assert len(tried) >= 4
    assert [name for name, problems in tried.items() if problems] == []


@pytest.mark.long
def test_killed_on_the_way_to_another_proxy_the_next_start_arrives_there(laptop: Laptop) -> None:
    cut_short(laptop, "http://10.10.0.2:8888")


@pytest.mark.long
def test_killed_on_the_way_back_from_a_proxy_that_docker_refuses_docker_is_up(laptop: Laptop) -> None:
    laptop.docker.drop_in(REFUSING)

    cut_short(laptop, "")
