"""Files in people's homes, read and written by real helper processes of real other users.

Most promises hold for the user who runs the agent and for another user alike; the second half needs root.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import pytest

from agent.clients.helper_process import helper_argv
from agent.clients.home_helper import Introduction, NoFile, Read, User, Wrote
from agent.clients.homes import Homes
from agent.clients.users import Threshold
from agent.system.disk import LocalDisk
from agent.system.files import LARGEST, Changed, Identity, read_file, replace_file
from agent.values.errors import TargetFailed
from tests.share import fewer
from tests.waiting import until_awaited

IS_ROOT: Final = os.geteuid() == 0
NEEDS_ROOT: Final = pytest.mark.needs_root

CONFIG = '{"auths": {"registry.example": {"auth": "dG9rZW4="}}}\n'
MERGED = '{"auths": {"registry.example": {"auth": "dG9rZW4="}}, "proxies": {}}\n'
OFFICE = "http://alice:hunter2@proxy.corp.example:3128"


class Person(msgspec.Struct, frozen=True):
    """An account with a home of its own, 0700."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: Path
    inside: Path | None = None
    seen_before: Threshold | None = None

    @property
    def threshold(self) -> Threshold:
        if self.seen_before is not None:
            return self.seen_before
        status = self.home.lstat()
        return Threshold(self.home, (status.st_dev, status.st_ino), (".docker", "config.json"))

    @property
    def folder(self) -> Path:
        return self.home / ".docker"

    @property
    def config(self) -> Path:
        return self.folder / "config.json"

    def owns(self, path: Path, mode: int) -> Path:
        os.chown(path, self.uid, self.gid)
        path.chmod(mode)
        return path

    def has(self, text: str = CONFIG, mode: int = 0o600) -> Path:
        """A config.json, as `docker login` makes it."""
        if not self.folder.is_dir():
            self.folder.mkdir()
            self.owns(self.folder, 0o700)
        self.writes(text, mode)
        return self.config

    def writes(self, text: str, mode: int = 0o600) -> None:
        """As the docker CLI does: a temporary file and a rename."""
        theirs = self.folder / "config.json123"
        theirs.write_text(text)
        self.owns(theirs, mode).rename(self.config)

    def writes_another(self) -> None:
        self.writes(MERGED)


@pytest.fixture
def house() -> Iterator[Path]:
    """A folder for homes that every user can reach; pytest's own are for one user alone."""
    house = Path(tempfile.mkdtemp(prefix="homes-"))
    house.chmod(0o755)
    yield house
    shutil.rmtree(house)


def moves_in(house: Path, name: str, uid: int, gid: int, groups: tuple[int, ...] = ()) -> Person:
    person = Person(uid, gid, groups, house / name)
    person.home.mkdir()
    person.owns(person.home, 0o700)
    return person


@pytest.fixture(params=["the-same-user", pytest.param("another-user", marks=NEEDS_ROOT)])
def somebody(request: pytest.FixtureRequest, house: Path) -> Person:
    if request.param == "another-user":
        return moves_in(house, "alice", 12345, 12345, (12400,))
    return moves_in(house, "me", os.geteuid(), os.getegid())


@pytest.fixture
def alice(house: Path) -> Person:
    return moves_in(house, "alice", 12345, 12345, (12400,))


@pytest.fixture
def bob(house: Path) -> Person:
    return moves_in(house, "bob", 12346, 12346)


@pytest.fixture
async def homes() -> AsyncIterator[Homes]:
    """Within a pass."""
    homes = Homes()
    async with homes.one_pass():
        yield homes


def counting(starts: Path) -> Homes:
    """With a `+` in that file for each helper that is started."""
    *python, code, ours, msgspecs = helper_argv()
    return Homes(argv=(*python, f"open({str(starts)!r}, 'a').write('+')\n{code}", ours, msgspecs))


def looks(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def written_at(path: Path) -> tuple[int, int, int, int]:
    status = path.lstat()
    return status.st_ino, status.st_mode, status.st_mtime_ns, status.st_ctime_ns


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Reading and writing.


async def test_a_file_is_read_with_all_that_tells_whether_it_changes(somebody: Person, homes: Homes) -> None:
    path = somebody.has(mode=0o640)

    found = await homes.read(somebody, path)

    assert found is not None
    assert (found.real, found.text, found.mode, found.uid, found.gid) == (
        path, CONFIG, 0o640, somebody.uid, somebody.gid,
    )  # fmt: skip
    status = path.stat()
    assert found.identity == Identity(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


async def test_no_file_is_none(somebody: Person, homes: Homes) -> None:
    assert await homes.read(somebody, somebody.config) is None
    somebody.has()
    assert await homes.read(somebody, somebody.folder / "other.json") is None


@pytest.mark.parametrize("mode", [0o600, 0o644])
async def test_mode_and_owner_survive_a_write(somebody: Person, homes: Homes, mode: int) -> None:
    path = somebody.has(mode=mode)

    written = await homes.write(somebody, path, CONFIG, MERGED)

    assert path.read_text() == MERGED
    assert looks(path) == (mode, somebody.uid, somebody.gid)
    assert written.before is not None
    assert written.before.text == CONFIG
    assert written.after == await homes.read(somebody, path)
    assert names(somebody.folder) == ["config.json"]


async def test_a_new_file_is_private_and_its_owners_and_so_is_its_folder(somebody: Person, homes: Homes) -> None:
    written = await homes.write(somebody, somebody.config, None, MERGED, may_create=True)

    assert somebody.config.read_text() == MERGED
    assert looks(somebody.config) == (0o600, somebody.uid, somebody.gid)
    assert looks(somebody.folder) == (0o700, somebody.uid, somebody.gid)
    assert written.before is None
    assert written.made_folder


async def test_a_file_is_made_only_if_that_is_allowed(somebody: Person, homes: Homes) -> None:
    with pytest.raises(TargetFailed, match="does not exist, and must not be created"):
        await homes.write(somebody, somebody.config, None, MERGED)

    assert names(somebody.home) == []


async def test_a_home_that_is_not_mounted_is_not_made(somebody: Person, homes: Homes, house: Path) -> None:
    somebody.home.rename(house / "moved")
    somebody.owns(house, 0o755)  # even if it could be

    with pytest.raises(TargetFailed, match="not mounted; nothing is created"):
        await homes.write(somebody, somebody.config, None, MERGED, may_create=True)

    assert names(house) == ["moved"]


async def test_what_somebody_wrote_meanwhile_stays(somebody: Person, homes: Homes) -> None:
    path = somebody.has('{"auths": {}}')

    with pytest.raises(Changed, match=r"config\.json"):
        await homes.write(somebody, path, CONFIG, MERGED)
    with pytest.raises(Changed):
        await homes.write(somebody, path, None, MERGED, may_create=True)
    with pytest.raises(Changed):
        await homes.write(somebody, path, CONFIG, None)

    assert path.read_text() == '{"auths": {}}'


async def test_what_was_written_back_is_as_before(somebody: Person, homes: Homes) -> None:
    path = somebody.has(mode=0o644)
    await homes.write(somebody, path, CONFIG, MERGED, mode=0o600)
    assert looks(path)[0] == 0o600

    await homes.write(somebody, path, MERGED, CONFIG, mode=0o644)

    assert path.read_text() == CONFIG
    assert looks(path) == (0o644, somebody.uid, somebody.gid)


@pytest.mark.parametrize(("others", "left"), [((), []), (("contexts",), [".docker"])])
async def test_a_file_that_was_made_goes_with_its_folder(
    somebody: Person, homes: Homes, others: Sequence[str], left: list[str]
) -> None:
    written = await homes.write(somebody, somebody.config, None, MERGED, may_create=True)
    for name in others:
        (somebody.folder / name).mkdir()

    await homes.write(somebody, somebody.config, MERGED, None, folder_was_there=not written.made_folder)

    assert names(somebody.home) == left
    assert not somebody.config.exists()


async def test_a_folder_that_was_there_stays_when_its_file_goes(somebody: Person, homes: Homes) -> None:
    await homes.write(somebody, somebody.has(), CONFIG, None)

    assert names(somebody.folder) == []


async def test_an_edit_merges_again_with_what_somebody_wrote_in_between(somebody: Person, homes: Homes) -> None:
    path = somebody.has("first")

    def change(text: str | None) -> str:
        if text == "first":
            somebody.writes("second")
        return f"{text}, merged"

    written = await homes.edit(somebody, path, change)

    assert path.read_text() == "second, merged"
    assert written.before is not None
    assert written.before.text == "second"


async def test_an_edit_gives_up_beside_somebody_who_never_stops(somebody: Person, homes: Homes) -> None:
    path = somebody.has("0")

    def change(text: str | None) -> str:
        somebody.writes(str(int(text or "") + 1))
        return "ours"

    began = time.monotonic()
    with pytest.raises(Changed):
        await homes.edit(somebody, path, change)

    assert int(path.read_text()) >= 20
    assert time.monotonic() >= began + 3, "a busy machine may need as long for a few tries"


async def test_an_edit_that_changes_nothing_writes_nothing(somebody: Person, homes: Homes) -> None:
    path = somebody.has()
    before = written_at(path)

    written = await homes.edit(somebody, path, lambda text: text)

    assert written_at(path) == before
    assert written.after == written.before


async def test_what_the_change_refuses_is_raised_and_the_file_stays(somebody: Person, homes: Homes) -> None:
    path = somebody.has()

    def change(_text: str | None) -> str:
        raise TargetFailed(str(path), "not JSON")

    with pytest.raises(TargetFailed, match="not JSON"):
        await homes.edit(somebody, path, change)

    assert path.read_text() == CONFIG


async def test_what_a_crash_left_is_swept(somebody: Person, homes: Homes) -> None:
    path = somebody.has()
    for name in ("config.json", "other.json"):  # another file has a helper of its own, which may just be at work
        left = path.with_name(f".{name}.0123abcd.docker-proxy-agent")
        left.write_text(OFFICE)
        somebody.owns(left, 0o600)

    assert await homes.sweep(somebody, path) == 1

    assert names(somebody.folder) == [".other.json.0123abcd.docker-proxy-agent", "config.json"]


@pytest.mark.parametrize("size", [LARGEST, LARGEST + 1])
async def test_a_file_is_read_and_written_up_to_its_limit_and_refused_beyond(
    somebody: Person, homes: Homes, size: int
) -> None:
    path = somebody.has("\x01" * size)

    if size == LARGEST:
        await homes.write(somebody, path, "\x01" * size, "\x02" * size)
        assert path.read_text() == "\x02" * size
    else:
        with pytest.raises(TargetFailed, match="larger than 1024 KiB"):
            await homes.read(somebody, path)
        somebody.writes("small")
        with pytest.raises(TargetFailed, match="would be larger than 1024 KiB"):
            await homes.write(somebody, path, "small", "\x01" * size)
        assert path.read_text() == "small"


async def test_bytes_that_are_no_text_are_said_and_not_shown(somebody: Person, homes: Homes) -> None:
    path = somebody.has()
    path.write_bytes(b"hunter2\xff")

    with pytest.raises(TargetFailed, match=r"config\.json: byte 7 is not UTF-8; left as it is") as raised:
        await homes.read(somebody, path)

    error: BaseException | None = raised.value
    while error is not None:
        assert "hunter2" not in repr(error)
        error = error.__cause__


async def test_a_name_that_is_no_utf_8_is_a_name(somebody: Person, homes: Homes) -> None:
    path = somebody.has().rename(somebody.folder / os.fsdecode(b"config\xff.json"))

    found = await homes.read(somebody, path)

    assert found is not None
    assert found.real == path


# Links.


async def test_relative_links_as_stow_makes_them_survive(somebody: Person, homes: Homes) -> None:
    stowed = somebody.owns(_folder(somebody.home / "dotfiles"), 0o700)
    path = somebody.has().rename(stowed / "docker.json")
    somebody.folder.rename(somebody.home / "dotfiles" / "docker")
    somebody.folder.symlink_to("dotfiles/docker")
    somebody.config.symlink_to("../docker.json")

    written = await homes.write(somebody, somebody.config, CONFIG, MERGED)

    assert path.read_text() == MERGED
    assert written.after is not None
    assert written.after.real == path
    assert somebody.config.is_symlink()
    assert somebody.folder.is_symlink()
    assert written.after == await homes.read(somebody, somebody.config)


async def test_a_dangling_link_is_no_file_and_is_filled(somebody: Person, homes: Homes) -> None:
    somebody.has().unlink()
    somebody.config.symlink_to("elsewhere.json")
    assert await homes.read(somebody, somebody.config) is None

    await homes.write(somebody, somebody.config, None, MERGED, may_create=True)

    assert (somebody.folder / "elsewhere.json").read_text() == MERGED
    assert somebody.config.is_symlink()
    await homes.write(somebody, somebody.config, MERGED, None)
    assert names(somebody.folder) == ["config.json"]


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.fixture
def roots_file(house: Path) -> Path:
    """What nobody but root may read."""
    path = house / "shadow"
    path.write_text("root:$6$salt$hash:19000:0:99999:7:::\n")
    path.chmod(0o600)
    return path


def link_to_shadow(alice: Person, bob: Person, roots_file: Path) -> None:
    alice.has().unlink()
    alice.config.symlink_to("/etc/shadow")


def link_to_roots_file(alice: Person, bob: Person, roots_file: Path) -> None:
    alice.has().unlink()
    alice.config.symlink_to(roots_file)


def link_to_anothers_file(alice: Person, bob: Person, roots_file: Path) -> None:
    alice.has().unlink()
    alice.config.symlink_to(bob.config)


def folder_is_a_link_to_anothers(alice: Person, bob: Person, roots_file: Path) -> None:
    alice.folder.symlink_to(bob.folder)


def folder_is_a_dangling_link_into_anothers(alice: Person, bob: Person, roots_file: Path) -> None:
    alice.folder.symlink_to(bob.home / "made")


def folder_without_rights(alice: Person, bob: Person, roots_file: Path) -> None:
    alice.has()
    alice.folder.chmod(0o000)


def home_of_another(alice: Person, bob: Person, roots_file: Path) -> None:
    alice.has()
    bob.owns(alice.home, 0o700)


@NEEDS_ROOT
@pytest.mark.parametrize(
    "hostile",
    [
        link_to_shadow,
        link_to_roots_file,
        link_to_anothers_file,
        folder_is_a_link_to_anothers,
        folder_is_a_dangling_link_into_anothers,
        folder_without_rights,
        home_of_another,
    ],
)
async def test_nothing_outside_the_users_reach_is_read_or_written(
    alice: Person, bob: Person, roots_file: Path, homes: Homes, hostile: Callable[[Person, Person, Path], None]
) -> None:
    bob.has('{"bob": "hunter2"}')
    before = [written_at(path) for path in (roots_file, bob.config, bob.folder, bob.home)]
    await homes.sweep(alice, alice.config)  # what it has looked up before is no way in
    hostile(alice, bob, roots_file)

    for attempt in (
        homes.read(alice, alice.config),
        homes.write(alice, alice.config, None, MERGED, may_create=True),
        homes.write(alice, alice.config, CONFIG, None),
        homes.edit(alice, alice.config, lambda _: MERGED, may_create=True),
    ):
        with pytest.raises(
            TargetFailed, match=r"alice/\.docker/config\.json: .*not permitted.*Check who may"
        ) as raised:
            await attempt
        assert "hunter2" not in str(raised.value)
    assert len(helpers_at_work()) == 1

    assert [written_at(path) for path in (roots_file, bob.config, bob.folder, bob.home)] == before


@NEEDS_ROOT
async def test_a_file_of_root_in_somebodys_home_is_left_to_root(alice: Person, homes: Homes) -> None:
    path = alice.has()
    os.chown(path, 0, 0)  # `sudo docker login`
    path.chmod(0o644)
    found = await homes.read(alice, path)
    assert found is not None
    assert (found.text, found.uid) == (CONFIG, 0)

    with pytest.raises(TargetFailed, match="cannot be written: not permitted"):
        await homes.write(alice, path, CONFIG, MERGED)

    assert path.read_text() == CONFIG
    assert names(alice.folder) == ["config.json"]


@contextmanager
def meanwhile(deed: Callable[[], object]) -> Iterator[list[int]]:
    """Somebody who does something again and again; how often, is in the list."""
    times, is_over = [0], threading.Event()
    failures: list[BaseException] = []

    def again() -> None:
        try:
            while not is_over.is_set():
                deed()
                times[0] += 1
        except BaseException as error:  # noqa: BLE001 - raised below, in the test
            failures.append(error)

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield times
    finally:
        is_over.set()
        thread.join(60)
        assert not thread.is_alive()
    assert not failures, failures


def swaps_the_file(alice: Person, target: Path) -> Callable[[], object]:
    def swap() -> None:
        link = alice.folder / "link"
        link.symlink_to(target)
        link.rename(alice.config)
        alice.writes(CONFIG)

    return swap


def swaps_the_folder(alice: Person, target: Path) -> Callable[[], object]:
    real, link = alice.home / "real", alice.home / "link"
    config = target.parent / "config.json"
    if not config.exists():
        target.rename(config)
        target.symlink_to("config.json")

    def swap() -> None:
        alice.folder.rename(real)
        link.symlink_to(target.parent)
        link.rename(alice.folder)
        alice.folder.unlink()
        real.rename(alice.folder)

    return swap


@NEEDS_ROOT
@pytest.mark.parametrize("swaps", [swaps_the_file, swaps_the_folder])
async def test_a_link_swapped_in_between_leads_nowhere(
    alice: Person, homes: Homes, house: Path, swaps: Callable[[Person, Path], Callable[[], object]]
) -> None:
    roots = _folder(house / "root") / "secret.json"
    roots.write_text('{"root": "hunter2"}')
    roots.chmod(0o600)
    alice.has()
    deed = swaps(alice, roots)
    outcomes: list[str] = []

    def change(text: str | None) -> str:
        assert "hunter2" not in (text or "")
        return f"{CONFIG}{len(outcomes)}"

    with meanwhile(deed) as times:
        for tries in range(2000):
            if tries >= 25 and times[0] > 25 and set(outcomes) != {"written"}:
                break
            try:
                await homes.edit(alice, alice.config, change)
                outcomes.append("written")
            except Changed:
                outcomes.append("changed")
            except TargetFailed as failure:
                assert "hunter2" not in str(failure)  # noqa: PT017 - whether it fails is chance
                outcomes.append("failed")

    assert times[0] > 25
    assert roots.read_text() == '{"root": "hunter2"}'
    assert looks(roots.resolve()) == (0o600, 0, 0)
    assert not [name for name in names(roots.parent) if "docker-proxy-agent" in name]
    assert set(outcomes) != {"written"}, "nothing was swapped in between"


# No regular files.


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def a_folder(path: Path) -> None:
    path.mkdir()


def a_device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero


def a_huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 * 1024**3)


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (a_pipe, "is not a regular file; left as it is. Fix this, then run: docker-proxy-agent apply"),
        (a_socket, "cannot be read: No such device or address; left as it is. Fix this"),
        (a_folder, "is not a regular file; left as it is. Fix this"),
        pytest.param(a_device, "is not a regular file; left as it is. Fix this", marks=NEEDS_ROOT),
        (a_huge_file, "is larger than 1024 KiB; left as it is. Fix this"),
        (a_loop, "cannot be read: Too many levels of symbolic links; left as it is. Fix this"),
    ],
)
async def test_what_is_no_small_regular_file_is_refused_at_once(
    somebody: Person, homes: Homes, make: Callable[[Path], None], what: str
) -> None:
    somebody.has().unlink()
    make(somebody.config)
    if not somebody.config.is_symlink():
        somebody.owns(somebody.config, 0o600)
    before = written_at(somebody.config)

    for attempt in (
        homes.read(somebody, somebody.config),
        homes.write(somebody, somebody.config, None, MERGED, may_create=True),
    ):
        with pytest.raises(TargetFailed) as raised:
            await attempt
        assert str(raised.value).startswith(f"{somebody.config}: {what}")

    assert written_at(somebody.config) == before


# The helper is what it should be.


def helpers_at_work() -> list[Path]:
    """Of the processes that this one has started."""
    ours = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [Path("/proc", pid) for pid in ours if "home_helper" in Path("/proc", pid, "cmdline").read_text()]


async def no_helpers() -> None:
    """A killed one is gone a moment later."""
    await until_awaited(10, lambda: helpers_at_work() == [], "the end of the helper")


async def test_the_helper_has_the_rights_of_its_user_and_no_others(somebody: Person, homes: Homes) -> None:
    helpers: list[dict[str, str]] = []
    limits: list[dict[str, list[str]]] = []

    def look(text: str | None) -> str | None:
        (process,) = helpers_at_work()
        status = process.joinpath("status").read_text()
        helpers.append(dict(line.split(":\t", 1) for line in status.splitlines()))
        numbers = re.findall(r"Max (core file size|file size) +(\d+) +(\d+)", process.joinpath("limits").read_text())
        limits.append({name: [soft, hard] for name, soft, hard in numbers})
        helpers[-1]["cwd"] = str(process.joinpath("cwd").readlink()) if IS_ROOT else "/"
        helpers[-1]["session"] = process.joinpath("stat").read_text().rpartition(")")[2].split()[3]
        return text

    await homes.edit(somebody, somebody.has(), look)

    (helper,) = helpers
    assert helper["Uid"].split() == [str(somebody.uid)] * 4
    assert helper["Gid"].split() == [str(somebody.gid)] * 4
    assert helper["NoNewPrivs"] == "1"
    assert helper["cwd"] == "/"
    assert helper["session"] == helper["Pid"]
    assert helper["Umask"] == "0077"
    if somebody.uid != os.geteuid():
        assert helper["Groups"].split() == [str(group) for group in somebody.groups]
        assert [helper[key] for key in ("CapPrm", "CapEff", "CapInh", "CapAmb")] == ["0" * 16] * 4
    assert limits == [{"core file size": ["0", "0"], "file size": [str(LARGEST)] * 2}]


async def test_the_user_cannot_look_into_the_helper(somebody: Person, homes: Homes) -> None:
    seen: list[int] = []

    def look(text: str | None) -> str | None:
        (process,) = helpers_at_work()
        # The kernel gives these to root where no debugger of the user is let in.
        seen.append((process / "mem").stat().st_uid)
        return text

    await homes.edit(somebody, somebody.has(), look)

    assert seen == [0]


async def test_the_helper_inherits_nothing(somebody: Person, tmp_path: Path) -> None:
    environment, files = tmp_path / "environment", tmp_path / "files"
    code = f"""
open = [name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{{name}}")]
os.system("cat /proc/$PPID/environ >{environment}")
os.system("echo {{}} >{files}".format(" ".join(sorted(open))))
"""
    left_open = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(left_open, True)
    os.environ["HOMES_TEST"] = OFFICE
    try:
        with pytest.raises(TargetFailed):
            await python(code).read(somebody, somebody.config)
    finally:
        os.close(left_open)
        del os.environ["HOMES_TEST"]

    assert environment.read_text() == ""
    assert files.read_text() == "0 1 2\n"


async def test_no_secret_is_in_a_command_line_an_error_or_a_repr(somebody: Person, homes: Homes) -> None:
    path = somebody.has(OFFICE)
    shown: list[str] = []

    def look(text: str | None) -> str:
        shown.extend((process / "cmdline").read_text() for process in helpers_at_work())
        return f"{text} {OFFICE}"

    written = await homes.edit(somebody, path, look)
    with pytest.raises(Changed) as raised:
        await homes.write(somebody, path, OFFICE, f"{OFFICE}{OFFICE}")

    shown += [repr(written), repr(raised.value), str(raised.value)]
    assert "agent.clients.home_helper" in shown[0]
    assert not [text for text in shown if "hunter2" in text]


def test_the_helper_imports_only_what_it_needs() -> None:
    *python, code, ours, msgspecs = helper_argv()
    code = code.replace("main()", 'print("\\n".join(sys.modules))')
    done = subprocess.run(
        [*python, code, ours, msgspecs], env={}, capture_output=True, text=True, check=True, timeout=60
    )

    modules = done.stdout.split()
    assert "agent.system.files" in modules
    assert not {"site", "asyncio", "ssl", "socket", "subprocess", "inspect", "structlog", "hashlib"} & {*modules}
    assert [name for name in modules if name.startswith("agent")] == [
        "agent", "agent.clients", "agent.system", "agent.system.attributes", "agent.system.beside", "agent.system.disk",
        "agent.values", "agent.values.remark", "agent.values.errors", "agent.system.files", "agent.system.links",
        "agent.system.sweep", "agent.clients.home_helper",
    ]  # fmt: skip


@pytest.mark.parametrize("rights", [0o755, pytest.param(0o700, marks=NEEDS_ROOT)])
async def test_the_helper_works_from_a_private_folder(somebody: Person, tmp_path: Path, rights: int) -> None:
    """As in the .deb, and where nobody else can look; without the folder being on the path of any other Python."""
    private = _folder(tmp_path / "private")
    shutil.copytree(Path(sys.modules["agent"].__file__ or "").parent, private / "agent")
    private.chmod(rights)
    code = f"""\
import sys
sys.path += [{str(private)!r}, {str(Path(msgspec.__file__).parents[1])!r}]
import asyncio, pathlib, types
import agent.clients.helper_process, agent.clients.homes
account = types.SimpleNamespace(uid={somebody.uid}, gid={somebody.gid}, groups=(), threshold=None, inside=None)
reading = agent.clients.homes.Homes().read(account, pathlib.Path({str(somebody.has())!r}))
found = asyncio.run(reading, debug=False)  # or asyncio says what took long, on a busy machine
print(agent.clients.homes.__file__, agent.clients.helper_process.helper_argv()[-2], found.uid)
"""
    command = [sys.executable, "-I", "-S", "-X", "dev", "-W", "error", "-c", code]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)

    assert done.stderr == ""
    assert done.stdout.split() == [str(private / "agent" / "clients" / "homes.py"), str(private), str(somebody.uid)]


@pytest.mark.skipif(IS_ROOT, reason="root may become anybody")
async def test_without_root_nobody_else_can_be_looked_at(house: Path, homes: Homes) -> None:
    other = Person(os.geteuid() + 1, os.getegid(), (), house)

    for _ in range(2):
        with pytest.raises(TargetFailed, match=r"cannot be read as its user: .*Run the agent as root"):
            await homes.read(other, house / "config.json")


# One helper serves all that a pass asks of a user.


async def test_a_pass_keeps_the_helper_of_a_user_and_leaves_none(somebody: Person) -> None:
    path, homes = somebody.has(), Homes()
    kept: list[list[Path]] = []

    def look(text: str | None) -> str:
        kept.append(helpers_at_work())
        return f"{text} "

    async with homes.one_pass():
        assert helpers_at_work() == []  # only when one is needed
        await homes.read(somebody, path)
        kept.append(helpers_at_work())
        async with homes.one_pass():
            await homes.edit(somebody, path, look)
        with pytest.raises(Changed):  # an answer like any other
            await homes.write(somebody, path, MERGED, CONFIG)
        assert await homes.read(somebody, somebody.folder / "other.json") is None
        kept.append(helpers_at_work())

    assert len(kept[0]) == 1
    assert kept == [kept[0]] * 3
    await no_helpers()


@pytest.mark.parametrize("ends", ["an-error", "cancelled"])
async def test_a_pass_that_does_not_come_to_its_end_leaves_no_helper(somebody: Person, ends: str) -> None:
    path, homes, is_read = somebody.has(), Homes(), asyncio.Event()

    async def passing() -> None:
        async with homes.one_pass():
            await homes.read(somebody, path)
            is_read.set()
            if ends == "an-error":
                raise TargetFailed(str(path), "not JSON")
            await asyncio.sleep(600)

    task = asyncio.create_task(passing())
    await asyncio.wait_for(is_read.wait(), 60)
    if ends == "cancelled":
        task.cancel()
    with pytest.raises((TargetFailed, asyncio.CancelledError)):
        await task

    await no_helpers()


async def test_a_helper_that_died_meanwhile_costs_nothing(somebody: Person, homes: Homes) -> None:
    path = somebody.has()
    await homes.read(somebody, path)
    (helper,) = helpers_at_work()
    os.kill(int(helper.name), signal.SIGKILL)
    await until_awaited(10, lambda: not is_alive(helper.name), "the end of the helper")
    await asyncio.sleep(0.01)  # the loop hears of it

    assert (await homes.edit(somebody, path, lambda _: MERGED)).after is not None


@pytest.mark.parametrize(
    "first_time",
    [
        pytest.param("say('garbage')", id="garbage"),
        pytest.param("say(SWEPT)", id="another-answer"),
        pytest.param("say(NONE + os.linesep + NONE)", id="two-answers"),
        pytest.param("say(NONE); say(NONE); done()", id="two-answers-one-after-the-other"),
        pytest.param("sys.exit()", id="ends"),
        pytest.param("done(); time.sleep(600)", id="says-nothing"),
    ],
)
async def test_a_helper_that_is_not_in_order_is_not_asked_again(
    somebody: Person, tmp_path: Path, first_time: str
) -> None:
    starts, is_done = tmp_path / "starts", tmp_path / "done"
    homes = python(f"""
NONE, SWEPT = '{{"type": "NoFile"}}', '{{"type": "Swept", "left": 0}}'
say = lambda line: os.write(1, line.encode() + b"\\n")
done = lambda: open({str(is_done)!r}, "w").close()
is_first = not os.path.exists({str(starts)!r})
with open({str(starts)!r}, "a") as log: log.write("+")
sys.stdin.readline()
for line in sys.stdin:
    if is_first:
        {first_time}
    else:
        say(NONE)
""")
    async with homes.one_pass():
        reading = asyncio.create_task(homes.read(somebody, somebody.config))
        if "done()" in first_time:
            await until_awaited(60, is_done.exists, "what the first one does")
        if "sleep" in first_time:
            reading.cancel()
        await asyncio.wait({reading}, timeout=60)
        await asyncio.sleep(0.01)  # the loop hears of what it has said

        assert await homes.read(somebody, somebody.config) is None

    assert reading.cancelled() or reading.exception() is not None or "done()" in first_time
    assert starts.read_text() == "++"


@pytest.mark.parametrize(("people", "starts"), [pytest.param(2, 2, id="two"), pytest.param(7, None, id="more")])
async def test_helpers_that_are_kept_make_room_for_those_that_work(
    house: Path, tmp_path: Path, people: int, starts: int | None
) -> None:
    log = tmp_path / "log"
    homes = Homes(
        at_once=3,
        argv=(
            sys.executable, "-I", "-S", "-c",
            f"""
import os, sys
def words(pid):
    try: return open(f"/proc/{{pid}}/cmdline").read()
    except OSError: return ""  # it has ended meanwhile
children = open(f"/proc/{{os.getppid()}}/task/{{os.getppid()}}/children").read().split()
here = [pid for pid in children if {str(log)!r} in words(pid)]
with open({str(log)!r}, "a") as file: file.write(f"{{len(here)}} ")
sys.stdin.readline()
for _ in sys.stdin: print('{{"type": "NoFile"}}', flush=True)
""",
        ),
    )  # fmt: skip
    me = moves_in(house, "me", os.geteuid(), os.getegid())
    whose = [msgspec.structs.replace(me, uid=me.uid + number) for number in range(people)]

    async with homes.one_pass():
        for _ in range(3):
            assert await asyncio.gather(*(homes.read(one, one.config) for one in whose)) == [None] * people

    running = [int(number) for number in log.read_text().split()]
    assert max(running) <= 3
    assert starts is None or len(running) == starts


# The helper is not what it should be.


def python(code: str) -> Homes:
    return Homes(within_s=30, argv=(sys.executable, "-I", "-S", "-c", f"import os, sys, time\n{code}"))


def says(line: str) -> Homes:
    return says_what(repr(line))


def says_what(expression: str) -> Homes:
    """Asked once, it says that line and stays."""
    code = "sys.stdin.readline(); sys.stdin.readline(); os.write(1, %s + b'\\n'); time.sleep(600)"
    return python(code % f"({expression}).encode('latin-1')")


STATE = (
    '{"real": "L3g=", "mode": 384, "uid": 1, "gid": 1, "identity": {"device": 1, "inode": 1, "mtime_ns": 1, "size": 1}}'
)
FOUND = '{"type": "FoundFile", "attributes": %s, "data": "%s"}'
NONSENSE = "its helper process gave an invalid answer; left as it is. Try again: docker-proxy-agent apply"


@pytest.mark.parametrize(
    ("helper", "what"),
    [
        pytest.param(lambda: says("garbage"), NONSENSE, id="garbage"),
        pytest.param(lambda: says("\xff\xfe"), NONSENSE, id="bytes"),
        pytest.param(lambda: says("[" * 100_000), NONSENSE, id="deep"),
        pytest.param(lambda: says(""), NONSENSE, id="empty-line"),
        pytest.param(lambda: says('{"type": "Elsewhere"}'), NONSENSE, id="no-such-answer"),
        pytest.param(lambda: says('{"type": "Swept", "left": 1}'), NONSENSE, id="another-answer"),
        pytest.param(lambda: says('{"type": "NoFile", "more": 1}'), NONSENSE, id="more-fields"),
        pytest.param(lambda: says('{"type": "NoFile"}\n{"type": "NoFile"}'), NONSENSE, id="two-answers"),
        pytest.param(
            lambda: says(FOUND % (STATE.replace("384", "99999"), "")),
            NONSENSE,
            id="no-such-mode",
        ),
        pytest.param(lambda: says(FOUND % (STATE, "not base64!")), NONSENSE, id="no-base64"),
        pytest.param(
            lambda: says_what(f"{FOUND!r} % ({STATE!r}, 'A' * {LARGEST // 3 * 4 + 4})"),
            NONSENSE,
            id="a-byte-too-much",
        ),
        pytest.param(lambda: python("while True: os.write(1, b'x' * 65536)"), NONSENSE, id="endless"),
        pytest.param(lambda: python("pass"), "ended with status 0 without an answer; left as it is", id="nothing"),
        pytest.param(lambda: python("sys.exit(3)"), "ended with status 3 without an answer", id="status"),
        pytest.param(lambda: python("print('half', end=''); sys.exit()"), "ended with status 0", id="half-a-line"),
        pytest.param(lambda: python("os.kill(os.getpid(), 9)"), "was ended by signal 9 without", id="signal"),
        pytest.param(lambda: python("os.close(1); os.abort()"), "was ended by signal 6 without", id="abort"),
        pytest.param(lambda: Homes(argv=("/nowhere/python",)), "no helper process: No such file", id="no-program"),
        pytest.param(
            lambda: says('{"type": "Failed", "what": "\\u001b[31m' + "x" * 999 + '", "remedy": "a\\nb"}'),
            r"\x1b[31mxxx",
            id="words-for-a-terminal",
        ),
    ],
)
async def test_an_answer_that_is_none_is_a_failure_of_that_file(
    somebody: Person, helper: Callable[[], Homes], what: str
) -> None:
    with pytest.raises(TargetFailed) as raised:
        await helper().read(somebody, somebody.config)

    line = str(raised.value)
    assert line.startswith(f"{somebody.config}: ")
    assert what in line
    assert line.isprintable()
    assert len(line) < 600


@pytest.mark.parametrize("answer", [Wrote(None, None, False), NoFile()])
async def test_an_answer_to_a_write_has_both_sides(somebody: Person, answer: Wrote | NoFile) -> None:
    homes = says(msgspec.json.encode(answer).decode())

    with pytest.raises(TargetFailed, match="an invalid answer; whether it was written is not known"):
        await homes.write(somebody, somebody.config, CONFIG, MERGED)


HANGS = """
child = os.fork()
if child:
    sys.stdin.readline()
    with open({pids!r}, "w") as file: file.write(f"{{os.getpid()}} {{child}}")
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("attempt", "unsure"),
    [
        pytest.param(lambda homes, whose: homes.read(whose, whose.config), "left as it is", id="read"),
        pytest.param(
            lambda homes, whose: homes.write(whose, whose.config, CONFIG, MERGED),
            "whether it was written is not known",
            id="write",
        ),
    ],
)
async def test_a_helper_that_hangs_is_killed_with_all_that_it_started(
    somebody: Person, tmp_path: Path, attempt: Callable[[Homes, Person], Awaitable[object]], unsure: str
) -> None:
    pids = tmp_path / "pids"
    code = "import os, sys, time\n" + HANGS.format(pids=str(pids))
    homes = Homes(within_s=2, argv=(sys.executable, "-I", "-S", "-c", code))

    with pytest.raises(TargetFailed, match=rf"config\.json: no answer within 2 s; {unsure}\. Check whether its file"):
        await attempt(homes, somebody)

    for pid in pids.read_text().split():
        await until_awaited(10, lambda pid=pid: not is_alive(pid), "the end of the helper")  # type: ignore[misc]


@NEEDS_ROOT
async def test_what_takes_its_time_here_is_not_the_homes_fault(alice: Person, bob: Person) -> None:
    """The texts of others, who may be many, come first; and meanwhile somebody waits for a turn."""
    alice.has()
    bob.has()
    homes = Homes(within_s=2, at_once=1)
    may_go_on, is_begun = threading.Event(), threading.Event()

    def change(_: str | None) -> str:
        is_begun.set()
        assert may_go_on.wait(60)
        return MERGED

    writing = asyncio.create_task(homes.edit(alice, alice.config, change))
    assert await asyncio.to_thread(is_begun.wait, 60)
    reading = asyncio.create_task(homes.read(bob, bob.config))
    await asyncio.sleep(3.5)  # longer than a home may take, than who makes way, and than the helper lives on without us
    assert not writing.done()
    may_go_on.set()

    await writing
    assert alice.config.read_text() == MERGED
    assert await reading is not None


async def test_a_cancelled_read_leaves_no_helper(somebody: Person, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    homes = Homes(argv=(sys.executable, "-I", "-S", "-c", "import os, sys, time\n" + HANGS.format(pids=str(pids))))
    reading = asyncio.create_task(homes.read(somebody, somebody.config))
    await until_awaited(10, lambda: pids.exists() and len(pids.read_text().split()) == 2, "two processes")

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    for pid in pids.read_text().split():
        await until_awaited(10, lambda pid=pid: not is_alive(pid), "the end of the helper")  # type: ignore[misc]


def is_alive(pid: str) -> bool:
    """Whether it still does something; a zombie does not, and may be some other parent's to take away."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("people", "fewest", "most"), [pytest.param(15, 2, 3, id="of-many"), pytest.param(1, 1, 1, id="of-one")]
)
async def test_helpers_work_side_by_side_but_not_all_at_once(
    somebody: Person, tmp_path: Path, people: int, fewest: int, most: int
) -> None:
    """And never two of one person, who could make all the others wait."""
    log = tmp_path / "log"
    code = f"""
import os, sys
log = os.open({str(log)!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(log, b"+")
sys.stdin.readline(); sys.stdin.readline()
for _ in range(200_000): pass
os.write(log, b"-")
print('{{"type": "NoFile"}}', flush=True)
sys.stdin.read()
"""
    homes = Homes(at_once=3, argv=(sys.executable, "-I", "-S", "-c", code))
    whose = [msgspec.structs.replace(somebody, uid=somebody.uid + number % people) for number in range(15)]

    assert await asyncio.gather(*(homes.read(one, one.config) for one in whose)) == [None] * 15

    running = [log.read_text()[:end].count("+") - log.read_text()[:end].count("-") for end in range(31)]
    assert fewest <= max(running) <= most


def test_where_memory_runs_out_it_is_a_helper_that_is_ended(somebody: Person) -> None:
    user = None if somebody.uid == os.geteuid() else User(somebody.uid, somebody.gid, somebody.groups)
    start = msgspec.json.encode(Introduction(user, 10)) + b"\n"
    asked = start + msgspec.json.encode(Read(os.fsencode(somebody.config))) + b"\n"
    with subprocess.Popen(helper_argv(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as helper:
        assert helper.stdin is not None
        assert helper.stdout is not None
        helper.stdin.write(asked)
        helper.stdin.flush()
        helper.stdout.readline()  # by now it is who it will be
        process = Path("/proc", str(helper.pid))

        assert process.joinpath("oom_score_adj").read_text() == "1000\n"
        limit = next(line for line in process.joinpath("limits").read_text().splitlines() if "address space" in line)
        assert limit.split()[3:5] == [str(256 * 1024 * 1024)] * 2
        helper.stdin.close()


# Beside the docker CLI.

# Reads, changes one login, writes a temporary file, renames it over; each time as a process starts (FACTS 19).
DOCKER = """
import json, os, subprocess, sys, tempfile
path, uid, gid, times = sys.argv[1], *map(int, sys.argv[2:])
if uid != os.geteuid():
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
for number in range(times):
    subprocess.run(["/bin/true"], check=True)
    with open(path) as file:
        config = json.load(file)
    if number % 5 == 4:
        del config["auths"][f"registry-{number - 3}"]
    else:
        config["auths"][f"registry-{number}"] = {"auth": f"token-{number}"}
    descriptor, temporary = tempfile.mkstemp(prefix="config.json", dir=os.path.dirname(path))
    with open(descriptor, "w") as file:
        json.dump(config, file, indent="\\t")
    os.rename(temporary, path)
"""


class LoginWhileWriting(LocalDisk):
    """Somebody logs in while our bytes go to the disk; the two files must not be swapped then, not even for a moment.

    A second `docker login` of that moment would start from ours, and drop the first.
    """

    def __init__(self, whose: Person) -> None:
        self._whose = whose

    def fill(self, descriptor: int, data: bytes) -> None:
        super().fill(descriptor, data)
        self._whose.writes("theirs")

    def exchange(self, _one: Path, _other: Path) -> None:
        pytest.fail("swapped")


def test_a_login_while_our_bytes_are_written_is_seen_before_the_swap(house: Path) -> None:
    me = moves_in(house, "me", os.geteuid(), os.getegid())
    path = me.has()

    with pytest.raises(Changed):
        replace_file(path, b"ours", expected=read_file(path), disk=LoginWhileWriting(me))

    assert path.read_text() == "theirs"
    assert names(me.folder) == ["config.json"]


class AroundEachSwap(LocalDisk):
    """Somebody does one thing before the first swap of the two files, and one after each."""

    def __init__(self, *deeds: Callable[[], object]) -> None:
        self._deeds = iter(deeds)
        self._swaps = 0

    def exchange(self, one: Path, other: Path) -> None:
        if self._swaps == 0:
            next(self._deeds)()
        self._swaps += 1
        assert self._swaps < 10, "no end of it"
        super().exchange(one, other)
        next(self._deeds, lambda: None)()


@pytest.mark.parametrize("after", [[], ["2"], ["2", "3"], ["2", "3", "4"], ["removed"], ["2", "removed"]], ids="-".join)
def test_what_somebody_wrote_last_stays_however_often_they_write_meanwhile(house: Path, after: list[str]) -> None:
    me = moves_in(house, "me", os.geteuid(), os.getegid())
    path = me.has("0")
    expected = read_file(path)
    deeds = [partial(me.writes, text) if text != "removed" else path.unlink for text in ("1", *after)]

    with pytest.raises(Changed):
        replace_file(path, b"ours", expected=expected, disk=AroundEachSwap(*deeds))

    left = {file.name: file.read_text() for file in me.folder.iterdir()}
    assert left == ({} if "removed" in after else {"config.json": ["1", *after][-1]})


class TwoLoginsAtTheSwap(LocalDisk):
    """One just before the two files are swapped, and one that begins while ours stands in its place."""

    def __init__(self, whose: Person) -> None:
        self._whose = whose
        self.second: threading.Thread | None = None

    def exchange(self, one: Path, other: Path) -> None:
        if self.second is None:
            self._whose.writes("first")
        super().exchange(one, other)
        if self.second is None:
            self.second = threading.Thread(target=self._login, daemon=True)
            self.second.start()
            self.second.join(0.2)  # it would have read ours by then

    def _login(self) -> None:
        self._whose.writes(f"{self._whose.config.read_text()}, second")


def test_of_two_logins_at_the_moment_of_the_swap_neither_is_lost(house: Path) -> None:
    me = moves_in(house, "me", os.geteuid(), os.getegid())
    path, disk = me.has("none"), TwoLoginsAtTheSwap(me)

    with pytest.raises(Changed):
        replace_file(path, b"ours", expected=read_file(path), disk=disk)
    assert disk.second is not None
    disk.second.join(60)
    assert not disk.second.is_alive()

    assert path.read_text() == "first, second"
    assert names(me.folder) == ["config.json"]


def test_what_few_may_read_is_not_shown_to_who_could_open_ours(house: Path) -> None:
    me = moves_in(house, "me", os.geteuid(), os.getegid())
    path = me.has("none", 0o644)
    shown: list[str] = []

    class Narrowed(LocalDisk):
        def exchange(self, one: Path, other: Path) -> None:
            if shown:
                return super().exchange(one, other)
            me.writes("a token", 0o600)
            super().exchange(one, other)
            reader = threading.Thread(target=lambda: shown.append(path.read_text()), daemon=True)
            reader.start()
            reader.join(0.2)
            shown.append("")
            return None

    with pytest.raises(Changed):
        replace_file(path, b"ours", expected=read_file(path), disk=Narrowed())

    assert "a token" not in shown
    assert path.read_text() == "a token"


class NoFolderIsMade(LocalDisk):
    def make_directory(self, path: Path, _mode: int) -> None:
        pytest.fail(f"made {path}")


def test_a_folder_that_is_moved_away_meanwhile_is_not_made_again(house: Path) -> None:
    me = moves_in(house, "me", os.geteuid(), os.getegid())
    expected = read_file(me.has())
    me.folder.rename(me.home / "moved")

    with pytest.raises(Changed):
        replace_file(me.config, b"ours", expected=expected, disk=NoFolderIsMade())


async def test_no_login_is_lost_however_often_the_file_is_rewritten(somebody: Person, homes: Homes) -> None:
    times = fewer(500, at_least=250)
    path = somebody.has('{"auths": {}, "credsStore": "pass"}')
    number = 0

    def change(text: str | None) -> str:
        config = json.loads(text or "")
        config["proxies"] = {"default": {"httpProxy": f"http://proxy-{number}:3128"}}
        return json.dumps(config)

    def look() -> None:
        with path.open() as file:
            assert json.load(file)["credsStore"] == "pass"
            status = os.fstat(file.fileno())
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o600, somebody.uid, somebody.gid)

    docker = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", DOCKER, str(path), str(somebody.uid), str(somebody.gid), str(times)
    )
    async with asyncio.timeout(300):
        with meanwhile(look) as looked:
            ending = asyncio.create_task(docker.wait())
            while not ending.done():
                number += 1
                try:
                    await homes.edit(somebody, path, change)
                except Changed:
                    continue
            number += 1
            await homes.edit(somebody, path, change)

    assert ending.result() == 0
    config = json.loads(path.read_text())
    gone = {logout - 3 for logout in range(4, times, 5)}
    logins = [login for login in range(times) if login % 5 != 4 and login not in gone]
    assert config["auths"] == {f"registry-{login}": {"auth": f"token-{login}"} for login in logins}
    assert config["proxies"]["default"]["httpProxy"] == f"http://proxy-{number}:3128"
    assert number > 3
    assert looked[0] > times // 5
    assert names(somebody.folder) == ["config.json"]
