"""People's config.json that the agent leaves alone.

Pure: a pass has tried to read them, each as its user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from agent.cli.doctor.finding import Finding, Sign


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """One file, and why."""

    whose: str
    path: str = ""
    why: str
    is_skipped: bool = False  # it is not looked at at all


def judge(files: Iterable[Left]) -> Iterator[Finding]:
    for one in files:
        if one.is_skipped:
            yield Finding(
                code=Sign.CLIENT_SKIPPED,
                is_broken=False,
                where=one.whose,
                what=f"is left out: {one.why}",
                why="docker run and docker build of this user do not follow the network",
                command="To change that, fix it, or edit [clients] in the policy",
            )
            continue
        yield Finding(
            code=Sign.CLIENT_LEFT,
            is_broken=True,
            where=one.path,
            what=one.why,
            why=f"docker run and docker build of {one.whose} do not get the settings of this network",
            command="Fix the file, then run: sudo docker-proxy-agent apply",
        )
