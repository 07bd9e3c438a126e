"""The docker client of this machine: whether it knows `allProxy`.

A user may have another client in their own home; that one is not run here. The daemon's version says nothing about the
client's: they differ on real machines (FACTS 1).
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from agent.system.files import Identity, behind_links, identity_of
from agent.system.programs import run

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
_WITHIN_S: Final = 2.0
_VERSION: Final = re.compile(r"Docker version (?P<whole>(?P<major>\d{1,9})[0-9A-Za-z.+~-]{0,40})")  # not podman's
_KNOWS_ALL_FROM: Final = 23  # FACTS 70
# No user's configuration is read, and no engine is asked.
_NOWHERE: Final = {"DOCKER_CONFIG": "/nonexistent", "HOME": "/nonexistent"}


class DockerClient:
    """The `docker` on the system's path, asked once for each file that is installed there."""

    def __init__(self, path: str = _PATH) -> None:
        self._path = path
        self._asked: tuple[str, Identity | None] | None = None
        self._drops_all = ""

    async def drops_all(self) -> str:
        """Its version, if it ignores allProxy; '' if it knows it, or cannot be asked."""
        binary = shutil.which("docker", path=self._path)
        asked = None if binary is None else (binary, identity_of(behind_links(Path(binary))))
        if binary is None or asked == self._asked:
            return "" if binary is None else self._drops_all
        try:
            said = await run((binary, "--version"), _WITHIN_S, _NOWHERE)
        except (OSError, TimeoutError):  # the machine is busy: the next pass asks again
            return self._drops_all
        self._asked, self._drops_all = asked, _older(said.out.decode(errors="replace"))
        return self._drops_all


def _older(said: str) -> str:
    found = _VERSION.match(said)
    return found["whole"] if found and int(found["major"]) < _KNOWS_ALL_FROM else ""
