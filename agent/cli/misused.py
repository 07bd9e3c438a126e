"""An invalid command line."""

from __future__ import annotations

from typing import Final

USAGE: Final = 64  # sysexits(3), EX_USAGE


class Misused(SystemExit):
    """Ends the command. `main` prints the problem."""

    def __init__(self, problem: str) -> None:
        super().__init__(USAGE)
        self.problem = problem
