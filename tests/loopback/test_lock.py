"""One agent at a time, and nobody else can be in its way."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.cli.commands import COMMANDS
from agent.system.lock import held, where_it_opens
from agent.values.errors import Locked
from agent.values.paths import Paths

from .installation import Installation, is_offline, proxy
from .runs import ran

HOLD = """
import sys
from pathlib import Path
from agent.system.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

# What an account without rights can do to a file that it may read; and what an agent of an earlier version did.
HOLD_OPEN_FILE = """
import fcntl, os, sys
uid, flags, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if uid:
    os.setresuid(uid, uid, uid)
descriptor = os.open(path, flags)
fcntl.flock(descriptor, fcntl.LOCK_EX)
os.set_inheritable(descriptor, True)
if "pass-on" in sys.argv and os.fork():
    os._exit(0)
print("held", flush=True)
if "set-uid" in sys.argv:
    os.execv("/bin/su", ["su", "-c", "true"])
sys.stdin.read()
"""


@contextlib.contextmanager
def held_by(code: str, *words: str) -> Iterator[int]:
    arguments = [sys.executable, "-c", code, *words]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == b"held\n"
            yield other.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(other.pid, signal.SIGKILL)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_all(path: Path) -> None:
    """Everybody can look into the folder."""
    for folder in (path, *path.parents):
        if mode_of(folder) & 0o055 != 0o055:  # those of pytest, as many as there are
            folder.chmod(mode_of(folder) | 0o055)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The lock as an earlier version left it, in a folder that everybody can look into."""
    open_to_all(tmp_path)
    lock = tmp_path / "lock"
    lock.write_text("1\n")
    lock.chmod(0o644)
    return lock


def test_a_second_agent_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "run/lock"
    with held_by(HOLD, str(lock)) as other:
        with pytest.raises(Locked) as refused, held(lock):
            pass

        assert refused.value.pid == other
        assert f"process {other} holds the lock" in str(refused.value)
    with held(lock):
        pass


def test_a_second_service_is_not_told_to_wait_for_the_end_of_the_first(tmp_path: Path) -> None:
    with held(Paths(tmp_path).lock):
        second = ran("--root", str(tmp_path), "run")

    assert second.returncode == 1
    assert second.stderr.endswith(
        f"process {os.getpid()} holds the lock. One agent at a time. To see what it does: docker-proxy-agent status\n"
    )


@pytest.mark.parametrize(
    ("path", "uid", "remedy"),
    [
        ("/run/docker-proxy-agent/lock", 1000, "Run it as root"),
        ("/run/user/1000/docker-proxy-agent/lock", 1000, "Log in as this user, not by su or sudo"),
        ("/run/docker-proxy-agent/lock", 0, ""),
    ],
)
def test_where_it_is_closed_nobody_is_sent_to_another_instance(path: str, uid: int, remedy: str) -> None:
    assert where_it_opens(Path(path), uid) == remedy


def test_the_holder_is_the_kernels_word_and_not_what_stands_in_the_file(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with held_by(HOLD, str(lock)) as other:
        lock.write_text("1\n")
        with pytest.raises(Locked) as refused, held(lock):
            pass

    assert refused.value.pid == other


def test_the_lock_is_free_after_use(tmp_path: Path) -> None:
    for _ in range(2):
        with held(tmp_path / "lock"):
            pass


def test_nobody_else_can_open_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with held(tmp_path / "lock"):
            assert mode_of(tmp_path / "lock") == 0o600
    finally:
        os.umask(before)


def test_one_that_others_could_open_makes_way(old: Path) -> None:
    with old.open() as opened, held(old):
        assert mode_of(old) == 0o600
        assert not os.path.samestat(os.fstat(opened.fileno()), old.stat())
        with pytest.raises(Locked), held(old):
            pass
    assert [file.name for file in old.parent.iterdir()] == ["lock"]


def test_an_agent_of_an_earlier_version_that_holds_it_is_at_work(old: Path) -> None:
    with held_by(HOLD_OPEN_FILE, "0", str(os.O_RDWR), str(old)) as agent:
        with pytest.raises(Locked) as refused, held(old):
            pass

        assert refused.value.pid == agent
        assert mode_of(old) == 0o644


@pytest.mark.parametrize("trick", ["", "pass-on", "set-uid"])
@pytest.mark.needs_root
def test_an_account_without_rights_cannot_keep_the_agent_from_starting(old: Path, trick: str) -> None:
    with held_by(HOLD_OPEN_FILE, "65534", str(os.O_RDONLY), str(old), trick), held(old):
        assert mode_of(old) == 0o600
        with pytest.raises(Locked), held(old):
            pass


def test_of_many_that_replace_it_at_once_one_has_it(old: Path) -> None:
    """Each round begins with a file that somebody else holds; never do two agents hold the lock."""
    at_once = 0

    def one(_: int) -> int:
        nonlocal at_once
        try:
            with held(old):
                at_once += 1
                assert at_once == 1
                at_once -= 1
        except Locked:
            return 0
        return 1

    for _ in range(30):
        old.unlink(missing_ok=True)
        old.touch()
        old.chmod(0o644)
        with held_by(HOLD_OPEN_FILE, "0", str(os.O_RDONLY), str(old)), ThreadPoolExecutor(8) as agents:
            assert sum(agents.map(one, range(8))) >= 1
        assert mode_of(old) == 0o600


# `demo` has a root of its own, and `init` a draft under a name of its own, which nobody sweeps.
ARGUMENTS = {**{command: () for command in COMMANDS if command not in ("demo", "init")}, "pin": ("branch",)}


@pytest.mark.skipif(is_offline(), reason="offline, a pass does nothing")
def test_who_has_not_got_the_lock_writes_nothing_where_its_holder_sweeps(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        assert machine.ran("apply").returncode == 0
        (machine.paths.state / "hmac.key").unlink()  # whoever compares with what is kept would like to have one
        machine.policy("branch")  # there is something to do

        with held(machine.paths.lock):
            before = as_it_lies(tmp_path)
            wrote = {command: wrote_what(machine, before, command, *more) for command, more in ARGUMENTS.items()}

        assert {command: paths for command, paths in wrote.items() if paths} == {}


def as_it_lies(root: Path) -> dict[Path, tuple[int, int]]:
    """Which file it is, and since when; a folder knows of files that are gone again."""
    found = ((path, path.lstat()) for path in root.rglob("*"))
    return {path: (status.st_ino, status.st_mtime_ns) for path, status in found}


def wrote_what(machine: Installation, before: dict[Path, tuple[int, int]], *words: str) -> list[str]:
    machine.ran(*words)
    return sorted(str(path) for path, _ in set(before.items()) ^ set(as_it_lies(machine.root).items()))
