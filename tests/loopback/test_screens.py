"""What `status` and `apply` say in every hour that is odd: one table, to be read from top to bottom.

Each is the screen of a real service on real files; times and ages are not shown, nor is the folder of the test.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.cli import main
from agent.cli.printing import page
from agent.cli.status import NOT_RUNNING
from agent.dockerd import Phase
from agent.journal import Journal
from agent.requests import Command
from agent.screen import folded, line
from agent.settings import Texts
from agent.snapshot import Snapshot
from agent.status_file import read
from agent.status_page import lines
from agent.watch.wakeups import Reason

from .test_reconcile import OFFICE, POLICY, Place, at
from .test_service import Hand, Laptop

Turn = Callable[[Laptop, Hand], Awaitable[object]]
WRONG = POLICY.replace("10.10.0.1", "10.10.0.300")
NO_PASSWORD = POLICY.replace('3128"\n', '3128"\nusername = "al"\npassword_file = "/nowhere/pw"\n', 1)


async def nothing(_laptop: Laptop, _hand: Hand) -> None:
    """It is as it is."""


async def wakes(_laptop: Laptop, hand: Hand) -> None:
    await hand.wake()


async def at_home(laptop: Laptop, hand: Hand) -> None:
    laptop.place.snapshot = at("10.20.0.1")
    await hand.wake()


async def to_and_fro(laptop: Laptop, hand: Hand) -> None:
    for gateway in ("10.20.0.1", "10.10.0.1", "10.20.0.1"):
        laptop.place.snapshot = at(gateway)
        await hand.wake()


async def goes_offline(laptop: Laptop, hand: Hand) -> None:
    laptop.place.snapshot = Snapshot()
    await hand.wake()


async def docker_is_stopped(laptop: Laptop, hand: Hand) -> None:
    laptop.dockerd.phase = Phase.STOPPED
    await hand.wake()


async def docker_breaks(laptop: Laptop, hand: Hand) -> None:
    Journal(laptop.dockerd.agent_state).forget()  # long after our restart
    laptop.dockerd.phase = Phase.BROKEN
    await hand.wake()


def a_file_that_dockerd_refuses(laptop: Laptop) -> None:
    validates = laptop.dockerd.root / "dockerd.sh"
    validates.write_text(
        '#!/bin/sh\necho "the following directives don\'t match any configuration option: dbug" >&2\nfalse\n'
    )
    validates.chmod(0o755)
    laptop.dockerd.binary = str(validates)
    (laptop.dockerd.root / "etc/daemon.json").write_text('{"dbug": true}\n')


async def docker_breaks_by_its_file(laptop: Laptop, hand: Hand) -> None:
    """By the hand of somebody who wrote it and started Docker again."""
    a_file_that_dockerd_refuses(laptop)
    await docker_breaks(laptop, hand)


async def docker_breaks_by_its_file_without_a_policy(laptop: Laptop, hand: Hand) -> None:
    await the_policy_goes(laptop, hand)
    await docker_breaks_by_its_file(laptop, hand)


async def somebody_breaks_its_file(laptop: Laptop, hand: Hand) -> None:
    a_file_that_dockerd_refuses(laptop)
    await hand.wake()


async def docker_20_10_cannot_read_its_file(laptop: Laptop, hand: Hand) -> None:
    laptop.dockerd.version = 20
    (laptop.dockerd.root / "etc/daemon.json").write_bytes('{"labels": ["Büro"]}\n'.encode("latin-1"))
    await docker_breaks(laptop, hand)


async def docker_20_10_has_no_network_either(laptop: Laptop, hand: Hand) -> None:
    await docker_20_10_cannot_read_its_file(laptop, hand)
    await goes_offline(laptop, hand)


async def docker_falls_silent(laptop: Laptop, hand: Hand) -> None:
    laptop.dockerd.is_silent = True
    await hand.wake()


async def a_wrong_policy(laptop: Laptop, hand: Hand) -> None:
    laptop.policy(WRONG)
    await hand.wake(Reason.FILES)


async def the_policy_goes(laptop: Laptop, hand: Hand) -> None:
    laptop.paths.policy.unlink()
    await hand.wake(Reason.FILES)


async def paused_at_home(laptop: Laptop, hand: Hand) -> None:
    await laptop.asks(Command.PAUSE)
    await at_home(laptop, hand)


async def pinned(laptop: Laptop, hand: Hand) -> None:
    await laptop.asks(Command.PIN, upstream="office")
    await hand.wake()


async def reloaded(laptop: Laptop, _hand: Hand) -> None:
    await laptop.asks(Command.RELOAD)


class Hour(NamedTuple):
    """How it came to be, and what is seen."""

    status: str
    applied: int  # what `apply` exits with
    says: str  # what it says first
    policy: str = POLICY
    office: str = "ok"
    direct: str = "ok"
    docker: Mapping[str, object] | None = None  # how it behaves
    turn: Turn = nothing


HOURS = {
    "steady": Hour(
        """
STEADY         office via office, since T: first of office, direct that works
  docker       26 runs with it; restarted once by this agent, last 0.0 s, AGE
  written      docker.service drop-in
  upstreams    office ok, AGE
  last         T docker restarted · T chose office
""",
        0,
        "office via office",
    ),
    "unreachable": Hour(
        """
WAITING        office: nothing works (office refused, direct refused): kept as it is. See:
               docker-proxy-agent probe
  docker       26 runs with no proxy, which does not work here: refused
  upstreams    office refused, AGE · direct refused, AGE
  last         T nothing works · T arrived in office
""",
        1,
        "office: nothing works",
        office="refused",
        direct="refused",
    ),
    "at a portal": Hour(
        """
WAITING        office: a portal answers in office; pass it in a browser: nothing is changed
  docker       26 runs with no proxy, which does not work here: portal
  upstreams    office refused, AGE · direct portal, AGE
  last         T nothing works · T arrived in office
""",
        0,
        "office: a portal is in the way",
        office="refused",
        direct="portal",
    ),
    "offline": Hour(
        """
OFFLINE        nothing is touched
  docker       26 runs with office; restarted once by this agent, last 0.0 s, AGE
  last         T offline · T docker restarted
""",
        0,
        "offline: nothing is touched",
        turn=goes_offline,
    ),
    "beaten": Hour(
        """
FAILED         office via office: not all of it could be done
  docker       26 runs with http://other:1; restarted once by this agent, last 0.0 s, AGE
  wanted       office via office: first of office, direct that works
  written      docker.service drop-in
  upstreams    office ok, AGE
  last         T docker restarted · T chose office
  note         docker.service: Docker came up, and runs with https http://other:1 instead of what
               was written: its process was not given what its unit says. See: systemctl cat
               docker.service
""",
        1,
        "office via office",
        docker={"gets_instead": Texts(https="http://other:1")},
        turn=wakes,
    ),
    "rolled back": Hour(
        """
FAILED         office via office: not all of it could be done
  docker       26 runs with no proxy
  wanted       office via office: first of office, direct that works
  not written  docker.service drop-in: docker.service: did not come up; the old settings are in
               force again
  upstreams    office ok, AGE
  last         T rolled back · T chose office
  note         Docker did not run with the settings of office: it is passed over for 10 min. To try
               it again at once: docker-proxy-agent reload
""",
        0,
        "office, direct",
        docker={"refuses": OFFICE},
    ),
    "passed over": Hour(
        """
STEADY         office, direct, since T: first of office, direct that works (office quarantined)
  docker       26 runs with it
  upstreams    office ok, AGE · direct ok, AGE
  last         T chose direct · T rolled back
  note         Docker did not run with the settings of office: it is passed over for 10 min. To try
               it again at once: docker-proxy-agent reload
""",
        0,
        "office, direct",
        docker={"refuses": OFFICE},
        turn=wakes,
    ),
    "waiting for containers": Hour(
        """
DEFERRED       docker 26 still uses no proxy
  wanted       office via office: first of office, direct that works
  waits        2 containers run; to restart all the same: docker-proxy-agent apply --now
  written      docker.service drop-in
  upstreams    office ok, AGE
  last         T chose office · T arrived in office
""",
        0,
        "office via office",
        policy=f'{POLICY}[docker]\nrestart = "when-idle"\n',
        docker={"containers": 2},
        turn=wakes,
    ),
    "waiting for a unit": Hour(
        """
DEFERRED       docker 26 still uses no proxy
  wanted       office via office: first of office, direct that works
  waits        stack.service hangs on Docker and would be stopped with it (docker.take_along names
               those that may be); to restart all the same: docker-proxy-agent apply --now
  written      docker.service drop-in
  upstreams    office ok, AGE
  last         T chose office · T arrived in office
""",
        0,
        "office via office",
        docker={"units": {"stack.service": True}},
        turn=wakes,
    ),
    "waiting for the interval": Hour(
        """
DEFERRED       docker 26 still uses no proxy, which works here, too
  wanted       office via office: first of office, direct that works
  waits        one restart in 30 s within one network (docker.min_interval): AGE left; not to wait:
               docker-proxy-agent apply --now
  written      docker.service drop-in
  upstreams    office ok, AGE · direct ok, AGE
  last         T put right ROOT/dockerd/etc/dockerd.env · T a restart of docker waits
""",
        -1,  # it waits
        "",
        docker={"refuses": OFFICE},
        turn=reloaded,
    ),
    "waiting for the network to stand": Hour(
        """
DEFERRED       docker 26 still uses office
  docker       restarted 3 times by this agent, last 0.0 s, AGE
  wanted       elsewhere, direct: the only one of elsewhere, and works
  waits        the network is unsteady: Docker is restarted when it has stood for 10 s: AGE left
  to write     docker.service drop-in
  upstreams    direct ok, AGE
  last         T a restart of docker waits · T chose direct
  note         the network is unsteady: until it has stood for 60 s, Docker follows a change only
               after 10 s
""",
        -1,  # it waits
        "",
        turn=to_and_fro,
    ),
    "Docker stopped by somebody": Hour(
        """
STEADY         office via office, since T: first of office, direct that works
  docker       docker.service is stopped; restarted once by this agent, last 0.0 s, AGE
  written      docker.service drop-in
  upstreams    office ok, AGE
  last         T docker restarted · T chose office
  note         Docker is stopped: it is not started by the agent
""",
        0,
        "office via office",
        turn=docker_is_stopped,
    ),
    "Docker broken": Hour(
        """
FAILED         Docker is down: docker.service does not start. See: journalctl -u docker.service -n
               50
  docker       docker.service is broken; restarted once by this agent, last 0.0 s, AGE
  wanted       office via office: first of office, direct that works
  written      docker.service drop-in
  upstreams    office ok, AGE
  last         T docker restarted · T chose office
""",
        1,
        "Docker is down: docker.service does not start. See: journalctl -u docker.service -n 50",
        turn=docker_breaks,
    ),
    "Docker down by its own file": Hour(
        """
FAILED         Docker is down: docker.service does not start with ROOT/dockerd/etc/daemon.json: the
               following directives don't match any configuration option: dbug. Mend it, then:
               systemctl restart docker.service
  docker       docker.service is broken; restarted once by this agent, last 0.0 s, AGE
  wanted       office via office: first of office, direct that works
  written      docker.service drop-in
  upstreams    office ok, AGE
  last         T docker restarted · T chose office
""",
        1,
        "Docker is down: docker.service does not start with ROOT/dockerd/etc/daemon.json: the following directives "
        "don't match any configuration option: dbug. Mend it, then: systemctl restart docker.service",
        turn=docker_breaks_by_its_file,
    ),
    "Docker 20.10 down by a file that is no text": Hour(
        """
FAILED         Docker is down: docker.service does not start with ROOT/dockerd/etc/daemon.json: byte
               14 is no UTF-8. Mend it, then: systemctl restart docker.service
  docker       docker.service is broken; restarted once by this agent, last 0.0 s, AGE
  wanted       office via office: first of office, direct that works
  written      docker.service drop-in
  upstreams    office ok, AGE
  last         T docker restarted · T chose office
""",
        1,
        "Docker is down: docker.service does not start with ROOT/dockerd/etc/daemon.json: byte 14 is no UTF-8. Mend "
        "it, then: systemctl restart docker.service",
        turn=docker_20_10_cannot_read_its_file,
    ),
    "Docker down by its own file, offline": Hour(
        """
FAILED         Docker is down: docker.service does not start with ROOT/dockerd/etc/daemon.json: byte
               14 is no UTF-8. Mend it, then: systemctl restart docker.service
  docker       docker.service is broken; restarted once by this agent, last 0.0 s, AGE
  last         T offline · T docker restarted
""",
        1,
        "Docker is down: docker.service does not start with ROOT/dockerd/etc/daemon.json: byte 14 is no UTF-8. Mend "
        "it, then: systemctl restart docker.service",
        turn=docker_20_10_has_no_network_either,
    ),
    "Docker down by its own file, without a policy": Hour(
        """
FAILED         Docker is down: docker.service does not start with ROOT/dockerd/etc/daemon.json: the
               following directives don't match any configuration option: dbug. Mend it, then:
               systemctl restart docker.service
  docker       docker.service is broken; restarted once by this agent, last 0.0 s, AGE
  last         T docker restarted · T chose office
  note         there is no policy: ROOT/etc/docker-proxy-agent/config.toml. Write one
""",
        1,
        "there is no policy: ROOT/etc/docker-proxy-agent/config.toml",
        turn=docker_breaks_by_its_file_without_a_policy,
    ),
    "Docker runs, and would not start again": Hour(
        """
FAILED         office via office: not all of it could be done
  docker       26 runs with it; restarted once by this agent, last 0.0 s, AGE
  wanted       office via office: first of office, direct that works
  written      docker.service drop-in
  upstreams    office ok, AGE
  last         T docker restarted · T chose office
  note         ROOT/dockerd/etc/daemon.json: dockerd would not start with it: the following
               directives don't match any configuration option: dbug; nothing is written into it;
               Docker, which runs, would not survive its next restart. Mend it, then:
               docker-proxy-agent apply
""",
        1,
        "office via office",
        turn=somebody_breaks_its_file,
    ),
    "Docker silent": Hour(
        """
FAILED         office via office: not all of it could be done
  docker       docker.service is running and does not answer; restarted once by this agent, last 0.0
               s, AGE
  wanted       office via office: first of office, direct that works
  written      docker.service drop-in
  upstreams    office ok, AGE
  last         T docker restarted · T chose office
  note         dockerd did not answer. See: systemctl status docker
""",
        1,
        "office via office",
        turn=docker_falls_silent,
    ),
    "a wrong policy, and none before": Hour(
        """
IDLE           waits for a policy: ROOT/etc/docker-proxy-agent/config.toml: network 1
               (office).match.gateway: "10.10.0.300" is not an address
  docker       26 runs with no proxy
  last         T policy refused
""",
        1,
        'ROOT/etc/docker-proxy-agent/config.toml: network 1 (office).match.gateway: "10.10.0.300" is not an address',
        policy=WRONG,
    ),
    "a wrong policy after a good one": Hour(
        """
STEADY         office via office, since T: first of office, direct that works
  docker       26 runs with it; restarted once by this agent, last 0.0 s, AGE
  written      docker.service drop-in
  upstreams    office ok, AGE
  last         T policy refused · T docker restarted
  note         ROOT/etc/docker-proxy-agent/config.toml: network 1 (office).match.gateway:
               "10.10.0.300" is not an address
""",
        1,
        'ROOT/etc/docker-proxy-agent/config.toml: network 1 (office).match.gateway: "10.10.0.300" is not an address',
        turn=a_wrong_policy,
    ),
    "the policy removed": Hour(
        """
IDLE           waits for a policy: there is no policy: ROOT/etc/docker-proxy-agent/config.toml.
               Write one
  docker       26 runs with http://office:3128; restarted once by this agent, last 0.0 s, AGE
  last         T docker restarted · T chose office
""",
        1,
        "there is no policy: ROOT/etc/docker-proxy-agent/config.toml",
        turn=the_policy_goes,
    ),
    "a password file that is not there": Hour(
        """
IDLE           waits for a policy: ROOT/etc/docker-proxy-agent/config.toml:
               upstream.office.password_file: "ROOT/nowhere/pw" does not exist
  docker       26 runs with no proxy
  last         T policy refused
""",
        1,
        'ROOT/etc/docker-proxy-agent/config.toml: upstream.office.password_file: "ROOT/nowhere/pw" does not exist',
        policy=NO_PASSWORD,
    ),
    "paused": Hour(
        """
IDLE           paused: nothing is written or restarted. To end it: docker-proxy-agent resume
  docker       26 runs with office; restarted once by this agent, last 0.0 s, AGE
  wanted       elsewhere, direct: the only one of elsewhere, and works
  to write     docker.service drop-in
  upstreams    direct ok, AGE
  last         T chose direct · T arrived in elsewhere
""",
        0,
        "elsewhere, direct",
        turn=paused_at_home,
    ),
    "pinned, and failing": Hour(
        """
STEADY         office via office, since T: pinned by hand, though it fails here: refused
  docker       26 runs with it; restarted once by this agent, last 0.0 s, AGE
  written      docker.service drop-in
  upstreams    office refused, AGE · direct ok, AGE
  last         T docker restarted · T chose office
  note         office is pinned by hand, and fails here: refused. To end it: docker-proxy-agent
               unpin
""",
        0,
        "office via office",
        office="refused",
        turn=pinned,
    ),
}


def plainly(text: str, root: Path) -> str:
    """Without what is another at each run."""
    text = text.replace(str(root), "ROOT")
    text = re.sub(r"\d\d:\d\d:\d\d", "T", text)
    text = re.sub(r" \(\d+ s\)|(?<=ok) \d+ ms", "", text)
    text = re.sub(r"\d+ s ago|\d+ s(?= left)", "AGE", text)
    return re.sub(r"last \d\.\d s", "last 0.0 s", text)


@pytest.mark.parametrize("name", HOURS)
async def test_what_is_said_in_each_hour(tmp_path: Path, name: str) -> None:
    hour = HOURS[name]
    laptop = Laptop(tmp_path)
    laptop.place = Place(at("10.10.0.1"), laptop.dockerd, office=hour.office, direct=hour.direct)
    for what, how in (hour.docker or {}).items():
        setattr(laptop.dockerd, what, how)
    laptop.policy(hour.policy)
    async with laptop.running() as hand:
        await hour.turn(laptop, hand)

        shown = read(laptop.paths.status)
        assert shown is not None
        screen = [plainly(line, tmp_path) for line in lines(shown.status, dt.datetime.now(dt.UTC))]
        assert "\n".join(folded(screen, 100)) == hour.status.strip()
        if hour.applied >= 0:
            answer = await laptop.asks(Command.APPLY)
            assert (plainly(answer.lines[0], tmp_path), answer.exit) == (hour.says, hour.applied)


async def test_without_an_agent_the_last_one_speaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    laptop = Laptop(tmp_path)
    laptop.policy()
    async with laptop.running():
        capsys.readouterr()
    shown = json.loads(laptop.paths.status.read_text())
    laptop.paths.status.write_text(json.dumps({**shown, "started": 1}))

    assert main(["--root", str(tmp_path), "status"]) == NOT_RUNNING

    out, err = capsys.readouterr()
    assert out.startswith("STEADY         office via office, since ")
    said = re.sub(r"\d+ s", "AGE", err.splitlines(keepends=True)[-1])
    assert said == (
        "no agent runs here, and this is what the last one knew AGE ago; to start it: "
        "systemctl start docker-proxy-agent\n"
    )


def test_a_long_line_is_folded_where_it_is_known_how_wide(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = line("note", "nothing is cut in the middle of a word " * 4)
    page(text)
    monkeypatch.setenv("COLUMNS", "80")
    page(text)

    whole, *pieces = capsys.readouterr().out.splitlines()
    assert whole == text
    assert len(pieces) == 3
    assert max(map(len, pieces)) <= 80
    assert [piece[:15] for piece in pieces[1:]] == [" " * 15] * 2
    assert " ".join(piece.strip() for piece in pieces) == text.strip()


def test_where_none_has_ever_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "status"]) == NOT_RUNNING
    assert capsys.readouterr() == ("", "no agent runs here; to start it: systemctl start docker-proxy-agent\n")
