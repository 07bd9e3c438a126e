"""Whether the unit can start this Python: it runs nothing from below its NoExecPaths=.

Needs nothing but the standard library, for `make install` asks before anything is installed:

    python3 -B -m agent.system.no_exec systemd/docker-proxy-agent.service
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from agent.values.machine_text import words

_NOTHING_IS_RUN = re.compile(r"(?m)^NoExecPaths=(.*)$")


def refused(unit: str, others: Iterable[str] = ()) -> str:
    """A sentence that says why not; '' if it can. `others`: what else is run or loaded, besides the interpreter."""
    return below(unit, (sys.executable, sys.base_prefix, *others))


def below(unit: str, paths: Iterable[str]) -> str:
    """The same for any paths."""
    closed = [os.path.realpath(one.lstrip("-+")) for line in _NOTHING_IS_RUN.findall(unit) for one in words(line)]
    for real in map(os.path.realpath, paths):
        for place in closed:
            if Path(real).is_relative_to(place):
                return f"{real} lies below {place}, from where the service runs nothing (NoExecPaths= of its unit)"
    return ""


def main() -> None:
    """End the process with the reason, if there is one."""
    why = refused(Path(sys.argv[1]).read_text())
    if why:
        sys.exit(f"make install: {why}. Try: sudo make install PYTHON=/usr/bin/python3")


if __name__ == "__main__":
    main()
