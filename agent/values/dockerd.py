"""dockerd and its unit at one moment: what is real, as values.

Values only: `docker/` looks at them, `decide/plan.py` compares them with what is desired.
"""

from __future__ import annotations

import enum
import re
from typing import Final

import msgspec

from agent.values.others import Other
from agent.values.settings import Masked, Texts
from agent.values.vantage import HOST, Vantage

PROXIES_IN_DAEMON_JSON: Final = (1, 42)  # the API of Docker 23.0 (FACTS 1)
_KEEPS_AUTO_REMOVED: Final = (1, 44)  # the API of Docker 25.0 (FACTS 195)
_KEEPS_AUTO_REMOVED_24_0: Final = 8  # of 24.0, the first release that does so, too
# What a restart breaks off beside containers, in words.
TRANSFER: Final = "a pull or push"
BUILD: Final = "a build"
GOES_DOWN: Final = "the system is going down; the next boot continues it"


class Phase(enum.Enum):
    """Where a unit is in its life, as far as a pass cares."""

    ABSENT = "absent"
    MASKED = "masked"
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BROKEN = "broken"  # failed, or waiting for its next automatic restart


class Cause(enum.Enum):
    """Who or what started dockerd."""

    AGENT = "agent"
    OTHERS = "others"  # a person, a boot, an upgrade, systemd after a crash


class UnitState(msgspec.Struct, frozen=True):
    """A unit in one moment."""

    phase: Phase
    pid: int = 0
    invocation: str = ""  # another value for each start
    restarts: int = 0  # automatic restarts since it was last started
    drop_ins: tuple[str, ...] = ()  # that systemd has loaded
    has_job: bool = False  # systemd is about to start or stop it
    kill_mode: str = "process"  # which processes of it systemd ends when it stops
    # Units that are stopped with it, running or not; without the units that hang on those.
    hanging: tuple[str, ...] = ()
    fragment: str = ""  # its own file
    triggers: tuple[str, ...] = ()  # its sockets and the like: they hang on it, too, but lose nothing
    comes_back: bool = False  # broken, and systemd is about to restart it
    is_stuck_in_stop: bool = False  # broken because it did not stop in time
    since: float = 0.0  # when it came into this state: CLOCK_MONOTONIC; 0: not known
    left_at: float = 0.0  # when it last ceased to be up, by the same clock; 0: not in this boot, or not known
    says_when_up: bool = True  # Type=notify: until dockerd is up, systemd shows it as starting

    @property
    def is_running(self) -> bool:
        return self.phase is Phase.RUNNING

    @property
    def is_away(self) -> bool:
        """Whether it is down, not broken, and nothing is about to start it."""
        return self.phase in (Phase.ABSENT, Phase.MASKED, Phase.STOPPED) and not self.has_job


class Running(msgspec.Struct, frozen=True):
    """A running container; each start is another value."""

    id: str
    started: str
    name: str = ""
    is_auto_removed: bool = False  # `docker run --rm`


class Layer(msgspec.Struct, frozen=True):
    """The proxy variables that one file gives dockerd. It may hold a password."""

    path: str
    values: dict[str, str]
    entry: int = 0  # the EnvironmentFile= that it comes from: a pattern can name several files

    def __repr__(self) -> str:
        return f"Layer({self.path}, {sorted(self.values)})"


class Overruling(msgspec.Struct, frozen=True):
    """What beats the agent's drop-in, and the files that say so, if they can be found. It may hold passwords."""

    later: tuple[Layer, ...] = ()  # read after ours, the strongest last
    emptied_in: str = ""  # an empty EnvironmentFile=: it cancels all before it, ours included
    unset: tuple[str, ...] = ()  # UnsetEnvironment=, of the six names: alone, or as an assignment
    unset_in: str = ""
    by_command: dict[str, str] = {}  # what the unit's command sets itself
    command_in: str = ""

    def __repr__(self) -> str:
        return f"Overruling({[layer.path for layer in self.later]}, {sorted(self.by_command)})"


class Start(msgspec.Struct, frozen=True):
    """What dockerd would be started with now. The environment may hold a password, so it never shows."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    foreign_environment: dict[str, str]  # the same without the agent's own file
    unset: tuple[str, ...] = ()  # UnsetEnvironment=, which has the last word
    layers: tuple[Layer, ...] = ()  # EnvironmentFile=, as they exist now, in order
    manager: dict[str, str] = {}  # proxy variables that systemd gives to every service

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(layer.path for layer in self.layers)

    def __repr__(self) -> str:
        return f"Start(argv={len(self.argv)} words, environment={sorted(self.environment)})"


class Engine(msgspec.Struct, frozen=True):
    """What dockerd says of itself, in one moment."""

    version: str
    api: tuple[int, int]
    is_podman: bool
    proxies: Texts | None  # as /info shows them: user and password masked; None: it did not answer that, and all else
    live_restore: bool | None  # None as above
    is_swarm: bool | None
    containers_running: int
    registry_mirrors: tuple[str, ...] = ()

    @property
    def takes_proxies(self) -> bool:
        """Whether `proxies` may stand in its daemon.json."""
        return self.api >= PROXIES_IN_DAEMON_JSON

    @property
    def ends_auto_removed(self) -> bool:
        """Whether its start ends the running containers of `docker run --rm`, with live-restore, too (FACTS 195)."""
        of_24 = re.match(r"24\.0\.(\d+)", self.version)
        keeps = self.api >= _KEEPS_AUTO_REMOVED or (of_24 is not None and int(of_24[1]) >= _KEEPS_AUTO_REMOVED_24_0)
        return not keeps


class Flags(msgspec.Struct, frozen=True):
    """The flags of dockerd that matter here."""

    proxies: Texts = Texts()
    names: tuple[str, ...] = ()  # of the proxy flags that stand there, even with an empty value
    config_file: str = ""
    live_restore: bool | None = None  # None: no such flag


class FileHistory(msgspec.Struct, frozen=True):
    """What is known of daemon.json as it stands, and of those before it."""

    is_tried: bool | None = None  # whether this dockerd started with it (or with no file); None: unknown
    is_good_known: bool = False  # whether a file is known that a dockerd started with
    refused_copy: str = ""  # the copy kept of this very text after a dockerd did not start with it


class FileFault(msgspec.Struct, frozen=True):
    """What is wrong with daemon.json as others wrote it; `decide/foreign.py` says what follows from it."""

    path: str
    wrong: str
    remedy: str = ""
    is_dockerds: bool = False  # dockerd's own words: it would not start with it


class Reality(msgspec.Struct, frozen=True):
    """Everything that a plan for the daemon's settings compares with."""

    unit: UnitState
    dockerd: int = 0  # its process, which need not be the unit's main one; 0: it does not run, or is not known
    unit_name: str = "docker.service"
    vantage: Vantage | None = HOST  # where its process stands; None: not known, as while it does not run
    others: tuple[Other, ...] = ()  # that run containers where there is no Docker
    engine: Engine | None = None  # None: it does not run, or did not answer
    silence: str = ""  # why a running engine did not answer
    hanging: tuple[str, ...] = ()  # active units that stop with this one; not its own socket
    shims_in_unit: bool = False  # the shims of containers are stopped with the unit, whatever live-restore says
    transfer: str = ""  # what a restart would break off besides containers: a pull or push, a build
    takes_proxies: bool | None = None  # whether this dockerd knows `proxies` in daemon.json; None: unknown
    binary: str = ""  # of the dockerd that would be started; '' where no systemd says
    arguments: tuple[str, ...] = ()  # that it would be started with
    is_systemd: bool = True
    can_restart: bool = True
    flags: Flags = Flags()  # of the dockerd that runs, where one does
    flags_in: str = ""  # the file where the proxy flags among them stand, if it can be found
    are_flags_read: bool = (
        False  # whether they are of the running process itself, not of its next start or a script around it
    )
    environment: Texts = Texts()  # what it would be started with now
    foreign_environment: Texts = Texts()  # the same without the agent's own file
    environment_files: tuple[str, ...] = ()  # that it would be started with
    overruling: Overruling = Overruling()  # what beats the drop-in
    beaten: tuple[Layer, ...] = ()  # what others set and the drop-in beats
    running_environment: Texts | None = None  # what it was started with; None: not readable
    started_with: Texts | Masked | None = None  # from daemon.json; OTHER: not ours; None: unknown
    is_marked: bool = False  # whether a mark of this start tells that; else it is what the file says now
    daemon_json_path: str = "/etc/docker/daemon.json"
    daemon_json: str | None = None  # the file's text; None: there is none, or it is no text
    daemon_json_fault: FileFault | None = None  # why it is no text
    file: FileHistory = FileHistory()
    environment_file_path: str = "/etc/docker-proxy-agent/dockerd.env"
    environment_file: str | None = None
    drop_in_path: str = "/etc/systemd/system/docker.service.d/zz-docker-proxy-agent.conf"
    drop_in: str | None = None
    is_drop_in_loaded: bool = False
    systemctl: str = "systemctl"  # how the manager of its unit is spoken to

    def __repr__(self) -> str:  # the texts of its files may hold passwords
        return f"Reality({self.unit_name} {self.unit.phase.value})"

    @property
    def is_silent(self) -> bool:
        """Whether it runs and does not say what it runs with."""
        return self.unit.is_running and (self.engine is None or self.engine.proxies is None)

    @property
    def is_place_unknown(self) -> bool:
        """Whether it runs, and its process did not show at that moment where it stands."""
        return bool(self.dockerd) and self.vantage is None

    @property
    def process(self) -> int:
        """Its process: dockerd's, or where that is not known the unit's main one; 0: it does not run."""
        return self.dockerd or self.unit.pid

    @property
    def absence(self) -> str:
        """Why its engine is unknown; '' if it answers."""
        if self.engine is not None:
            return ""
        silent = " and does not answer" if self.unit.is_running else ""
        return self.silence or f"{self.unit_name} is {self.unit.phase.value}{silent}"

    @property
    def validates(self) -> bool:
        """Whether the dockerd that would be started can validate its file (FACTS 5)."""
        return bool(self.binary) and bool(self.takes_proxies)

    @property
    def is_drop_in_read(self) -> bool:
        """Whether systemd has read the drop-in that is there; after a crash it may not have."""
        return not self.is_systemd or self.is_drop_in_loaded == (self.drop_in is not None)
