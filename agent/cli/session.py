"""What the commands that make or plan a pass have in common: record, world, and the pass as facts."""

from __future__ import annotations

import json
import logging
import secrets

from agent.audit.facts import plain
from agent.audit.log import AuditLog
from agent.logs import configure
from agent.paths import Paths
from agent.policy import Policy
from agent.reconcile import Pass, Seen
from agent.record import Record


def quiet(verbose: int) -> None:
    """A command says on stderr what happens only if it is asked to: what it prints says it, too."""
    configure(logging.INFO if verbose else logging.ERROR)


def record_for(command: str, paths: Paths, policy: Policy) -> Record:
    """The record of a pass that a person started."""
    log = AuditLog(paths.audit_log, paths.state, policy.audit.keep, policy.audit.max_size)
    return Record(log).for_pass(secrets.token_hex(4), command)


def seen_json(seen: Seen) -> dict[str, object]:
    """A pass before it acts, redacted."""
    plan, engine = seen.plan, seen.reality.engine if seen.reality else None
    return {
        "offline": seen.is_offline,
        "network": seen.recognised
        and {
            "name": seen.recognised.network.name,
            "because": seen.recognised.because,
            "fingerprint": seen.snapshot.fingerprint(),
        },
        "upstream": seen.choice and {"name": seen.choice.upstream, "why": seen.choice.because},
        "verdicts": plain(seen.verdicts),
        "docker": seen.reality
        and {
            "phase": seen.reality.unit.phase.value,
            "version": engine.version if engine else None,
            "method": plan.method.value if plan and plan.method else None,
            "effective": plain(plan.effective) if plan else None,
        },
        "plan": plan
        and {
            "desired": plain(plan.desired),
            "prospective": plain(plan.prospective),
            "edits": [edit.path for edit in plan.edits],
            "restart": plan.restart and {"when": plan.restart.when.value, "because": plan.restart.because},
        },
        "clients": seen.clients
        and {
            "wanted": plain(seen.clients.wanted.settings),
            "because": seen.clients.wanted.because,
            "edits": [file.path for file in seen.clients.edits],
            "failed": {file.path: file.error for file in seen.clients.failed},
            "skipped": {skipped.name: skipped.why for skipped in seen.clients.skipped},
        },
        "conditions": [plain(condition) for condition in seen.conditions],
    }


def pass_json(done: Pass) -> dict[str, object]:
    """A pass that was carried out, redacted."""
    written = {file.path: file.error or "written" for file in done.clients}
    return {
        **seen_json(done.seen),
        "outcome": plain(done.outcome) if done.outcome else None,
        "clients_written": written,
    }


def print_json(facts: object) -> None:
    print(json.dumps(facts, indent=2, ensure_ascii=False))
