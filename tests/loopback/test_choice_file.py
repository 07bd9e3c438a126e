"""choice.env as the running agent keeps it, and the recipes that other programs follow it by."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.service.requests import Command
from agent.targets.environment import parse
from agent.values.reason import Reason
from agent.values.snapshot import Snapshot
from tests.sources import ROOT

from .test_reconcile import POLICY, at
from .test_screens import RELAY, Fixed
from .test_service import Laptop

PAGE = (ROOT / "docs/recipes/choice.md").read_text()


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


def read(laptop: Laptop) -> dict[str, str]:
    return parse(laptop.paths.choice.read_text())


def about(laptop: Laptop) -> tuple[str, ...]:
    found = read(laptop)
    return (found["HTTPS_PROXY"], found["DPA_NETWORK"], found["DPA_UPSTREAM"], found["DPA_STATE"])


OFFICE = ("http://office:3128", "office", "office", "chosen")
ELSEWHERE = ("", "elsewhere", "direct", "chosen")


async def test_it_follows_the_choice_and_is_replaced_only_with_it(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        assert about(laptop) == OFFICE
        assert laptop.paths.choice.stat().st_mode & 0o777 == 0o644
        first = laptop.paths.choice.stat().st_ino
        for _ in range(3):
            await hand.wake(Reason.TIMER)
        assert laptop.paths.choice.stat().st_ino == first

        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()

        assert about(laptop) == ELSEWHERE
        assert not [one for one in laptop.paths.runtime.iterdir() if one.name.startswith(".")]
    assert about(laptop) == ELSEWHERE  # stopping leaves everything as it is


async def test_while_nothing_is_chosen_it_stays_as_it_is(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        laptop.place.snapshot = Snapshot(())
        await hand.wake()
        assert laptop.status()["state"] == "offline"

        assert about(laptop) == OFFICE


async def test_a_pin_is_told_and_a_pause_leaves_it(laptop: Laptop) -> None:
    laptop.policy()
    async with laptop.running() as hand:
        await laptop.asks(Command.PIN, upstream="direct")
        assert about(laptop) == ("", "office", "direct", "pinned")
        await laptop.asks(Command.UNPIN)
        assert about(laptop) == OFFICE

        await laptop.asks(Command.PAUSE)
        laptop.place.snapshot = at("10.20.0.1")
        await hand.wake()

        assert about(laptop) == OFFICE


async def test_no_user_and_no_password_is_in_it(laptop: Laptop) -> None:
    password = laptop.paths.policy.with_name("pw")
    password.write_text("Zecret9")
    password.chmod(0o600)
    named = f'3128"\nusername = "alice"\npassword_file = "/{password.relative_to(laptop.paths.root)}"\n'
    laptop.policy(POLICY.replace('3128"\n', named, 1))
    async with laptop.running():
        assert about(laptop) == OFFICE
        text = laptop.paths.choice.read_text()

    assert "Zecret9" not in text
    assert "alice" not in text


async def test_with_the_relay_it_is_the_relays_address_that_stays(laptop: Laptop) -> None:
    laptop.place.relay = Fixed(RELAY)
    laptop.policy()
    async with laptop.running():
        assert about(laptop) == ("http://127.0.0.1:3130", "office", "office", "chosen")


# The page.


def written(language: str, beginning: str) -> str:
    found = [block for block in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if block.startswith(beginning)]
    assert len(found) == 1
    return str(found[0])


class Home:
    """Of somebody who follows by the script of the page, with the programs that are here."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "docker-proxy-choice"
        self.script.write_text(written("sh", "#!/bin/sh"))
        self.script.chmod(0o755)
        self._env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}

    def follows(self, **proxies: str) -> None:
        names = {"HTTP_PROXY": "", "HTTPS_PROXY": "", "NO_PROXY": "localhost", "ALL_PROXY": "", **proxies}
        subprocess.run([self.script], env={**self._env, **names}, check=True, timeout=60)

    def says(self, *argv: str) -> str:
        ran = subprocess.run(argv, env=self._env, check=False, capture_output=True, text=True, timeout=60)
        return ran.stdout.strip()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_the_script_of_the_page_sets_and_takes_away(home: Home) -> None:
    proxy = "http://proxy.corp.example:3128"
    home.follows(HTTP_PROXY=proxy, HTTPS_PROXY=proxy)
    assert home.says("git", "config", "--global", "http.proxy") == proxy
    assert not shutil.which("pip") or home.says("pip", "config", "get", "global.proxy") == proxy
    assert not shutil.which("npm") or home.says("npm", "config", "get", "https-proxy").rstrip("/") == proxy

    home.follows()

    assert home.says("git", "config", "--global", "http.proxy") == ""
    assert home.says("pip", "config", "get", "global.proxy") == ""
    assert not shutil.which("npm") or home.says("npm", "config", "get", "https-proxy") == "null"


def test_the_lines_of_the_page_for_a_shell_export_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "choice.env"
    lines = written("sh", "if [ -r").replace("/run/docker-proxy-agent/choice.env", str(file))
    script = f'{lines}\nenv | grep "^HTTPS_PROXY=" || true'

    def says() -> str:
        bare = {"PATH": os.environ["PATH"]}
        ran = subprocess.run(["sh", "-euc", script], env=bare, check=True, capture_output=True, text=True, timeout=60)
        return ran.stdout.strip()

    assert says() == ""
    file.write_text('HTTPS_PROXY="http://proxy:1"\n')
    assert says() == "HTTPS_PROXY=http://proxy:1"
