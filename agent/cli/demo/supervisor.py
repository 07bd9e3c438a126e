"""Stands in for systemd: runs the stand-in engine, and restarts it when asked on a socket.

The engine is a child of this process. It notices by its stdin when this process ends, in whatever way.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final, Self

from agent.cli.demo import restart
from agent.values.errors import RestartFailed

_WITHIN_S: Final = 10.0
_PACKAGES: Final = Path(__file__).parents[3]  # where `agent` is, in site-packages or in a folder of its own


class StandInSystemd:
    """Runs one engine. An `async with`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._socket = root / "run/supervisor.sock"
        self._engine: asyncio.subprocess.Process | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self.restarts = 0

    @property
    def restart_command(self) -> tuple[str, ...]:
        return sys.executable, "-I", "-S", restart.__file__, str(self._socket)

    @property
    def pid(self) -> int:
        """Of the running engine, or 0."""
        return self._engine.pid if self._engine else 0

    async def __aenter__(self) -> Self:
        try:
            await self._start()
            self._server = await asyncio.start_unix_server(self._serve, self._socket)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._asking:  # a restart under way must not start the engine again
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._stop()

    async def _serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio calls this in a task
        self._asking.add(task)
        try:
            await self._stop()
            await self._start()
        except RestartFailed as error:
            writer.write(str(error).encode())
        except asyncio.CancelledError:
            pass  # the demo ends; Python 3.11 would log this
        else:
            self.restarts += 1
            writer.write(restart.DONE.encode())
        finally:
            self._asking.discard(task)
            writer.close()

    async def _start(self) -> None:
        # In its own process group: ctrl-C is for the demo, which then stops the engine.
        self._engine = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "agent.cli.demo.engine", str(self._root),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_PACKAGES)}, process_group=0,
        )  # fmt: skip
        assert self._engine.stdout is not None  # noqa: S101 - a pipe
        assert self._engine.stderr is not None  # noqa: S101
        try:
            async with asyncio.timeout(_WITHIN_S):
                if await self._engine.stdout.readline():  # printed once it listens
                    return
                why = (await self._engine.stderr.read()).decode(errors="replace").strip()
        except TimeoutError:
            why = f"does not listen after {_WITHIN_S:.0f} s"
        await self._stop()
        raise RestartFailed("the stand-in engine", why.rpartition("\n")[2] or "ended at once")

    async def _stop(self) -> None:
        engine, self._engine = self._engine, None
        if engine is None:
            return
        if engine.returncode is None:
            engine.terminate()
        try:
            async with asyncio.timeout(_WITHIN_S):
                await engine.communicate()
        except TimeoutError:
            engine.kill()
            await engine.communicate()
