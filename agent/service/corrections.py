"""Foreign changes of our keys: told apart from changes of the agent's own choice, counted, and put right.

How often is too often is decided in `decide/drift.py`. Not known here: how something is put right.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from agent.audit.drift_digests import drift_digests
from agent.audit.record import Record
from agent.clients.clients import ClientFile, ClientsSeen
from agent.decide.client_file import Change
from agent.decide.drift import Correcting, Correction, Drifts, drifted
from agent.decide.plan import Plan
from agent.one_pass.seen import AnySeen, Pass, Planned
from agent.system.clock import exact
from agent.system.passwd import owner_of
from agent.values.condition import gave_up
from agent.values.events import DriftCorrected, GaveUp
from agent.values.paths import Paths
from agent.values.policy import Method
from agent.values.settings import Settings, agrees


class Corrections:
    """As one agent meets them; a reload starts the count again."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._drifts = Drifts()
        # dockerd's settings and their method when a pass last left everything right
        self._in_place: tuple[Settings, Method | None] | None = None
        self._counted_text: tuple[str, str | None] | None = None  # the last change that was counted
        # what the pass under way puts right: target, settings found, and what their file tells of who wrote them
        self._found: tuple[str, Settings | None, FileTells] | None = None

    def forget(self) -> None:
        """A person asks: put right again what was given up."""
        self._drifts = Drifts()

    def judge(self, seen: AnySeen, now: float, record: Record) -> AnySeen:
        """Leave out the targets that were given up, and count each foreign change that is about to be undone."""
        if isinstance(seen, Planned) and seen.plan.edits:
            seen = msgspec.structs.replace(seen, plan=self._plan(seen.plan, now, record))
        if seen.clients is not None:
            seen = msgspec.structs.replace(seen, clients=self._clients(seen.clients, now, record))
        return seen

    def note(self, made: Pass, record: Record) -> None:
        """After a pass: record what it put right, and keep what stands now to compare later changes with."""
        outcome, found = made.outcome, self._found
        self._found = None
        if not isinstance(made.seen, Planned):
            return
        plan = made.seen.plan
        is_written = outcome is not None and bool(outcome.written) and not outcome.rolled_back
        if found is not None and is_written:
            target, settings, file = found
            before, after = drift_digests(self._paths.state, settings, plan.desired)
            record(
                DriftCorrected(
                    targets=(target,),
                    found=UNSET if settings is None else settings,
                    owner=file.owner,
                    changed=file.changed,
                    password_before=before,
                    password_after=after,
                )
            )
        if is_written or _is_in_place(plan):
            self._in_place = (plan.desired, plan.method)
            self._counted_text = None
        elif outcome is not None:
            self._in_place = None

    def _plan(self, plan: Plan, now: float, record: Record) -> Plan:
        target = plan.edits[0].path
        if target not in self._drifts.given_up and self._in_place != (plan.desired, plan.method):
            return plan  # not foreign: we want other settings than before, or another method
        file = told_by(Path(target), self._paths)
        if target not in self._drifts.given_up and (target, plan.edits[0].before) == self._counted_text:
            self._found = (target, plan.prospective, file)
            return plan  # the same change as before, which could not be undone
        self._counted_text = (target, plan.edits[0].before)
        correction = self._count(target, now, file, record)
        if correction.answer is Correcting.PUT_RIGHT:
            self._found = (target, plan.prospective, file)
            return plan
        condition = gave_up(target, correction.because)
        return Plan(plan.desired, plan.method, plan.prospective, plan.effective, condition=condition)

    def _clients(self, clients: ClientsSeen, now: float, record: Record) -> ClientsSeen:
        return msgspec.structs.replace(clients, files=tuple(self._files(clients, now, record)))

    def _files(self, clients: ClientsSeen, now: float, record: Record) -> Iterator[ClientFile]:
        for file in clients.files:
            is_foreign = file.edit is not None and file.edit.change is Change.DRIFT
            if file.edit is None or not (is_foreign or file.path in self._drifts.given_up):
                yield file
                continue
            correction = self._count(file.path, now, FileTells(file.name), record)
            is_put_right = correction.answer is Correcting.PUT_RIGHT
            condition = gave_up(file.path, correction.because)
            yield file if is_put_right else ClientFile(file.account, error=str(condition), gave_up=condition)

    def _count(self, target: str, now: float, file: FileTells, record: Record) -> Correction:
        self._drifts, correction = drifted(self._drifts, target, now, str(file))
        if correction.answer is Correcting.GIVE_UP:
            because = correction.because
            record(GaveUp(targets=(target,), because=because, owner=file.owner, changed=file.changed))
        return correction


def _is_in_place(plan: Plan) -> bool:
    """Whether nothing is left to be written. Where edits would be in vain, there are none, and a condition says so."""
    if plan.edits or plan.put_off:
        return False
    return plan.condition is None or (plan.prospective is not None and agrees(plan.prospective, plan.desired))


class FileTells(msgspec.Struct, frozen=True):
    """All that a file tells of who wrote it, which is little: root may write a file of alice's."""

    owner: str | None  # None: the file was removed
    changed: str | UnsetType = UNSET  # RFC 3339

    def __str__(self) -> str:
        if self.owner is None:
            return "somebody who removed the file"
        return f"somebody (the file is {self.owner}'s)"


def told_by(path: Path, paths: Paths) -> FileTells:
    try:
        status = path.stat()
    except OSError:
        return FileTells(None)
    return FileTells(owner_of(status.st_uid, paths), exact(status.st_mtime))
