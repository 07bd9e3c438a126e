"""What a system has before there is a policy: who says something of a proxy, and what listens here.

Values only: who looks is `cli/init/look.py`, what becomes of it `decide/first_policy.py`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from agent.values.policy import PacUrl
from agent.values.settings import ProxyUrl, Settings
from agent.values.snapshot import Snapshot


class Kind(enum.Enum):
    """Who reads it, and with that what becomes of it once the agent runs. The strongest for dockerd first."""

    PERSON = "person"  # whoever runs `init`
    FLAGS = "flags"  # of dockerd
    DAEMON_JSON = "daemon.json"
    UNIT = "unit"  # its files, and the environment files that they name
    CLIENT = "client"
    ELSEWHERE = "elsewhere"  # nobody's that the agent serves: a shell, a desktop

    @property
    def is_written_by_us(self) -> bool:
        """Whether what stands there may be the agent's own."""
        return self not in (Kind.PERSON, Kind.ELSEWHERE)


class Said(msgspec.Struct, frozen=True):
    """One place that names a proxy. `where`: the file, or the command that shows it."""

    where: str
    kind: Kind
    means: Settings


class SaidPac(msgspec.Struct, frozen=True):
    """A PAC file that is named, and whether it is here."""

    pac: PacUrl
    wheres: tuple[str, ...]
    why_not: str = ""  # why it is not


class LocalPort(msgspec.Struct, frozen=True):
    """A port of this host at which a proxy may listen."""

    port: int
    host: str = "127.0.0.1"
    owner: str = ""  # whose it is; '': several users', or of one without a name


class Found(msgspec.Struct, frozen=True):
    """All of it."""

    snapshot: Snapshot
    said: tuple[Said, ...] = ()  # the strongest first
    pacs: tuple[SaidPac, ...] = ()
    ports: tuple[LocalPort, ...] = ()  # where something listens that speaks as a proxy does
    listeners: tuple[LocalPort, ...] = ()  # whoever listens where one of `said` is
    dead: Mapping[ProxyUrl, str] = {}  # proxies elsewhere that do not answer from here, and why
    of_docker: tuple[str, ...] = ()  # hosts by which containers mean this host
    tunnels: tuple[str, ...] = ()  # interfaces without MACs behind them
    remarks: tuple[str, ...] = ()  # what was seen and cannot be taken over, for the person

    @property
    def by_others(self) -> Found:
        """Without what may be the agent's own, where it runs with a policy."""
        return msgspec.structs.replace(self, said=tuple(one for one in self.said if not one.kind.is_written_by_us))
