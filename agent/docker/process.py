"""dockerd's command line and environment: what its flags say, and what it was started with.

The pure half reads argument lists; the other half reads /proc. `systemctl show -p ExecStart` does not expand
`$DOCKER_OPTS`; the process shows it expanded (FACTS 4).
Not known here: what systemd would start next (`unit.py`).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from agent.system.proc import PROC, read
from agent.values.dockerd import Flags
from agent.values.errors import EngineSilent
from agent.values.machine_text import lines
from agent.values.settings import Texts

ROOTLESS_SCRIPT: Final = "dockerd-rootless.sh"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"  # systemd's, for a unit that sets none
_TAKES_VALUE: Final = ("http-proxy", "https-proxy", "no-proxy", "config-file")


def flags(argv: Sequence[str]) -> Flags:
    """What the arguments of a dockerd say. `--flag value` and `--flag=value` both count; the last one wins."""
    found: dict[str, str] = {}
    words = iter(argv[1:])
    for word in words:
        name, has_value, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            continue
        if name in _TAKES_VALUE:
            found[name] = value if has_value else next(words, "")
        elif name == "live-restore":
            found[name] = value if has_value else "true"
    return Flags(
        proxies=Texts(found.get("http-proxy", ""), found.get("https-proxy", ""), found.get("no-proxy", "")),
        names=tuple(f"--{name}" for name in _TAKES_VALUE[:3] if name in found),
        config_file=found.get("config-file", ""),
        live_restore=found["live-restore"].lower() in ("true", "1", "t") if "live-restore" in found else None,
    )


def expanded(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """ExecStart's words as systemd expands them: `$NAME` alone becomes several words, `${NAME}` part of one."""
    words: list[str] = []
    for word in argv:
        alone = re.fullmatch(r"\$([A-Za-z_][A-Za-z0-9_]*)", word)
        if alone:
            words += re.findall(r"[^ \t\n\r]+", environment.get(alone[1], ""))  # systemd's blanks
        else:
            words.append(re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", lambda m: environment.get(m[1], ""), word))
    return tuple(words)


def holds_containers(pid: int, proc: Path = PROC) -> bool:
    """Whether containerd or one of its shims is in this dockerd's control group, as where dockerd starts its own.

    Then what ends the group ends every container, whatever live-restore says (FACTS 63).
    """
    group = _group(pid, proc)
    if not group:
        return False
    return any(_is_containerd(one, proc) and _is_within(_group(one, proc), group) for one in _processes(proc))


def dockerd(main: int, listener: Callable[[], int], proc: Path = PROC) -> int:
    """dockerd's process in a unit with this main process: that one, or who listens on the engine's socket.

    A script or rootlesskit may have started it (FACTS 75). `listener`: EngineSilent if nobody listens. 0: not known,
    as where systemd has opened the socket.
    """
    if not main or _is_dockerd(main, proc):
        return main
    try:
        pid = listener()
    except EngineSilent:
        return 0
    # A dockerd of another unit may have taken over that path.
    is_its_own = _group(main, proc) and _is_dockerd(pid, proc) and not is_anothers(pid, main, proc)
    return pid if is_its_own else 0


def is_anothers(listener: int, main: int, proc: Path = PROC, *, has_socket: bool = True) -> bool:
    """Whether a dockerd that listens does not belong to the unit with this main process.

    `has_socket`: whether systemd opens one for that unit; if not, it listens for another one (FACTS 198). False for
    what else is no dockerd: a podman is told by its own words.
    """
    group = _group(main, proc) if main else ""
    may_be = _is_dockerd(listener, proc) or (not has_socket and _is_systemd(listener, proc))
    return bool(group) and may_be and not _is_within(_group(listener, proc), group)


def _is_dockerd(pid: int, proc: Path) -> bool:
    return is_called_dockerd(command_line(pid, proc) or ())


def _is_systemd(pid: int, proc: Path) -> bool:
    """The system's or a user's."""
    try:
        return read(pid, "comm", proc).strip() == b"systemd"
    except OSError:  # it has ended
        return False


def is_called_dockerd(argv: Sequence[str]) -> bool:
    return bool(argv) and Path(argv[0]).name == "dockerd"


def binary(argv: Sequence[str], environment: Mapping[str, str], *, follows_path: bool) -> str:
    """The dockerd that this command ends in; '' where a script starts it, which may do anything.

    Docker's own script for a rootless one gives its arguments to the dockerd of its PATH (FACTS 171). `follows_path`:
    not as root, who would run what a user has put there.
    """
    if is_called_dockerd(argv):
        return argv[0]
    if not follows_path or not argv or Path(argv[0]).name != ROOTLESS_SCRIPT:
        return ""
    return shutil.which("dockerd", path=environment.get("PATH", "") or _PATH) or ""


def _processes(proc: Path) -> Iterator[str]:
    return filter(str.isdecimal, os.listdir(proc))  # noqa: PTH208 - see `read`


def _is_containerd(pid: str, proc: Path) -> bool:
    try:
        return read(pid, "comm", proc).startswith(b"containerd")  # containerd-shim, cut at 15
    except OSError:  # it has ended
        return False


def _group(pid: int | str, proc: Path) -> str:
    """The control group that systemd put the process in; '' if it is gone, or in none."""
    try:
        said = read(pid, "cgroup", proc).decode(errors="replace")
    except OSError:
        return ""
    paths = [line.partition(":")[2].partition(":") for line in lines(said)]
    # Unified or hybrid; on older systems a hierarchy of systemd's own: cgroups(7).
    found = {controllers: path for controllers, _, path in paths if path not in ("", "/")}
    return found.get("", "") or found.get("name=systemd", "")


def _is_within(group: str, outer: str) -> bool:
    return group == outer or group.startswith(f"{outer}/")


def command_line(pid: int, proc: Path = PROC) -> tuple[str, ...] | None:
    """The arguments of a process; None if it is gone, or shows none (see `environment`)."""
    try:
        raw = read(pid, "cmdline", proc)
    except OSError:
        return None
    return tuple(word.decode(errors="surrogateescape") for word in raw.split(b"\0")[:-1]) or None


def environment(pid: int) -> dict[str, str] | None:
    """What a process was started with; None if it is gone, or may not be read (CAP_SYS_PTRACE, FACTS 12).

    During execve(2), and once it has died, a process shows neither arguments nor environment. That is not the same as
    an empty environment.
    """
    try:
        raw = read(pid, "environ")
    except OSError:
        return None
    if not raw and command_line(pid) is None:
        return None
    pairs = (entry.decode(errors="surrogateescape").partition("=") for entry in raw.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}
