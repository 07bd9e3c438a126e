"""The environment of the shell that a command is called from, which is what a `docker` command typed there gets.

sudo drops a person's proxies, but its own process was started with them (FACTS 244). Where nobody sits at a terminal,
or where the caller is neither sudo nor a shell (run0, su, a script in Python), nothing is known of anybody's shell.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.docker.process import environment
from agent.values.machine_text import words

_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "fish", "ksh", "mksh", "ksh93", "tcsh", "csh"})
_BECOMES_ROOT: Final = frozenset({"sudo", "doas"})
_MOST: Final = 8  # a sudo within a sudo, each with a process that watches over the terminal


def environment_of_caller(proc: Path = Path("/proc")) -> Mapping[str, str] | None:
    """None: it is not known, or nobody types there."""
    return environment_above(os.getppid(), proc) if sys.stdin is not None and sys.stdin.isatty() else None


def environment_above(pid: int, proc: Path = Path("/proc")) -> Mapping[str, str] | None:
    """`pid`: of the caller."""
    name, above = _name_and_parent(pid, proc)
    if name in _SHELLS:
        return os.environ
    if name not in _BECOMES_ROOT:
        return None
    for _ in range(_MOST):
        name, further = _name_and_parent(above, proc)
        if name not in _BECOMES_ROOT:
            break
        pid, above = above, further
    return environment(pid)


def _name_and_parent(pid: int, proc: Path) -> tuple[str, int]:
    """The name may hold blanks and brackets: proc(5), stat. ('', 0): there is none."""
    try:
        head, _, tail = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")
    except OSError:
        return "", 0
    return head.partition("(")[2], int(words(tail)[1])
