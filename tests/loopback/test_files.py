"""Replacing a file on a real file system, and on one with one thing broken."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import select
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from agent.system.beside import is_leftover
from agent.system.disk import Disk, LocalDisk
from agent.system.files import LARGEST, Changed, FileState, read_file, refill_file, remove_file, replace_file
from agent.system.sweep import sweep
from agent.values.errors import TargetFailed

OLD = b'{"old": "' + b"o" * 40 + b'"}\n'
NEW = b'{"proxies": {"http-proxy": "http://alice:secret@proxy.example:3128"}}\n'


def present(path: Path) -> FileState:
    state = read_file(path)
    assert state is not None
    return state


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def broken(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class MountPoint(LocalDisk):
    """Where daemon.json is a mount point: its name cannot be given to another file."""

    def exchange(self, _one: Path, _other: Path) -> None:
        raise broken(errno.EBUSY)

    def rename(self, _old: Path, _new: Path) -> None:
        raise broken(errno.EBUSY)


class NoExchange(LocalDisk):
    """A file system that knows no flags of renameat2, as NFS."""

    def exchange(self, _one: Path, _other: Path) -> None:
        raise broken(errno.EINVAL)


class Fails(LocalDisk):
    """A disk on which bytes cannot be written: half of them, then an error, once."""

    def __init__(self, number: int, fill: int = 1) -> None:
        self.number = number
        self.fills_left = fill

    def fill(self, descriptor: int, data: bytes) -> None:
        self.fills_left -= 1
        if self.fills_left == 0:
            os.pwrite(descriptor, data[: len(data) // 2], 0)
            raise broken(self.number)
        super().fill(descriptor, data)


class FailsInPlace(MountPoint, Fails):
    """A mount point on a file system without space."""


class Meanwhile(LocalDisk):
    """Somebody else does something just before the name is taken."""

    def __init__(self, deed: Callable[[], object]) -> None:
        self.deed = deed

    def exchange(self, one: Path, other: Path) -> None:
        self._once()
        super().exchange(one, other)

    def rename_to_free(self, old: Path, new: Path) -> None:
        self._once()
        super().rename_to_free(old, new)

    def rename(self, old: Path, new: Path) -> None:
        self._once()
        super().rename(old, new)

    def _once(self) -> None:
        deed, self.deed = self.deed, lambda: None
        deed()


# Reading.


def test_a_missing_file_is_none_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "dangling").symlink_to("nowhere")

    assert read_file(tmp_path / "missing") is None
    assert read_file(tmp_path / "no" / "folder" / "either") is None
    assert read_file(tmp_path / "dangling") is None
    assert present(tmp_path / "empty").data == b""


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")

    for path in (tmp_path / "pipe", tmp_path, Path("/dev/null")):
        with pytest.raises(TargetFailed, match="not a regular file"):
            read_file(path)
    with pytest.raises(TargetFailed, match=r"loop: cannot be read: .*symbolic links; left as it is"):
        read_file(tmp_path / "loop")


def test_a_file_is_read_up_to_its_limit_and_refused_beyond(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b" " * LARGEST)
    state = present(path)
    with pytest.raises(TargetFailed, match="would be larger than 1024 KiB"):
        replace_file(path, b" " * (LARGEST + 1), expected=state)

    path.write_bytes(b" " * (LARGEST + 1))
    with pytest.raises(TargetFailed, match="larger than 1024 KiB"):
        read_file(path)


class Swapping(LocalDisk):
    """A replacement that somebody reads in the middle of the swap; it goes on as soon as the kernel tells of that."""

    def __init__(self, path: Path, *, goes_on: bool) -> None:
        self.path, self.goes_on = path, goes_on
        self.read: bytes | TargetFailed | None = None
        self.held = -1

    def exchange(self, one: Path, other: Path) -> None:
        super().exchange(one, other)

        def told(*_: object) -> None:
            if self.goes_on:
                fcntl.fcntl(self.held, fcntl.F_SETLEASE, fcntl.F_UNLCK)

        was = signal.signal(signal.SIGURG, told)
        try:
            self.read = present(self.path).data
        except TargetFailed as failed:
            self.read = failed
        finally:
            signal.signal(signal.SIGURG, was)

    @contextmanager
    def readers_wait(self, descriptor: int) -> Iterator[None]:
        self.held = descriptor
        with super().readers_wait(descriptor):
            yield


def test_who_reads_in_the_middle_of_a_swap_gets_the_new_file_a_moment_later(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    swapping = Swapping(tmp_path / "file", goes_on=True)

    replace_file(tmp_path / "file", NEW, expected=present(tmp_path / "file"), disk=swapping)

    assert swapping.read == NEW


def test_who_holds_a_file_back_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    swapping = Swapping(tmp_path / "file", goes_on=False)

    replace_file(tmp_path / "file", NEW, expected=present(tmp_path / "file"), disk=swapping)

    assert isinstance(swapping.read, TargetFailed)


def test_a_state_does_not_show_what_stands_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(NEW)

    assert "secret" not in repr(present(path))


# Replacing.

DISKS = [
    pytest.param(LocalDisk(), id="exchange"),
    pytest.param(NoExchange(), id="rename"),
    pytest.param(MountPoint(), id="in-place"),
]


@pytest.mark.parametrize("disk", DISKS)
@pytest.mark.parametrize("mode", [0o644, 0o600, 0o640, 0o444])
def test_mode_and_owner_survive(tmp_path: Path, disk: Disk, mode: int) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(OLD)
    if os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    path.chmod(mode)
    before = present(path)

    after = replace_file(path, NEW, expected=before, disk=disk)

    assert after == present(path)
    assert after.data == NEW
    assert (after.mode, after.uid, after.gid) == (before.mode, before.uid, before.gid)
    assert names(tmp_path) == ["daemon.json"]


@pytest.mark.parametrize("disk", DISKS)
@pytest.mark.parametrize(("old", "new"), [(0o644, 0o600), (0o600, 0o644)])
def test_a_mode_that_is_asked_for_is_set(tmp_path: Path, disk: Disk, old: int, new: int) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(OLD)
    path.chmod(old)

    after = replace_file(path, NEW, expected=present(path), mode=new, disk=disk)

    assert after.mode == mode_of(path) == new


@pytest.mark.parametrize("disk", DISKS)
def test_extended_attributes_survive(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(OLD)
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error}")

    replace_file(path, NEW, expected=present(path), disk=disk)

    assert os.getxattr(path, "user.note") == b"mine"


# u::rw-, u:1234:r--, g::---, m::r--, o::---  in the kernel's encoding: version 2, then (tag, rights, id) each.
ACL = bytes.fromhex("02000000 01000600ffffffff 02000400d2040000 04000000ffffffff 10000400ffffffff 20000000ffffffff")


@pytest.mark.parametrize("disk", DISKS)
def test_an_acl_survives_and_a_folder_hands_none_down(tmp_path: Path, disk: Disk) -> None:
    with_acl, without = tmp_path / "with.json", tmp_path / "without.json"
    for path in (with_acl, without):
        path.write_bytes(OLD)
        path.chmod(0o644)
    try:
        os.setxattr(with_acl, "system.posix_acl_access", ACL)
        os.setxattr(tmp_path, "system.posix_acl_default", ACL)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error}")

    for path in (with_acl, without):
        replace_file(path, NEW, expected=present(path), disk=disk)

    assert os.getxattr(with_acl, "system.posix_acl_access") == ACL
    assert "system.posix_acl_access" not in os.listxattr(without)
    assert mode_of(without) == 0o644


@pytest.mark.parametrize("disk", DISKS)
def test_links_survive_and_lead_to_the_new_file(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "home").mkdir()
    real = tmp_path / "dotfiles" / "config.json"
    real.write_bytes(OLD)
    (tmp_path / "home" / ".docker").symlink_to("../dotfiles")  # as stow makes them
    (tmp_path / "dotfiles" / "link.json").symlink_to("config.json")
    path = tmp_path / "home" / ".docker" / "link.json"

    after = replace_file(path, NEW, expected=present(path), disk=disk)

    assert after.path == real
    assert real.read_bytes() == NEW
    assert path.is_symlink()
    assert path.parent.is_symlink()
    assert names(tmp_path / "dotfiles") == ["config.json", "link.json"]


def test_a_new_file_has_the_mode_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        made = replace_file(tmp_path / "a" / "b" / "c", NEW, expected=None, mode=0o644, parent_mode=0o755)
    finally:
        os.umask(umask)

    assert made == present(tmp_path / "a" / "b" / "c")
    assert [mode_of(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o755, 0o755, 0o644]


def test_a_new_file_is_private_unless_asked_otherwise(tmp_path: Path) -> None:
    assert replace_file(tmp_path / "dockerd.env", NEW, expected=None).mode == 0o600


def test_a_dangling_link_is_filled_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.symlink_to("dotfiles/config.json")

    replace_file(path, NEW, expected=read_file(path))

    assert path.is_symlink()
    assert (tmp_path / "dotfiles" / "config.json").read_bytes() == NEW


def test_a_file_beside_is_never_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "planted").write_bytes(THEIRS)
    (tmp_path / "link").symlink_to("elsewhere")

    for name in ("planted", "link"):
        with pytest.raises(FileExistsError):
            LocalDisk().create(tmp_path / name)


def test_the_bytes_are_never_readable_by_more_people_than_in_the_end(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watched(MountPoint):
        def fill(self, descriptor: int, data: bytes) -> None:
            if data == NEW:
                seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            super().fill(descriptor, data)

    path = tmp_path / "daemon.json"
    path.write_bytes(OLD)
    path.chmod(0o644)

    replace_file(path, NEW, expected=present(path), mode=0o600, disk=Watched())

    assert seen
    assert set(seen) == {0o600}


# Somebody else.

THEIRS = b'{"auths": {"registry.example": {}}}\n'


def login(path: Path) -> Callable[[], object]:
    """What `docker login` does: a temporary file and a rename."""

    def deed() -> None:
        (path.parent / "theirs").write_bytes(THEIRS)
        (path.parent / "theirs").rename(path)

    return deed


class MeanwhileThen(Meanwhile):
    """The same on a disk that then refuses to exchange."""

    def __init__(self, deed: Callable[[], object], number: int) -> None:
        super().__init__(deed)
        self.number = number

    def exchange(self, _one: Path, _other: Path) -> None:
        self._once()
        raise broken(self.number)


@pytest.mark.parametrize(
    "disk",
    [
        pytest.param(Meanwhile, id="exchange"),
        pytest.param(partial(MeanwhileThen, number=errno.EINVAL), id="rename"),
        pytest.param(partial(MeanwhileThen, number=errno.EBUSY), id="in-place"),
    ],
)
@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(login, id="renamed-over"),
        pytest.param(lambda path: lambda: path.write_bytes(THEIRS), id="written-in-place"),
    ],
)
def test_what_somebody_wrote_in_the_last_moment_stays(
    tmp_path: Path, disk: Callable[[Callable[[], object]], Disk], deed: Callable[[Path], Callable[[], object]]
) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(OLD)

    with pytest.raises(Changed):
        replace_file(path, NEW, expected=present(path), disk=disk(deed(path)))

    assert path.read_bytes() == THEIRS
    assert names(tmp_path) == ["config.json"]


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(lambda path: path.write_bytes(OLD.replace(b"o", b"x")), id="same-size"),
        pytest.param(lambda path: path.chmod(0o640), id="another-mode"),
        pytest.param(lambda path: path.unlink(), id="removed"),
        pytest.param(lambda path: (path.unlink(), path.symlink_to("elsewhere")), id="now-a-link-to-nothing"),
        pytest.param(
            lambda path: (path.rename(path.parent / "other"), path.symlink_to("other")), id="now-a-link-to-the-same"
        ),
    ],
)
@pytest.mark.parametrize("disk", DISKS)
def test_a_file_that_changed_since_it_was_read_is_not_replaced(
    tmp_path: Path, deed: Callable[[Path], object], disk: Disk
) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(OLD)
    expected = present(path)
    deed(path)
    theirs = read_file(path)

    with pytest.raises(Changed):
        replace_file(path, NEW, expected=expected, disk=disk)

    assert read_file(path) == theirs


def test_a_touched_file_has_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(OLD)
    expected = present(path)
    path.touch()

    assert replace_file(path, NEW, expected=expected).data == NEW


def test_a_file_that_appeared_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with pytest.raises(Changed):
        replace_file(path, NEW, expected=None, disk=Meanwhile(login(path)))
    with pytest.raises(Changed):
        replace_file(path, NEW, expected=None)

    assert path.read_bytes() == THEIRS
    assert names(tmp_path) == ["config.json"]


# What goes wrong.


@pytest.mark.parametrize(
    "disk",
    [
        pytest.param(lambda: Fails(errno.ENOSPC), id="beside"),
        pytest.param(lambda: FailsInPlace(errno.ENOSPC, fill=4), id="in-place"),
    ],
)
def test_a_full_disk_leaves_the_old_file_whole_and_nothing_beside(tmp_path: Path, disk: Callable[[], Disk]) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(OLD)
    path.chmod(0o644)
    before = present(path)

    with pytest.raises(TargetFailed) as failure:
        replace_file(path, NEW, expected=before, mode=0o600, disk=disk())

    assert present(path).is_as(before)
    assert names(tmp_path) == ["daemon.json"]
    assert str(failure.value) == (
        f"{path}: cannot be written: no space left; left as it is. Free some space, then run: docker-proxy-agent apply"
    )
    assert isinstance(failure.value.__cause__, OSError)


def test_a_file_is_refilled_whole_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "relay.json"
    path.write_bytes(OLD + b" " * 100)
    path.chmod(0o640)
    before = present(path)

    after = refill_file(path, NEW, expected=before)

    assert (path.read_bytes(), mode_of(path), names(tmp_path)) == (NEW, 0o640, ["relay.json"])
    assert present(path).is_as(after)
    assert (after.identity.inode, after.identity != before.identity) == (before.identity.inode, True)
    with pytest.raises(Changed):
        refill_file(path, OLD, expected=before)
    assert path.read_bytes() == NEW


def test_what_does_not_fit_is_not_begun_and_what_fails_leaves_nothing_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "relay.json"
    path.write_bytes(OLD)

    with pytest.raises(TargetFailed, match="no space left"):
        refill_file(path, NEW * 10_000, expected=present(path))
    assert path.read_bytes() == OLD

    with pytest.raises(TargetFailed, match="Input/output"):
        refill_file(path, NEW, expected=present(path), disk=Fails(errno.EIO))
    assert names(tmp_path) == []


def test_a_new_file_that_fails_leaves_not_even_its_folders(tmp_path: Path) -> None:
    with pytest.raises(TargetFailed):
        replace_file(tmp_path / "a" / "b" / "c", NEW, expected=None, disk=Fails(errno.ENOSPC))

    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        pytest.param(errno.EROFS, "the file system is read-only; left as it is. Mount it writable", id="read-only"),
        pytest.param(errno.EPERM, "not permitted; left as it is. Check who may write there", id="not-permitted"),
        pytest.param(errno.EIO, "Input/output error; left as it is. Fix this", id="anything-else"),
    ],
)
def test_what_the_system_refuses_is_said_with_what_to_do(tmp_path: Path, number: int, words: str) -> None:
    class Refuses(LocalDisk):
        def create(self, _path: Path) -> int:
            raise broken(number)

    path = tmp_path / "daemon.json"
    path.write_bytes(OLD)

    with pytest.raises(TargetFailed, match=words) as failure:
        replace_file(path, NEW, expected=present(path), disk=Refuses())

    assert str(failure.value).startswith(f"{path}: cannot be written: ")
    assert path.read_bytes() == OLD


REPLACES = """
import pathlib, sys
from agent.system.files import read_file, refill_file, replace_file
path = pathlib.Path(sys.argv[1])
replace_file(path, sys.argv[2].encode(), expected=read_file(path))
"""


@pytest.mark.needs_root
def test_a_real_mount_point_is_rewritten_in_place(tmp_path: Path) -> None:
    for name in ("real", "daemon.json"):
        (tmp_path / name).write_bytes(OLD)
    mount = ["unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$2" || exit 77; shift; exec "$0" -c "$3" "$1" "$2"']
    paths = [str(tmp_path / "real"), str(tmp_path / "daemon.json")]
    try:
        done = subprocess.run(
            [*mount, sys.executable, *paths, NEW.decode(), REPLACES],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode in (1, 77) and "agent" not in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.strip()}")

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "real").read_bytes() == NEW
    assert (tmp_path / "daemon.json").read_bytes() == OLD  # what the mount covered
    assert names(tmp_path) == ["daemon.json", "real"]


# As the service: root, whose rights end where modes say no.
WITHOUT_DAC_OVERRIDE = (
    "setpriv",
    "--bounding-set=-dac_override",
    "--inh-caps=-dac_override",
    sys.executable,
    "-c",
    REPLACES,
)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A file of somebody else, in a folder of root's."""
    path = tmp_path / "daemon.json"
    path.write_bytes(OLD)
    path.chmod(0o640)
    os.chown(path, 12345, 12346)
    return path


def confined(*before: str, path: Path) -> str:
    """What went wrong."""
    argv = [*before, *WITHOUT_DAC_OVERRIDE, str(path), NEW.decode()]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60).stderr


@pytest.mark.needs_root
def test_root_that_may_not_overrule_modes_keeps_somebody_elses_file_theirs(theirs: Path) -> None:
    os.setxattr(theirs, "user.note", b"mine")
    os.setxattr(theirs, "system.posix_acl_access", ACL)
    before = theirs.stat()

    assert confined(path=theirs) == ""

    after = theirs.stat()
    assert theirs.read_bytes() == NEW
    assert after.st_ino != before.st_ino
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert os.getxattr(theirs, "user.note") == b"mine"
    assert os.getxattr(theirs, "system.posix_acl_access") == ACL


@pytest.mark.needs_root
@pytest.mark.parametrize("what", ["folder", "mounted-file"])
def test_what_only_overruling_modes_could_write_is_refused_with_a_word(theirs: Path, what: str) -> None:
    before: tuple[str, ...] = ()
    if what == "folder":
        os.chown(theirs.parent, 12345, -1)
    else:
        before = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$0" && exec "$@"', str(theirs))

    said = confined(*before, path=theirs)

    assert (
        "daemon.json: cannot be written: not permitted, not even to root: the folder, or the file that is mounted"
        in said
    )
    assert "left as it is. Give it to root (chown), then" in said
    assert theirs.read_bytes() == OLD
    assert names(theirs.parent) == ["daemon.json"]


# A crash.


class Dies(LocalDisk):
    """kill -9 before one of the steps, or in the middle of it where it has one."""

    def __init__(self, before: int) -> None:
        self.left = before

    def _step(self, half: Callable[[], object] = lambda: None) -> None:
        if self.left == 0:
            half()
            os._exit(9)
        self.left -= 1

    def create(self, path: Path) -> int:
        self._step()
        return super().create(path)

    def fill(self, descriptor: int, data: bytes) -> None:
        self._step()
        self._step(lambda: os.pwrite(descriptor, data[: len(data) // 2], 0))
        super().fill(descriptor, data)
        self._step()

    def exchange(self, one: Path, other: Path) -> None:
        self._step()
        super().exchange(one, other)
        self._step()

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)
        self._step()

    def rename_to_free(self, old: Path, new: Path) -> None:
        self._step()
        super().rename_to_free(old, new)
        self._step()

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)
        self._step()

    def sync_directory(self, path: Path) -> None:
        self._step()
        super().sync_directory(path)


class DiesInPlace(Dies):
    def exchange(self, _one: Path, _other: Path) -> None:
        raise broken(errno.EBUSY)


class DiesWithoutExchange(Dies):
    def exchange(self, _one: Path, _other: Path) -> None:
        raise broken(errno.ENOSYS)


def dies(disk: Disk, work: Callable[..., object]) -> bool:
    """Whether a process that does this on this disk is killed on the way."""
    child = os.fork()
    if child == 0:
        try:
            work(disk=disk)
            os._exit(0)
        finally:
            os._exit(1)
    is_over = ends(child)
    if not is_over:  # a lock that another thread held at the fork, say
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert is_over
    assert status in (0, 9)
    return status == 9


def ends(child: int, within_s: float = 60) -> bool:
    descriptor = os.pidfd_open(child)
    try:
        return bool(select.select([descriptor], [], [], within_s)[0])
    finally:
        os.close(descriptor)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("disk", [Dies, DiesWithoutExchange, DiesInPlace])
@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("old", [OLD, b"{}\n", b"x" * 2000], ids=["shorter", "tiny", "longer"])
def test_killed_at_any_step_the_file_is_the_old_or_the_new_one_and_no_secret_lies_beside(
    tmp_path: Path, disk: type[Dies], existed: bool, old: bytes
) -> None:
    path = tmp_path / "daemon.json"
    for step in range(40):
        path.unlink(missing_ok=True)
        if existed:
            path.write_bytes(old)
            path.chmod(0o644)
        expected = read_file(path)

        killed = dies(disk(step), partial(replace_file, path, NEW, expected=expected, mode=0o600))
        sweep(tmp_path)

        now = read_file(path)
        found = None if now is None else (now.data, now.mode)
        assert found in ((NEW, 0o600), (old, 0o644) if existed else None), f"step {step}"
        assert names(tmp_path) in ([], ["daemon.json"]), f"step {step}"
        if not killed:
            assert found == (NEW, 0o600)
            assert step > 3
            return
    pytest.fail("it never came to an end")


def test_what_somebody_wrote_after_a_crash_in_place_stays(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(THEIRS)
    (tmp_path / ".daemon.json.00000000.docker-proxy-agent").write_bytes(NEW)
    (tmp_path / ".daemon.json.00000000.docker-proxy-agent-old").write_bytes(OLD)

    swept = sweep(tmp_path)

    assert len(swept) == 2
    assert path.read_bytes() == THEIRS
    assert names(tmp_path) == ["daemon.json"]


def test_sweep_leaves_alone_what_another_thread_is_writing(tmp_path: Path) -> None:
    """A late client's file is noted in the state directory while what a crash left there is cleared away."""
    left = tmp_path / ".journal.json.01234567.docker-proxy-agent"
    path = tmp_path / "anchors.json"

    class Swept(LocalDisk):
        """Somebody sweeps between any two steps."""

        def fill(self, descriptor: int, data: bytes) -> None:
            assert sweep(tmp_path) == (left,)
            super().fill(descriptor, data)
            assert sweep(tmp_path) == ()

        def exchange(self, one: Path, other: Path) -> None:
            super().exchange(one, other)
            assert sweep(tmp_path) == ()

        def remove(self, path: Path) -> None:
            assert sweep(tmp_path) == ()
            super().remove(path)

    for expected in (None, OLD):
        left.touch()
        now = replace_file(path, NEW if expected else OLD, expected=read_file(path), disk=Swept())
        assert now.data == path.read_bytes()
    remove_file(path, expected=now, disk=Swept())
    assert names(tmp_path) == []
    left.touch()
    assert sweep(tmp_path) == (left,)


def test_sweep_beside_one_file_leaves_those_of_others(tmp_path: Path) -> None:
    """Two people's files in one folder: two helpers, and neither knows what the other is doing."""
    mine, theirs = (tmp_path / f".{name}.01234567.docker-proxy-agent" for name in ("a.json", "b.json"))
    mine.touch()
    theirs.touch()

    assert sweep(tmp_path, beside="a.json") == (mine,)

    assert theirs.exists()


def test_sweep_touches_only_what_is_ours(tmp_path: Path) -> None:
    others = ["daemon.json", ".daemon.json.swp", ".daemon.json.0000.docker-proxy-agent", "docker-proxy-agent"]
    for name in others:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".a.00000000.docker-proxy-agent").mkdir()
    (tmp_path / ".b.00000000.docker-proxy-agent").symlink_to("daemon.json")
    before = names(tmp_path)

    assert sweep(tmp_path) == ()
    assert names(tmp_path) == before
    assert sweep(tmp_path / "missing") == ()
    assert not any(is_leftover(name) for name in others)


# Removing.


def test_a_file_is_removed_if_it_is_still_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "dockerd.env"
    path.write_bytes(OLD)

    remove_file(path, expected=present(path))

    assert names(tmp_path) == []


def test_a_file_that_changed_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "dockerd.env"
    path.write_bytes(OLD)
    expected = present(path)

    with pytest.raises(Changed):
        remove_file(path, expected=expected, disk=Meanwhile(login(path)))
    with pytest.raises(Changed):  # and it is not even moved aside
        remove_file(path, expected=expected, disk=MountPoint())

    assert path.read_bytes() == THEIRS
    assert names(tmp_path) == ["dockerd.env"]
    path.unlink()
    with pytest.raises(Changed):
        remove_file(path, expected=expected)


def test_a_mount_point_that_cannot_be_removed_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(OLD)

    with pytest.raises(TargetFailed, match="cannot be removed: Device or resource busy"):
        remove_file(path, expected=present(path), disk=MountPoint())

    assert path.read_bytes() == OLD


def test_however_often_a_file_is_replaced_nothing_is_kept(tmp_path: Path) -> None:
    """As status.json is after each probe. With Python 3.12 a name that nobody uses any more could be kept."""
    path = tmp_path / "status.json"
    path.write_bytes(OLD)

    def blocks_after(times: int) -> int:
        for _ in range(times):
            replace_file(path, OLD, expected=present(path))
        gc.collect()
        return sys.getallocatedblocks()

    before = blocks_after(20)  # with what is made once
    kept = blocks_after(200) - before

    assert kept < 100
