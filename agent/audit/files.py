"""The files of the log: the one that grows, and the ones that are full.

`audit.jsonl` grows. A full one is renamed once, to `audit-0000000123.jsonl` for its first record, and not changed until
it is deleted. Sorted by name, the files are the chain from its oldest record on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from agent.audit.chain import Entry, decoded, opened

_WINDOW: Final = 1 << 16  # bytes looked at from the end of a file before looking further back


def full_name(path: Path, first_seq: int) -> Path:
    """The name of a full file that begins with this record."""
    return path.with_name(f"{path.stem}-{first_seq:010d}{path.suffix}")


def full_files(path: Path) -> tuple[Path, ...]:
    """The full files of the log at `path`, the oldest first. OSError if the folder cannot be read."""
    name = re.compile(rf"{re.escape(path.stem)}-(\d{{10,}}){re.escape(path.suffix)}")
    try:
        entries = os.listdir(path.parent)  # noqa: PTH208 - names are all that is needed
    except FileNotFoundError:
        return ()
    numbered = sorted((int(match[1]), match[0]) for entry in entries if (match := name.fullmatch(entry)))
    return tuple(path.with_name(found) for _, found in numbered)


def _stream(path: Path) -> BinaryIO:
    """Open a file of the log. OSError also for a directory, and for a named pipe, which would block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISDIR(mode):
        os.close(descriptor)
        there = "a named pipe" if stat.S_ISFIFO(mode) else "a directory"
        raise OSError(errno.EINVAL, f"{there} is there", str(path))
    return os.fdopen(descriptor, "rb")


class Line(msgspec.Struct, frozen=True):
    """One line of a file, unchanged."""

    file: Path
    number: int  # the first is 1
    raw: bytes  # with its newline, unless the write of this line did not end

    @property
    def text(self) -> bytes:
        return self.raw.removesuffix(b"\n")

    def opened(self) -> Entry | None:
        """The record, if its hash is right. A missing newline does not matter."""
        return opened(self.text)

    def decoded(self) -> Entry | None:
        """The record, without checking its hash."""
        return decoded(self.text)


def lines(path: Path) -> Iterator[Line]:
    """Every line of the log, the oldest first; none if there is no log. OSError if it cannot be read."""
    growing = _growing(path)
    try:
        yield from _full(full_files(path), growing)
        if growing is not None:
            yield from (Line(path, number, raw) for number, raw in enumerate(growing, start=1))
    finally:
        if growing is not None:
            growing.close()


def followed(path: Path) -> Iterator[Line | None]:
    """The same, and then what is appended, without an end. None: nothing more for now."""
    growing = _growing(path)
    known, number = full_files(path), 0
    try:
        yield from _full(known, growing)
        while True:
            if growing is not None:
                # First of all: nothing is appended to a file any more once another one stands in its place.
                is_full = _is_replaced(path, growing)
                while (raw := growing.readline()).endswith(b"\n"):
                    number += 1
                    yield Line(path, number, raw)
                growing.seek(-len(raw), os.SEEK_CUR)  # a line that is being written
                if not is_full:
                    yield None
                    continue
            ended, growing, number = growing, _growing(path), 0
            if ended is not None:  # who follows may have stood still: others may have become full since
                with ended:
                    later = [file for file in full_files(path) if file not in known and _is_replaced(file, ended)]
                known = full_files(path)
                yield from _full(later, growing)
            if growing is None:
                yield None
    finally:
        if growing is not None:
            growing.close()


def _growing(path: Path) -> BinaryIO | None:
    try:
        return _stream(path)
    except FileNotFoundError:
        return None


def _full(files: Iterable[Path], growing: BinaryIO | None) -> Iterator[Line]:
    """The lines of the full files.

    `growing` is open already: if it is renamed meanwhile, it appears among the full ones and is not read twice.
    """
    grown = None if growing is None else os.fstat(growing.fileno())
    for file in files:
        with _stream(file) as stream:
            if grown is not None and os.path.samestat(os.fstat(stream.fileno()), grown):
                break
            yield from (Line(file, number, raw) for number, raw in enumerate(stream, start=1))


def _is_replaced(path: Path, growing: BinaryIO) -> bool:
    try:
        return not os.path.samestat(os.stat(path), os.fstat(growing.fileno()))  # noqa: PTH116 - beside fstat
    except FileNotFoundError:
        return False


class Tail(msgspec.Struct, frozen=True):
    """How a file ends."""

    last: Entry | None = None  # the last record that is whole; None if the file has none
    rest: bytes = b""  # what follows it and is not a record
    ends_line: bool = True  # whether the file ends with a newline


def tail(file: Path) -> Tail:
    """The end of a file, read backwards. OSError if it cannot be read."""
    with _stream(file) as stream:
        size = stream.seek(0, os.SEEK_END)
        window = _WINDOW
        while True:
            start = max(0, size - window)
            stream.seek(start)
            found = _tail(stream.read(size - start), begins_line=start == 0)
            if found.last is not None or start == 0:
                return found
            window *= 4


def _tail(block: bytes, *, begins_line: bool) -> Tail:
    ends_line = not block or block.endswith(b"\n")
    end = len(block)
    while end > 0:
        stop = end - 1 if block[end - 1 : end] == b"\n" else end
        start = block.rfind(b"\n", 0, stop) + 1
        if start == 0 and not begins_line:
            break
        entry = opened(block[start:stop])
        if entry is not None:
            return Tail(entry, block[end:], ends_line)
        end = start
    return Tail(None, block, ends_line)


def newest(path: Path) -> Entry | None:
    """The last record of the log that is whole. OSError if it cannot be read."""
    for file in (path, *reversed(full_files(path))):
        with contextlib.suppress(FileNotFoundError):
            if (last := tail(file).last) is not None:
                return last
    return None


def entries(file: Path) -> Generator[Entry]:
    """The records of one file that are whole."""
    with _stream(file) as stream:
        for number, raw in enumerate(stream, start=1):
            entry = Line(file, number, raw).opened()
            if entry is not None:
                yield entry


def first_entry(file: Path) -> Entry | None:
    with contextlib.closing(entries(file)) as found:
        return next(found, None)
