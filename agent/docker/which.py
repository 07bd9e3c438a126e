"""Which Docker is here, the distribution's or Docker's own or the snap, and what else runs containers.

Found out by a few links and files of systemd's, and by the journal, so that it can be asked before each pass: no
process is started, no socket opened. Not known here: which one is taken (`decide/which_docker.py`).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from agent.decide.which_docker import Known, which
from agent.docker.journal import Journal
from agent.values.errors import AgentError
from agent.values.others import OTHERS, Other, running
from agent.values.paths import Paths
from agent.values.policy import Docker

_AT_BOOT: Final = ("multi-user.target.wants", "sockets.target.wants")  # what `systemctl enable` of it links into


def serving(paths: Paths, named: str, served: str = "") -> Paths:
    """The paths of the Docker that is served. `named`: its unit, by the policy. `served`: the one until now."""
    return paths.serving(in_the_middle(paths) or wanted(paths, named, served))


def serving_by(paths: Paths, docker: Docker) -> Paths:
    """The same by this policy, whichever was served until now."""
    return serving(paths, docker.service_named(paths.layout.service))


def wanted(paths: Paths, named: str, served: str = "") -> str:
    """The unit that is to be served, once no restart of another one is under way."""
    return named or which([_known(paths, one, is_served=one == served) for one in paths.services])


def left_behind(paths: Paths, service: str, files: Collection[str]) -> list[tuple[Paths, tuple[str, ...]]]:
    """The other Dockers that some of these files belong to, and which. `service`: the one that is served."""
    found = []
    named = (unit for file in files if file == str(paths.drop_in(unit := _unit_of(file))))
    for other in dict.fromkeys((*named, *paths.services)):
        here = paths.serving(other)
        own = {str(here.drop_in(other)), str(here.daemon_json)} - {str(paths.serving(service).daemon_json)}
        if other != service and (its := tuple(file for file in files if file in own)):
            found.append((here, its))
    return found


def _unit_of(drop_in: str) -> str:
    return Path(drop_in).parent.name.removesuffix(".d")


def in_the_middle(paths: Paths) -> str:
    """The unit of a Docker in the middle of a restart of ours, which is not left before its end; '' if none is."""
    try:
        under_way = Journal(paths.state).under_way()
    except AgentError:  # closed to who asks, or it is said by who needs it
        return ""
    return under_way.unit if under_way.is_in_the_middle else ""


def beside(paths: Paths) -> tuple[Other, ...]:
    """What else runs containers here."""
    return running({unit for other in OTHERS for unit in other.units if _is_link_or_file(paths.invocation_link(unit))})


def _known(paths: Paths, service: str, *, is_served: bool) -> Known:
    units = (service, service.removesuffix(".service") + ".socket")
    folders = [paths.below(folder) for folder in paths.layout.unit_folders]
    return Known(
        service,
        runs=_is_link_or_file(paths.invocation_link(service)),
        is_served=is_served,
        starts_at_boot=any(
            _is_link_or_file(folder / wants / unit) for folder in folders for wants in _AT_BOOT for unit in units
        ),
        is_there=any(_is_link_or_file(folder / service) for folder in folders),
    )


def _is_link_or_file(path: Path) -> bool:
    """Also of a link that leads nowhere, as those that name a start do."""
    return os.path.lexists(path)
