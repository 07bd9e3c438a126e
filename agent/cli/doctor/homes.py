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
    path: str
    why: str


def judge(files: Iterable[Left]) -> Iterator[Finding]:
    for one in files:
        yield Finding(
            code=Sign.CLIENT_LEFT,
            is_broken=True,
            where=one.path,
            what=one.why,
            why=f"docker run and docker build of {one.whose} do not get the settings of this network",
            command="Correct the file, then run: sudo docker-proxy-agent apply",
        )
