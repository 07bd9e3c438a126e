"""What the running agent shows: status.json, and the line that `systemctl status` prints.

It keeps what a pass does not know: how often Docker was restarted, since when the upstream is in use, and when each was
last asked. Not known here: how a pass is drawn (`one_pass/drawing.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from agent.audit.counters import CAUSES
from agent.audit.record import Record
from agent.one_pass.drawing import Beside, RestartsMade, Since, client_targets, picture_of
from agent.one_pass.picture import Picture, TargetShown
from agent.one_pass.seen import Pass, Planned
from agent.service.status_file import CountersShown, EventShown, PolicyStatus, StatusFile, status_of
from agent.service.status_page import headline
from agent.system.clock import now_text
from agent.system.notify import Notify
from agent.values.condition import Condition
from agent.values.dockerd import Reality
from agent.values.errors import AgentError
from agent.values.verdict import Verdict


class Display:
    """Of one agent, from start to stop."""

    def __init__(self, path: Path, notify: Notify, record: Record) -> None:
        self._file = StatusFile(path)
        self._notify = notify
        self._record = record
        self._restarts = RestartsMade()
        self._since: Since | None = None
        self._asked_at: dict[str, tuple[Verdict, str]] = {}  # when each upstream's last verdict came
        self._clients: tuple[TargetShown, ...] = ()  # as they were when they were last looked at

    def note(self, done: Pass) -> None:
        """What a pass has changed that is shown for longer than the pass is."""
        seen = done.seen
        if isinstance(seen, Planned):
            since = Since(seen.recognised.network.name, seen.upstream.name, now_text())
            if self._since is None or (since.network, since.name) != (self._since.network, self._since.name):
                self._since = since
        outcome = done.outcome
        if outcome is not None and outcome.restarted_s is not None:
            self._restarts = RestartsMade(
                self._restarts.count + 1, now_text(), outcome.restarted_s, outcome.containers_kept
            )

    def show(
        self,
        done: Pass | None,
        policy: PolicyStatus,
        conditions: Sequence[Condition],
        idle: Reality | None,
        *,
        is_working: bool,
    ) -> None:
        """`idle`: dockerd, where no policy asks for a pass."""
        picture = self.picture(done, conditions, idle, is_working=is_working)
        recent = tuple(EventShown(told.at, told.text) for told in self._record.recent)
        status = status_of(picture, policy, recent, self._counters())
        with contextlib.suppress(AgentError):  # a full disk: the next pass tries again
            self._file.show(status)
        self._notify.status(f"{status.state.value}: {headline(status, None)}")

    def _counters(self) -> CountersShown | None:
        if self._record.so_far.counters is None:
            return None
        counted = self._record.so_far.counters.now
        return CountersShown(
            restarts={cause: counted.restarts.get(cause, 0) for cause in CAUSES},
            starts_by_others=counted.starts_by_others,
            rollbacks=counted.rollbacks,
            corrections=counted.corrections,
            unreachable_s=round(counted.unreachable_s + counted.open_s, 1),
            deferred_since=counted.deferred_since or None,
        )

    def picture(
        self,
        done: Pass | None,
        conditions: Sequence[Condition],
        idle: Reality | None = None,
        *,
        is_working: bool = False,
    ) -> Picture:
        """Of a pass, with what is known beside it."""
        for name, verdict in done.seen.verdicts.items() if done is not None else ():
            if self._asked_at.get(name, (None, ""))[0] is not verdict:
                self._asked_at[name] = (verdict, now_text())
        if done is not None and (clients := client_targets(done)) is not None:
            self._clients = clients
        beside = Beside(
            conditions=tuple(conditions),
            restarts=self._restarts,
            since=self._since,
            asked={name: at for name, (_, at) in self._asked_at.items()},
            idle=idle,
            clients=self._clients,
        )
        return picture_of(done, beside, is_working=is_working)
