"""A piece of ground: namespaces of network, mounts and processes, which all end with the process that holds them."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.waiting import until

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}
# Mounts and processes of its own, which end with it: nothing stays mounted, nothing runs on.
ALONE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
# The kernel kills the process when this one ends, however it ends.
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")


class Ground:
    def __init__(self, name: str) -> None:
        self.name = name
        self._servers: list[Server] = []
        self._holder = subprocess.Popen(
            [*DIES_WITH_US, *ALONE, "--net", "sh", "-c", "ip link set lo up && echo ready && exec sleep infinity"],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is for the tests, which then close this
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name}: no namespaces could be made (unshare ended with {self._holder.wait(60)})")
        (self.pid,) = children(self._holder.pid)

    def sh(self, script: str) -> str:
        """Run a script on this network. It sees the host's files and processes."""
        return output(["nsenter", "-t", str(self.pid), "-n", "--", "sh", "-euc", script])

    def files(self, script: str) -> str:
        """Run a script where this ground's servers run: its own mounts and processes."""
        return output([*self._inside(), "sh", "-euc", script])

    def python(self, script: Path, *arguments: str) -> str:
        return output([*self._inside(), sys.executable, str(script), *arguments])

    def serve(self, argv: Sequence[str], log: Path, listens: Sequence[int]) -> "Server":
        server = Server(self, [*self._inside(), *argv], log, listens)
        self._servers.append(server)
        return server

    def listening(self) -> set[int]:
        """The TCP ports that somebody listens on."""
        ports = set()
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{self.pid}/net/{table}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A":
                    ports.add(int(words[1].rpartition(":")[2], 16))
        return ports

    def close(self) -> None:
        self._holder.kill()  # and with it its child, and with that all that runs here
        self._holder.wait(60)
        assert self._holder.stdout is not None
        self._holder.stdout.close()
        for server in self._servers:
            server.gone()

    def __enter__(self) -> "Ground":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _inside(self) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-p", "--"]


class Server:
    """A program that serves on some ground; can be stopped and started again by a test."""

    def __init__(self, ground: Ground, argv: Sequence[str], log: Path, listens: Sequence[int]) -> None:
        self._ground, self._argv, self.log_file, self._listens = ground, argv, log, set(listens)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Also goes on where it was frozen."""
        if self._process is not None:
            self._thaw()
            return
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                env=ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process = self._process

        def serves() -> bool:
            if process.poll() is not None:
                said = self.log_file.read_text(errors="replace")[-1500:]
                raise RuntimeError(f"{' '.join(self._argv)} ended with {process.returncode}:\n{said}")
            return self._listens <= self._ground.listening()

        until(20, serves, f"{self._argv[7]} on {self._ground.name} listens on {sorted(self._listens)}", every=0.02)

    def stop(self) -> None:
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self.gone()

    def freeze(self) -> None:
        """It goes on to accept connections, which the kernel does for it, and answers none."""
        self._signal(signal.SIGSTOP)

    def _thaw(self) -> None:
        self._signal(signal.SIGCONT)
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)  # nsenter stops with its child

    def _signal(self, what: signal.Signals) -> None:
        # The process is nsenter's, which waits; its only child is the server.
        for pid in children(self._process.pid) if self._process is not None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)

    def gone(self) -> None:
        if self._process is not None:
            self._thaw()
            self._process.wait(60)
            self._process = None


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return []


def output(argv: Sequence[str]) -> str:
    done = subprocess.run(
        argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
