"""Everything as it was before the agent: Docker's files, and the clients'.

The original bytes if nobody else has written since, otherwise only our keys. What is restored is forgotten, so that a
later pass adopts it anew; what cannot be restored is reported and kept. Not known here: how Docker is restarted
(`docker/transaction.py`), and the service, which must not run meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agent.audit.record import Record
from agent.audit.unexpected import unexpected
from agent.clients.clients import Files
from agent.clients.originals import client_originals
from agent.clients.users import Account, is_gone
from agent.decide.client_file import OwnedConfig
from agent.decide.client_file import put_back as before_us
from agent.decide.plan import OwnedDaemonJson, Plan
from agent.decide.put_back import PutBack, put_back
from agent.docker.journal import Journal
from agent.docker.originals import OriginalFile, daemon_originals
from agent.docker.transaction import Applied
from agent.one_pass.ports import Daemon
from agent.system.kept import Kept
from agent.system.text_files import read_text
from agent.system.to_the_end import to_the_end
from agent.targets.refused import TextRefused
from agent.values.dockerd import GOES_DOWN, Reality
from agent.values.errors import AgentError, TargetFailed
from agent.values.events import ApplyStarted, FilesRestored
from agent.values.policy import Docker
from agent.values.settings import DIRECT

_APPLY: Final = "then run: docker-proxy-agent apply"
_RESTORE: Final = "then run: docker-proxy-agent restore"
_AGAIN: Final = "Try again when Docker runs and reloads"

Accounts = Callable[[Iterable[str]], tuple[Account, ...]]


class Restored(msgspec.Struct, frozen=True):
    """What was put back, and what was not."""

    targets: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()  # of these, what was not there before
    outcome: Applied = Applied()
    left: tuple[str, ...] = ()  # where, what, what to do, one line each
    by_hand: str = ""  # if the restart waits: the command that makes it, and what it costs
    unit: str = ""  # where it is not that of the Docker that is served
    beside: tuple[Restored, ...] = ()  # other Dockers that the agent has left since; their files are above

    @property
    def is_failed(self) -> bool:
        return bool(self.left) or self.outcome.is_failed or any(one.is_failed for one in self.beside)

    def with_beside(self, others: Sequence[Restored]) -> Restored:
        """Together with these, which were put back before."""
        return msgspec.structs.replace(
            self,
            targets=(*(target for one in others for target in one.targets), *self.targets),
            removed=(*(target for one in others for target in one.removed), *self.removed),
            left=(*(line for one in others for line in one.left), *self.left),
            beside=tuple(others),
        )


class Restoring(msgspec.Struct, frozen=True):
    """Whose files are put back, and what they were."""

    state: Path
    docker: Docker
    daemon: Daemon
    homes: Files
    accounts: Accounts
    files: tuple[str, ...] = ()  # of a Docker that is not served any more: these alone, and no client's; (): everything
    relay_ports: tuple[int, ...] = ()  # of a relay that ends with this: a Docker with its address cannot wait

    async def restore(self, record: Record, *, is_asked_now: bool) -> Restored:
        """Put everything back. Docker is restarted by the rules of a pass. A second call finds nothing to do."""
        if await self.daemon.goes_down():
            return Restored(left=("the system is going down: nothing is restored",))
        kept, clients = daemon_originals(self.state), {} if self.files else client_originals(self.state).all()
        reality: Reality | None = None
        try:
            found, reality = await self._planned(self._mine(kept), is_asked_now=is_asked_now)
        except Exception as error:  # noqa: BLE001 - the boundary of a target: the clients' files are put back
            found = PutBack(Plan(DIRECT), (_said(error),), tuple(kept.all()))
        plan = found.plan
        about = (*(edit.path for edit in plan.edits), *clients)
        if about or plan.acts:
            record(ApplyStarted(targets=about, because="everything is restored as it was before the agent"))
        async with self.homes.one_pass():
            written, removed, left = await to_the_end(self._put_clients_back(clients), None)
        outcome = Applied()
        if plan.acts and reality is not None:
            try:
                self._end_the_trial()
                outcome = await to_the_end(self.daemon.carry_out(plan, reality, record), None)
            except Exception as error:  # noqa: BLE001 - the boundary of a target: what was done beside it is recorded
                found = PutBack(Plan(DIRECT), (*found.left, _said(error)), tuple(kept.all()))
        if outcome.goes_down:  # the originals are needed after the next boot
            found = PutBack(plan, (*found.left, f"Docker: {GOES_DOWN}"))
        elif outcome.stands:
            stays = {edit.path for edit in plan.edits} - set(outcome.written)
            left = (*left, *(f"{path}: not restored: {outcome.deferred or 'not written'}" for path in sorted(stays)))
            stays.update(found.left_targets)
            originals = {path: one for path, one in self._mine(kept).items() if path not in stays}
            _remove_folders(originals)
            kept.forget(originals)
            left = (*left, *self._unsettled())
            written = (*outcome.written, *written)
            gone = {edit.path for edit in plan.edits if edit.after is None}
            removed = (*(path for path in outcome.written if path in gone), *removed)
        outcome, by_hand = _waiting(found, outcome, reality)
        if written:
            record(FilesRestored(targets=written))
        left = tuple(map(_to_be_tried_again, (*found.left, *left)))
        return Restored(written, removed, outcome, left=left, by_hand=by_hand)

    def _mine(self, kept: Kept[OriginalFile]) -> dict[str, OriginalFile]:
        return {path: one for path, one in kept.all().items() if not self.files or path in self.files}

    def _end_the_trial(self) -> None:
        """End the probation of the last restart: nobody watches Docker from here on, and what is put back must stay."""
        journal = Journal(self.state)
        if journal.under_way().trial is not None:
            journal.forget()

    def _unsettled(self) -> tuple[str, ...]:
        """What a later try must finish. Clears the journal: a later agent must not go back to our settings."""
        journal = Journal(self.state)
        try:
            if not journal.under_way().forbids_writing:
                journal.forget()
            bracket = journal.under_way().bracket
        except AgentError as error:
            return (str(error),)
        if bracket is None:
            return ()
        failed = TargetFailed(bracket.path, "live-restore is not as it was: dockerd rejects the old value", _AGAIN)
        return (str(failed),)

    async def _planned(self, kept: Mapping[str, OriginalFile], *, is_asked_now: bool) -> tuple[PutBack, Reality]:
        # Twice: the marks can only tell whether dockerd runs with a value if they are asked for that value.
        desired = DIRECT
        for _ in range(2):
            reality = await self.daemon.reality(desired)
            # The values are those of the Docker that is served: it still needs them.
            ours = self.files or (reality.environment_file_path, reality.drop_in_path)
            paths = dict.fromkeys((*ours, *kept))
            texts, unread = await asyncio.to_thread(_texts, paths)
            owned = {
                path: OwnedDaemonJson(is_ours=True, original=one.text, mode=one.mode) for path, one in kept.items()
            }
            found = put_back(
                owned, texts, reality, self.docker, is_asked_now=is_asked_now, relay_ports=self.relay_ports
            )
            unsaid = {path: why for path, why in unread.items() if path not in found.left_targets}
            found = msgspec.structs.replace(
                found, left=(*unsaid.values(), *found.left), left_targets=(*unsaid, *found.left_targets)
            )
            desired = found.plan.desired
        return found, reality

    async def _put_clients_back(
        self, known: Mapping[str, OwnedConfig]
    ) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """The files written, those of them that were removed, and why others were not written."""
        accounts = {str(one.config): one for one in self.accounts(known)} if known else {}
        written, removed, left, done = [], [], [], []
        for path, owned in known.items():
            try:
                if path in accounts:
                    change = await _put_client_back(self.homes, accounts[path], owned)
                    written += [path] if change.is_written else []
                    removed += [path] if change.is_removed else []
                elif not await asyncio.to_thread(is_gone, path):
                    left.append(f"{path}: no known account owns it; left as it is")
                    continue
            except TextRefused as error:
                left.append(str(error.failed(path)))
                continue
            except Exception as error:  # noqa: BLE001 - the boundary of a target: it is left alone, the others go on
                left.append(_said(error, path))
                continue
            done.append(path)
        if done:
            client_originals(self.state).forget(done)
        return tuple(written), tuple(removed), tuple(left)


def _waiting(found: PutBack, outcome: Applied, reality: Reality | None) -> tuple[Applied, str]:
    """The outcome, with why the restart waits where it does, and the command that makes it."""
    plan = found.plan
    if not plan.acts and plan.restart is not None:
        outcome = Applied(deferred=plan.restart.because)
    is_unheard = reality is not None and reality.unit.is_running and reality.engine is None
    if reality is not None and is_unheard and plan.edits and plan.restart is None and outcome.stands:
        command = f"{reality.systemctl} restart {reality.unit_name}" if reality.is_systemd else "restart dockerd"
        return msgspec.structs.replace(outcome, deferred=reality.absence), command
    return outcome, found.by_hand if outcome.deferred else ""


def _said(error: Exception, where: str = "Docker") -> str:
    return str(error if isinstance(error, AgentError) else unexpected(where, error))


def _to_be_tried_again(line: str) -> str:
    """Errors of a target advise an apply, which would write everything again."""
    return f"{line.removesuffix(_APPLY)}{_RESTORE}" if line.endswith(_APPLY) else line


def _texts(paths: Iterable[str]) -> tuple[dict[str, str | None], dict[str, str]]:
    """The content of the files, and why others cannot be read."""
    texts: dict[str, str | None] = {}
    unread: dict[str, str] = {}
    for path in paths:
        try:
            texts[path] = read_text(Path(path))
        except TargetFailed as error:
            unread[path] = str(error)
    return texts, unread


class _Done(msgspec.Struct, frozen=True):
    """What became of one client's file."""

    is_written: bool = False
    is_removed: bool = False


async def _put_client_back(homes: Files, account: Account, owned: OwnedConfig) -> _Done:
    def change(text: str | None) -> str | None:
        edit = before_us(text, owned)
        return text if edit is None else edit.text

    found = await homes.read(account, account.config)
    edit = before_us(None if found is None else found.text, owned)
    if edit is None:
        return _Done()
    folder_was_there = owned.was is None or owned.was.folder_existed
    done = await homes.edit(account, account.config, change, mode=edit.mode, folder_was_there=folder_was_there)
    return _Done(done.before != done.after, done.before is not None and done.after is None)


def _remove_folders(originals: Mapping[str, OriginalFile]) -> None:
    for path, original in originals.items():
        if not original.folder_existed:
            with contextlib.suppress(OSError):  # other files are in it
                Path(path).parent.rmdir()
