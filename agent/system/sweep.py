"""Removes what a crash has left between any two steps of a replacement, and undoes a rewriting that it cut short."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from agent.system.beside import BESIDE, OLD, is_on_its_way
from agent.system.disk import LOCAL_DISK, Disk
from agent.system.files import failed, open_to_write, read_file


def sweep(directory: Path, disk: Disk = LOCAL_DISK, *, beside: str | None = None) -> tuple[Path, ...]:
    """Remove what a crash left in a folder, for it may hold a password, and undo a rewriting that it cut short.

    `beside`: only the leftovers of the file of this name. For the holder of the lock. In a folder where others write,
    too, use `beside`: a replacement that another helper is writing looks the same.
    """
    try:
        found = sorted(path for path in directory.iterdir() if _is_beside(path.name, beside))
        left = tuple(path for path in found if not is_on_its_way(path) and _is_plain(path))
        for path in left:
            _undo(path, disk)
        for path in left:
            disk.remove(path)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise failed(directory, "cannot be cleared of what a crash left", error) from error
    return left


def _is_beside(name: str, file: str | None) -> bool:
    parts = BESIDE.fullmatch(name)
    return parts is not None and file in (None, parts["name"])


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:  # it was being written, and has its final name now
        return False


def _undo(copy: Path, disk: Disk) -> None:
    """Put the old bytes back, unless another program has written the file."""
    parts = BESIDE.fullmatch(copy.name)
    if parts is None or not parts["copy"]:
        return
    old, new = read_file(copy), read_file(copy.with_name(copy.name.removesuffix(OLD)))
    torn = read_file(copy.with_name(parts["name"]))
    if old is None or new is None or torn is None or not _is_mixture(torn.data, old.data, new.data):
        return
    descriptor = open_to_write(torn.path, torn.mode)
    try:
        disk.fill(descriptor, old.data)
        os.fchmod(descriptor, old.mode)
    finally:
        os.close(descriptor)


def _is_mixture(torn: bytes, old: bytes, new: bytes) -> bool:
    """Each byte is the old one, the new one, or one that never reached the disk before the power went."""
    longest = max(len(old), len(new))
    columns = zip(torn, old.ljust(longest, b"\0"), new.ljust(longest, b"\0"), strict=False)
    return len(torn) <= longest and all(byte in (was, would_be, 0) for byte, was, would_be in columns)
