"""Records what happens: in the audit log, and in the journal.

    record = Record(AuditLog(paths.audit_log, paths.state)).for_pass("a1-17", "netlink")
    record(UpstreamChosen(upstream="direct", network="office", because=choice.because, verdicts=verdicts))

The same event with the same facts goes to both, made plain and redacted once; the journal gets the record's seq and
hash with it, so that it anchors the log. A pass goes on where the audit log cannot be written: the journal then
says `audit="unwritable"`, and `problem` is the text of the condition.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from agent.audit.counters import Noted
from agent.audit.facts import Plain, of_a_record
from agent.audit.log import AuditLog, AuditUnwritable
from agent.audit.logs import log
from agent.audit.so_far import SoFar, Told
from agent.audit.unexpected import unexpected
from agent.system.clock import now_text
from agent.values.asker import Asker
from agent.values.events import FACTS, Event, Facts, Severity
from agent.values.sentences import brief

# The names that a record and a log line have already: no fact has one of them.
RESERVED: Final = frozenset(
    {"event", "pass", "trigger", "by", "severity", "level", "exception", "audit", "audit_seq", "audit_hash"}
)


_LEVEL: Final = {
    Severity.INFO: logging.INFO,
    Severity.NOTICE: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
}


class Record:
    """Records what happens; outside of a pass until `for_pass` names one."""

    def __init__(
        self,
        audit_log: AuditLog,
        pass_id: str = "",
        trigger: str = "",
        *,
        by: Asker | None = None,
        so_far: SoFar | None = None,
    ) -> None:
        self._audit_log = audit_log
        self.pass_id = pass_id
        self._trigger = trigger
        self.by = by
        self.so_far = SoFar(audit_log.state, audit_log.path) if so_far is None else so_far

    def for_pass(self, pass_id: str, trigger: str, by: Asker | None = None) -> Record:
        """A Record for what happens in this pass. `by`: who asked for it, if somebody did."""
        return Record(self._audit_log, pass_id, trigger, by=by, so_far=self.so_far)

    def asked_by(self, asker: Asker, trigger: str) -> Record:
        """The same, for what one of those who asked for this pass brings about."""
        return Record(self._audit_log, self.pass_id, trigger, by=asker, so_far=self.so_far)

    @property
    def recent(self) -> tuple[Told, ...]:
        """The latest events in a few words, the newest first."""
        return tuple(self.so_far.recent)

    @property
    def problem(self) -> str:
        """What went wrong with the last record; '' if nothing."""
        return self._audit_log.problem

    def take_lost(self) -> bool:
        """Whether records were lost since the last call: the log does not say any more what they said."""
        has_lost, self._audit_log.has_lost = self._audit_log.has_lost, False
        return has_lost

    def __call__(self, facts: Facts) -> None:
        """Takes it down; it is on disk when this returns, unless there is a `problem`."""
        event, shown = facts.event, of_a_record(facts.by_name())
        by = None if facts.is_by_itself else self.by
        about = {**self._about(by), "severity": facts.severity.value}
        anchor = self._append(event, shown, by)
        self._log_of_itself()
        log.log(_LEVEL[facts.severity], event.value, **shown, **about, **anchor)
        self.so_far.note(facts)
        if self.so_far.counters is not None:
            seq = anchor.get("audit_seq")
            noted = Noted(event=event.value, facts=shown, trigger=self._trigger, is_asked=by is not None, at=now_text())
            self.so_far.counters.note(seq if isinstance(seq, int) else None, noted)
        if facts.is_shown and (words := brief(event, shown)):
            self.so_far.recent.appendleft(Told(now_text(), words))

    def _log_of_itself(self) -> None:
        """What the audit log has recorded about itself before: who reads the journal alone is to know of it, too."""
        found, self._audit_log.of_itself = self._audit_log.of_itself, []
        for one in found:
            severity = FACTS[one.event].severity
            about = {**self._about(None), "severity": severity.value}
            anchor = {"audit_seq": one.anchor.seq, "audit_hash": one.anchor.hash}
            log.log(_LEVEL[severity], one.event.value, **of_a_record(one.facts), **about, **anchor)

    def _about(self, by: Asker | None) -> dict[str, Any]:
        about = {"pass": self.pass_id, "trigger": self._trigger, "by": by and msgspec.to_builtins(by)}
        return {name: value for name, value in about.items() if value}

    def _append(self, event: Event, facts: dict[str, Plain], by: Asker | None) -> dict[str, Plain]:
        try:
            anchor = self._audit_log.append(event, self._trigger, self.pass_id, facts, by=by)
        except AuditUnwritable as error:  # the journal has the record, and the agent shows the condition
            return {"audit": "unwritable", "audit_error": str(error)}
        except Exception as error:  # noqa: BLE001 - a record that cannot be made costs itself, and no pass
            failure = unexpected("the audit log", error)
            self._audit_log.problem = failure.what
            return {"audit": "unwritable", "audit_error": str(failure)}
        return {"audit_seq": anchor.seq, "audit_hash": anchor.hash}
