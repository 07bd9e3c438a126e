"""The agent's commands, each in a process of its own that need not import it: a fork of one that has.

It is a process as any other, with its own exit status, stdout and stderr, and can be killed at a chosen moment
(`crash.py`). The one that forks has a single thread: in a fork of a test's own process, a lock that another thread held
would be held for ever.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .crash import Moment, begun

WITHIN_S = 60
COMMANDS = ("apply", "audit", "check", "pin", "plan", "restore", "status")


def zygote() -> None:
    """A run for each line of stdin; how it ended on stdout."""
    main = importlib.import_module("agent.cli").main
    for command in COMMANDS:
        importlib.import_module(f"agent.cli.{command}")  # so that no run has to
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
        if asked["dies"] is not None or asked["told"] is not None:
            begun(asked["root"], "agent", asked["dies"], asked["told"], os.getpid())
        status = main(["--root", asked["root"], *asked["words"]])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 70
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


class Runs:
    """Commands of the agent on one root, one after the other; a context that ends what it started."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self._out, self._err = folder / "out", folder / "err"

    def __enter__(self) -> Runs:
        self._zygote = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", "from tests.loopback.runs import zygote; zygote()"],
            cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            env=dict(os.environ),
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._zygote.pid, signal.SIGKILL)  # with a run that hangs
        self._zygote.communicate(timeout=WITHIN_S)

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
        asked = {
            "root": str(self.root), "words": words, "dies": dies, "told": told, "out": str(self._out),
            "err": str(self._err), "encoding": encoding,
        }  # fmt: skip
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(asked).encode() + b"\n")
        self._zygote.stdin.flush()
        assert select.select([self._zygote.stdout], [], [], WITHIN_S)[0], f"{words}: not over within {WITHIN_S} s"
        return int(self._zygote.stdout.readline())
