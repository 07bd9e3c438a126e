"""What `status`, `status --json`, `plan` and `apply` say in every hour that is odd.

Here stands how each hour comes to be. What is said then stands in screens.txt, whole and at 80 columns, to be read
from top to bottom: screens of a real service on real files, without times, ages and the folder of the test. Where a
text is meant to change, the failing test prints the section as it is now.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from agent.cli import main
from agent.cli.plan import drawn, exit_status, waits
from agent.cli.printing import page
from agent.cli.status import NOT_RUNNING
from agent.decide.pac import Answered, PacSeen, Said, unfold
from agent.decide.relay import Chosen, Relayed, Relaying
from agent.decide.relay import Stage as RelayStage
from agent.docker.journal import Journal
from agent.one_pass.look import look
from agent.one_pass.no_relay import NoRelay
from agent.one_pass.pac import NoPacs
from agent.one_pass.page import pass_lines
from agent.one_pass.patiently import only_looking
from agent.one_pass.picture import Picture
from agent.one_pass.ports import Works
from agent.one_pass.screen import folded, line
from agent.service.requests import Command
from agent.service.status_file import read, read_running
from agent.service.status_page import lines
from agent.system.policy_file import load, owners
from agent.targets.container import carried
from agent.values.dockerd import Phase
from agent.values.errors import NoPolicy, PolicyRefused
from agent.values.pac import PacFault, read_answer
from agent.values.paths import Paths
from agent.values.policy import Network, Policy, RegistryUrl, Relay
from agent.values.reason import Reason
from agent.values.relay import Carried, RelayState
from agent.values.settings import Settings, Texts
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome

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


async def the_password_file_goes(laptop: Laptop, hand: Hand) -> None:
    laptop.policy(NO_PASSWORD)
    await hand.wake(Reason.FILES)


async def reloaded(laptop: Laptop, _hand: Hand) -> None:
    await laptop.asks(Command.RELOAD)


class Hour(NamedTuple):
    """How it came to be."""

    policy: str = POLICY
    office: str = "ok"
    direct: str = "ok"
    docker: Mapping[str, object] | None = None  # how it behaves
    turn: Turn = nothing
    does_apply_wait: bool = False  # for its turn, which is longer than a test


class Fixed(NoRelay):
    """A relay that stands as it is."""

    def __init__(self, relayed: Relayed) -> None:
        self._relayed = relayed

    def seen(self, _: Collection[Settings], *, is_unheard: bool = False) -> Relayed:
        return self._relayed

    async def serve(self, _: Chosen, __: Works, *, may_start: bool) -> Relayed:
        return self._relayed


RELAY = Relayed(
    Relay(enable=True),
    Relaying(RelayStage.GIVEN, asked=1.0),
    upstream="office",
    generation=12,
    state=RelayState(12, connections=3, carried=(Carried("office", bytes_up=1_200_000, bytes_down=340_000_000),)),
)


async def gets_a_relay(laptop: Laptop, hand: Hand) -> None:
    laptop.place.relay = Fixed(RELAY)
    await hand.wake()


async def the_relay_is_off(laptop: Laptop, hand: Hand) -> None:
    laptop.place.relay = Fixed(Relayed(gone=("172.17.0.1:3130",)))
    await hand.wake()


async def loses_its_relay(laptop: Laptop, hand: Hand) -> None:
    await gets_a_relay(laptop, hand)
    failed = Relaying(RelayStage.FAILED, 3, 1.0, "refused: connecting to 127.0.0.1:3130: nobody listens")
    laptop.place.relay = Fixed(msgspec.structs.replace(RELAY, relaying=failed, state=None))
    await hand.wake()


class Saying(NoPacs):
    """PACs that say this everywhere."""

    def __init__(self, **said: PacSeen) -> None:
        self._said = said

    async def unfold(
        self, policy: Policy, network: Network, snapshot: Snapshot, *, pinned: str | None, waits: bool = False
    ) -> Policy:
        return unfold(policy, network, {name: pac.said for name, pac in self._said.items()})

    def seen(self) -> tuple[PacSeen, ...]:
        return tuple(self._said.values())


def says(host: str, answer: str) -> Answered:
    return Answered(RegistryUrl.parse(f"https://{host}"), read_answer(answer))


BY_PAC = POLICY.replace('use = ["office"', 'use = ["corp"').replace(
    "[[network]]", '[upstream.corp]\npac = "http://wpad/wpad.dat"\nusername = "al"\n[[network]]'
)
TWO_WAYS = Said(
    (
        says("registry-1.docker.io", "PROXY null:1; PROXY office:3128; DIRECT"),
        says("own.example", "DIRECT"),
        says("other.example", "PROXY b:8080"),
    )
)


async def its_pac_is_a_copy(laptop: Laptop, hand: Hand) -> None:
    problem = "connecting to wpad:80: timed out after 3 s"
    laptop.place.becomes(**{"corp → office:3128": "ok"})
    laptop.place.pacs = Saying(
        corp=PacSeen(
            name="corp", url="http://wpad:80/wpad.dat", said=TWO_WAYS, fetched_at=time.time() - 725, problem=problem,
            untrusted=("office",),
        )
    )  # fmt: skip
    await hand.wake()


async def its_pac_is_not_there(laptop: Laptop, hand: Hand) -> None:
    said = Said(fault=PacFault(Outcome.REFUSED, "connecting to wpad:80: nobody listens"))
    laptop.place.becomes(corp="refused")
    laptop.place.pacs = Saying(corp=PacSeen(name="corp", url="", said=said))
    await hand.wake()


HOURS = {
    "steady": Hour(),
    "by the relay": Hour(
        policy=POLICY + '[docker]\nmin_interval = "0s"\n',
        turn=gets_a_relay,
    ),
    "a relay that was given up": Hour(
        policy=POLICY + '[docker]\nmin_interval = "0s"\n',
        turn=loses_its_relay,
    ),
    "by the copy of a PAC that says two ways": Hour(
        policy=BY_PAC,
        turn=its_pac_is_a_copy,
    ),
    "by a PAC that is not there": Hour(
        policy=BY_PAC,
        turn=its_pac_is_not_there,
    ),
    "containers of another place": Hour(
        docker={"carried_by": (carried(["HTTP_PROXY=http://hotel:3128"]), carried(()))},
    ),
    "containers of a relay that is off": Hour(
        docker={"carried_by": (carried(["HTTP_PROXY=http://172.17.0.1:3130"]), carried(()))},
        turn=the_relay_is_off,
    ),
    "unreachable": Hour(
        office="refused",
        direct="refused",
    ),
    "unreachable after the office worked": Hour(
        direct="refused",
        turn=at_home,
    ),
    "at a portal": Hour(
        office="refused",
        direct="portal",
    ),
    "blocked": Hour(
        docker={"arguments": ("--http-proxy=http://flag:1", "--https-proxy=http://flag:1")},
    ),
    "offline": Hour(
        turn=goes_offline,
    ),
    "beaten": Hour(
        docker={"gets_instead": Texts(https="http://other:1")},
        turn=wakes,
    ),
    "rolled back": Hour(
        docker={"refuses": OFFICE},
    ),
    "passed over": Hour(
        docker={"refuses": OFFICE},
        turn=wakes,
    ),
    "waiting for containers": Hour(
        policy=f'{POLICY}[docker]\nrestart = "when-idle"\n',
        docker={"containers": 2},
        turn=wakes,
    ),
    "waiting for a unit": Hour(
        docker={"units": {"stack.service": True}},
        turn=wakes,
    ),
    "waiting for the interval": Hour(
        does_apply_wait=True,
        docker={"refuses": OFFICE},
        turn=reloaded,
    ),
    "waiting for the network to stand": Hour(
        does_apply_wait=True,
        turn=to_and_fro,
    ),
    "Docker stopped by somebody": Hour(
        turn=docker_is_stopped,
    ),
    "Docker broken": Hour(
        turn=docker_breaks,
    ),
    "Docker down by its own file": Hour(
        turn=docker_breaks_by_its_file,
    ),
    "Docker 20.10 down by a file that is no text": Hour(
        turn=docker_20_10_cannot_read_its_file,
    ),
    "Docker down by its own file, offline": Hour(
        turn=docker_20_10_has_no_network_either,
    ),
    "Docker down by its own file, without a policy": Hour(
        turn=docker_breaks_by_its_file_without_a_policy,
    ),
    "Docker runs, and would not start again": Hour(
        turn=somebody_breaks_its_file,
    ),
    "Docker silent": Hour(
        turn=docker_falls_silent,
    ),
    "a wrong policy, and none before": Hour(
        policy=WRONG,
    ),
    "a wrong policy after a good one": Hour(
        turn=a_wrong_policy,
    ),
    "the policy removed": Hour(
        turn=the_policy_goes,
    ),
    "a password file that is not there": Hour(
        policy=NO_PASSWORD,
    ),
    "a password file that is gone": Hour(
        turn=the_password_file_goes,
    ),
    "paused": Hour(
        turn=paused_at_home,
    ),
    "pinned": Hour(
        turn=pinned,
    ),
    "pinned, and failing": Hour(
        office="refused",
        turn=pinned,
    ),
}


SCREENS = Path(__file__).with_name("screens.txt")
WIDTH = 80
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")  # for programs


def plainly(text: str, root: Path) -> str:
    """Without what is another at each run."""
    text = text.replace(str(root), "ROOT")
    text = re.sub(r"\d\d:\d\d:\d\d", "T", text)
    text = re.sub(r" \(\d+ s\)|(?<=ok) \d+ ms", "", text)
    text = re.sub(r"\d+ s ago", "AGE", text)
    return re.sub(r"(?<=last AGE \()\d+\.\d s|(?<=restart \()\d+\.\d s", "0.0 s", text)


def screen(text: Iterable[str], root: Path) -> str:
    """A person is told a time of day: with another one, no two runs would have the same screen."""
    return "\n".join(folded((plainly(line, root) for line in text), WIDTH))


def in_json(status: Mapping[str, Any], root: Path) -> str:
    """A line for each name, without what is another at each run."""
    facts = {
        name: fact
        for name, fact in status.items()
        if name not in ("pid", "started", "version", "at", "last", "counters")
    }
    facts["network"] = facts["network"] and facts["network"]["name"]
    if facts["docker"]:
        facts["docker"] = {**facts["docker"], "last_took_s": "T" if facts["docker"]["last_took_s"] else None}
    if facts["done"]:
        facts["done"]["restarted_s"] = "T" if facts["done"]["restarted_s"] else None
    for verdict in facts["verdicts"].values():
        verdict["ms"], verdict["steps"] = 0, {}
    texts = {name: MOMENT.sub("T", json.dumps(fact, ensure_ascii=False)) for name, fact in facts.items()}
    return "\n".join(f"{name}: {plainly(text, root)}" for name, text in texts.items())


async def planned(laptop: Laptop) -> tuple[int, list[str]]:
    """What `plan` says at the same place."""
    try:
        policy = load(laptop.paths.policy, owners(laptop.paths), {}, laptop.paths).policy
    except (NoPolicy, PolicyRefused) as error:
        return 1, str(error).splitlines()
    laptop.place.policy = policy
    choosing = only_looking(policy, laptop.place, laptop.paths.state)
    seen = await look(policy, laptop.place, choosing)
    held = waits(seen, read_running(laptop.paths.status))
    return exit_status(seen), list(pass_lines(drawn(seen, choosing.conditions, held)))


async def said_in(hour: Hour, root: Path) -> str:
    """The whole section."""
    laptop = Laptop(root)
    laptop.place = Place(at("10.10.0.1"), laptop.dockerd, office=hour.office, direct=hour.direct)
    for what, how in (hour.docker or {}).items():
        setattr(laptop.dockerd, what, how)
    laptop.policy(hour.policy)
    async with laptop.running() as hand:
        await hour.turn(laptop, hand)
        shown = read(laptop.paths.status)
        assert shown is not None
        assert shown.status is not None
        said = [
            ("status", screen(lines(shown.status, dt.datetime.now(dt.UTC)), root)),
            ("status --json", in_json(laptop.status(), root)),
        ]
        code, text = await planned(laptop)
        said.append((f"plan: {code}", screen(text, root)))
        if not hour.does_apply_wait:
            answer = await laptop.asks(Command.APPLY)
            if answer.facts is not None:  # the very shape of the status
                msgspec.convert({name: answer.facts[name] for name in Picture.__struct_fields__}, Picture)
            said.append((f"apply: {answer.exit}", screen(answer.lines, root)))
    return "".join(f"-- {command}\n{text}\n" for command, text in said)


def sections() -> Mapping[str, str]:
    parts = re.split(r"(?m)^== (.*)\n", SCREENS.read_text())
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("name", HOURS)
async def test_what_is_said_in_each_hour(tmp_path: Path, name: str) -> None:
    said = await said_in(HOURS[name], tmp_path)

    assert said.strip() == sections().get(name), f"it is now\n\n== {name}\n{said}"


def test_no_screen_is_of_an_hour_that_is_not_there() -> None:
    assert list(sections()) == list(HOURS)


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
        "no agent is running here; this is what the last one knew AGE ago; "
        "to start it: systemctl enable --now docker-proxy-agent\n"
    )


def test_what_another_version_wrote_is_not_shown_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Paths(tmp_path).status
    path.parent.mkdir(parents=True)
    path.write_text('{"version": "0.0.1", "pid": 1, "started": 1, "state": "steady", "verdicts": null}')

    assert main(["--root", str(tmp_path), "status"]) == NOT_RUNNING

    said = (
        "version 0.0.1 of the agent wrote status.json, which version 0.1.0 cannot read. Restart it: systemctl restart"
    )
    assert capsys.readouterr() == (
        "",
        "no agent is running here; to start it: systemctl enable --now docker-proxy-agent\n"
        f"{said} docker-proxy-agent\n",
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


def test_a_page_without_a_line_is_not_an_empty_line(capsys: pytest.CaptureFixture[str]) -> None:
    page(*())

    assert capsys.readouterr().out == ""


def test_after_a_boot_without_an_agent_the_relay_leads_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = Paths(tmp_path)
    paths.relay_drop_in.parent.mkdir(parents=True)
    paths.relay_drop_in.touch()
    said = ". Until then what uses the relay, as Docker and containers do, reaches nothing\n"

    assert main(["--root", str(tmp_path), "status"]) == NOT_RUNNING
    assert capsys.readouterr().err.endswith(said)

    paths.relay_orders.parent.mkdir(parents=True)
    paths.relay_orders.touch()
    assert main(["--root", str(tmp_path), "status"]) == NOT_RUNNING
    assert said not in capsys.readouterr().err


def test_where_none_has_ever_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "status"]) == NOT_RUNNING
    assert capsys.readouterr() == (
        "",
        "no agent is running here; to start it: systemctl enable --now docker-proxy-agent\n",
    )
