"""This host's clock: whether it shows a time before something that has happened already.

Pure. A clock that is ahead cannot be told so; a certificate that has run out may be its sign (`trust.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign

_NOTED_S: Final = 600.0  # a file from another machine may be some minutes ahead
_BREAKS_S: Final = 86_400.0  # certificates begin at their day, and often a little before
_HOUR_S: Final = 3600


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds since 1970."""

    now_s: float = 0.0
    known_s: float = 0.0  # a time that has been; 0: none is known
    known_by: str = ""  # the file that shows it


def judge(seen: Clock) -> Iterator[Finding]:
    behind_s = seen.known_s - seen.now_s
    if behind_s < _NOTED_S:
        return
    hours = round(behind_s / _HOUR_S)
    amount = f"{hours} hours" if hours > 1 else f"{behind_s / 60:.0f} minutes"
    yield Finding(
        code=Sign.CLOCK_BEHIND,
        is_broken=behind_s >= _BREAKS_S,
        where="clock",
        what=f"this host's clock is at least {amount} behind: {seen.known_by} is newer",
        why="certificates that are newer than the clock are refused: certificate is not yet valid",
        command="timedatectl shows it; sudo timedatectl set-ntp true sets it",
    )
