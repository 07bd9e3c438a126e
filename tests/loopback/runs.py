"""The agent's commands, each in a process of its own that need not import it: a fork of one that has.

It is a process as any other, with its own exit status, stdout and stderr, and can be killed at a chosen moment
(`crash.py`). The one that forks has a single thread: in a fork of a test's own process, a lock that another thread held
would be held for ever.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

from .crash import Moment, begun

WITHIN_S = 60
IMPORTED = (
    "apply", "audit.command", "check", "env.command", "env.look", "pause", "pin", "plan", "probe", "reload", "restore",
    "resume", "status", "unpin",
)  # fmt: skip


def zygote() -> None:
    """A run for each line of stdin; how it ended on stdout."""
    main = importlib.import_module("agent.cli").main
    for command in IMPORTED:
        importlib.import_module(f"agent.cli.{command}")  # so that no run has to
    gc.freeze()  # nor look for garbage in it, which copies every page
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(main, asked)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(main: Any, asked: dict[str, Any]) -> NoReturn:
    status = 70
    try:
        streams = [os.open("/dev/null", os.O_RDONLY)]
        streams += [os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for name in ("out", "err")]
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding=asked["encoding"], errors=stream.errors)  # type: ignore[union-attr]
        if asked["inside"] is not None:
            _enter(asked["inside"])
        if asked["dies"] is not None or asked["told"] is not None:
            begun(asked["root"], "agent", asked["dies"], asked["told"], os.getpid())
        status = _does(asked["code"], asked["words"]) if asked["code"] is not None else main(asked["words"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 70
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _does(code: str, words: Sequence[str]) -> int:
    sys.argv = ["-c", *words]
    exec(code, {"__name__": "__main__"})  # noqa: S102 - a test's own
    return 0


def _enter(pid: int) -> None:
    """The namespaces of that process: of the network, and of mounts."""
    libc = ctypes.CDLL(None, use_errno=True)
    for kind in ("net", "mnt"):
        namespace = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        if libc.setns(namespace, 0):
            raise OSError(ctypes.get_errno(), f"the {kind} namespace of process {pid} cannot be entered")
        os.close(namespace)


class Zygote:
    """The process that forks, from when it is first needed until its context ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """With a run that hangs."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate(timeout=WITHIN_S)
            self._process = None

    def run(
        self, words: Sequence[str], out: Path, err: Path, *, code: str | None = None, inside: int | None = None,
        root: str = "", dies: Moment | None = None, told: str | None = None, encoding: str = "utf-8",
    ) -> int:  # fmt: skip
        """Its exit status; -9: it died."""
        asked = {
            "words": words, "out": str(out), "err": str(err), "code": code, "inside": inside, "root": root,
            "dies": dies, "told": told, "encoding": encoding,
        }  # fmt: skip
        with self._turn:
            process = self._process = self._process or self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
            if not select.select([process.stdout], [], [], WITHIN_S)[0]:
                self.end()  # or the next one would hang, too
                raise AssertionError(f"{words}: not over within {WITHIN_S} s")
            return int(process.stdout.readline())

    @staticmethod
    def _started() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", "from tests.loopback.runs import zygote; zygote()"],
            cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            env=dict(os.environ),
        )  # fmt: skip


class Holder:
    """Keeps namespaces alive: those that this command makes or enters. Who is run inside it has them, too."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            [*command, "sh", "-c", "echo; read _"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def end(self) -> None:
        self._process.communicate(timeout=WITHIN_S)


@functools.cache
def shared() -> Zygote:
    """That of all tests of this process."""
    found = Zygote()
    atexit.register(found.end)
    return found


def ran(*words: str, code: str | None = None, inside: int | None = None) -> subprocess.CompletedProcess[str]:
    """The agent called with these words, or this code; in the namespaces of that process."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        status = shared().run(words, out, err, code=code, inside=inside)
        return subprocess.CompletedProcess(words, status, out.read_text(), err.read_text())


class Runs:
    """Commands of the agent on one root, one after the other."""

    def __init__(self, root: Path, folder: Path, by: Zygote) -> None:
        self.root, self.folder = root, folder
        self._out, self._err = folder / "out", folder / "err"
        self._by = by

    def moments(self, *words: str) -> list[Moment]:
        """Every moment in which it could have died."""
        told = self.folder / "told"
        told.unlink(missing_ok=True)
        self._run(words, told=str(told))
        return [Moment(*json.loads(line)) for line in told.read_text().splitlines()]

    def run(self, *words: str, dies: Moment | None = None, encoding: str = "utf-8") -> int:
        """Its exit status; -9: it died."""
        return self._run(words, dies=dies, encoding=encoding)

    @property
    def out(self) -> bytes:
        """What the last one printed on stdout."""
        return self._out.read_bytes()

    @property
    def err(self) -> bytes:
        return self._err.read_bytes()

    @property
    def said(self) -> str:
        """By the last one, on both."""
        return (self.out + self.err).decode()

    def _run(
        self, words: Sequence[str], dies: Moment | None = None, told: str | None = None, encoding: str = "utf-8"
    ) -> int:
        root = str(self.root)
        return self._by.run(
            ["--root", root, *words], self._out, self._err, root=root, dies=dies, told=told, encoding=encoding
        )
