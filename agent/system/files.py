"""Replace a file without losing anything: the only way in which the agent writes a file.

A replacement is made beside the file and takes its place in one step, so that readers see the old or the new file,
whole. What else a write could lose is kept: mode, owner, SELinux label, ACL and other attributes, and the symbolic link
that leads to the file. What another program wrote in between is never overwritten: `Changed` is raised, and the caller
reads again.

If the file cannot be replaced (it is a mount point), it is rewritten in place, after a copy was made beside it. What
must not wait for room on a full disk, and may be lost in a crash, is refilled.

The steps of a replacement are the methods of `Disk`, in their order (`disk.py`); what a crash between any two of them
has left, `sweep` removes (`sweep.py`). Mode, owner and the rest are copied by `attributes.py`; a file for a person,
which takes the place of none, is made by `new_file.py`. Not known here: what is in the file, and which user this runs
as.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from agent.system.attributes import copy_attributes
from agent.system.beside import OLD, new_beside, on_its_way
from agent.system.disk import LOCAL_DISK, NO_RENAMEAT2, PRIVATE, Disk
from agent.values.errors import LEFT, AgentError, TargetFailed

LARGEST: Final = 1024 * 1024  # bytes; a daemon.json or config.json has a few hundred
_SWAPPED_TRIES: Final = 20  # a swap takes a tenth of this
_SWAPPED_S: Final = 0.001
_BLOCK: Final = 512  # bytes; st_blocks, stat(2)
_AGAIN: Final = "Fix this, then run: docker-proxy-agent apply"


class Identity(msgspec.Struct, frozen=True):
    """Which file it is, and in which state. The same identity: nothing was written. Another one: read it again."""

    device: int
    inode: int
    mtime_ns: int
    size: int


class FileState(msgspec.Struct, frozen=True):
    """A file as it was when it was read. It may hold a password, so its bytes are not shown."""

    path: Path  # the real path, behind all symbolic links
    data: bytes
    mode: int
    uid: int
    gid: int
    identity: Identity

    def __repr__(self) -> str:
        return f"FileState({str(self.path)!r}, {len(self.data)} bytes, {self.mode:04o})"

    def is_as(self, other: FileState) -> bool:
        """Whether nothing has changed that a replacement could lose; a mere `touch` is no change."""
        return (self.data, self.mode, self.uid, self.gid) == (other.data, other.mode, other.uid, other.gid)


class Changed(AgentError):
    """Another program changed, created or removed the file since it was read, and that stays. Read it again."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), "another program changed it meanwhile", _AGAIN)


def read_file(path: Path) -> FileState | None:
    """A regular file, with what a replacement must keep; None if there is none."""
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise failed(path, "cannot be read", error) from error


def is_folder(path: Path) -> bool:
    """Whether there is a directory, links followed. False, too, if that cannot be determined.

    pathlib's own method raises then, up to Python 3.13 (FACTS 66), so it is not used anywhere.
    """
    return os.path.isdir(path)  # noqa: PTH112


def is_there(path: Path) -> bool:
    """Whether there is anything, links followed. False, too, if that cannot be determined."""
    return os.path.exists(path)  # noqa: PTH110


def identity_of(path: Path) -> Identity | None:
    """Without opening the file; None if there is none, or it cannot be looked at."""
    try:
        return _identity(path.stat())
    except OSError:
        return None


def _read(path: Path) -> FileState:
    descriptor = open_to_read(path)
    try:
        return _read_open(path, descriptor)
    finally:
        os.close(descriptor)


def open_to_read(path: Path, flags: int = 0) -> int:
    """Never waits: a named pipe must not block a pass. What is not a regular file is for the caller to refuse.

    A file that is being swapped at this moment (FACTS 232) is there a moment later: it is tried again. Who holds a
    file back for longer is not waited for.
    """
    for tries_left in reversed(range(_SWAPPED_TRIES)):
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | flags)
        except BlockingIOError:
            if not tries_left:
                raise
            time.sleep(_SWAPPED_S)
    raise AssertionError("unreachable")


def _read_open(path: Path, descriptor: int) -> FileState:
    for _ in range(5):
        before = _regular(path, os.fstat(descriptor))
        data = os.pread(descriptor, LARGEST + 1, 0)
        state = _state(path, data, descriptor)
        if len(data) == before.st_size and _identity(before) == state.identity:
            return state
    raise Changed(path)


def _regular(path: Path, status: os.stat_result) -> os.stat_result:
    if not stat.S_ISREG(status.st_mode):
        raise TargetFailed(str(path), "is not a regular file", _AGAIN, then=LEFT)
    if status.st_size > LARGEST:
        raise TargetFailed(str(path), f"is larger than {LARGEST // 1024} KiB", _AGAIN, then=LEFT)
    return status


def _state(path: Path, data: bytes, descriptor: int) -> FileState:
    status = os.fstat(descriptor)
    return FileState(
        behind_links(path),
        data,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        identity=_identity(status),
    )


def _identity(status: os.stat_result) -> Identity:
    return Identity(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def behind_links(path: Path) -> Path:
    """The path behind all links, as far as they lead anywhere."""
    # Path.resolve raises RuntimeError in a loop of links before Python 3.13, realpath if a link vanishes meanwhile.
    try:
        return Path(os.path.realpath(path))
    except OSError:
        return path


# The file is a mount point (EBUSY), or its owner, label or ACL cannot be given to another file: rewrite it in place.
_PLACE_CANNOT_BE_TAKEN: Final = frozenset({errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES, errno.ENOTSUP})


def replace_file(  # noqa: PLR0913 - named at every call
    path: Path,
    data: bytes,
    *,
    expected: FileState | None,
    mode: int | None = None,
    parent_mode: int = 0o755,
    disk: Disk = LOCAL_DISK,
) -> FileState:
    """Write `data` in place of `expected` (None: there was no file). Returns the file as it is then.

    Without a mode the file keeps its own; a new file is private. Missing folders are created with `parent_mode`.
    """
    if len(data) > LARGEST:
        raise TargetFailed(str(path), f"would be larger than {LARGEST // 1024} KiB", _AGAIN, then=LEFT)
    real = behind_links(path)
    try:
        if expected is not None:
            return _replace(real, data, expected, mode=expected.mode if mode is None else mode, disk=disk)
        with _parents(real, parent_mode, disk):
            return _make(real, data, PRIVATE if mode is None else mode, disk)
    except FileNotFoundError as error:
        raise Changed(path) from error
    except OSError as error:
        raise failed(path, "cannot be written", error) from error


def _make(real: Path, data: bytes, mode: int, disk: Disk) -> FileState:
    """A new file. If another program was faster, its file stays."""
    if os.path.lexists(real):
        raise Changed(real)
    beside = new_beside(real)
    with _create(beside, disk) as descriptor:
        os.fchmod(descriptor, mode)
        disk.fill(descriptor, data)
        try:
            disk.rename_to_free(beside, real)
        except FileExistsError as error:
            raise Changed(real) from error
        disk.sync_directory(real.parent)
        return _state(real, data, descriptor)


def _replace(real: Path, data: bytes, expected: FileState, *, mode: int, disk: Disk) -> FileState:
    """The new file takes the place and attributes of the old one; if it cannot, the old file gets the new bytes."""
    if real != expected.path or not _read(real).is_as(expected):  # a link that leads elsewhere now is a change, too
        raise Changed(real)
    beside = new_beside(real)
    with _create(beside, disk) as descriptor:
        try:
            # Before the bytes, so that they are never readable by more users than in the end.
            copy_attributes(real, descriptor, uid=expected.uid, gid=expected.gid, mode=mode)
            disk.fill(descriptor, data)
            with disk.readers_wait(descriptor):
                _take_place(beside, real, expected, descriptor=descriptor, disk=disk)
        except OSError as error:
            if error.errno not in _PLACE_CANNOT_BE_TAKEN:
                raise
            disk.fill(descriptor, data)
            return _rewrite_in_place(beside, data, expected, mode=mode, disk=disk)
        disk.sync_directory(real.parent)
        return _state(real, data, descriptor)


def _take_place(beside: Path, real: Path, expected: FileState, *, descriptor: int, disk: Disk) -> None:
    """Swap the two files, then check what came out: a rename would lose a `docker login` of this moment (FACTS 19).

    While they are wrongly swapped, a second login would start from our file and drop the first. So programs that open
    our file wait until that is known, and then read what the first login wrote. Where they cannot be made to wait, one
    more check before the swap makes this rare (writing took milliseconds), and a quick check after it makes it short.
    """
    ours = beside.stat().st_ino
    found = _read(real)
    if not found.is_as(expected) or not _is_still(real, found):
        raise Changed(real)
    try:
        disk.exchange(beside, real)
    except OSError as error:
        if error.errno not in NO_RENAMEAT2:
            raise
        if not _read(real).is_as(expected):
            raise Changed(real) from error
        disk.rename(beside, real)
        return
    if not _is_still(beside, found) or not _read(beside).is_as(expected):
        with contextlib.suppress(OSError, TargetFailed):  # a full disk, or what came out is not a file
            _show_instead(descriptor, _read(beside))
        _give_back(beside, real, ours, disk)
        raise Changed(real)
    disk.remove(beside)


def _show_instead(descriptor: int, theirs: FileState) -> None:
    """To a program that waits for our file, if it may read theirs. Ours is gone in a moment, so no fsync."""
    ours = os.fstat(descriptor)
    if (stat.S_IMODE(ours.st_mode), ours.st_uid, ours.st_gid) == (theirs.mode, theirs.uid, theirs.gid):
        os.pwrite(descriptor, theirs.data, 0)
        os.ftruncate(descriptor, len(theirs.data))


def _is_still(path: Path, found: FileState) -> bool:
    return _identity(path.lstat()) == found.identity


def _give_back(beside: Path, real: Path, ours: int, disk: Disk) -> None:
    """Put back what another program wrote last. What comes out shows whether it wrote once more just now."""
    placed = ours
    while True:
        theirs = beside.stat().st_ino
        try:
            disk.exchange(beside, real)
        except FileNotFoundError:  # it was removed just now: so what was written before that goes, too
            disk.remove(beside)
            return
        came_out = beside.stat().st_ino
        if came_out == placed:
            break
        placed = theirs
    if came_out != ours:  # an earlier text of theirs, which they replaced
        disk.remove(beside)


def _rewrite_in_place(beside: Path, data: bytes, expected: FileState, *, mode: int, disk: Disk) -> FileState:
    """New bytes in the same file. Until that is done, the old ones are kept beside it, and `sweep` puts them back."""
    real = expected.path
    descriptor = open_to_write(real, expected.mode)
    try:
        with _create(beside.with_name(beside.name + OLD), disk) as copy:
            os.fchmod(copy, expected.mode)
            disk.fill(copy, expected.data)
            disk.sync_directory(real.parent)
            if not _read_open(real, descriptor).is_as(expected):
                raise Changed(real)
            _fill_with_mode(descriptor, data, expected, mode=mode, disk=disk)
        return _state(real, data, descriptor)
    finally:
        os.close(descriptor)


def open_to_write(real: Path, mode: int) -> int:
    """Also a read-only file of our own: root could write it anyway, and a replacement would not ask, either."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(real, os.O_RDWR | flags)
    except PermissionError:
        read_only = os.open(real, os.O_RDONLY | flags)
    try:
        os.fchmod(read_only, mode | stat.S_IWUSR)
        try:
            return os.open(real, os.O_RDWR | flags)
        finally:
            os.fchmod(read_only, mode)
    finally:
        os.close(read_only)


def _fill_with_mode(descriptor: int, data: bytes, expected: FileState, *, mode: int, disk: Disk) -> None:
    """Neither the old nor the new bytes are ever readable by more users than before and after."""
    if mode != expected.mode:
        os.fchmod(descriptor, mode & expected.mode)
    try:
        disk.fill(descriptor, data)
    except OSError:
        disk.fill(descriptor, expected.data)
        if mode != expected.mode:
            os.fchmod(descriptor, expected.mode)
        raise
    if mode != expected.mode:
        os.fchmod(descriptor, mode)


def refill_file(path: Path, data: bytes, *, expected: FileState, disk: Disk = LOCAL_DISK) -> FileState:
    """Write `data` into the file itself, which needs no room where that is no longer than what is there.

    Readers find the old file, none for a moment, or the new one, whole. A failure or a crash may leave none: it is for
    files that are made anew then.
    """
    real = behind_links(path)
    with on_its_way(new_beside(real)) as aside:
        try:
            if not _read(real).is_as(expected):
                raise Changed(path)
            _check_fits(real, data, expected)
            disk.rename(real, aside)
            _refill(aside, real, data, mode=expected.mode, disk=disk)
            return _read(real)
        except FileNotFoundError as error:
            raise Changed(path) from error
        except OSError as error:
            raise failed(path, "cannot be written", error) from error


def _check_fits(real: Path, data: bytes, expected: FileState) -> None:
    if len(data) > max(len(expected.data), real.stat().st_blocks * _BLOCK):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _refill(aside: Path, real: Path, data: bytes, *, mode: int, disk: Disk) -> None:
    try:
        descriptor = open_to_write(aside, mode)
        try:
            disk.fill(descriptor, data)
        finally:
            os.close(descriptor)
        disk.rename_to_free(aside, real)
        disk.sync_directory(real.parent)
    except OSError:
        with contextlib.suppress(OSError):
            disk.remove(aside)  # what it held was to go
        raise


def remove_file(path: Path, *, expected: FileState, disk: Disk = LOCAL_DISK) -> None:
    """Remove a file, if it is still as it was read."""
    real = behind_links(path)
    with on_its_way(new_beside(real)) as aside:
        _remove(path, real, aside, expected=expected, disk=disk)


def _remove(path: Path, real: Path, aside: Path, *, expected: FileState, disk: Disk) -> None:
    try:
        if not _read(real).is_as(expected):
            raise Changed(path)
        disk.rename(real, aside)
        if not _read(aside).is_as(expected):
            disk.rename_to_free(aside, real)
            raise Changed(path)
        disk.remove(aside)
        disk.sync_directory(real.parent)
    except FileNotFoundError as error:
        raise Changed(path) from error
    except OSError as error:
        raise failed(path, "cannot be removed", error) from error


@contextlib.contextmanager
def _create(path: Path, disk: Disk) -> Iterator[int]:
    """The descriptor of a new file, which is removed at the end unless it has another name by then."""
    with on_its_way(path), _open_new(path, disk) as descriptor:
        yield descriptor


@contextlib.contextmanager
def _open_new(path: Path, disk: Disk) -> Iterator[int]:
    descriptor = disk.create(path)
    try:
        yield descriptor
    finally:
        # A file of that name that is not ours was written by another program: see _take_place.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor)):
                path.unlink()
        os.close(descriptor)


@contextlib.contextmanager
def _parents(real: Path, mode: int, disk: Disk) -> Iterator[None]:
    """Create the missing folders of a file, and remove them again if the file could not be written."""
    missing = [folder for folder in real.parents if not is_there(folder)]
    made: list[Path] = []
    try:
        for folder in reversed(missing):
            disk.make_directory(folder, mode)
            made.append(folder)
            disk.sync_directory(folder.parent)
        yield
    except BaseException:
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # another program put something there
                folder.rmdir()
        raise


_NOT_PERMITTED: Final = (
    "not permitted",
    "Check who may write there (ls -ld, lsattr -d), then run: docker-proxy-agent apply",
)
_FULL: Final = "no space left", "Free some space, then run: docker-proxy-agent apply"
_WORDS: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    # Two causes that look alike from here: a mount, or ProtectSystem=strict of our own unit.
    errno.EROFS: (
        "the file system is read-only",
        "Mount it writable; if only the service cannot write: systemctl edit docker-proxy-agent, ReadWritePaths=FOLDER",
    ),
    errno.EACCES: _NOT_PERMITTED,
    errno.EPERM: _NOT_PERMITTED,
}
# Modes do not stop root, except in the service, which has no CAP_DAC_OVERRIDE.
_NOT_EVEN_TO_ROOT: Final = (
    "not permitted, not even to root: the folder, or the file that is mounted there, belongs to another user",
    "Give it to root (chown), then run: docker-proxy-agent apply",
)


def failed(path: Path, what: str, error: OSError) -> TargetFailed:
    cause, remedy = _WORDS.get(error.errno or 0, (error.strerror or type(error).__name__, _AGAIN))
    if error.errno == errno.EACCES and os.geteuid() == 0:
        cause, remedy = _NOT_EVEN_TO_ROOT
    return TargetFailed(str(path), f"{what}: {cause}", remedy, then=LEFT)
