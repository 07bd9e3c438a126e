"""The agent in a process that dies at a chosen moment: between two calls to the kernel, or in the middle of a write.

What it asks of the kernel is counted where Python asks for it: by its audit events, and, for the calls that have none,
around the functions of `os` and of the C library. Nothing of the agent is replaced. The helper that works in a home is
another process: there the same is done, and when it dies, the agent dies with it.

Who starts such processes: `runs.py`. A helper reads this file by itself, so it imports nothing of ours.
"""

from __future__ import annotations

import collections
import ctypes
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

_STARTS = re.compile(r"\.[0-9a-f]{8}\.docker-proxy-agent")
_EVENTS = {
    "os.rename": "rename",
    "os.remove": "remove",
    "os.mkdir": "mkdir",
    "os.rmdir": "rmdir",
    "os.link": "link",
    "os.chmod": "chmod",
    "os.chown": "chown",
    "os.truncate": "truncate",
    "os.setxattr": "setxattr",
    "os.removexattr": "removexattr",
}
_WRITES = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_RDWR


class Moment(NamedTuple):
    """Just before the nth time that this process asks for this; `torn …`: when half of it is written."""

    process: str
    what: str
    nth: int

    def __str__(self) -> str:
        return f"{self.process}: {self.what} #{self.nth}"


class Watched:
    """This process: it tells its moments, or dies in one."""

    def __init__(self, root: str, process: str, dies: Moment | None, told: str | None, agent: int) -> None:
        self.root, self.process, self.dies, self.told = root, process, dies, told
        self._agent = agent
        self._seen: collections.Counter[str] = collections.Counter()
        self._is_telling = False
        self._helpers = 0

    def begin(self) -> None:
        self._wrap_os()
        self._wrap_libc()
        self._wrap_popen()
        sys.addaudithook(self._hook)

    def about_to(self, operation: str, file: object) -> None:
        name = self._name(file)
        if name is not None:
            self._comes(f"{operation} {name}")

    def _comes(self, what: str) -> None:
        self._seen[what] += 1
        moment = Moment(self.process, what, self._seen[what])
        if self.told is not None:
            self._tell(moment)
        if moment == self.dies:
            self.die()

    def _is_next(self, what: str) -> bool:
        return self.dies is not None and self.dies == (self.process, what, self._seen[what] + 1)

    def _tell(self, moment: Moment) -> None:
        self._is_telling = True
        with open(str(self.told), "a") as stream:  # noqa: PTH123 - nothing may come between
            stream.write(json.dumps(moment) + "\n")
        self._is_telling = False

    def die(self) -> None:
        os.kill(self._agent, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def _name(self, file: object) -> str | None:
        """Below the root; None: it is elsewhere."""
        if isinstance(file, int):
            try:
                file = Path(f"/proc/self/fd/{file}").readlink()
            except OSError:
                return None
        path = os.fsdecode(file) if isinstance(file, str | bytes | os.PathLike) else ""
        return _STARTS.sub(".*", path[len(self.root) + 1 :]) if path.startswith(f"{self.root}/") else None

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._is_telling:
            return
        if event in _EVENTS:
            self.about_to(_EVENTS[event], arguments[0])
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            self.about_to("open", arguments[0])
        elif event == "subprocess.Popen":
            self._comes(f"run {self._named(arguments[1])}")
        elif event == "socket.connect" and isinstance(arguments[1], str):
            self.about_to("connect", arguments[1])

    def _wrap_os(self) -> None:
        for name in ("write", "pwrite", "fsync"):
            setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, call: Any) -> Any:
        def wrapped(descriptor: int, *arguments: Any) -> Any:
            file = self._name(descriptor) if stat.S_IFMT(os.fstat(descriptor).st_mode) in _ON_DISK else None
            if file is not None:
                self._comes(f"{name} {file}")
            if file is not None and arguments:
                data, *rest = arguments
                if self._is_next(f"torn {file}"):
                    call(descriptor, data[: len(data) // 2], *rest)
                self._comes(f"torn {file}")
            return call(descriptor, *arguments)

        return wrapped

    def _wrap_libc(self) -> None:
        library, watched = ctypes.CDLL, self

        class Library(library):  # type: ignore[misc, valid-type]
            def __getattr__(self, name: str) -> Any:
                call = super().__getattr__(name)
                if name != "renameat2":
                    return call

                def wrapped(_from: int, old: bytes, _to: int, new: bytes, flags: ctypes.c_uint) -> Any:
                    watched.about_to("exchange" if flags.value & 2 else "rename to free", new)
                    return call(_from, old, _to, new, flags)

                setattr(self, name, wrapped)  # where the library itself would find it the next time
                return wrapped

        ctypes.CDLL = Library  # type: ignore[misc]

    def _wrap_popen(self) -> None:
        popen: Any = subprocess.Popen
        watched = self

        class Popen(popen):  # type: ignore[misc]
            def __init__(self, argv: Any, *rest: Any, **named: Any) -> None:
                super().__init__(watched.argv(argv), *rest, **named)

        subprocess.Popen = Popen  # type: ignore[misc, assignment]

    def _named(self, argv: Sequence[str]) -> str:
        """The program, and what it is told to do."""
        if self._is_helper(argv):
            return "helper"
        return " ".join(Path(word).name for word in argv if not word.startswith("-"))[:40]

    @staticmethod
    def _is_helper(argv: Sequence[object]) -> bool:
        return any("agent.clients.home_helper" in str(word) for word in argv)

    def argv(self, argv: Sequence[str]) -> list[str]:
        """A helper is watched, too."""
        if not self._is_helper(argv):
            return list(argv)
        self._helpers += 1
        own = f"helper {self._helpers}"
        arguments = (self.root, own, self.dies and tuple(self.dies), self.told, os.getpid())
        before = (
            f"space = {{'__name__': 'crash'}}\nexec(compile(open({__file__!r}).read(), {__file__!r}, 'exec'), space)\n"
            f"space['begun']{arguments!r}\n"
        )
        return [before + word if "agent.clients.home_helper" in word else word for word in argv]


_ON_DISK = (stat.S_IFREG, stat.S_IFDIR)


def begun(root: str, process: str, dies: Any, told: str | None, agent: int) -> None:
    """From here on this process is watched."""
    Watched(root, process, Moment(*dies) if dies is not None else None, told, agent).begin()
