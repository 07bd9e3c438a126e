"""Errors that end the work on one target or one command: where, what, what to do.

What is expected to happen is a value (a verdict, a list of problems, the state of a target), not one of these.
They carry fields and are worded here; `str()` is the one line that a person reads.
"""

from __future__ import annotations

from typing import Final

from agent.values.remark import Remark

LEFT: Final = "left as it is"  # what becomes of a file that is not as it must be


class AgentError(Exception):
    """`where: what. remedy`; `what` is what is wrong and, if that is given, what becomes of it."""

    def __init__(self, where: str, wrong: str, remedy: str = "", *, then: str = "") -> None:
        super().__init__(where, wrong, remedy)
        self.where = where
        self.wrong = wrong
        self.what = f"{wrong}; {then}" if then else wrong
        self.remedy = remedy

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        end = "" if line.endswith("?") else "."
        return f"{line}{end} {self.remedy}" if self.remedy else line


class PolicyRefused(AgentError):
    """The policy or a file that it names is wrong; `found` has one remark for each mistake.

    `named`: the files that it names, as far as it could be read: one that comes may be all that is missing.
    """

    def __init__(self, path: str, found: tuple[Remark, ...], named: tuple[str, ...] = ()) -> None:
        first = found[0] if found else Remark("refused")
        super().__init__(first.at(path), first.text)
        self.path = path
        self.found = found
        self.named = named

    @property
    def problems(self) -> tuple[str, ...]:
        """To be told beside the policy's path: where another file is wrong, it is named."""
        return tuple(remark.beside(self.path) for remark in self.found)

    @property
    def lines(self) -> tuple[str, ...]:
        """Each with the file that is wrong."""
        return tuple(f"{remark.at(self.path)}: {remark.text}" for remark in self.found)


class NoPolicy(AgentError):
    """There is no policy yet: nothing is touched."""


class TargetFailed(AgentError):
    """One target could not be read or written; the others go on."""


class HomeSilent(TargetFailed):
    """A home gave no answer within the time that it had."""


class EngineSilent(AgentError):
    """dockerd did not answer, or not within the time it had: unknown, not different."""


class UnitFailed(AgentError):
    """systemctl failed."""


class NotTried(AgentError):
    """A step before the restart failed: Docker was not touched."""


class RestartFailed(AgentError):
    """dockerd did not come up, or crashed on the way."""


class ByOthers(AgentError):
    """Somebody else stopped or restarted Docker meanwhile; nothing is rolled back."""


class NotInForce(AgentError):
    """dockerd runs, but not with what was written."""


class Unexpected(AgentError):
    """An unexpected exception ended the work on a target or a pass (`audit/unexpected.py`)."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, f"ended by an unexpected error: {what}", "See: journalctl -u docker-proxy-agent")


class Locked(AgentError):
    """Another process holds the lock."""

    def __init__(self, path: str, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(path, f"{holder} holds the lock", "Wait until it ends")
        self.pid = pid
