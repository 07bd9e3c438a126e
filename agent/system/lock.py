"""One agent at a time: a lock that only a user who may run the agent can hold.

The kernel releases it when the process ends, however it ends, and the kernel knows who holds it. Any user who can open
a file can lock it with flock(2), and keeps the lock even if the mode of the file is changed later. So a lock file that
others could open is not made private, but replaced. Not known here: what the lock is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from agent.values.errors import AgentError, Locked
from agent.values.machine_text import lines, words

_MODE: Final = 0o600
_PATIENCE_S: Final = 60.0  # for a command that a person has started
_AGAIN_S: Final = 0.2
_TRIES: Final = 100  # each is lost only to a process that has just replaced the file
_REPLACING: Final = (
    ".replacing"  # suffix of the file that is locked while the lock file is replaced; never open to others
)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock. Locked, with the holder's pid, if another process has it."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = _take(path)
    except OSError as error:
        raise AgentError(
            str(path), f"cannot be opened: {error.strerror}", where_it_opens(path, os.geteuid())
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


def where_it_opens(path: Path, uid: int) -> str:
    """What to do where a file of an agent that runs is closed to this user; '' for root."""
    if uid == 0:
        return ""
    # The folder of a user's own instance: a log-in makes it, su and sudo do not, and root would be another instance.
    return "Log in as this user, not by su or sudo" if path.is_relative_to("/run/user") else "Run it as root"


@contextlib.asynccontextmanager
async def held_at_last(path: Path) -> AsyncIterator[None]:
    """As `held`, for who cannot just be run again: waits for a while for a command that has it. Locked after that."""
    until = time.monotonic() + _PATIENCE_S
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(held(path))
                break
            except Locked:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_AGAIN_S)
        yield


def is_held_by(uid: int, path: Path) -> bool:
    """Whether a process of this user holds it. The kernel says so: in a folder of the user's nothing is looked at."""
    try:
        entries = [words(line) for line in lines(Path("/proc/locks").read_text())]
    except OSError:
        return False
    pids = {int(entry[4]) for entry in entries if len(entry) > 5 and entry[1] == "FLOCK"}
    return any(_is_of(uid, pid) and _has_locked(pid, path) for pid in pids)


def _is_of(uid: int, pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}").stat().st_uid == uid
    except OSError:  # it has ended
        return False


def _has_locked(pid: int, path: Path) -> bool:
    for file in _of_process(pid):
        with contextlib.suppress(OSError):  # closed meanwhile
            if file.readlink() == path and "FLOCK" in _told_of(pid, file.name).get("lock", ""):
                return True
    return False


def _take(path: Path) -> int:
    for _ in range(_TRIES):
        with contextlib.ExitStack() as open_files:
            descriptor = _open(path)
            open_files.callback(os.close, descriptor)
            if not _is_closed_to_others(path, descriptor):
                _make_way(path, descriptor)
            elif not _flock(descriptor):
                raise Locked(str(path), _holder(descriptor))
            elif _is_still(path, descriptor):
                open_files.pop_all()
                return descriptor
    raise OSError(errno.EAGAIN, "it keeps being replaced", str(path))


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, _MODE)


def _is_closed_to_others(path: Path, descriptor: int) -> bool:
    status = os.fstat(descriptor)
    # The owner of the folder can replace any file in it, whoever owns that.
    owners = (0, os.geteuid(), path.parent.stat().st_uid)
    return stat.S_ISREG(status.st_mode) and status.st_mode & 0o077 == 0 and status.st_uid in owners


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the path still leads to the file that was opened: another one may have taken its place."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _make_way(path: Path, descriptor: int) -> None:
    """Remove a lock file that others could open, unless an agent of an earlier version holds it. Locked if so."""
    with _alone(path.with_name(path.name + _REPLACING)):
        if not _is_still(path, descriptor):
            return
        if not _flock(descriptor):
            holder = _holder(descriptor)
            if holder is not None and _could_write(holder, descriptor):
                raise Locked(str(path), holder)
        path.unlink()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time, for a moment: none removes the file that another has just created."""
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_still(path, descriptor):
                continue
            try:
                yield
            finally:
                path.unlink()
            return
        finally:
            os.close(descriptor)


def _holder(descriptor: int) -> int | None:
    """From the kernel's list; what a file says could have been written by anyone. None: the kernel does not say."""
    with contextlib.suppress(OSError):
        for line in lines(Path("/proc/locks").read_text()):
            if (pid := _pid_in(words(line), os.fstat(descriptor))) is not None:
                return pid
    return None


def _pid_in(entry: list[str], status: os.stat_result) -> int | None:
    """`1: FLOCK  ADVISORY  WRITE 4722 fe:00:2146353 0 EOF`; a waiting one has `->` before its kind."""
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    return int(entry[4]) if len(entry) > 5 and (entry[1], entry[5]) == ("FLOCK", file) else None


def _could_write(pid: int, descriptor: int) -> bool:
    """Whether a process holds the lock by a writable descriptor, which a user with read access only cannot get.

    The owner of the process proves nothing: a set-uid root program keeps the descriptors that it was started with.
    """
    if os.fstat(descriptor).st_mode & 0o022:
        return False
    for file in _of_process(pid):
        with contextlib.suppress(OSError):  # closed meanwhile
            if os.path.samestat(file.stat(), os.fstat(descriptor)) and _is_locked_for_writing(pid, file.name):
                return True
    return False


def _of_process(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has ended, or may not be looked at
        return []


def _is_locked_for_writing(pid: int, number: str) -> bool:
    said = _told_of(pid, number)
    return "FLOCK" in said.get("lock", "") and int(said["flags"], 8) & os.O_ACCMODE != os.O_RDONLY


def _told_of(pid: int, number: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in lines(Path(f"/proc/{pid}/fdinfo/{number}").read_text()))
