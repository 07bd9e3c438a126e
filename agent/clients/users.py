"""Whose config.json is kept, as which user, and who is left out and why.

Root goes down a path only as far as it belongs to root (`root_walk.py`): to the home, not into it. Who may have a
config.json is decided here; whether there is one, a helper that runs as that user finds out.

Names may have to be looked up elsewhere (LDAP), which takes time: call this in a thread. An account that cannot be
looked up then is reported, and the files of all others are kept.

Not known here: what is in the files, and how they are read and written.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from agent.clients.accounts import NAME_SERVICE, NameService, NamesUnknown
from agent.clients.descriptors import file_system, held
from agent.clients.mounts import NETWORK, may_hang, mountinfo, mounts
from agent.clients.root_walk import ROOT, Kind, PathEntry, PathReader, Reached, RootWalk
from agent.system.passwd import Login, group, groups_of, logins
from agent.values.policy import Clients

DOCKER_GROUP: Final = "docker"  # its members may use the engine without being root
NOBODYS: Final = "does not exist, so it has no owner; create it as its future owner"
_CONFIG: Final = (".docker", "config.json")  # below a home
FIRST_PERSON: Final = 1000  # UID_MIN of login.defs, on every distribution that Docker has packages for
NOBODY: Final = 65534

# What passwd has for "none".
_NO_HOMES: Final = frozenset({"", "/", "/nonexistent", "/dev/null", "/var/empty", "/run/sshd"})
_NO_SHELLS: Final = frozenset({"nologin", "false", "true", "sync", "shutdown", "halt"})


class FoundBy(enum.Enum):
    """Why an account's file is kept."""

    ROOT = "root"
    DOCKER = "member of group docker"
    HAS_CONFIG = "has a config.json"
    NAMED = "named in clients.users"
    FILE = "named in clients.files"
    ITSELF = "the agent runs as this user"


class Threshold(msgspec.Struct, frozen=True):
    """Where root stops on its way down a path."""

    folder: Path  # behind all links; its parent belongs to root
    identity: tuple[int, int]  # device and inode: another folder there has others
    below: tuple[str, ...]  # the names that lead on from there
    mount: int = 0  # the number of the mount that these names lead to, as far as mountinfo tells


class Account(msgspec.Struct, frozen=True):
    """One config.json that may be kept, and the user it is read and written as."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: Path
    config: Path
    may_create: bool
    found_by: FoundBy
    threshold: Threshold | None = None  # None: root must not look at even the first folder
    inside: Path | None = None  # with another root: nothing outside of this folder is read or written


class Skipped(msgspec.Struct, frozen=True):
    """A user, or a file, that is left out."""

    name: str
    why: str


class Who(msgspec.Struct, frozen=True):
    """All accounts, root first. For `HAS_CONFIG` it is not known yet whether there is a file."""

    accounts: tuple[Account, ...]
    skipped: tuple[Skipped, ...] = ()


class Caller(msgspec.Struct, frozen=True):
    """The user that the agent itself runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    @classmethod
    def this(cls) -> Caller:
        return cls(os.geteuid(), os.getegid(), tuple(os.getgroups()))


class System(PathReader, Protocol):
    """What this module asks the system. Nothing is opened for it."""

    def passwd(self) -> str: ...
    def group(self) -> str: ...
    def mountinfo(self) -> str: ...
    def login(self, name: str) -> Login | None:
        """Any account, also one that is in no file of this machine. NamesUnknown: it cannot be looked up now."""
        ...

    def login_of(self, uid: int) -> Login | None: ...
    def groups(self, login: Login) -> tuple[int, ...]: ...


def who(
    clients: Clients, system: System, caller: Caller, root: str = "/", *, more: tuple[tuple[str, ...], ...] = ()
) -> Who:
    """Whose files are kept. With another root: only the caller's files below it, written as the caller.

    `more`: files below each home that are kept, too, where they are there.
    """
    return _Search(system, caller, root, more=more).who(clients)


class _Leave(Exception):
    """A user is left out. The text is the reason, '' where nobody needs to know."""


class _Search:
    def __init__(self, system: System, caller: Caller, root: str, *, more: tuple[tuple[str, ...], ...]) -> None:
        self._system = system
        self._more = more
        self._caller = caller
        self._root = "" if root == "/" else root.rstrip("/")
        # With another root, its folders belong to the caller.
        self._walk = RootWalk(system, mounts(system.mountinfo()), (ROOT, caller.uid) if self._root else (ROOT,))
        self._logins = logins(system.passwd())
        self._docker = group(system.group(), DOCKER_GROUP)
        self._unknown: dict[str, str] = {}  # names that cannot be looked up now, and why
        self._kept: dict[str, Account] = {}  # by file, so that no two accounts write the same one
        self._skipped: list[Skipped] = []

    def who(self, clients: Clients) -> Who:
        for name, login, found_by in sorted(self._candidates(clients.users), key=_by_uid):
            try:
                self._keep(name, login, found_by)
            except _Leave as reason:
                if str(reason):
                    self._skipped.append(Skipped(name, str(reason)))
        for file in clients.files:
            try:
                self._keep_file(file)
            except _Leave as reason:
                self._skipped.append(Skipped(file, str(reason)))
        return Who(tuple(self._kept.values()), tuple(self._skipped))

    def _candidates(self, users: Literal["auto"] | tuple[str, ...]) -> Iterator[tuple[str, Login | None, FoundBy]]:
        if users != "auto":
            yield from ((name, self._login(name), FoundBy.NAMED) for name in dict.fromkeys(users))
        elif self._is_for_itself:
            mine = next((one for one in self._logins if one.uid == self._caller.uid), None)
            mine = mine or self._named(self._caller.uid)
            yield str(mine.name if mine else self._caller.uid), mine, FoundBy.ITSELF
        else:
            yield from ((login.name, login, self._source(login)) for login in self._logins)
            local = {login.name for login in self._logins}
            for name in dict.fromkeys(self._docker.members) if self._docker else ():
                if name not in local and ((login := self._named(name)) is not None or name in self._unknown):
                    yield name, login, FoundBy.DOCKER

    @property
    def _is_for_itself(self) -> bool:
        """Whether it is a user's own instance: only root can write as another user."""
        return self._caller.uid != 0 and not self._root

    def _login(self, name: str) -> Login | None:
        local = next((login for login in self._logins if login.name == name), None)
        return local or self._named(name)

    def _named(self, who: str | int) -> Login | None:
        """By name or number, from the name service: it knows more than the files of this machine."""
        try:
            return self._system.login(who) if isinstance(who, str) else self._system.login_of(who)
        except NamesUnknown as unknown:
            self._unknown[str(who)] = f"it is unknown whether this user exists: {unknown.where} {unknown.what}"
            return None

    def _source(self, login: Login) -> FoundBy:
        if login.uid == 0:
            return FoundBy.ROOT
        group = self._docker
        is_member = group is not None and (login.name in group.members or login.gid == group.gid)
        return FoundBy.DOCKER if is_member else FoundBy.HAS_CONFIG

    def _keep(self, name: str, login: Login | None, found_by: FoundBy) -> None:
        if login is None:
            raise _Leave(self._unknown.get(name, "there is no such user"))
        if found_by is FoundBy.HAS_CONFIG and not _is_person(login):
            raise _Leave("")
        if self._is_for_itself and login.uid != self._caller.uid:
            raise _Leave("only root can write for another user")
        if login.home.rstrip("/") in _NO_HOMES or not login.home.startswith("/"):
            raise _Leave("" if found_by is FoundBy.HAS_CONFIG else f"has no home ({login.home or 'none'})")
        reached = self._home(login, found_by)
        config = posixpath.join(reached.path, *_CONFIG)
        if config in self._kept:
            raise _Leave(f"has the same home as {self._kept[config].name}")
        self._kept[config] = self._account(
            login, home=reached.path, config=config, found_by=found_by, reached=reached, below=_CONFIG
        )
        for below in self._more:
            self._keep_if_there(login, reached, below)

    def _keep_if_there(self, login: Login, home: Reached, below: tuple[str, ...]) -> None:
        config = posixpath.join(home.path, *below)
        if home.far or self._walk.far(config) or config in self._kept:  # a person names it in clients.files
            return
        self._kept[config] = self._account(
            login, home=home.path, config=config, found_by=FoundBy.HAS_CONFIG, reached=home, below=below
        )

    def _home(self, login: Login, found_by: FoundBy) -> Reached:
        """The home, behind all links, as far as root may look."""
        named = self._root + posixpath.normpath(login.home)
        reached = self._walk.to(named)
        if reached.far:
            if found_by in (FoundBy.NAMED, FoundBy.ITSELF):
                return msgspec.structs.replace(reached, path=named)  # only the helper waits for it
            raise _Leave(_far(named, reached.far))
        self._check_inside(reached)
        if self._root and reached.owner is not None:
            raise _Leave(f"{reached.path} belongs to another user")
        if reached.owner is not None and reached.below:
            return reached  # below a folder, or behind a link, of another user: the helper finds it
        if reached.entry is None or reached.entry.kind is not Kind.DIRECTORY:
            # Package accounts name homes that are never created; only a user whose file would be kept is told.
            raise _Leave("" if found_by is FoundBy.HAS_CONFIG else reached.why or f"its home {named} does not exist")
        folder = posixpath.join(reached.path, ".docker")
        far = self._walk.far(folder) or self._walk.far(posixpath.join(folder, "config.json"))
        if far and found_by not in (FoundBy.NAMED, FoundBy.ITSELF):
            raise _Leave(_far(posixpath.join(named, ".docker"), far))
        return reached

    def _check_inside(self, reached: Reached) -> None:
        """With another root: that the path stays below it. The helper checks the rest of the path in the same way."""
        if self._root and not f"{reached.path}/".startswith(f"{self._inside}/"):
            raise _Leave(f"{reached.path} is not below {self._root}")

    @property
    def _inside(self) -> str:
        return self._walk.to(self._root).path

    def _account(  # noqa: PLR0913 - named at every call
        self, login: Login, *, home: str, config: str, found_by: FoundBy, reached: Reached, below: tuple[str, ...]
    ) -> Account:
        if self._root:
            uid, gid, groups = self._caller.uid, self._caller.gid, self._caller.groups
        else:
            uid, gid, groups = login.uid, login.gid, self._system.groups(login)
        threshold = None
        if reached.folder_entry is not None:
            identity = reached.folder_entry.device, reached.folder_entry.inode
            names = (*reached.below, *below)
            mount = self._walk.mount(posixpath.join(reached.folder, *names))
            threshold = Threshold(Path(reached.folder), identity, names, mount.id if mount is not None else 0)
        return Account(
            login.name,
            uid=uid,
            gid=gid,
            groups=groups,
            home=Path(home),
            config=Path(config),
            may_create=found_by not in (FoundBy.HAS_CONFIG, FoundBy.FILE),
            found_by=found_by,
            threshold=threshold,
            inside=Path(self._inside) if self._root else None,
        )

    def _keep_file(self, file: str) -> None:
        if not file.startswith("/"):
            raise _Leave("is not an absolute path")
        named = self._root + posixpath.normpath(file)
        reached = self._walk.to(named)
        if reached.far:
            raise _Leave(f"is on {reached.far}, where its owner must not be looked up; name the user in clients.users")
        owner = reached.owner or reached.entry
        if owner is None:
            raise _Leave(reached.why or NOBODYS)
        if reached.entry is not None and reached.entry.kind not in (Kind.FILE, Kind.LINK):
            raise _Leave("is not a regular file")
        self._check_inside(reached)
        if self._root and reached.owner is not None:
            raise _Leave(f"{reached.path} belongs to another user")
        if not self._root:
            _check_way(reached, owner)
        if self._is_for_itself and owner.uid != self._caller.uid:
            raise _Leave("only root can write for another user")
        if reached.path in self._kept:
            return
        login = self._login_of(owner)
        self._kept[reached.path] = self._account(
            login, home=login.home, config=named, found_by=FoundBy.FILE, reached=reached, below=()
        )

    def _login_of(self, owner: PathEntry) -> Login:
        local = next((login for login in self._logins if login.uid == owner.uid), None)
        login = local or self._named(owner.uid)
        return login or Login(str(owner.uid), owner.uid, owner.gid, "/")


def _check_way(reached: Reached, owner: PathEntry) -> None:
    """A user who can change a step of the path to a file can make it lead to another file of its owner.

    Root's steps are checked here. In the owner's steps the helper reaches no more than the owner could.
    """
    for path, entry in reached.way:
        if entry.kind is Kind.LINK or entry.mode & stat.S_ISVTX:
            continue
        if entry.mode & stat.S_IWOTH or (owner.uid == ROOT and entry.mode & stat.S_IWGRP and entry.gid != 0):
            raise _Leave(f"others can write to {path} on the way to it")


def is_gone(path: str) -> bool:
    """Whether it is certain that nothing is there."""
    reached = RootWalk(ThisSystem(), mounts(mountinfo()), (ROOT, os.geteuid())).to(path)
    return reached.entry is None and reached.owner is None and not reached.far and not reached.why


def _is_person(login: Login) -> bool:
    """Not an account that a package created for its own files."""
    is_of_a_person = login.uid >= FIRST_PERSON and login.uid != NOBODY
    return is_of_a_person or posixpath.basename(login.shell) not in _NO_SHELLS


def _far(path: str, kind: str) -> str:
    if kind == "autofs":
        return f"its home {path} is not mounted; name the user in clients.users to try it anyway"
    what = f"{kind}, a network file system" if kind in NETWORK else kind
    return f"its home {path} is on {what}; name the user in clients.users to keep its file"


def _by_uid(candidate: tuple[str, Login | None, FoundBy]) -> tuple[int, int]:
    login = candidate[1]
    return (0, login.uid) if login is not None else (1, 0)


class ThisSystem:
    """The system. With another root, only passwd and group below it count, and no name service is asked."""

    def __init__(self, root: Path = Path("/"), names: NameService = NAME_SERVICE) -> None:
        self._root = root
        self._names = names if root == Path("/") else None

    def passwd(self) -> str:
        return _read(self._root / "etc/passwd")

    def group(self) -> str:
        return _read(self._root / "etc/group")

    def mountinfo(self) -> str:
        return mountinfo()

    def login(self, name: str) -> Login | None:
        return self._names.login(name) if self._names else None

    def login_of(self, uid: int) -> Login | None:
        return self._names.login_of(uid) if self._names else None

    def groups(self, login: Login) -> tuple[int, ...]:
        """From the group file alone, where the name service does not answer."""
        with contextlib.suppress(NamesUnknown):
            if self._names:
                return self._names.groups(login)
        return groups_of(self.group(), login)

    def entry(self, path: str) -> PathEntry | None:
        try:
            with held(path) as descriptor:
                if may_hang(file_system(descriptor)):  # it was mounted over just now
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
                status = os.fstat(descriptor)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return PathEntry(
            _kind(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            mode=stat.S_IMODE(status.st_mode),
            device=status.st_dev,
            inode=status.st_ino,
        )

    def link(self, path: str) -> str:
        return str(Path(path).readlink())


def _read(path: Path) -> str:
    """Read as bytes, for a carriage return in a name would become a line break."""
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _kind(mode: int) -> Kind:
    for test, kind in ((stat.S_ISDIR, Kind.DIRECTORY), (stat.S_ISREG, Kind.FILE), (stat.S_ISLNK, Kind.LINK)):
        if test(mode):
            return kind
    return Kind.OTHER
