"""The transaction: write, restart, verify; or everything back as it was, and Docker up.

    keep originals → intent recorded → journal → write → restart → verify → done, or roll back

Not known here: what is to be written and whether a restart is due (`decide/plan.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import msgspec

from agent.condition import Condition
from agent.decide.effective import effective
from agent.decide.plan import Plan
from agent.decide.restart import When
from agent.docker.validate import refused
from agent.dockerd import Reality, UnitState
from agent.errors import AgentError, EngineSilent, NotInForce, RestartFailed, UnitFailed
from agent.events import Event
from agent.files import read_file
from agent.journal import Journal
from agent.marks import Marks
from agent.originals import Original, daemon_originals
from agent.policy import Method
from agent.record import Record
from agent.settings import Settings, Texts, agrees
from agent.targets import daemon_json
from agent.targets.refused import TextRefused
from agent.text_files import read_text, write_text

T = TypeVar("T")

REPORTS_WITHIN_S: Final = 60.0  # dockerd is up and has this long to report what was written
_LOOK_AGAIN_S: Final = 0.1


class Supervisor(Protocol):
    """What a transaction asks of who runs Docker. RestartFailed and UnitFailed say what went wrong."""

    async def state(self) -> UnitState: ...
    async def daemon_reload(self) -> None: ...
    async def restart(self, before: UnitState) -> UnitState: ...
    async def stop(self) -> None: ...
    async def start(self) -> UnitState: ...


class Look(Protocol):
    """Looks at dockerd again."""

    async def reality(self, desired: Settings) -> Reality: ...


class Outcome(msgspec.Struct, frozen=True):
    """How a transaction ended."""

    written: tuple[str, ...] = ()
    restarted_s: float | None = None  # how long the restart took until dockerd reported the settings
    deferred: str = ""  # why a restart that is due was not made
    rolled_back: str = ""  # why everything is as it was
    condition: Condition | None = None

    @property
    def is_failed(self) -> bool:
        return bool(self.rolled_back) or (self.condition is not None and self.condition.code.is_failure)


class Transaction:
    """One plan carried out on one Docker."""

    def __init__(
        self,
        supervisor: Supervisor,
        look: Look,
        state: Path,
        record: Record,
        reports_within_s: float = REPORTS_WITHIN_S,
    ) -> None:
        self._supervisor = supervisor
        self._look = look
        self._originals = daemon_originals(state)
        self._marks = Marks(state)
        self._record = record
        self._reports_within_s = reports_within_s
        self._journal = Journal(state)

    async def carry_out(self, plan: Plan, reality: Reality) -> Outcome:
        """Write, restart, verify. AgentError: nothing is changed, or all of it is put back."""
        is_restarting = plan.restart is not None and plan.restart.when is When.NOW
        if is_restarting and (broken := await refused(reality)):
            return Outcome(condition=broken)
        try:
            await self._write(plan, reality)
        except AgentError:
            await self._put_files_back()
            raise
        written = tuple(edit.path for edit in plan.edits)
        if written or plan.needs_daemon_reload:
            self._record(Event.SETTINGS_WRITTEN, settings=plan.desired, method=plan.method, targets=written)
        if plan.restart is None:
            return Outcome(written)
        if not is_restarting:
            self._record(Event.RESTART_DEFERRED, because=plan.restart.because)
            return Outcome(written, deferred=plan.restart.because)
        try:
            seconds = await self._restart(plan, reality)
        except (RestartFailed, NotInForce, UnitFailed) as failure:
            return await self._roll_back(plan, failure)
        self._record(
            Event.DOCKER_RESTARTED, took_s=round(seconds, 2), settings=plan.desired, because=plan.restart.because
        )
        return Outcome(written, restarted_s=seconds)

    async def _write(self, plan: Plan, reality: Reality) -> None:
        if plan.method is Method.DAEMON_JSON and isinstance(reality.started_with, Texts):
            # After the write the file no longer says what this dockerd was started with.
            self._marks.set(reality.unit.invocation, reality.started_with)
        if plan.effective is not None and plan.prospective is not None and agrees(plan.effective, plan.prospective):
            self._journal.forget()  # dockerd runs with what stands there: that is what a roll-back goes back to
        for edit in plan.edits:
            found = read_file(Path(edit.path))
            mode = found.mode if found else None
            self._keep_original(edit.path, Original.of(edit.path, edit.before, mode), reality)
            self._journal.note(edit.path, edit.before, edit.after, mode)
            await asyncio.to_thread(write_text, Path(edit.path), edit.before, edit.after, edit.mode)
        if plan.needs_daemon_reload:
            await self._supervisor.daemon_reload()

    def _keep_original(self, path: str, original: Original, reality: Reality) -> None:
        if self._originals.of(path) is not None:
            return
        self._originals.keep(path, original)
        theirs = daemon_json.texts(original.text) if path == reality.daemon_json_path else Texts()
        if theirs != Texts():
            self._record(Event.ADOPTED, target=path, old=theirs.meaning())

    async def _restart(self, plan: Plan, reality: Reality) -> float:
        """Seconds from the call until dockerd reported the desired settings."""
        began = time.monotonic()
        state = await self._supervisor.restart(reality.unit)
        await self._in_force(plan.desired)
        seconds = time.monotonic() - began
        self._journal.forget()
        if plan.method is Method.DAEMON_JSON:
            self._mark(state.invocation, Path(reality.daemon_json_path))
        return seconds

    def _mark(self, invocation: str, file: Path) -> None:
        try:
            self._marks.set(invocation, daemon_json.texts(read_text(file)))
        except (AgentError, TextRefused):  # Docker is right; without a mark the file is asked what it was started with
            return

    async def _in_force(self, desired: Settings) -> None:
        """A restart that succeeded proves nothing (FACTS 7): what dockerd reports does."""
        deadline = time.monotonic() + self._reports_within_s
        while True:
            now = await self._look.reality(desired)
            running = effective(now)
            if running is not None and agrees(running, desired):
                return
            if running is not None:
                raise NotInForce("docker", f"runs with other settings than were written: {_in_words(running)}")
            if time.monotonic() > deadline:
                raise NotInForce("docker", f"did not report within {self._reports_within_s:.0f} s what it runs with")
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _roll_back(self, plan: Plan, failure: AgentError) -> Outcome:
        """Stop, files back, start, look once. Whatever fails on the way, Docker is started: never left down by us."""
        said = [str(failure)]
        try:
            await self._supervisor.stop()
        except UnitFailed as error:  # what does not stop may still start anew below
            said.append(str(error))
        said += await self._put_files_back()
        try:
            await self._supervisor.start()
            said.append(await self._afterwards(plan))
        except (RestartFailed, UnitFailed, EngineSilent) as error:
            said.append(f"and Docker does not start with the old settings, either: {error}")
        because = "; ".join(said)
        self._record(Event.ROLLED_BACK, settings=plan.desired, because=because)
        return Outcome(rolled_back=because)

    async def _afterwards(self, plan: Plan) -> str:
        running = effective(await self._look.reality(plan.desired))
        if running is None:
            return "Docker is started again, and does not say yet what it runs with"
        if plan.effective is not None and agrees(running, plan.effective):
            return "the old settings are in force again"
        return f"Docker runs again, with {_in_words(running)}"

    async def _put_files_back(self) -> tuple[str, ...]:
        """What could not be put back, and why. systemd looks again: the drop-in may be of an earlier pass."""
        left = await asyncio.to_thread(self._journal.put_back)
        try:
            await self._supervisor.daemon_reload()
        except UnitFailed as error:
            return (*left, str(error))
        return left


def _in_words(running: Settings) -> str:
    return ", ".join(f"{name} {value}" for name, value in running.lines())


async def to_the_end(work: Coroutine[Any, Any, T], within_s: float | None) -> T:
    """Wait for it even if we are told to stop meanwhile, and only then stop: a ctrl-C must not leave Docker down.

    `within_s`: how long it may still take then; None: as long as it takes.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=within_s)
        task.cancel()
        await asyncio.wait([task])
        raise
