"""Whose config.json is kept, as whom, and who is left out for what reason.

Root goes down a path only as far as it is root's (`ground.py`): to the home, and not into it. Whether somebody has a
config.json at all is what the helper finds that runs as that user; who may have one is said here.

Names may be looked up elsewhere (LDAP), and that may take its time: call this in a thread. Of whom nothing can be told
then, that is said, and everybody else's file is kept.

Not known here: what stands in the files, and how they are read and written.
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
from agent.clients.ground import NETWORK, ROOT, Ground, Kind, Looks, Place, Seen, may_hang, mounts
from agent.clients.held import file_system, held, mountinfo
from agent.system.passwd import Login, group, groups_of, logins
from agent.values.policy import Clients

DOCKER_GROUP: Final = "docker"  # who may use the engine without being root
NOBODYS: Final = "does not exist, so it is nobody's; make it as the user whose it is"
_CONFIG: Final = (".docker", "config.json")  # below a home
FIRST_PERSON: Final = 1000  # UID_MIN of login.defs, on every distribution that Docker has packages for
NOBODY: Final = 65534

# What stands in passwd for "has none".
_NO_HOMES: Final = frozenset({"", "/", "/nonexistent", "/dev/null", "/var/empty", "/run/sshd"})
_NO_SHELLS: Final = frozenset({"nologin", "false", "true", "sync", "shutdown", "halt"})


# --- values --------------------------------------------------------------------------------------------------------


class Source(enum.Enum):
    """Why an account's file is kept."""

    ROOT = "root"
    DOCKER = "member of group docker"
    HAS_CONFIG = "has a config.json"
    NAMED = "named in clients.users"
    FILE = "named in clients.files"
    ITSELF = "the agent runs as this user"


class Threshold(msgspec.Struct, frozen=True):
    """Where root's look at a path ends."""

    folder: Path  # behind all links; its parent is root's
    identity: tuple[int, int]  # device and inode: of another folder at this place they are others
    below: tuple[str, ...]  # the names that lead on from there
    mount: int = 0  # the number of what is mounted where these names lead, as far as mountinfo tells


class Account(msgspec.Struct, frozen=True):
    """One config.json that may be kept, and as whom it is read and written."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: Path
    config: Path
    may_create: bool
    source: Source
    threshold: Threshold | None = None  # None: even the folder where it begins must not be looked at by root
    inside: Path | None = None  # below another root: nothing outside of this is read or written


class Skipped(msgspec.Struct, frozen=True):
    """Somebody's file, or a file, that is not kept."""

    name: str
    why: str


class Who(msgspec.Struct, frozen=True):
    """Everybody, root first; of whom `HAS_CONFIG` is said, it is not known yet."""

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


class System(Looks, Protocol):
    """What is asked of the system. None of it opens anything."""

    def passwd(self) -> str: ...
    def group(self) -> str: ...
    def mountinfo(self) -> str: ...
    def login(self, name: str) -> Login | None:
        """Of any account, also one that is in no file of this machine. NamesUnknown: that cannot be told now."""
        ...

    def login_of(self, uid: int) -> Login | None: ...
    def groups(self, login: Login) -> tuple[int, ...]: ...


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
        # Another root's folders are the caller's own.
        self._ground = Ground(system, mounts(system.mountinfo()), (ROOT, caller.uid) if self._root else (ROOT,))
        self._logins = logins(system.passwd())
        self._docker = group(system.group(), DOCKER_GROUP)
        self._unknown: dict[str, str] = {}  # of whom nobody can tell whether there is such a user, and why
        self._kept: dict[str, Account] = {}  # by the file, so that no two write the same
        self._skipped: list[Skipped] = []

    def who(self, clients: Clients) -> Who:
        for name, login, source in sorted(self._candidates(clients.users), key=_by_uid):
            try:
                self._keep(name, login, source)
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
            mine = mine or self._named(self._caller.uid)
            yield str(mine.name if mine else self._caller.uid), mine, Source.ITSELF
        else:
            yield from ((login.name, login, self._source(login)) for login in self._logins)
            local = {login.name for login in self._logins}
            for name in dict.fromkeys(self._docker.members) if self._docker else ():
                if name not in local and ((login := self._named(name)) is not None or name in self._unknown):
                    yield name, login, Source.DOCKER

    @property
    def _is_for_itself(self) -> bool:
        """A user's own instance: only root can write as another user."""
        return self._caller.uid != 0 and not self._root

    def _login(self, name: str) -> Login | None:
        local = next((login for login in self._logins if login.name == name), None)
        return local or self._named(name)

    def _named(self, who: str | int) -> Login | None:
        """By its name or number, asked of whoever knows more than this machine's files."""
        try:
            return self._system.login(who) if isinstance(who, str) else self._system.login_of(who)
        except NamesUnknown as unknown:
            self._unknown[str(who)] = f"whether there is such a user cannot be told: {unknown.where} {unknown.what}"
            return None

    def _source(self, login: Login) -> Source:
        if login.uid == 0:
            return Source.ROOT
        group = self._docker
        is_member = group is not None and (login.name in group.members or login.gid == group.gid)
        return Source.DOCKER if is_member else Source.HAS_CONFIG

    # --- one user ---

    def _keep(self, name: str, login: Login | None, source: Source) -> None:
        if login is None:
            raise _Leave(self._unknown.get(name, "there is no such user"))
        if source is Source.HAS_CONFIG and not _is_person(login):
            raise _Leave("")
        if self._is_for_itself and login.uid != self._caller.uid:
            raise _Leave("only root can write for another user")
        if login.home.rstrip("/") in _NO_HOMES or not login.home.startswith("/"):
            raise _Leave("" if source is Source.HAS_CONFIG else f"has no home ({login.home or 'none'})")
        place = self._home(login, source)
        config = posixpath.join(place.path, *_CONFIG)
        if config in self._kept:
            raise _Leave(f"has the same home as {self._kept[config].name}")
        self._kept[config] = self._account(
            login, home=place.path, config=config, source=source, place=place, below=_CONFIG
        )

    def _home(self, login: Login, source: Source) -> Place:
        """The home, behind all links as far as it may be looked at."""
        named = self._root + posixpath.normpath(login.home)
        place = self._ground.place(named)
        if place.far:
            if source in (Source.NAMED, Source.ITSELF):
                return msgspec.structs.replace(place, path=named)  # the helper finds out, and only it waits
            raise _Leave(_far(named, place.far))
        self._check_inside(place)
        if self._root and place.owner is not None:
            raise _Leave(f"{place.path} belongs to another user")
        if place.owner is not None and place.below:
            return place  # somewhere below a folder, or behind a link, that is somebody's: the helper finds it
        if place.seen is None or place.seen.kind is not Kind.DIRECTORY:
            # Accounts of packages name homes that nobody makes; only who would be written for is told.
            raise _Leave("" if source is Source.HAS_CONFIG else place.why or f"its home {named} does not exist")
        folder = posixpath.join(place.path, ".docker")
        far = self._ground.far(folder) or self._ground.far(posixpath.join(folder, "config.json"))
        if far and source not in (Source.NAMED, Source.ITSELF):
            raise _Leave(_far(posixpath.join(named, ".docker"), far))
        return place

    def _check_inside(self, place: Place) -> None:
        """Below another root: that it does not lead out of there. What lies beyond, the helper judges by this, too."""
        if self._root and not f"{place.path}/".startswith(f"{self._inside}/"):
            raise _Leave(f"{place.path} is not below {self._root}")

    @property
    def _inside(self) -> str:
        return self._ground.place(self._root).path

    def _account(  # noqa: PLR0913 - named at every call
        self, login: Login, *, home: str, config: str, source: Source, place: Place, below: tuple[str, ...]
    ) -> Account:
        if self._root:
            uid, gid, groups = self._caller.uid, self._caller.gid, self._caller.groups
        else:
            uid, gid, groups = login.uid, login.gid, self._system.groups(login)
        threshold = None
        if place.folder_seen is not None:
            identity = place.folder_seen.device, place.folder_seen.inode
            names = (*place.below, *below)
            mount = self._ground.mount(posixpath.join(place.folder, *names))
            threshold = Threshold(Path(place.folder), identity, names, mount.id if mount is not None else 0)
        return Account(
            login.name,
            uid,
            gid,
            groups,
            Path(home),
            Path(config),
            may_create=source not in (Source.HAS_CONFIG, Source.FILE),
            source=source,
            threshold=threshold,
            inside=Path(self._inside) if self._root else None,
        )

    # --- one further file ---

    def _keep_file(self, file: str) -> None:
        if not file.startswith("/"):
            raise _Leave("is not an absolute path")
        named = self._root + posixpath.normpath(file)
        place = self._ground.place(named)
        if place.far:
            raise _Leave(f"is on {place.far}, where it must not be asked whose it is; name the user in clients.users")
        owner = place.owner or place.seen
        if owner is None:
            raise _Leave(place.why or NOBODYS)
        if place.seen is not None and place.seen.kind not in (Kind.FILE, Kind.LINK):
            raise _Leave("is no regular file")
        self._check_inside(place)
        if self._root and place.owner is not None:
            raise _Leave(f"{place.path} belongs to another user")
        if not self._root:
            _check_way(place, owner)
        if self._is_for_itself and owner.uid != self._caller.uid:
            raise _Leave("only root can write for another user")
        if place.path in self._kept:
            return
        login = self._login_of(owner)
        self._kept[place.path] = self._account(
            login, home=login.home, config=named, source=Source.FILE, place=place, below=()
        )

    def _login_of(self, seen: Seen) -> Login:
        local = next((login for login in self._logins if login.uid == seen.uid), None)
        login = local or self._named(seen.uid)
        return login or Login(str(seen.uid), seen.uid, seen.gid, "/")


def _check_way(place: Place, owner: Seen) -> None:
    """Whoever can change a step of the way to a file can make it lead to another file of its owner.

    Root's steps are looked at here; of the owner's the helper finds no more than the owner could.
    """
    for path, seen in place.way:
        if seen.kind is Kind.LINK or seen.mode & stat.S_ISVTX:
            continue
        if seen.mode & stat.S_IWOTH or (owner.uid == ROOT and seen.mode & stat.S_IWGRP and seen.gid != 0):
            raise _Leave(f"others can write to {path} on the way to it")


def is_gone(path: str) -> bool:
    """Whether surely nothing is there, as far as may be looked."""
    place = Ground(ThisSystem(), mounts(mountinfo()), (ROOT, os.geteuid())).place(path)
    return place.seen is None and place.owner is None and not place.far and not place.why


def _is_person(login: Login) -> bool:
    """Not an account that a package made for its own files."""
    is_of_a_person = login.uid >= FIRST_PERSON and login.uid != NOBODY
    return is_of_a_person or posixpath.basename(login.shell) not in _NO_SHELLS


def _far(path: str, kind: str) -> str:
    if kind == "autofs":
        return f"its home {path} is not mounted; name the user in clients.users to have it tried"
    what = f"{kind}, a network file system" if kind in NETWORK else kind
    return f"its home {path} is on {what}; name the user in clients.users to have it kept"


def _by_uid(candidate: tuple[str, Login | None, Source]) -> tuple[int, int]:
    login = candidate[1]
    return (0, login.uid) if login is not None else (1, 0)


# --- the system itself ---------------------------------------------------------------------------------------------


class ThisSystem:
    """The system, or what lies below another root: there only passwd and group count, and nobody else is asked."""

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
        """By the group file alone, where nobody else says."""
        with contextlib.suppress(NamesUnknown):
            if self._names:
                return self._names.groups(login)
        return groups_of(self.group(), login)

    def seen(self, path: str) -> Seen | None:
        try:
            with held(path) as descriptor:
                if may_hang(file_system(descriptor)):  # mounted over it just now
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
                status = os.fstat(descriptor)
        except (FileNotFoundError, NotADirectoryError):
            return None
        mode = stat.S_IMODE(status.st_mode)
        return Seen(_kind(status.st_mode), status.st_uid, status.st_gid, mode, status.st_dev, status.st_ino)

    def link(self, path: str) -> str:
        return str(Path(path).readlink())


def _read(path: Path) -> str:
    """In bytes, for a carriage return in a name would become a line break."""
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _kind(mode: int) -> Kind:
    for test, kind in ((stat.S_ISDIR, Kind.DIRECTORY), (stat.S_ISREG, Kind.FILE), (stat.S_ISLNK, Kind.LINK)):
        if test(mode):
            return kind
    return Kind.OTHER
