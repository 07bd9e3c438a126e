"""What `make install` fetches is pinned, with hashes: all that the product asks for, and by no place in particular."""

from __future__ import annotations

import re
import tomllib
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.sources import ROOT

FOLDER: Final = ROOT / "requirements"
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS: Final = {file.stem: file.read_text() for file in FOLDER.glob("*.txt")}
PINNED: Final = re.compile(
    r"^([\w-]+)==(\S+)(?: ; [^\n\\]+)? \\\n((?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def asked_for(name: str) -> list[Requirement]:
    needs = PROJECT["project"]["dependencies"]
    if name in {"run", "dev"}:
        tests = PROJECT["project"]["optional-dependencies"]["dev"]
        return [Requirement(line) for line in (needs if name == "run" else needs + tests)]
    lines = (FOLDER / f"{name}.in").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("name", LOCKS)
def test_everything_that_is_needed_is_pinned_with_hashes_and_nothing_else_is_said(name: str) -> None:
    pinned = {canonicalize_name(package): version for package, version, _ in PINNED.findall(LOCKS[name])}

    missing = [
        str(need) for need in asked_for(name)
        if not need.specifier.contains(pinned.get(canonicalize_name(need.name), "0"))
    ]  # fmt: skip
    assert missing == [], "make lock"
    left = re.sub(r"^#.*\n", "", PINNED.sub("", LOCKS[name]), flags=re.MULTILINE)
    assert left == ""


def test_the_tests_run_with_what_is_installed() -> None:
    run, dev = ({package: version for package, version, _ in PINNED.findall(LOCKS[name])} for name in ("run", "dev"))

    assert {package: dev[package] for package in run} == run


def test_there_is_one_for_each_step_of_make_install_and_one_for_the_tests() -> None:
    asked = set(re.findall(r"requirements/(\w+)\.txt", (ROOT / "Makefile").read_text()))

    assert asked == {*LOCKS} == {"build", "dev", "pages", "run"}


def test_what_builds_the_product_is_among_what_is_pinned_for_it() -> None:
    assert [str(need) for need in asked_for("build")] == PROJECT["build-system"]["requires"]
    development = PROJECT["project"]["optional-dependencies"]["dev"]
    assert {str(need) for need in asked_for("pages")} <= {*development}
