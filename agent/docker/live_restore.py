"""Containers survive a restart of Docker: live-restore is switched on for it, and then restored.

    write true → reload → dockerd says so → (restart, verify)
    write false → reload → dockerd says so → the key as it was

The journal knows of it before the first step, so that a later agent can take the last three. A reload returns before it
has taken effect, and removing the key leaves live-restore on (FACTS 6, 15). Containers that run while dockerd starts
without live-restore are killed, so a roll-back in between goes back to files that say `true`, too.
Not known here: whether containers can be kept (`decide/restart.py`), and the restart.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.docker.journal import Journal
from agent.docker.ports import Look, Supervisor
from agent.system.running_time import within
from agent.system.text_files import edit_text, read_text
from agent.targets import daemon_json
from agent.targets.refused import TextRefused
from agent.values.dockerd import Engine
from agent.values.errors import AgentError, EngineSilent, UnitFailed

_TAKES_S: Final = 10.0  # 0.3 s is what it was seen to take
_LOOK_AGAIN_S: Final = 0.1


class NotTaken(AgentError):
    """dockerd did not switch live-restore on. Everything is as it was, or the error says what is not."""


class LiveRestore:
    """That of one dockerd, for one restart."""

    def __init__(self, supervisor: Supervisor, look: Look, journal: Journal, takes_s: float = _TAKES_S) -> None:
        self._supervisor = supervisor
        self._look = look
        self._journal = journal
        self._takes_s = takes_s

    async def on(self, file: Path) -> None:
        """Switch it on, and wait until dockerd reports it. NotTaken if it does not, or not in time."""
        try:
            await asyncio.to_thread(self._write_true, file)
            await self._supervisor.reload()
            if await self._reports(is_on=True):
                return
            why = f"dockerd did not switch it on within {self._takes_s:.0f} s"
        except (AgentError, TextRefused) as error:
            why = str(error)
        left = await self.off()
        raise NotTaken("live-restore", "; ".join([why, *left]))

    async def off(self) -> tuple[str, ...]:
        """Restore it, in dockerd and in the file. What failed. Without an open bracket there is nothing to do."""
        try:
            bracket = self._journal.under_way().bracket
            if bracket is None:
                return ()
            file = Path(bracket.path)
            engine = await self._engine()
            is_told = daemon_json.live_restore(await asyncio.to_thread(read_text, file))
            # Even if dockerd reports off already: it may not have read yet what the file said first.
            is_on_its_way = engine is not None and (engine.live_restore or bool(is_told)) and not bracket.was_on
            if is_on_its_way and not await self._switch_off(file):
                return ("dockerd did not switch live-restore off again",)
            await asyncio.to_thread(edit_text, file, bracket.closed)
            await asyncio.to_thread(self._journal.close)
        except (AgentError, TextRefused) as error:
            return (f"live-restore could not be restored: {error}",)
        return ()

    async def _switch_off(self, file: Path) -> bool:
        # Written out, not removed: dockerd keeps the old value when the key is gone (FACTS 15).
        await asyncio.to_thread(edit_text, file, _off)
        try:
            await self._supervisor.reload()
        except UnitFailed:  # then it has not read the first value either
            engine = await self._engine()
            return engine is None or not engine.live_restore
        return await self._reports(is_on=False)

    async def _engine(self) -> Engine | None:
        """A dockerd that is just being stopped drops the connection, and is down a moment later: asked again."""
        try:
            return await self._look.engine()
        except EngineSilent:
            await asyncio.sleep(_LOOK_AGAIN_S)
            return await self._look.engine()

    def _write_true(self, file: Path) -> None:
        bracket = self._journal.open(str(file), read_text(file))
        edit_text(Path(bracket.path), bracket.opened)

    async def _reports(self, *, is_on: bool) -> bool:
        with suppress(TimeoutError):
            async with within(self._takes_s):
                while True:
                    with suppress(EngineSilent):
                        engine = await self._look.engine()
                        if engine is None:  # nothing is on in a dockerd that is down, and the next one reads the file
                            return not is_on
                        if engine.live_restore is is_on:
                            return True
                    await asyncio.sleep(_LOOK_AGAIN_S)
        return False


def _off(text: str | None) -> str:
    return daemon_json.set_live_restore(text, to=False)
