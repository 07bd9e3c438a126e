"""The process that works below a home as its user: each line in is a request, each line out an answer.

`helper_process.py` starts it as root, with nothing but a socket, which carries requests in and descriptors out, and a
pipe for the answers. It imports all it needs before it becomes the user, so that Python and this package can be where
that user cannot read; nothing of the user's is looked at before that. From then on the kernel checks every step with
the user's rights alone. So a path is opened as it is: whatever links are in it, and whatever is swapped on the way, it
leads only where the user could have gone without us. Each request opens its path anew; nothing is kept for the next.

Not known here: what is in the files, and whether it should be changed.
"""

from __future__ import annotations

import _socket  # socket is larger, and needs more of what is larger still
import contextlib
import ctypes
import errno
import itertools
import os
import resource
import signal
import stat
import struct
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec

from agent.system.files import LARGEST, Changed, FileState, Identity, is_folder, read_file, remove_file, replace_file
from agent.system.links import Ahead
from agent.system.sweep import sweep
from agent.values.errors import TargetFailed

_PRIVATE_FOLDER: Final = 0o700
_AGAIN: Final = "Fix this, then run: docker-proxy-agent apply"
MOST_FOLDERS: Final = 12  # on one path; even with links there are rarely more than six
_MOST_CONTEXTS: Final = 100  # looked at; further ones are ignored


class User(msgspec.Struct, frozen=True):
    """The user to become."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class Introduction(msgspec.Struct, frozen=True):
    """The first line. No user: do not change. `inside`: nothing outside of that folder is touched."""

    user: User | None
    within_s: float
    inside: bytes | None = None


class Read(msgspec.Struct, frozen=True, tag=True):
    path: bytes


class Write(msgspec.Struct, frozen=True, tag=True):
    """Like `text_files.write_text`, with bytes. They may hold a password, so they are not shown."""

    path: bytes
    before: bytes | None
    after: bytes | None
    mode: int | None
    may_create: bool
    folder_was_there: bool

    def __repr__(self) -> str:
        return f"Write({os.fsdecode(self.path)!r})"


class Sweep(msgspec.Struct, frozen=True, tag=True):
    """Remove what a crash left in the folder of a file."""

    path: bytes


class PassFolders(msgspec.Struct, frozen=True, tag=True):
    """Go down from a folder by these names as the kernel would, and pass every folder in which a name is looked up.

    All but the first, which the caller has.
    """

    folder: bytes
    names: tuple[bytes, ...]


class Contexts(msgspec.Struct, frozen=True, tag=True):
    """Look at the client's contexts, which are beside this file."""

    path: bytes
    known: tuple[str, ...]  # what the client calls the engine that the agent serves


HelperRequest = Read | Write | Sweep | PassFolders | Contexts


# The answers come from another user's process, so every field has bounds.
_Number = Annotated[int, msgspec.Meta(ge=0)]
_PathBytes = Annotated[bytes, msgspec.Meta(max_length=4096)]


class FileAttributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a file but its bytes."""

    real: _PathBytes
    mode: Annotated[int, msgspec.Meta(ge=0, le=0o7777)]
    uid: _Number
    gid: _Number
    identity: Identity


class FoundFile(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """What was read. It may hold a password, so the bytes are not shown."""

    attributes: FileAttributes
    data: Annotated[bytes, msgspec.Meta(max_length=LARGEST)]

    def __repr__(self) -> str:
        return f"FoundFile({self.attributes!r}, {len(self.data)} bytes)"


class NoFile(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """There is no such file."""


class Wrote(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """None: there was, or is, no file."""

    before: FileAttributes | None
    after: FileAttributes | None
    made_folder: bool


class Swept(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """How many leftovers were removed."""

    left: _Number


class SomebodyWrote(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """`Changed`."""


class Failed(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """`TargetFailed` without the path, which the caller knows."""

    what: str
    remedy: str


class Closed(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """No program of the user can find anything there: a folder on the way is closed, or is not a folder."""

    what: str
    remedy: str


class LockedHome(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """The home is an eCryptfs home that is not open: all it shows are links to what is needed to open it."""


class PassedFolders(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """The descriptors were sent before this answer, one for each of these names, in this order."""

    names: Annotated[tuple[_PathBytes, ...], msgspec.Meta(max_length=MOST_FOLDERS)]
    is_whole: bool  # False: the path has more folders than were passed


class Engines(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Whether a context leads to another engine."""

    has_other: bool


HelperAnswer = (
    Engines | FoundFile | NoFile | Wrote | Swept | SomebodyWrote | Failed | Closed | LockedHome | PassedFolders
)


def main() -> None:
    """Become the user, then answer until the input ends."""
    _confine()
    introduction = msgspec.json.decode(sys.stdin.buffer.readline(), type=Introduction)
    # If the agent is gone, nothing else would end a helper that hangs.
    signal.setitimer(signal.ITIMER_REAL, introduction.within_s + 1)
    try:
        if introduction.user is not None:
            _become(introduction.user)
        _hide()
    except OSError as error:
        refusal = Failed(f"cannot be read as its user: {error.strerror}", "Run the agent as root")
        for _ in sys.stdin.buffer:
            _answer(refusal)
        return
    asked = msgspec.json.Decoder(HelperRequest)
    inside = None if introduction.inside is None else os.fsdecode(introduction.inside)
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_REAL, introduction.within_s + 1)
        _answer(carry_out(asked.decode(line), inside))
        signal.setitimer(signal.ITIMER_REAL, 0)  # while it waits for a request, the end of the input ends it


def _answer(answer: HelperAnswer) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


_SET_DUMPABLE: Final = 4  # PR_SET_DUMPABLE, linux/prctl.h
_SET_NO_NEW_PRIVS: Final = 38


def _confine() -> None:
    """No program can gain rights from here, and nothing can grow beyond what a file of 1 MiB needs."""
    _prctl(_SET_NO_NEW_PRIVS, 1)
    _at_most(resource.RLIMIT_CORE, 0)
    _at_most(resource.RLIMIT_FSIZE, LARGEST)
    # The kernel counts all that programs of the user have sent, unreceived, against this limit (docs/facts.md 148).
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _at_most(resource.RLIMIT_CPU, 10)  # seconds
    _at_most(resource.RLIMIT_AS, 256 * 1024 * 1024)  # Python alone maps 30 MiB
    Path("/proc/self/oom_score_adj").write_text("1000")  # when memory runs out, this process is killed first


def _at_most(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (limit, limit))


def _become(user: User) -> None:
    """Give up all rights of root, and check that they are gone."""
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    try:
        os.setresuid(0, 0, 0)
    except PermissionError:
        return
    raise PermissionError(0, "root's rights could not be given up")


def _hide() -> None:
    """No core dump, wherever they are sent, and no debugger of the user: requests may hold what is not yet theirs."""
    _prctl(_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), *(ctypes.c_ulong(0),) * 3):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def carry_out(request: HelperRequest, inside: str | None = None) -> HelperAnswer:
    """Carry out a request. A failure is an answer, too."""
    try:
        if isinstance(request, PassFolders):
            return _pass_folders(request)
        path = Path(os.fsdecode(request.path))
        if inside is not None:
            _check_inside(path, inside)
        match request:
            case Read():
                return _read(path)
            case Write():
                return _write(path, request)
            case Contexts(known=known):
                return Engines(_has_other(path.parent / "contexts" / "meta", inside, known))
            case Sweep():
                real = Path(os.path.realpath(path))
                # Of this file alone: other users' helpers may work in the same folder.
                return Swept(len(sweep(real.parent, beside=real.name)))
    except Changed:
        return SomebodyWrote()
    except TargetFailed as failure:
        return Failed(failure.what, failure.remedy)
    except OSError as error:  # a folder on the way that cannot be searched
        return Failed(f"cannot be reached: {error.strerror}; left as it is", _AGAIN)


def _check_inside(path: Path, inside: str) -> None:
    """With another root, only the caller's files below it are read or written."""
    real = os.path.realpath(path)
    if not real.startswith(f"{inside.rstrip('/')}/"):
        raise TargetFailed(str(path), f"{real} is not below {inside}; left as it is", _AGAIN)
    if os.path.lexists(real) and Path(real).lstat().st_uid != os.geteuid():
        raise TargetFailed(str(path), f"{real} belongs to another user; left as it is", _AGAIN)


def _read(path: Path) -> HelperAnswer:
    try:
        found = read_file(path)
    except TargetFailed as failure:
        # A file that exists and cannot be read is an error; behind a closed folder not even that is known.
        if isinstance(failure.__cause__, PermissionError | NotADirectoryError) and not os.path.lexists(path):
            return Closed(failure.what, failure.remedy)
        raise
    if found is not None:
        return FoundFile(_attributes(found), found.data)
    home = path.parent.parent
    is_locked = os.path.islink(home / ".ecryptfs") and not os.path.ismount(home)  # noqa: PTH114 - these never raise
    return LockedHome() if is_locked else NoFile()


class _Endpoint(msgspec.Struct, frozen=True):
    host: str = msgspec.field(name="Host", default="")


class _Context(msgspec.Struct, frozen=True):
    """The part of a context's meta.json that is read."""

    endpoints: dict[str, _Endpoint] = msgspec.field(name="Endpoints", default_factory=dict)


def _has_other(folder: Path, inside: str | None, known: Collection[str]) -> bool:
    """What cannot be read is no context for the client, either."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, _MOST_CONTEXTS)]
    except OSError:
        return False
    hosts = (_host(folder / name / "meta.json", inside) for name in names)
    return any(host and host not in known for host in hosts)


def _host(path: Path, inside: str | None) -> str:
    """The engine of a context; '' if it names none."""
    try:
        if inside is not None:
            _check_inside(path, inside)
        found = read_file(path)
        context = msgspec.json.decode(found.data, type=_Context) if found is not None else _Context()
    except (TargetFailed, OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return context.endpoints.get("docker", _Endpoint()).host


def _write(path: Path, request: Write) -> HelperAnswer:
    found = read_file(path)
    if (None if found is None else found.data) != request.before:
        raise Changed(path)
    if request.after is None:
        return _remove(path, found, folder_was_there=request.folder_was_there)
    folder = Path(os.path.realpath(path)).parent
    made_folder = not is_folder(folder)
    if found is None:
        _refuse_to_make(path, folder, may_create=request.may_create)
    after = replace_file(path, request.after, expected=found, mode=request.mode, parent_mode=_PRIVATE_FOLDER)
    return Wrote(None if found is None else _attributes(found), _attributes(after), made_folder)


def _refuse_to_make(path: Path, folder: Path, *, may_create: bool) -> None:
    """At most one folder is created, ~/.docker: nothing must be created below a home that is not mounted."""
    if not may_create:
        raise TargetFailed(
            str(path), "does not exist, and must not be created", "Create it, then run: docker-proxy-agent apply"
        )
    if not is_folder(folder) and not is_folder(folder.parent):
        raise TargetFailed(
            str(path), "the parent of its folder does not exist, or is not mounted; nothing is created", _AGAIN
        )


def _remove(path: Path, found: FileState | None, *, folder_was_there: bool) -> HelperAnswer:
    if found is not None:
        remove_file(path, expected=found)
        if not folder_was_there:
            with contextlib.suppress(OSError):  # another program put something there
                path.parent.rmdir()
    return Wrote(None if found is None else _attributes(found), None, made_folder=False)


def _pass_folders(request: PassFolders) -> HelperAnswer:
    """Pass the folders that show a change of where a path leads, and of the file at its end."""
    names: list[bytes] = []
    with contextlib.ExitStack() as open_folders:
        folders: list[int] = []
        is_whole = False
        try:
            for folder, name in _walk(request, open_folders):
                if len(folders) == MOST_FOLDERS:
                    break
                folders.append(folder)
                names.append(name)
            else:
                is_whole = True
        except OSError as error:
            # The last folder shows when one of these ends. The others (EIO, ENOTCONN, ELOOP) can end unseen.
            is_whole = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENAMETOOLONG)
        if folders and not _pass(folders):
            return PassedFolders((), is_whole=False)
    return PassedFolders(tuple(names), is_whole)


def _walk(request: PassFolders, open_folders: contextlib.ExitStack) -> Iterator[tuple[int, bytes]]:
    """Each name that is looked up, with its folder; without the names in the first folder."""

    def open_name(name: bytes, folder: int | None = None) -> int:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        open_folders.callback(os.close, descriptor)
        return descriptor

    here = first = open_name(request.folder)
    ahead = Ahead(b"/".join(request.names))
    while ahead:
        name = ahead.next()
        if name == b"..":
            here = open_name(name, here)
            continue
        if here != first:
            yield here, name
        step = open_name(name, here)
        mode = os.fstat(step).st_mode
        if not stat.S_ISLNK(mode):
            here = step  # if it is a file, looking up a name in it fails: ENOTDIR
            continue
        if ahead.follow(os.readlink(b"", dir_fd=step)):
            here = open_name(b"/")


def _pass(folders: list[int]) -> bool:
    """By SCM_RIGHTS, over the socket of the requests. False: the user's programs have too many in flight."""
    rights = struct.pack(f"{len(folders)}i", *folders)
    ours = _socket.socket(fileno=os.dup(0))
    try:
        ours.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    except OSError as error:
        if error.errno != errno.ETOOMANYREFS:
            raise
        return False
    finally:
        ours.close()
    return True


def _attributes(file: FileState) -> FileAttributes:
    return FileAttributes(os.fsencode(file.path), mode=file.mode, uid=file.uid, gid=file.gid, identity=file.identity)
