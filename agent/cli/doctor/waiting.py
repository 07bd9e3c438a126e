"""A restart of Docker that is due, and waits.

Pure. Not known here: when a restart waits (`decide/restart.py`), and how it was learned that this one does.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from agent.cli.doctor.finding import Finding, Sign


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """It, with what it waits for."""

    because: str
    is_overrulable: bool = False  # by `apply --now`


def judge(waiting: Waiting | None, *, is_docker_failing: bool) -> Iterator[Finding]:
    """`is_docker_failing`: what Docker has until then does not work here."""
    if waiting is None:
        return
    yield Finding(
        code=Sign.RESTART_WAITS,
        is_broken=is_docker_failing,
        where="Docker",
        what=f"needs a restart for new settings, but that waits: {waiting.because}",
        why="until then it keeps the old ones" + (", which do not work here: pulls fail" if is_docker_failing else ""),
        command="sudo docker-proxy-agent apply --now" if waiting.is_overrulable else "",
    )
