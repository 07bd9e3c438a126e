"""What the commands that make or plan a pass share: quiet logging, and the record."""

from __future__ import annotations

import logging
import os
import secrets
import shlex
from pathlib import Path

from agent.audit.log import AuditLog
from agent.audit.logs import configure
from agent.audit.record import Record
from agent.system.process_start import login_uid
from agent.values.asker import Asker, Via
from agent.values.paths import Paths
from agent.values.policy import Policy
from agent.values.secret import escaped


def quiet(verbose: int) -> None:
    """Without -v a command logs nothing to stderr: its output says the same."""
    configure(logging.INFO if verbose else logging.CRITICAL)


def record_for(command: str, paths: Paths, policy: Policy) -> Record:
    """The audit record of a pass that a person started."""
    log = AuditLog(paths.audit_log, paths.state, policy.audit.keep, policy.audit.max_size)
    return Record(log).for_pass(secrets.token_hex(4), command, by=myself())


def myself() -> Asker:
    """Who runs this command."""
    return Asker(Via.COMMAND, uid=os.getuid(), login_uid=login_uid(os.getpid()), claimed=claimed())


def private_file(file: Path, what_next: str) -> str:
    """Says that there is a new file that one account alone can read. What root by sudo has made is not its person's."""
    if os.geteuid() == 0 and claimed():
        mine = f'sudo chown "$USER" {shlex.quote(str(file))}'
        return f"{file}: written, readable only by root. Make it yours, then {what_next}: {mine}"
    return f"{file}: written, readable only by you. {what_next[0].upper()}{what_next[1:]}"


def claimed() -> str:
    """The user who ran sudo, as sudo says."""
    return escaped(os.environ.get("SUDO_USER", ""), 64)
