"""The texts of passwd and group. Not known here: the name service (`clients/accounts.py`)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from agent.values.machine_text import lines
from agent.values.paths import Paths


class Login(msgspec.Struct, frozen=True):
    """A line of passwd."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str = ""


class Group(msgspec.Struct, frozen=True):
    """A line of group."""

    name: str
    gid: int
    members: tuple[str, ...]


def logins(passwd: str) -> tuple[Login, ...]:
    """The accounts in passwd; other lines (NIS's `+`, a torn one) do not count."""
    return tuple(
        Login(fields[0], uid=int(fields[2]), gid=int(fields[3]), home=fields[5], shell=fields[6])
        for fields in _lines(passwd, 7)
        if fields[2].isdecimal() and fields[3].isdecimal()
    )


def owner_of(uid: int, paths: Paths) -> str:
    """From passwd alone, that below the root: no name service is asked, for it may take time."""
    login = login_of(uid, paths)
    return login.name if login is not None else f"user {uid}"


def login_of(uid: int, paths: Paths) -> Login | None:
    """As `owner_of`."""
    return next((login for login in _below(paths) if login.uid == uid), None)


def login_named(name: str, paths: Paths) -> Login | None:
    """As `owner_of`."""
    return next((login for login in _below(paths) if login.name == name), None)


def _below(paths: Paths) -> tuple[Login, ...]:
    try:
        return logins(paths.below("/etc/passwd").read_text(errors="replace"))
    except OSError:
        return ()


def group(text: str, name: str) -> Group | None:
    """One group from a group file."""
    for fields in _lines(text, 4):
        if fields[0] == name and fields[2].isdecimal():
            return Group(name, int(fields[2]), tuple(one.strip() for one in fields[3].split(",") if one.strip()))
    return None


def groups_of(text: str, login: Login) -> tuple[int, ...]:
    """The groups of an account, from a group file, its own first."""
    others = {
        int(fields[2])
        for fields in _lines(text, 4)
        if fields[2].isdecimal() and login.name in (one.strip() for one in fields[3].split(","))
    }
    return (login.gid, *sorted(others - {login.gid}))


def is_private(gid: int, login: Login, passwd: str, groups: str) -> bool:
    """Whether a group is the account's own, and nobody else's: Debian gives one to each user, with a umask of 0002."""
    members = {name.strip() for fields in _lines(groups, 4) if fields[2] == str(gid) for name in fields[3].split(",")}
    others = {one.name for one in logins(passwd) if one.gid == gid or one.uid == login.uid} - {login.name}
    is_known = any(fields[2] == str(gid) for fields in _lines(groups, 4))
    return is_known and gid == login.gid and not others and members <= {"", login.name}


def _lines(text: str, fields: int) -> Iterable[list[str]]:
    for line in lines(text):
        parts = line.split(":")
        if len(parts) == fields and parts[0] and not line.startswith(("#", "+", "-")):
            yield parts
