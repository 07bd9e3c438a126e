"""What is given away is made from the sources alone, and holds what it takes to install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import pytest

from generate.release import problems
from tests.sources import ROOT

LEFT_OUT: Final = shutil.ignore_patterns(".*", "build", "dist", "wheelhouse", "*.egg-info")
A_DAY: Final = "1750000000"


def dist(folder: Path, umask: int) -> Path:
    """`make dist` in a checkout there."""
    checkout = folder / "docker-proxy-agent"
    shutil.copytree(ROOT, checkout, ignore=_left_out)
    for path in checkout.rglob("*"):
        path.chmod(0o777 & ~umask if path.is_dir() or os.access(path, os.X_OK) else 0o666 & ~umask)
    ready = f"{sys.prefix}/.ready"
    subprocess.run(
        ["make", "--silent", f"--assume-old={ready}", "dist", f"VENV={sys.prefix}", f"READY={ready}"],
        cwd=checkout, env={**os.environ, "SOURCE_DATE_EPOCH": A_DAY}, umask=umask, check=True, timeout=300,
    )  # fmt: skip
    return checkout / "dist"


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What is made, and of whoever works there."""
    return LEFT_OUT(folder, names) if Path(folder) == ROOT else {"__pycache__"} & {*names}


def test_the_same_sources_make_the_same_bytes_with_all_that_it_takes_by_anybody(tmp_path: Path) -> None:
    made, again = dist(tmp_path, 0o022), dist(tmp_path / "a longer path", 0o077)

    files = {file.name: file.read_bytes() for file in made.iterdir()}
    assert files == {file.name: file.read_bytes() for file in again.iterdir()}
    sdist, wheel = sorted(made.iterdir(), key=lambda file: file.suffix)
    _holds_what_the_recipes_use(sdist)
    _holds_the_code_the_units_and_the_example(wheel)


def _holds_what_the_recipes_use(sdist: Path) -> None:
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
        owners = {(member.uid, member.gid, member.mtime) for member in tar.getmembers()}
    ours = {
        str(path.relative_to(ROOT))
        for folder in ("agent", "debian", "docs", "generate", "requirements", "systemd", "tests")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert ours - names == set()
    assert {"Makefile", "MANIFEST.in", "CHANGELOG.md", "LICENSE", "config.example.toml", "pyproject.toml"} <= names
    assert owners == {(0, 0, int(A_DAY))}


def _holds_the_code_the_units_and_the_example(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()

    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "agent").rglob("*.py")}
    assert ours - {*names} == set()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"agent", "docker_proxy_agent"}
    shared = {name.partition("/data/share/docker-proxy-agent/")[2] for name in names if "/data/share/" in name}
    assert shared == {
        "config.example.toml",
        *(str(path.relative_to(ROOT / "systemd")) for path in (ROOT / "systemd").rglob("*.*") if path.is_file()),
    }


@pytest.mark.parametrize(("section", "changed", "expected"), [
    pytest.param("0.2.0 (2026-12-24)", "", 0, id="in-order"),
    pytest.param("0.2.0 (not released yet)", "", 1, id="no-date"),
    pytest.param("0.1.0 (2026-11-29)", "", 1, id="the-last-one"),
    pytest.param("0.2.0 (2026-12-24)", " M agent/__init__.py\n", 1, id="not-committed"),
])  # fmt: skip
def test_a_release_is_of_a_version_with_a_section_and_of_a_commit(section: str, changed: str, expected: int) -> None:
    assert len([*problems("0.2.0", f"# Changelog\n\n## {section}\n\n## 0.1.0 (2026-11-29)\n", changed)]) == expected
