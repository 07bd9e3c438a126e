"""The man pages, read by real readers, which find them where a package puts them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from agent.cli.commands import COMMANDS
from tests.loopback.test_env import there
from tests.sources import ROOT

SECTIONS: Final = (1, 5)
A_DAY: Final = 1_750_000_000


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make man` makes it."""
    folder = tmp_path_factory.mktemp("man") / "share"
    subprocess.run(
        [sys.executable, "-m", "generate.man", str(folder)],
        cwd=ROOT, env={**os.environ, "SOURCE_DATE_EPOCH": str(A_DAY)}, check=True, timeout=60,
    )  # fmt: skip
    return folder


def opened(share: Path, section: int, columns: int = 80) -> str:
    """As `man` shows it."""
    there("man")
    done = subprocess.run(
        ["man", "--warnings", "--pager=cat", str(section), "docker-proxy-agent"],
        env={**os.environ, "MANPATH": str(share / "man"), "MANWIDTH": str(columns), "LC_ALL": "C.UTF-8"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("section", SECTIONS)
def test_a_page_has_nothing_that_a_strict_reader_warns_of(share: Path, section: int) -> None:
    there("mandoc")
    page = share / f"man/man{section}/docker-proxy-agent.{section}"

    said = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False, timeout=60
    )

    assert (said.stdout, said.stderr) == ("", "")


@pytest.mark.parametrize("columns", [60, 80])
def test_the_page_of_the_commands_has_each_with_its_exit_status(share: Path, columns: int) -> None:
    text = opened(share, 1, columns)
    explained, status = text.split("EXIT STATUS")

    titles = re.findall(r"^   docker-proxy-agent (\S+)$", explained, re.MULTILINE)
    assert titles == [*COMMANDS]
    assert "   docker-proxy-agent audit verify\n" in explained
    assert explained.count("--policy FILE") == 2  # in the synopsis, and where it is explained, for all
    tags = re.findall(r"^ {7}(\S.*?)(?: {3}|$)", status, re.MULTILINE)
    assert {*COMMANDS} - {word for tag in tags for word in re.findall("[a-z]+", tag)} == set()
    assert "       sudo docker-proxy-agent init\n" in status
    assert "June 15, 2025" in text


def test_the_page_of_the_policy_has_every_key_of_the_example(share: Path) -> None:
    text = opened(share, 5, 200)
    example = tomllib.loads(ROOT.joinpath("config.example.toml").read_text())

    keys = {name for table in _tables(example) for name in table}
    shown = set(re.findall(r"^ {7}(\S+) = ", text, re.MULTILINE))
    assert keys - {"match"} - {name.rpartition(".")[2] for name in shown} == set()
    assert '       use = ["corp-proxy", "tunnel", "direct"]\n' in text
    assert re.search(r"^ {14}protect +if what Docker runs with does not work here", text, re.MULTILINE)
    assert "   [[network]]\n" in text


def _tables(document: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Those that hold values."""
    found: list[Mapping[str, object]] = []
    for value in document.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                found += [one] if any(not isinstance(inner, dict) for inner in one.values()) else []
                found += _tables(one)
    return found
