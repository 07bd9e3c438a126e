"""Whose config.json is kept, as whom, and who is left out for what reason.

Root opens nothing below a home. Whether somebody has a config.json is asked by `lstat` alone, step by step, and never
on a network file system, on FUSE or where an automounter waits: what lies there may hang. What a link means is left to
the helper that runs as the user.

Names may be looked up elsewhere (LDAP), and that may take its time: call this in a thread.

Not known here: what stands in the files, and how they are read and written.
"""

from __future__ import annotations

import enum
import os
import posixpath
import pwd
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from agent.policy import Clients

DOCKER_GROUP: Final = "docker"  # who may use the engine without being root
FIRST_PERSON: Final = 1000  # UID_MIN of login.defs, on every distribution that Docker has packages for
NOBODY: Final = 65534

# What stands in passwd for "has none".
_NO_HOMES: Final = frozenset({"", "/", "/nonexistent", "/dev/null", "/var/empty", "/run/sshd"})
_NO_SHELLS: Final = frozenset({"nologin", "false", "true", "sync", "shutdown", "halt"})

_NETWORK: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
})  # fmt: skip
_FUSE: Final = frozenset({"fuse", "fuseblk"})
_LINKS: Final = 40  # as many as the kernel follows


# --- values --------------------------------------------------------------------------------------------------------


class Login(msgspec.Struct, frozen=True):
    """A line of passwd."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str = ""


class Source(enum.Enum):
    """Why an account's file is kept."""

    ROOT = "root"
    DOCKER = "member of group docker"
    HAS_CONFIG = "has a config.json"
    NAMED = "named in clients.users"
    FILE = "named in clients.files"
    ITSELF = "the agent runs as this user"


class Account(msgspec.Struct, frozen=True):
    """One config.json that is kept, and as whom it is read and written."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: Path
    config: Path
    may_create: bool
    source: Source


class Skipped(msgspec.Struct, frozen=True):
    """Somebody's file, or a file, that is not kept."""

    name: str
    why: str


class Who(msgspec.Struct, frozen=True):
    """Everybody, root first."""

    accounts: tuple[Account, ...]
    skipped: tuple[Skipped, ...] = ()


class Caller(msgspec.Struct, frozen=True):
    """Who the agent itself is."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    @classmethod
    def this(cls) -> Caller:
        return cls(os.geteuid(), os.getegid(), tuple(os.getgroups()))


class Kind(enum.Enum):
    """What there is at a path."""

    DIRECTORY = "directory"
    FILE = "file"
    LINK = "link"
    OTHER = "other"


class Seen(msgspec.Struct, frozen=True):
    """What `lstat` says of a path."""

    kind: Kind
    uid: int = 0
    gid: int = 0
    mode: int = 0o755


class System(Protocol):
    """What is asked of the system. None of it opens anything below a home."""

    def passwd(self) -> str: ...
    def group(self) -> str: ...
    def mountinfo(self) -> str: ...
    def login(self, name: str) -> Login | None:
        """Of any account, also one that is in no file of this machine."""
        ...

    def login_of(self, uid: int) -> Login | None: ...
    def groups(self, login: Login) -> tuple[int, ...]: ...
    def seen(self, path: str) -> Seen | None:
        """None: nothing is there. OSError: it may not be looked at."""
        ...

    def link(self, path: str) -> str: ...


# --- who -------------------------------------------------------------------------------------------------------------


def who(clients: Clients, system: System, caller: Caller, root: str = "/") -> Who:
    """Whose files are kept. Below another root: only what lies there and is the caller's, written as the caller."""
    return _Search(system, caller, root).who(clients)


class _Leave(Exception):
    """Somebody is left out; the reason is the text, '' where it needs no saying."""


class _Search:
    def __init__(self, system: System, caller: Caller, root: str) -> None:
        self._system = system
        self._caller = caller
        self._root = "" if root == "/" else root.rstrip("/")
        self._ground = _Ground(system, mounts(system.mountinfo()))
        self._logins = logins(system.passwd())
        self._docker = group(system.group(), DOCKER_GROUP)
        self._kept: dict[str, Account] = {}  # by the file, so that no two write the same
        self._skipped: list[Skipped] = []

    def who(self, clients: Clients) -> Who:
        for name, login, source in sorted(self._candidates(clients.users), key=_by_uid):
            try:
                self._keep(login, source)
            except _Leave as reason:
                if str(reason):
                    self._skipped.append(Skipped(name, str(reason)))
        for file in clients.files:
            try:
                self._keep_file(file)
            except _Leave as reason:
                self._skipped.append(Skipped(file, str(reason)))
        return Who(tuple(self._kept.values()), tuple(self._skipped))

    # --- candidates ---

    def _candidates(self, users: Literal["auto"] | tuple[str, ...]) -> Iterator[tuple[str, Login | None, Source]]:
        if users != "auto":
            yield from ((name, self._login(name), Source.NAMED) for name in dict.fromkeys(users))
        elif self._is_for_itself:
            mine = next((one for one in self._logins if one.uid == self._caller.uid), None)
            mine = mine or self._system.login_of(self._caller.uid)
            yield str(mine.name if mine else self._caller.uid), mine, Source.ITSELF
        else:
            yield from ((login.name, login, self._source(login)) for login in self._logins)
            local = {login.name for login in self._logins}
            for name in dict.fromkeys(self._docker.members) if self._docker else ():
                if name not in local and (login := self._system.login(name)) is not None:
                    yield name, login, Source.DOCKER

    @property
    def _is_for_itself(self) -> bool:
        """A user's own instance: only root can write as another user."""
        return self._caller.uid != 0 and not self._root

    def _login(self, name: str) -> Login | None:
        local = next((login for login in self._logins if login.name == name), None)
        return local or self._system.login(name)

    def _source(self, login: Login) -> Source:
        if login.uid == 0:
            return Source.ROOT
        group = self._docker
        is_member = group is not None and (login.name in group.members or login.gid == group.gid)
        return Source.DOCKER if is_member else Source.HAS_CONFIG

    # --- one user ---

    def _keep(self, login: Login | None, source: Source) -> None:
        if login is None:
            raise _Leave("there is no such user")
        if source is Source.HAS_CONFIG and not _is_person(login):
            raise _Leave("")
        if self._is_for_itself and login.uid != self._caller.uid:
            raise _Leave("only root can write for another user")
        if login.home.rstrip("/") in _NO_HOMES or not login.home.startswith("/"):
            raise _Leave("" if source is Source.HAS_CONFIG else f"has no home ({login.home or 'none'})")
        home = self._home(login, source)
        config = posixpath.join(home, ".docker", "config.json")
        if config in self._kept:
            raise _Leave(f"has the same home as {self._kept[config].name}")
        may_create = source is not Source.HAS_CONFIG
        self._kept[config] = self._account(login, home, config, source, may_create=may_create)

    def _home(self, login: Login, source: Source) -> str:
        """The home, behind all links as far as it may be looked at."""
        named = self._root + posixpath.normpath(login.home)
        place = self._ground.place(named)
        if place.far:
            if source in (Source.NAMED, Source.ITSELF):
                return named  # the helper finds out, and only it waits
            raise _Leave(_far(named, place.far))
        if place.seen is None or place.seen.kind is not Kind.DIRECTORY:
            # Accounts of packages name homes that nobody makes; only who would be written for is told.
            raise _Leave("" if source is Source.HAS_CONFIG else place.why or f"its home {named} does not exist")
        self._check_owned(place, self._ground.place(posixpath.join(place.path, ".docker", "config.json")))
        if self._ground.is_locked(place.path):
            raise _Leave(f"its home {named} is encrypted, and not open")
        has_config, far = self._ground.has_config(place.path)
        if far and source not in (Source.NAMED, Source.ITSELF):
            raise _Leave(_far(posixpath.join(named, ".docker"), far))
        if source is Source.HAS_CONFIG and not has_config:
            raise _Leave("")
        return place.path

    def _check_owned(self, *places: _Place) -> None:
        """Below another root: that it does not lead out of there, and is the caller's."""
        below = f"{self._ground.place(self._root).path}/" if self._root else "/"
        for place in places:
            if not f"{place.path}/".startswith(below):
                raise _Leave(f"{place.path} is not below {self._root}")
            if self._root and place.seen is not None and place.seen.uid != self._caller.uid:
                raise _Leave(f"{place.path} belongs to another user")

    def _account(self, login: Login, home: str, config: str, source: Source, *, may_create: bool) -> Account:
        if self._root:
            uid, gid, groups = self._caller.uid, self._caller.gid, self._caller.groups
        else:
            uid, gid, groups = login.uid, login.gid, self._system.groups(login)
        return Account(login.name, uid, gid, groups, Path(home), Path(config), may_create, source)

    # --- one further file ---

    def _keep_file(self, file: str) -> None:
        if not file.startswith("/"):
            raise _Leave("is not an absolute path")
        named = self._root + posixpath.normpath(file)
        place = self._ground.place(named)
        if place.far:
            raise _Leave(f"is on {place.far}, where it must not be asked whose it is; name the user in clients.users")
        if place.seen is None:
            raise _Leave(place.why or "does not exist, so it is nobody's; make it as the user whose it is")
        if place.seen.kind is not Kind.FILE:
            raise _Leave("is no regular file")
        self._check_owned(place)
        if not self._root:
            _check_way(place)
        if self._is_for_itself and place.seen.uid != self._caller.uid:
            raise _Leave("only root can write for another user")
        if place.path in self._kept:
            return
        login = self._login_of(place.seen)
        self._kept[place.path] = self._account(login, login.home, named, Source.FILE, may_create=False)

    def _login_of(self, seen: Seen) -> Login:
        local = next((login for login in self._logins if login.uid == seen.uid), None)
        login = local or self._system.login_of(seen.uid)
        return login or Login(str(seen.uid), seen.uid, seen.gid, "/")


def _check_way(place: _Place) -> None:
    """Whoever can change a step of the way to a file can make it lead to another file of its owner.

    A user's own group is the user's affair; what is written as root is not.
    """
    assert place.seen is not None  # noqa: S101 - the caller looked
    owner = place.seen.uid
    for path, seen in place.way:
        if seen.uid not in (0, owner):
            raise _Leave(f"belongs to uid {owner}, but uid {seen.uid} can change {path} on the way to it")
        if seen.kind is Kind.LINK or seen.mode & stat.S_ISVTX:
            continue
        if seen.mode & stat.S_IWOTH or (owner == 0 and seen.mode & stat.S_IWGRP and seen.gid != 0):
            raise _Leave(f"others can write to {path} on the way to it")


def _is_person(login: Login) -> bool:
    """Not an account that a package made for its own files."""
    is_of_a_person = login.uid >= FIRST_PERSON and login.uid != NOBODY
    return is_of_a_person or posixpath.basename(login.shell) not in _NO_SHELLS


def _far(path: str, kind: str) -> str:
    if kind == "autofs":
        return f"its home {path} is not mounted; name the user in clients.users to have it tried"
    what = f"{kind}, a network file system" if kind in _NETWORK else kind
    return f"its home {path} is on {what}; name the user in clients.users to have it kept"


def _by_uid(candidate: tuple[str, Login | None, Source]) -> tuple[int, int]:
    login = candidate[1]
    return (0, login.uid) if login is not None else (1, 0)


# --- the ground on which files lie ---------------------------------------------------------------------------------


class Mount(msgspec.Struct, frozen=True):
    """A line of /proc/self/mountinfo."""

    id: int
    parent: int
    point: str
    kind: str

    def holds(self, path: str) -> bool:
        return path == self.point or path.startswith(self.point.rstrip("/") + "/")


class _Place(msgspec.Struct, frozen=True):
    """Where a path leads."""

    path: str  # behind all links, as far as it went
    seen: Seen | None = None  # None: there is nothing, or it may not be looked at
    far: str = ""  # the kind of file system where looking ended
    why: str = ""  # why it could not be looked at
    way: tuple[tuple[str, Seen], ...] = ()  # the steps before the last


class _Ground:
    """Looks at paths, and at none that may hang."""

    def __init__(self, system: System, found: Sequence[Mount]) -> None:
        self._system = system
        self._children: dict[int, list[Mount]] = {}
        for one in found:
            self._children.setdefault(one.parent, []).append(one)
        known = {one.id for one in found}
        self._tops = [one for one in found if one.parent not in known or one.parent == one.id]

    def mount(self, path: str) -> Mount | None:
        """The file system that is in force at a path: the way the kernel goes down to it."""
        current = None
        candidates = self._tops
        visited: set[int] = set()
        while True:
            reached = [one for one in candidates if one.id not in visited and one.holds(path)]
            if not reached:
                return current
            # The nearest is crossed first; what lies on top of it is its child.
            current = min(reached, key=lambda one: len(one.point))
            visited.add(current.id)
            candidates = self._children.get(current.id, [])

    def far(self, path: str) -> str:
        """The kind of file system, if it is one that may hang; else ''."""
        found = self.mount(path)
        if found is None:
            return ""
        is_far = found.kind in _NETWORK or found.kind in _FUSE or found.kind.startswith("fuse.")
        return found.kind if is_far or found.kind == "autofs" else ""

    def place(self, path: str) -> _Place:
        """Go down step by step, and stop before a step that may hang."""
        steps = _steps(path)
        at, links = "/", 0
        seen: Seen | None = Seen(Kind.DIRECTORY)
        way: list[tuple[str, Seen]] = []
        while steps:
            step = steps.pop(0)
            if step == "..":
                at = posixpath.dirname(at)
                continue
            beneath = posixpath.join(at, step)
            if far := self.far(beneath):
                return _Place(posixpath.join(beneath, *steps), far=far)
            try:
                seen = self._system.seen(beneath)
                target = self._system.link(beneath) if seen is not None and seen.kind is Kind.LINK else None
            except OSError as error:
                return _Place(beneath, why=f"{beneath} cannot be looked at: {error.strerror}")
            if seen is None:
                return _Place(posixpath.join(beneath, *steps))
            if target is None:
                at = beneath
            elif (links := links + 1) > _LINKS:
                return _Place(beneath, why=f"{beneath} leads in circles")
            else:
                at = "/" if target.startswith("/") else at
                steps = _steps(target) + steps
            way.append((beneath, seen))
        if way and way[-1][0] != at:  # it ended in "..", by a link to a directory above
            seen = self._system.seen(at) if at != "/" else Seen(Kind.DIRECTORY)
        return _Place(at, seen, way=tuple(one for one in way if one[0] != at))

    def is_locked(self, home: str) -> bool:
        """Whether it is the outside of an eCryptfs home, which shows links to what is needed to open it."""
        found = self.mount(home)
        if found is not None and found.point == home:
            return False
        seen = self._look(posixpath.join(home, ".ecryptfs"))
        return seen is not None and seen.kind is Kind.LINK

    def has_config(self, home: str) -> tuple[bool, str]:
        """Whether there is one, and the kind of file system if that must not be asked. A link counts as one."""
        folder = posixpath.join(home, ".docker")
        config = posixpath.join(folder, "config.json")
        if far := self.far(folder) or self.far(config):
            return False, far
        seen = self._look(folder)
        if seen is None or seen.kind is not Kind.DIRECTORY:
            return seen is not None and seen.kind is Kind.LINK, ""
        return self._look(config) is not None, ""

    def _look(self, path: str) -> Seen | None:
        try:
            return self._system.seen(path)
        except OSError:  # what may not be looked at is the helper's to find out
            return None


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step not in ("", ".")]


# --- the texts -----------------------------------------------------------------------------------------------------


class Group(msgspec.Struct, frozen=True):
    """A line of group."""

    name: str
    gid: int
    members: tuple[str, ...]


def logins(passwd: str) -> tuple[Login, ...]:
    """The accounts in a passwd; lines that are none (NIS's `+`, a torn one) do not count."""
    return tuple(
        Login(fields[0], int(fields[2]), int(fields[3]), fields[5], fields[6])
        for fields in _lines(passwd, 7)
        if fields[2].isdecimal() and fields[3].isdecimal()
    )


def group(text: str, name: str) -> Group | None:
    """One group of a group file."""
    for fields in _lines(text, 4):
        if fields[0] == name and fields[2].isdecimal():
            return Group(name, int(fields[2]), tuple(one.strip() for one in fields[3].split(",") if one.strip()))
    return None


def groups_of(text: str, login: Login) -> tuple[int, ...]:
    """The groups of an account by a group file, its own first."""
    others = {
        int(fields[2])
        for fields in _lines(text, 4)
        if fields[2].isdecimal() and login.name in (one.strip() for one in fields[3].split(","))
    }
    return (login.gid, *sorted(others - {login.gid}))


def mounts(mountinfo: str) -> tuple[Mount, ...]:
    """What is mounted, in the kernel's order."""
    found = []
    for line in mountinfo.splitlines():
        left, separator, right = line.partition(" - ")
        fields = left.split()
        if separator and len(fields) >= 6 and fields[0].isdecimal() and fields[1].isdecimal():
            found.append(Mount(int(fields[0]), int(fields[1]), _unescaped(fields[4]), right.split(" ", 1)[0]))
    return tuple(found)


def _lines(text: str, fields: int) -> Iterable[list[str]]:
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) == fields and parts[0] and not line.startswith(("#", "+", "-")):
            yield parts


def _unescaped(text: str) -> str:
    """The kernel writes blanks, tabs, line breaks and backslashes in a path as octal."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


# --- the system itself ---------------------------------------------------------------------------------------------


class ThisSystem:
    """The system, or what lies below another root: there only passwd and group count, and nobody else is asked."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._is_real = root == Path("/")

    def passwd(self) -> str:
        return _read(self._root / "etc/passwd")

    def group(self) -> str:
        return _read(self._root / "etc/group")

    def mountinfo(self) -> str:
        return _read(Path("/proc/self/mountinfo"))

    def login(self, name: str) -> Login | None:
        if not self._is_real:
            return None
        try:
            return _login(pwd.getpwnam(name))
        except KeyError:
            return None

    def login_of(self, uid: int) -> Login | None:
        if not self._is_real:
            return None
        try:
            return _login(pwd.getpwuid(uid))
        except KeyError:
            return None

    def groups(self, login: Login) -> tuple[int, ...]:
        if not self._is_real:
            return groups_of(self.group(), login)
        return tuple(os.getgrouplist(login.name, login.gid))

    def seen(self, path: str) -> Seen | None:
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Seen(_kind(status.st_mode), status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))

    def link(self, path: str) -> str:
        return str(Path(path).readlink())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _login(entry: pwd.struct_passwd) -> Login:
    return Login(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)


def _kind(mode: int) -> Kind:
    for test, kind in ((stat.S_ISDIR, Kind.DIRECTORY), (stat.S_ISREG, Kind.FILE), (stat.S_ISLNK, Kind.LINK)):
        if test(mode):
            return kind
    return Kind.OTHER
