"""A policy that is named on the command line is gone by, or refused; and what needs none works without one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.one_pass.standing_file import LaidDown, StandingFile
from agent.service.control import listening
from agent.service.requests import Command
from agent.values.reason import Reason

from .test_asking import POLICY, asked
from .test_reconcile import POLICY as SERVICES_OWN
from .test_service import Laptop

USAGE = 64
CHANGING = ("apply", "pause", "resume", "pin office", "unpin", "reload")


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


async def command(laptop: Laptop, words: str, policy: Path) -> tuple[int | None, str, str]:
    done = await asyncio.to_thread(asked, laptop.paths.root, *words.split(), "--policy", str(policy))
    return done.returncode, done.stdout, done.stderr


async def test_a_running_agent_does_nothing_by_another_policy_than_its_own(laptop: Laptop, tmp_path: Path) -> None:
    laptop.policy()
    other = tmp_path / "other.toml"
    other.write_text(POLICY)
    async with laptop.running(), listening(laptop.paths.control, laptop.service.ask):
        before = laptop.events()
        for words in CHANGING:
            status, out, complaint = await command(laptop, words, other)

            assert (status, out) == (1, "")
            assert complaint == (
                f"{other}: {words.split()[0]}: the running agent uses {laptop.paths.policy}; nothing was done."
                " Edit that file, or omit --policy; to use another file, first run:"
                " systemctl stop docker-proxy-agent\n"
            )
        assert laptop.events() == before


async def test_its_own_policy_may_be_named(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running(), listening(laptop.paths.control, laptop.service.ask):
        status, out, _ = await command(laptop, "pin office", laptop.paths.policy)

    assert status == 0
    assert out.startswith("pinned to office\n")


@pytest.mark.parametrize("words", ["status", "audit", "audit verify"])
def test_what_goes_by_no_policy_takes_none(tmp_path: Path, words: str) -> None:
    done = asked(tmp_path, "--policy", "/nowhere", *words.split())

    assert done.returncode == USAGE
    assert f"{words.split(maxsplit=1)[0]} does not use a policy: leave --policy out" in done.stderr
    assert len(done.stderr.splitlines()) == 1


WRONG = POLICY.replace('use = ["office"]', 'use = ["offcie"]')


@pytest.mark.parametrize("text", [WRONG, None], ids=["wrong", "none"])
def test_what_a_person_lays_down_holds_where_no_agent_runs_and_the_policy_is_wrong(
    tmp_path: Path, text: str | None
) -> None:
    laptop = Laptop(tmp_path)
    if text is not None:
        laptop.policy(text)

    def said(*words: str) -> tuple[int, str]:
        done = asked(tmp_path, *words)
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()[0]

    assert said("resume") == (0, "it was not paused")
    assert said("pause") == (0, "paused: nothing is written or restarted")
    assert StandingFile(laptop.paths.state).load().is_paused
    assert said("resume") == (0, "no longer paused")
    StandingFile(laptop.paths.state).save(LaidDown(pin="office"))
    assert said("pause") == (0, "paused: nothing is written or restarted")
    assert StandingFile(laptop.paths.state).load().pin == "office"
    assert said("unpin") == (0, "no longer pinned to office")
    assert StandingFile(laptop.paths.state).load().pin is None
    assert laptop.events() == ["paused", "resumed", "paused", "unpinned"]


@pytest.mark.parametrize("before", [SERVICES_OWN, None], ids=["another-in-force", "none-in-force"])
async def test_a_running_agent_lets_itself_be_paused_while_its_policy_is_wrong(
    laptop: Laptop, before: str | None
) -> None:
    if before is not None:
        laptop.policy(before)
    async with laptop.running() as hand:
        laptop.policy(WRONG)
        await hand.wake(Reason.FILES)

        for command_, said in (
            (Command.PAUSE, "paused: nothing is written or restarted"),
            (Command.RESUME, "no longer paused"),
            (Command.UNPIN, "nothing was pinned"),
        ):
            answer = await laptop.asks(command_)

            assert answer.exit == 0
            assert said in answer.lines
            assert any('"offcie"' in line for line in answer.lines)
        assert (await laptop.asks(Command.APPLY)).exit == 1
