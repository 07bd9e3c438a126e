"""The policy's file and the files that it names: who may write them, and the passwords in them.

Not known here: what the policy's text means (`values/policy_text.py`).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.system.clock import exact
from agent.system.passwd import is_private, login_of, owner_of
from agent.system.text_files import read_text
from agent.values.errors import NoPolicy, PolicyRefused, TargetFailed
from agent.values.paths import Paths
from agent.values.policy import Policy, Problems, Upstream
from agent.values.policy_text import cautions, parse, warnings
from agent.values.secret import Secret

_LARGEST_PASSWORD = 4096
SYSTEM: Final = Paths()


def owners(paths: Paths) -> frozenset[int]:
    """The users that the policy and its files may belong to: root, and whose instance it is or whose root."""
    users = (paths.layout.user, None if paths.is_real else os.geteuid())
    return frozenset({0, *(user for user in users if user is not None)})


class PolicyFile(msgspec.Struct, frozen=True):
    """The file of a policy as it was read."""

    text: str
    size: int  # bytes
    sha256: str  # as sha256sum shows it. A valid policy holds no password: they are in files of their own
    owner: str = ""
    changed: str = ""  # its mtime, RFC 3339

    def __repr__(self) -> str:
        return f"PolicyFile({self.sha256[:12]}, {self.size} bytes)"


class Loaded(msgspec.Struct, frozen=True):
    """A valid policy with its passwords, and what is unwise about it.

    `cautions` are shown by `check` alone. `unsafe` lists wrong owners and modes, and passwords that could not be read:
    `run` and `apply` refuse them, the commands that change nothing only warn.
    """

    path: str
    policy: Policy
    warnings: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    unsafe: tuple[str, ...] = ()
    file: PolicyFile | None = None

    def means(self, other: Loaded) -> bool:
        """Whether both are the same policy; the text may differ, such as in a comment."""
        return self == msgspec.structs.replace(other, file=self.file)


NO_POLICY: Final = "there is no policy"
WRITE_ONE: Final = "Run: docker-proxy-agent init. Or write one; config.example.toml explains every line"


def load(path: Path, owners: frozenset[int], environment: Mapping[str, str], paths: Paths = SYSTEM) -> Loaded:
    """The policy of a file; NoPolicy if there is none, PolicyRefused with every problem if it is wrong.

    `owners`: the users that the files may belong to. `environment`: has systemd's $CREDENTIALS_DIRECTORY. `paths`: the
    files that the policy names are below its root.
    """
    policy, text = _policy_at(path)
    passwords = _Passwords(owners, environment, paths)
    upstreams = {name: passwords.fill(upstream) for name, upstream in policy.upstreams.items()}
    problems = [*_ca_problems(policy.probe.ca_file, paths), *passwords.problems]
    if problems:
        raise PolicyRefused(str(path), tuple(problems), named(policy))
    unsafe = [line for place in (path, path.parent) for line in _unsafe(place, owners, paths, may_be_read=True)]
    unsafe += passwords.unsafe
    policy = msgspec.structs.replace(policy, upstreams=upstreams)
    return Loaded(
        str(path),
        policy,
        warnings=warnings(policy),
        cautions=cautions(policy),
        unsafe=tuple(unsafe),
        file=_as_read(path, text, paths),
    )


def load_for_elsewhere(path: Path) -> Loaded:
    """The policy of a file for another machine: the files that it names and its owner are not checked."""
    policy, _ = _policy_at(path)
    return Loaded(str(path), policy, warnings=warnings(policy), cautions=cautions(policy))


def _as_read(path: Path, text: str, paths: Paths) -> PolicyFile:
    data = text.encode()
    file = PolicyFile(text, len(data), hashlib.sha256(data).hexdigest())
    try:
        status = path.stat()
    except OSError:  # it was removed just now, and is read again
        return file
    return msgspec.structs.replace(file, owner=owner_of(status.st_uid, paths), changed=exact(status.st_mtime))


def _policy_at(path: Path) -> tuple[Policy, str]:
    try:
        text = read_text(path)
    except TargetFailed as error:
        raise PolicyRefused(str(path), (error.wrong,)) from error
    if text is None:
        raise NoPolicy(str(path), NO_POLICY, WRITE_ONE)
    policy = parse(text)
    if isinstance(policy, Problems):
        raise PolicyRefused(str(path), policy.lines)
    return policy, text


def load_safely(path: Path, owners: frozenset[int], environment: Mapping[str, str], paths: Paths = SYSTEM) -> Loaded:
    """The same for a caller that will write: what is unsafe is refused, too."""
    found = load(path, owners, environment, paths)
    if found.unsafe:
        raise PolicyRefused(found.path, found.unsafe, named(found.policy))
    return found


def named(policy: Policy) -> tuple[str, ...]:
    """The files that a policy names, as it spells them: below the root that it is for."""
    passwords = (upstream.password_file for upstream in policy.upstreams.values())
    return tuple(dict.fromkeys(filter(None, (*passwords, policy.probe.ca_file))))


def _ca_problems(said: str, paths: Paths) -> list[str]:
    """A CA file that cannot be used would otherwise show up as a rejected certificate, far from here."""
    if not said:
        return []
    path = paths.below(said)
    import ssl  # noqa: PLC0415 - a tenth of what `check` takes, and few policies name such a file

    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        why = "holds no certificate in PEM" if isinstance(error, ssl.SSLError) else f"cannot be read: {_why(error)}"
        return [f'probe.ca_file: "{path}" {why}']
    return []


class _Passwords:
    def __init__(self, owners: frozenset[int], environment: Mapping[str, str], paths: Paths) -> None:
        self._owners = owners
        self._paths = paths
        self._credentials = environment.get("CREDENTIALS_DIRECTORY", "")
        self.problems: list[str] = []
        self.unsafe: list[str] = []

    def fill(self, upstream: Upstream) -> Upstream:
        if upstream.password_file:
            label, path = f"upstream.{upstream.name}.password_file", self._paths.below(upstream.password_file)
            self.unsafe += [f"{label}: {line}" for line in _unsafe(path, self._owners, self._paths, may_be_read=False)]
        elif upstream.password_credential:
            label = f"upstream.{upstream.name}.password_credential"
            if not self._credentials:
                self.unsafe.append(f'{label}: "{upstream.password_credential}" is not checked: only the service has it')
                return upstream
            path = Path(self._credentials) / upstream.password_credential
        else:
            return upstream
        password = self._read(label, path)
        return msgspec.structs.replace(upstream, password=password)

    def _read(self, label: str, path: Path) -> Secret | None:
        try:
            found = read_text(path)
        except TargetFailed as error:
            self._note_unread(label, path, error)
            return None
        if found is None:
            self.problems.append(f'{label}: "{path}" does not exist')
        elif len(found) > _LARGEST_PASSWORD:
            self.problems.append(f'{label}: "{path}" is larger than any password')
        return None if found is None else Secret(found.removesuffix("\n"))

    def _note_unread(self, label: str, path: Path, error: TargetFailed) -> None:
        if isinstance(error.__cause__, PermissionError) and os.geteuid() != 0:
            # A command that only looks can go on without it; one that writes would write a URL without a password.
            self.unsafe.append(f'{label}: "{path}" is not checked: it may not be read by you')
        else:
            self.problems.append(f'{label}: "{path}" {error.wrong}')


def _unsafe(path: Path, owners: frozenset[int], paths: Paths, *, may_be_read: bool) -> list[str]:
    """What is wrong with the owner and mode of a file or directory that the agent, as root, relies on."""
    try:
        found = path.stat()
    except OSError:
        return []  # that it cannot be read is reported elsewhere
    mode = stat.S_IMODE(found.st_mode)
    lines = []
    user = paths.layout.user
    is_users_alone = bool(mode & 0o070) and _is_private_group(found.st_gid, user, paths) and not _has_acl(path)
    counted = mode & ~0o070 if is_users_alone else mode
    whose, sudo = ("root", "sudo ") if user is None else (owner_of(user, paths), "")
    if found.st_uid not in owners:
        lines.append(f'"{path}" belongs to {owner_of(found.st_uid, paths)}: sudo chown {whose} "{path}"')
    if counted & 0o022:
        lines.append(f'"{path}" can be written by others (mode {mode:04o}): {sudo}chmod go-w "{path}"')
    if not may_be_read and counted & 0o044:
        lines.append(f'"{path}" can be read by others (mode {mode:04o}): {sudo}chmod 600 "{path}"')
    return lines


def _is_private_group(gid: int, user: int | None, paths: Paths) -> bool:
    """Whether a file's group is of the user alone whose instance it is. One that only a name service knows is not."""
    if user is None or (login := login_of(user, paths)) is None:
        return False
    try:
        passwd, groups = (paths.below(file).read_text(errors="replace") for file in ("/etc/passwd", "/etc/group"))
    except OSError:
        return False
    return is_private(gid, login, passwd, groups)


def _has_acl(path: Path) -> bool:
    """Whether the mode of the group is that of others, too, whom an access list names."""
    try:
        return "system.posix_acl_access" in os.listxattr(path)
    except OSError:  # a file system without them
        return False


def _why(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
