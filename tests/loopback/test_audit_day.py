"""A day of roaming, put before an auditor: the lines of docs/audit.md, run on its log, say what really happened."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from agent.audit.verify import verify
from agent.service.lifetime import Lifetime
from agent.service.requests import Command
from agent.values.dockerd import Phase
from agent.values.reason import Reason

from .test_reconcile import POLICY, at
from .test_service import Hand, Laptop

DOCUMENT: Final = Path(__file__).parents[2] / "docs/audit.md"
COMMAND: Final = "sudo docker-proxy-agent audit --json"
WHO, WHY, RAN, DIRECT_AT_OFFICE, OUTAGES, ORDERS = (
    block for block in re.findall(r"(?ms)^```sh\n(.*?)^```", DOCUMENT.read_text()) if COMMAND in block
)


def asked(question: str, log: Path) -> list[list[str]]:
    """What a line of the document prints: cells, by line."""
    if shutil.which("jq") is None and not os.environ.get("CI"):
        pytest.skip("no jq here")
    line = question.replace(COMMAND, f"cat {log}")
    done = subprocess.run(["sh", "-euc", line], capture_output=True, text=True, check=True, timeout=60)
    return [row.split("\t") for row in done.stdout.splitlines()]


class Day(Laptop):
    """A laptop whose truth is noted beside its log."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.truth: list[tuple[str, Any]] = []  # what Docker ran with, from when
        self.was_direct = 0.0  # seconds, at the office, by order

    def note(self) -> None:
        runs = self.dockerd.runs_with if self.dockerd.is_running else None
        if not self.truth or self.truth[-1][1] != runs:
            self.truth.append((dt.datetime.now(dt.UTC).isoformat(), runs))

    async def moves(self, hand: Hand, gateway: str) -> None:
        self.place.snapshot = at(gateway)
        await hand.wake()
        self.note()


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return Day(tmp_path)


async def played(day: Day) -> None:
    day.policy()
    day.note()
    async with day.running() as hand:
        day.note()
        for gateway in ("10.20.0.1", "10.10.0.1"):  # home, and back
            await day.moves(hand, gateway)
        # Somebody restarts Docker, with what is there.
        day.dockerd._boot()
        await hand.wake()
        # Somebody stops it, and starts it again.
        day.dockerd.phase = Phase.STOPPED
        await hand.wake()
        day.note()
        day.dockerd._boot()
        await hand.wake()
        day.note()
        # A foreign change is put right.
        file = day.dockerd.root / "etc/dockerd.env"
        file.write_text(file.read_text().replace("office", "elsewhere"))
        await hand.wake(Reason.FILES)
        # Orders.
        await day.asks(Command.PIN, upstream="direct")
        await day.asks(Command.APPLY, is_now=True)  # not to wait for its turn after so many
        day.note()
        began = time.monotonic()
        await asyncio.sleep(0.5)
        day.was_direct = time.monotonic() - began
        await day.asks(Command.UNPIN)
        await day.asks(Command.APPLY, is_now=True)
        day.note()
        await day.asks(Command.PAUSE)
        day.place.snapshot = at("10.20.0.1")
        await hand.wake()
        await day.asks(Command.RESUME)
        day.note()
        # A policy that is wrong for a while.
        day.policy("[upstream.direct]\n")
        await hand.wake(Reason.FILES)
        day.policy(POLICY)
        await hand.wake(Reason.FILES)
        await day.moves(hand, "10.10.0.1")
    # While no agent runs, Docker is restarted. The next one is told that the last was killed.
    day.dockerd._boot()
    Lifetime(day.paths.state).begin()
    day.hand = Hand()
    async with day.running():
        await day.asks(Command.APPLY)


@pytest.mark.calm
async def test_the_log_of_a_day_answers_what_an_auditor_asks(day: Day) -> None:
    await played(day)
    log = day.paths.audit_log
    records = day.records()

    # What Docker ran with at any second.
    ran = [(moment, event, json.loads(settings) if settings else None) for moment, event, settings in asked(RAN, log)]
    told = [settings for _, event, settings in ran if event != "agent-stopped"]
    assert [after for before, after in zip([None, *told], told, strict=False) if before != after] == [
        shown(runs) for _, runs in day.truth
    ]
    causes = [record["facts"]["cause"] for record in records if record["event"] == "docker-started"]
    assert causes.count("others") == 2
    assert causes.count("agent") == sum(record["event"] == "docker-restarted" for record in records)

    # Why due, and why then, or not yet.
    whys = asked(WHY, log)
    assert [row for row in whys if not all(row)] == []
    assert [row[1] for row in whys].count("docker-restarted") == causes.count("agent")

    # Who.
    orders = asked(ORDERS, log)
    assert [row[1:] for row in orders] == [
        ["pinned", "direct", "alice"],
        ["requested", "apply", "alice"],
        ["unpinned", "direct", "alice"],
        ["requested", "apply", "alice"],
        ["paused", "", "alice"],
        ["resumed", "", "alice"],
        ["requested", "apply", "alice"],
    ]
    by_alice = [row for row in asked(WHO, log) if row[1] == "alice"]
    by_pass = {record["pass"] for record in records if record.get("by") and record["event"] == "settings-written"}
    assert len(by_alice) == len(by_pass) >= 2  # the pin, and its end

    # Every time that Docker was direct at the office: while it was pinned, and before the first restart.
    spans = asked(DIRECT_AT_OFFICE, log)
    pinned_from = next(record["ts"] for record in records if record["event"] == "pinned")
    pinned_to = next(record["ts"] for record in records if record["event"] == "unpinned")
    (while_pinned,) = [span for span in spans if pinned_from <= span[0] <= pinned_to <= span[1]]
    assert day.was_direct <= total([while_pinned]) <= day.was_direct + 3  # until Docker was restarted after its end
    assert total([span for span in spans if span != while_pinned]) < 3  # until the first restart at each arrival

    # How the last agent ended.
    last_ended = [record["facts"].get("last_ended") for record in records if record["event"] == "agent-started"]
    assert last_ended == [None, "was killed, or crashed"]

    # Whether anything is missing.
    assert verify(log, day.paths.state).is_whole
    events = [record["event"] for record in records]
    assert events.count("policy-rejected") == 1
    assert [record["facts"]["because"] for record in records if record["event"] == "policy-loaded"] == [
        *("the agent started", "it is fixed", "the agent started")
    ]
    assert "drift-corrected" in events
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:7] + lines[8:]))
    assert not verify(log, day.paths.state).is_whole


async def test_each_outage_has_its_length(day: Day) -> None:
    day.policy()
    async with day.running() as hand:
        began = dt.datetime.now(dt.UTC)
        day.place.becomes(office="refused", direct="refused")
        for _ in range(3):
            await hand.wake(Reason.PROXY)
        await asyncio.sleep(0.3)
        day.place.becomes(office="ok", direct="ok")
        await hand.wake(Reason.PROXY)
        lasted = (dt.datetime.now(dt.UTC) - began).total_seconds()

    ((_, length, because),) = asked(OUTAGES, day.paths.audit_log)
    assert 0.2 <= float(length) <= lasted + 1
    assert because == "what Docker runs with works here"


def shown(runs: Any) -> dict[str, Any] | None:
    if runs is None:
        return None
    return {"direct": True} if runs.is_direct else dict(runs.lines())


def total(spans: Iterable[Sequence[str]]) -> float:
    return sum(
        (dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(begin)).total_seconds() for begin, end in spans
    )
