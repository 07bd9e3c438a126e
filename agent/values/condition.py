"""Something that a person should know, and what to do about it."""

from __future__ import annotations

import enum
import re
from typing import Final

import msgspec

from agent.values.dockerd import FileFault


class Code(enum.Enum):
    """What scripts tell conditions apart by."""

    NO_POLICY = "no-policy"
    POLICY_ERROR = "policy-error"
    PORTAL = "portal"
    UNREACHABLE = "unreachable"
    PINNED = "pinned"
    PINNED_BUT_FAILING = "pinned-but-failing"
    PAUSED = "paused"
    GAVE_UP = "gave-up"
    NOT_FINISHED = "not-finished"
    QUARANTINED = "quarantined"
    UNSTEADY = "unsteady"
    BLOCKED = "blocked"
    ENGINE_ABSENT = "engine-absent"
    ENGINE_STOPPED = "engine-stopped"
    ENGINE_DOWN = "engine-down"
    ENGINE_SILENT = "engine-silent"
    ENGINE_SLOW = "engine-slow"
    UNSUPPORTED = "unsupported"
    FOREIGN_CONFIG_BROKEN = "foreign-config-broken"
    NOT_EFFECTIVE = "not-effective"
    CONTAINERS_LOST = "containers-lost"
    AUDIT_UNWRITABLE = "audit-unwritable"
    TARGET_FAILED = "target-failed"
    INTERNAL_ERROR = "internal-error"
    FILES_UNWATCHED = "files-unwatched"
    REGISTRY_UNREACHABLE = "registry-unreachable"
    OUT_OF_REACH = "out-of-reach"
    CLIENT_UNREACHABLE = "client-unreachable"
    CLIENT_NO_CREDENTIALS = "client-no-credentials"
    CLIENT_NOT_EFFECTIVE = "client-not-effective"
    CONTAINERS_STALE = "containers-stale"
    CONTAINERS_CUT_OFF = "containers-cut-off"
    RELAY_FAILED = "relay-failed"
    RELAY_NOT_KEPT = "relay-not-kept"
    PAC_SPLIT = "pac-split"

    @property
    def is_failure(self) -> bool:
        """Whether a command that meets it has failed."""
        return self in _FAILURES


_FAILURES: Final = frozenset(
    {
        Code.UNREACHABLE, Code.BLOCKED, Code.UNSUPPORTED, Code.FOREIGN_CONFIG_BROKEN, Code.NOT_EFFECTIVE,
        Code.ENGINE_DOWN, Code.ENGINE_SILENT, Code.POLICY_ERROR, Code.NO_POLICY,
        Code.TARGET_FAILED, Code.INTERNAL_ERROR, Code.GAVE_UP, Code.NOT_FINISHED, Code.RELAY_NOT_KEPT,
    }
)  # fmt: skip

# As dockerd (daemon/config, `validateConfig…` and `findConfigurationConflicts`) and `decide/foreign.py` say it.
_DIRECTIVES: Final = re.compile(
    r"the following directives (?:don't match any configuration option"
    r"|(?P<both>are specified both as a flag and in the configuration file)): "
    r"(?P<keys>[a-z-]+(?:, [a-z-]+)*)(?=$|: | \(|;)"
)


class Condition(msgspec.Struct, frozen=True):
    """`target` is the file or unit that it is about; '' if it is about the whole."""

    code: Code
    text: str
    remedy: str = ""
    target: str = ""

    @property
    def comes_first(self) -> bool:
        """Whether it is shown before everything else."""
        return self.code is Code.ENGINE_DOWN

    def __str__(self) -> str:
        where = f"{self.target}: " if self.target else ""
        return f"{where}{self.text}" + (f". {self.remedy}" if self.remedy else "")


def down(unit_name: str, file: FileFault | None = None) -> Condition:
    """Docker broke, whoever caused it. `file`: what in daemon.json keeps it down, if known."""
    text, remedy = f"Docker is down: {unit_name} does not start", f"See: journalctl -u {unit_name} -n 50"
    if file is not None:
        text = f"{text} with {file.path}: {file.wrong}"
        # It may have failed so often that systemd refuses a mere restart.
        remedy = f"{_mend(file)}, then run: systemctl reset-failed {unit_name}; systemctl restart {unit_name}"
    return Condition(Code.ENGINE_DOWN, text, remedy)


def _mend(file: FileFault) -> str:
    """What is to be done to the file, as far as dockerd's words tell."""
    found = _DIRECTIVES.search(file.wrong)
    if found is None:
        return f"Fix {file.path}"
    where = ", or from the flags in the unit" if found["both"] else ""
    return f"Remove {found['keys']} from {file.path}{where}"


def gave_up(target: str, because: str) -> Condition:
    """The agent no longer corrects others' changes of our keys."""
    return Condition(Code.GAVE_UP, because, "When it is fixed, run: docker-proxy-agent reload", target)
