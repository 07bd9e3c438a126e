"""The policy's files and the files that they name: who may write them, and the passwords in them.

A policy is config.toml and what stands in config.d beside it, either of which may be missing.
Not known here: how their texts become one (`values/policy_parts.py`), and what that means (`values/policy_text.py`).
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

import msgspec

from agent.system.clock import exact
from agent.system.files import is_there
from agent.system.links import Ahead
from agent.system.passwd import is_private, login_of, owner_of
from agent.system.text_files import read_text
from agent.values.errors import NoPolicy, PolicyRefused, TargetFailed
from agent.values.pacparser import how_to_install
from agent.values.paths import FOLDER, Paths
from agent.values.policy import Policy, Problems, Upstream
from agent.values.policy_parts import NO_ORIGINS, Joined, Origins, Part, join
from agent.values.policy_text import parse_joined
from agent.values.policy_warnings import cautions, warnings
from agent.values.remark import Remark
from agent.values.secret import Secret

_LARGEST_PASSWORD = 4096
_MOST_FILES: Final = 256  # each is looked at whenever one changes
SYSTEM: Final = Paths()


def owners(paths: Paths) -> frozenset[int]:
    """The users that the policy and its files may belong to: root, and whose instance it is or whose root."""
    users = (paths.layout.user, None if paths.is_real else os.geteuid())
    return frozenset({0, *(user for user in users if user is not None)})


class PolicyFile(msgspec.Struct, frozen=True):
    """The files of a policy as they were read, in the order in which they count."""

    parts: tuple[Part, ...]
    size: int  # bytes, together
    sha256: str  # of all that, as `cat … | sha256sum` shows it. A valid policy holds no password: they have own files
    sums: tuple[str, ...] = ()  # a line of sha256sum for each, where there is a config.d
    owner: str = ""
    changed: str = ""  # the newest mtime, RFC 3339

    def __repr__(self) -> str:
        return f"PolicyFile({self.sha256[:12]}, {self.size} bytes)"


class Loaded(msgspec.Struct, frozen=True):
    """A valid policy with its passwords, and what is unwise about it.

    `cautions` are shown by `check` alone. `unsafe` lists wrong owners and modes, and passwords that could not be read:
    `run` and `apply` refuse them, the commands that change nothing only warn.
    """

    path: str
    policy: Policy
    warnings: tuple[Remark, ...] = ()
    cautions: tuple[Remark, ...] = ()
    unsafe: tuple[str, ...] = ()
    file: PolicyFile | None = None
    origins: Origins = NO_ORIGINS

    def means(self, other: Loaded) -> bool:
        """Whether both are the same policy; the text may differ, such as in a comment."""
        return self == msgspec.structs.replace(other, file=self.file, origins=self.origins)


NO_POLICY: Final = "there is no policy"
WRITE_ONE: Final = "Run: docker-proxy-agent init. Or write one; config.example.toml explains every line"


def load(path: Path, owners: frozenset[int], environment: Mapping[str, str], paths: Paths = SYSTEM) -> Loaded:
    """The policy of a file and of config.d beside it; NoPolicy if there is none, PolicyRefused with every problem if it
    is wrong.

    `owners`: the users that the files may belong to. `environment`: has systemd's $CREDENTIALS_DIRECTORY. `paths`: the
    files that the policy names are below its root.
    """
    parts = _read(path)
    policy, origins = _policy_of(path, parts)
    passwords = _Passwords(owners, environment, paths, origins)
    upstreams = {name: passwords.fill(upstream) for name, upstream in policy.upstreams.items()}
    of_files = (*_ca_problems(policy.probe.ca_file, paths, origins), *_pac_problems(policy, origins))
    problems = [*of_files, *passwords.problems]
    if problems:
        raise PolicyRefused(str(path), tuple(problems), named(policy))
    unsafe = [line for place in _places(path, parts) for line in _unsafe(place, owners, paths, may_be_read=True)]
    unsafe += passwords.unsafe
    policy = msgspec.structs.replace(policy, upstreams=upstreams)
    return Loaded(
        str(path),
        policy,
        warnings=warnings(policy, origins),
        cautions=cautions(policy, origins),
        unsafe=tuple(unsafe),
        file=_as_read(parts, paths),
        origins=origins,
    )


def load_for_elsewhere(path: Path) -> Loaded:
    """The policy of a file for another machine: the files that it names and its owner are not checked."""
    policy, origins = _policy_of(path, _read(path))
    return Loaded(
        str(path), policy, warnings=warnings(policy, origins), cautions=cautions(policy, origins), origins=origins
    )


def folder_beside(path: Path) -> Path:
    """Where the policy at this path has its other files."""
    return path.parent / FOLDER


def files_of(path: Path) -> list[Path]:
    """All files that a policy is read from, in the order in which they count; the last one may not be there.

    What a package manager or an editor puts beside a file has another ending, or a dot before its name. TargetFailed
    if the folder cannot be read.
    """
    folder = folder_beside(path)
    try:
        names = [found.name for found in folder.iterdir()]
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise TargetFailed(str(folder), f"cannot be read: {_why(error)}", "Check who may: ls -ld") from error
    found = sorted((name for name in names if name.endswith(".toml") and not name.startswith(".")), key=os.fsencode)
    return [*(folder / name for name in found), path]


def is_there_any(path: Path) -> bool:
    """Whether there is a policy at this path, be it a wrong one."""
    try:
        return any(map(is_there, files_of(path)))
    except TargetFailed:  # nobody knows, so nobody may write a first one
        return True


def _read(path: Path) -> tuple[Part, ...]:
    try:
        files = files_of(path)
    except TargetFailed as error:
        raise PolicyRefused(str(path), (Remark(error.wrong, error.where),)) from error
    if len(files) > _MOST_FILES:
        text = f"holds {len(files) - 1} files; at most {_MOST_FILES - 1} are read"
        raise PolicyRefused(str(path), (Remark(text, str(folder_beside(path))),))
    found = [_part(file, may_be_absent=file == path) for file in files]
    if problems := tuple(one for one in found if isinstance(one, Remark)):
        raise PolicyRefused(str(path), problems)
    if parts := tuple(one for one in found if isinstance(one, Part)):
        return parts
    raise NoPolicy(str(path), NO_POLICY, WRITE_ONE)


def _part(file: Path, *, may_be_absent: bool) -> Part | Remark | None:
    """None: there is no such file, or none any more."""
    try:
        text = read_text(file)
    except TargetFailed as error:
        return Remark(error.wrong, str(file))
    if text is not None:
        return Part(text, str(file))
    is_wrong = not may_be_absent and os.path.islink(file)  # noqa: PTH114 - pathlib raises where it cannot be told
    return Remark("is a link to a file that does not exist", str(file)) if is_wrong else None


def _places(path: Path, parts: Sequence[Part]) -> list[Path]:
    """Files and folders that make up the policy."""
    files = [Path(part.file) for part in parts]
    return list(dict.fromkeys((path, path.parent, *(file.parent for file in files), *files)))


def _as_read(parts: tuple[Part, ...], paths: Paths) -> PolicyFile:
    data = [part.text.encode() for part in parts]
    sums = tuple(f"{hashlib.sha256(one).hexdigest()}  {part.file}" for one, part in zip(data, parts, strict=True))
    together = b"".join(data)
    is_alone = len(parts) == 1 and PurePath(parts[0].file).parent.name != FOLDER
    file = PolicyFile(parts, len(together), hashlib.sha256(together).hexdigest(), sums=() if is_alone else sums)
    try:
        found = [Path(part.file).stat() for part in parts]
    except OSError:  # one was removed just now, and all is read again
        return file
    owners = dict.fromkeys(owner_of(status.st_uid, paths) for status in found)
    newest = max(status.st_mtime for status in found)
    return msgspec.structs.replace(file, owner=", ".join(owners), changed=exact(newest))


def _policy_of(path: Path, parts: Sequence[Part]) -> tuple[Policy, Origins]:
    joined = join(parts)
    policy = joined if isinstance(joined, Problems) else parse_joined(joined)
    if isinstance(policy, Problems):
        raise PolicyRefused(str(path), policy.found)
    assert isinstance(joined, Joined)  # noqa: S101 - else there was no policy
    return policy, joined.origins


def load_safely(path: Path, owners: frozenset[int], environment: Mapping[str, str], paths: Paths = SYSTEM) -> Loaded:
    """The same for a caller that will write: what is unsafe is refused, too."""
    found = load(path, owners, environment, paths)
    if found.unsafe:
        raise PolicyRefused(found.path, tuple(map(Remark, found.unsafe)), named(found.policy))
    return found


def named(policy: Policy) -> tuple[str, ...]:
    """The files that a policy names, as it spells them: below the root that it is for."""
    passwords = (upstream.password_file for upstream in policy.upstreams.values())
    return tuple(dict.fromkeys(filter(None, (*passwords, policy.probe.ca_file))))


def _ca_problems(said: str, paths: Paths, origins: Origins) -> list[Remark]:
    """A CA file that cannot be used would otherwise show up as a rejected certificate, far from here."""
    if not said:
        return []
    path = paths.below(said)
    import ssl  # noqa: PLC0415 - a tenth of what `check` takes, and few policies name such a file

    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        why = "contains no certificate in PEM" if isinstance(error, ssl.SSLError) else f"cannot be read: {_why(error)}"
        return [Remark(f'probe.ca_file: "{path}" {why}', origins.tables["probe"])]
    return []


def _pac_problems(policy: Policy, origins: Origins) -> list[Remark]:
    """What evaluates a PAC is not part of every installation; it is never imported here."""
    named_by = next((name for name, upstream in policy.upstreams.items() if upstream.is_pac), None)
    if named_by is None:
        return []
    from importlib.util import find_spec  # noqa: PLC0415 - a twentieth of what `check` takes, and few policies have a PAC

    if find_spec("pacparser") is not None:
        return []
    command = how_to_install(sys.prefix, sys.base_prefix, is_there=False)
    what = f"upstream.{named_by}.pac: it needs pacparser, which is not installed. Run: {command}"
    return [Remark(what, origins.upstreams[named_by])]


class _Passwords:
    def __init__(self, owners: frozenset[int], environment: Mapping[str, str], paths: Paths, origins: Origins) -> None:
        self._origins = origins
        self._owners = owners
        self._paths = paths
        self._credentials = environment.get("CREDENTIALS_DIRECTORY", "")
        self.problems: list[Remark] = []
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
        password = self._read(label, path, self._origins.upstreams[upstream.name])
        return msgspec.structs.replace(upstream, password=password)

    def _read(self, label: str, path: Path, written_in: str) -> Secret | None:
        try:
            found = read_text(path)
        except TargetFailed as error:
            self._note_unread(f'{label}: "{path}"', error, written_in)
            return None
        if found is None:
            self.problems.append(
                Remark(f'{label}: "{path}" does not exist: write the password into it, mode 0600', written_in)
            )
        elif len(found) > _LARGEST_PASSWORD:
            self.problems.append(Remark(f'{label}: "{path}" is larger than any password', written_in))
        return None if found is None else Secret(found.removesuffix("\n"))

    def _note_unread(self, what: str, error: TargetFailed, written_in: str) -> None:
        if isinstance(error.__cause__, PermissionError) and os.geteuid() != 0:
            # A command that only looks can go on without it; one that writes would write a URL without a password.
            self.unsafe.append(f"{what} is not checked: you are not allowed to read it")
        else:
            self.problems.append(Remark(f"{what} {error.wrong}", written_in))


def _unsafe(path: Path, owners: frozenset[int], paths: Paths, *, may_be_read: bool) -> list[str]:
    """What is wrong with the owner and mode of a file or directory that the agent, as root, relies on.

    Where it is a link, with the folders that this leads through, too: whoever can write one of them puts another file
    in its place, just after the owner was looked at or just before it is read.
    """
    lines = _unsafe_itself(path, owners, paths, may_be_read=may_be_read)
    for folder in _led_through(path):
        lines += _unsafe_itself(folder, owners, paths, may_be_read=True)
    return lines


def _led_through(path: Path) -> tuple[Path, ...]:
    """The folders in which names are looked up from the first link on; not those in which nobody can take a name
    from somebody else (/tmp).
    """
    ahead, at, is_led = Ahead(str(path.absolute())), Path("/"), False
    found: dict[Path, None] = {}
    try:
        while ahead:
            name = ahead.next()
            if is_led and not at.stat().st_mode & stat.S_ISVTX:
                found[at] = None
            here = at.parent if name == ".." else at / name  # no name of `at` is a link
            if stat.S_ISLNK(here.lstat().st_mode):
                is_led = True
                at = Path("/") if ahead.follow(str(here.readlink())) else at
            else:
                at = here
    except OSError:
        return ()  # that it cannot be read is reported elsewhere
    return tuple(found)


def _unsafe_itself(path: Path, owners: frozenset[int], paths: Paths, *, may_be_read: bool) -> list[str]:
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
