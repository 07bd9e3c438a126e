"""Where a name leads within one mount: the kernel's way, and the one where the kernel's is not to be had."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.same_mount import by_steps, by_the_kernel, looked_up

both = pytest.mark.parametrize("way", [by_the_kernel, by_steps])
Way = Callable[[Path, Path], os.stat_result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With a file that is reached in every way that stays here."""
    (tmp_path / "home/.docker").mkdir(parents=True)
    (tmp_path / "home/dot files").mkdir()
    (tmp_path / "home/dot files/config.json").write_text("{}")
    (tmp_path / "home/.docker/config.json").symlink_to("../dot files/config.json")
    (tmp_path / "home/.docker/again").symlink_to("config.json")
    (tmp_path / "home/.docker/round").symlink_to("../../home/.docker/./again")
    (tmp_path / "home/folder").symlink_to("dot files")
    return tmp_path / "home"


@both
@pytest.mark.parametrize(
    "path",
    [".docker/config.json", ".docker/again", ".docker/round", "folder/config.json", "folder/../.docker/config.json"],
)
def test_links_are_followed(way: Way, home: Path, path: str) -> None:
    assert os.path.samestat(way(home, Path(path)), (home / "dot files/config.json").stat())


@both
@pytest.mark.parametrize(
    ("target", "number"),
    [
        ("nothing/there", errno.ENOENT),
        ("dot files/config.json/below", errno.ENOTDIR),
        ("loop", errno.ELOOP),
        ("/proc/version", errno.EXDEV),
        ("/proc/nothing-there", errno.EXDEV),
        (f"{'../' * 20}proc/version", errno.EXDEV),
    ],
)
def test_what_leads_elsewhere_or_nowhere_says_so(way: Way, home: Path, target: str, number: int) -> None:
    (home / "loop").symlink_to(target)

    with pytest.raises(OSError, match=rf"\[Errno {number}\]"):
        way(home, Path("loop"))


@both
def test_a_folder_that_is_a_link_itself(way: Way, home: Path) -> None:
    (home.parent / "alice").symlink_to("home")

    assert way(home.parent / "alice", Path(".docker/again")) == way(home, Path(".docker/again"))


@both
def test_a_file_is_not_opened(way: Way, home: Path) -> None:
    os.mkfifo(home / "pipe")

    assert way(home, Path("pipe")).st_ino == (home / "pipe").lstat().st_ino  # opened, it would wait for a writer


def test_the_way_that_is_taken(home: Path) -> None:
    assert looked_up(home, Path(".docker/again")) == by_steps(home, Path(".docker/again"))
    with pytest.raises(FileNotFoundError):
        looked_up(home, Path("nothing"))
