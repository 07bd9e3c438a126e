"""What is shown of a pass: the one shape of status.json, of every `--json`, and of every line on a screen.

Values only; a proxy's URL has no user and password here. A picture is for root; what of it anybody may see is `public`.
Nothing is imported that looks at the world or makes a pass: `status` reads a picture from a file, and must be fast.
Not known here: how it is drawn (`drawing.py`), and how it reads (`page.py`, `service/status_page.py`).
docs/json.md says what each field means; a test holds the two together.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

from agent.values.condition import Condition
from agent.values.relay import RelayState
from agent.values.verdict import Outcome

SettingsShown = dict[str, str]  # http, https, all and no_proxy, as far as they are set; without a proxy: proxy = direct


NO_PROXY: Final[SettingsShown] = {"proxy": "direct"}


class State(enum.Enum):
    """What the agent is doing, the gravest first."""

    FAILED = "failed"
    WORKING = "working"
    DEFERRED = "deferred"
    WAITING = "waiting"  # until a portal is passed, or anything is reachable
    OFFLINE = "offline"
    IDLE = "idle"  # without a policy, or paused
    STEADY = "steady"


class NetworkShown(msgspec.Struct, frozen=True, kw_only=True):
    """Which network of the policy this is."""

    name: str
    because: str
    fingerprint: str
    use: tuple[str, ...]  # upstreams, in order of preference


class UpstreamShown(msgspec.Struct, frozen=True, kw_only=True):
    """The choice."""

    name: str | None  # None: nothing is chosen
    why: str
    since: str | None = None  # RFC 3339; None: only the running agent knows


class VerdictShown(msgspec.Struct, frozen=True, kw_only=True):
    """How one upstream did."""

    verdict: Outcome
    ms: int  # all of it
    steps: dict[str, float]  # milliseconds by step; what was not reached or not needed is not there
    evidence: str
    at: str | None = None  # when it was asked, RFC 3339; None: just now


class PacShown(msgspec.Struct, frozen=True, kw_only=True):
    """What a PAC said in this network."""

    url: str | None  # where its script is from; None: there is none
    fetched: str | None  # when, or when it was last found unchanged
    problem: str | None  # why that is no newer: it is a copy
    fault: str | None  # why it says nothing
    names: tuple[str, ...]  # the upstreams that it stands for, in its order
    skipped: tuple[str, ...]  # words of it that say no way
    excepted: tuple[str, ...]  # registries that it sends directly, and that are in no_proxy therefore
    untrusted: tuple[str, ...]  # hosts that the password does not go to


class DockerShown(msgspec.Struct, frozen=True, kw_only=True):
    """Docker's state, and what it runs with."""

    version: str | None  # None: it does not run, or does not answer; `absence` says which
    phase: str
    absence: str
    method: str | None  # how its settings are written; None: they are not
    effective: SettingsShown | None  # what it runs with; None: not known
    as_wanted: bool | None  # whether that is what it should; None: nothing is wanted, or it is not known
    in_use: str | None  # the upstream that this means
    works: Outcome | None  # how that one does here
    evidence: str
    deferred: str | None  # why a restart that is due is not made yet
    restarts: int | None = None  # by the running agent; None: only it knows
    last_restart: str | None = None
    last_took_s: float | None = None
    last_kept: int | None = None  # containers that ran on


class RelayShown(msgspec.Struct, frozen=True, kw_only=True):
    """The relay, where the policy asks for it, or Docker still has it."""

    state: str  # `tried`, `given`, `failed`; `off`: Docker still has it
    upstream: str | None  # that it was told to use; None: none of the policy's, or not told yet
    generation: int  # of what it was told; 0: nothing yet
    problem: str  # why probes through it fail, or why it does not go by what it was told; '': neither
    in_use: bool = False  # whether Docker runs with its address
    taken: int | None = None  # the generation that it uses; None: it does not run, or says nothing that counts
    connections: int | None = None  # open when it last said so
    bytes: int | None = None  # in both directions since it started
    turned_away: int | None = None  # connections beyond its limits

    def saying(self, state: RelayState | None) -> RelayShown:
        """The same with what it says of itself."""
        if state is None:
            return self
        return msgspec.structs.replace(
            self,
            taken=state.generation,
            connections=state.connections,
            bytes=sum(one.bytes_up + one.bytes_down for one in state.carried),
            turned_away=state.turned_away,
        )


class Role(enum.Enum):
    """Who reads a target."""

    DAEMON = "daemon"
    CLIENT = "client"


class TargetState(enum.Enum):
    """Whether a target says what it should."""

    RIGHT = "right"
    PENDING = "pending"  # not yet
    FAILED = "failed"
    KEPT = "kept"  # as it was: nothing is chosen, or its turn comes after Docker's


class TargetShown(msgspec.Struct, frozen=True, kw_only=True):
    """One file that settings are written to."""

    path: str
    name: str
    role: Role
    state: TargetState
    error: str | None = None
    says: SettingsShown | None = None  # of one that is kept


class ChangeShown(msgspec.Struct, frozen=True, kw_only=True):
    """One setting before and after. The same twice: another user or password."""

    name: str
    before: str | None  # None: not set
    after: str | None


class RestartShown(msgspec.Struct, frozen=True, kw_only=True):
    """A restart of Docker that is due."""

    when: str  # now, later, never
    because: str
    takes_along: tuple[str, ...]  # units that are stopped and started with it


class BeatenShown(msgspec.Struct, frozen=True, kw_only=True):
    """A file of another program that says something else. Ours wins."""

    path: str
    says: SettingsShown | None  # None: not shown to everybody


class PlanShown(msgspec.Struct, frozen=True, kw_only=True):
    """What is still to be done for Docker."""

    writes: tuple[str, ...]  # paths
    changes: tuple[ChangeShown, ...]
    put_off: str | None  # why what is to be done is not begun yet
    reloads: bool  # systemd is told to read the unit's files again
    restart: RestartShown | None
    beats: tuple[BeatenShown, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.writes or self.reloads or self.put_off or self.restart)


class ClientWriteShown(msgspec.Struct, frozen=True, kw_only=True):
    """One change, and the clients that it is made for."""

    names: tuple[str, ...]
    puts_back: bool
    changes: tuple[ChangeShown, ...]  # (): not told to everybody


class ClientsShown(msgspec.Struct, frozen=True, kw_only=True):
    """What people's clients should have, and why."""

    settings: SettingsShown
    why: str
    fact: str  # what was seen of the proxy that they are given
    writes: tuple[ClientWriteShown, ...]  # that are still to be made


class DoneShown(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass has done."""

    written: tuple[str, ...]  # paths, for Docker
    clients: tuple[str, ...]  # whose config.json was written
    restarted_s: float | None  # how long Docker's restart took; None: it was not restarted
    ran_with: SettingsShown | None  # before that
    containers_kept: int
    containers_lost: tuple[str, ...]
    taken_along: tuple[str, ...]  # units that were stopped and started with it
    rolled_back: str | None  # why everything is as it was
    condition: Condition | None  # what came of it that a person should know


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    state: State
    conditions: tuple[Condition, ...] = ()
    network: NetworkShown | None = None  # None: offline, or there was no pass
    upstream: UpstreamShown | None = None
    verdicts: Mapping[str, VerdictShown] = {}
    pacs: Mapping[str, PacShown] = {}  # by upstream: those that this network uses
    settings: SettingsShown | None = None  # what Docker should run with; None: nothing is chosen
    docker: DockerShown | None = None
    relay: RelayShown | None = None  # None: Docker is given the upstreams themselves, by the policy
    targets: tuple[TargetShown, ...] = ()
    plan: PlanShown | None = None  # None: nothing is chosen, or it was carried out: see `done`
    clients: ClientsShown | None = None  # None: there are none, or they were not looked at
    done: DoneShown | None = None  # None: nothing was done
    left_out: int = 0  # verdicts, targets and conditions that are too many to be shown


class StaleShown(msgspec.Struct, frozen=True, kw_only=True):
    """What was made with other settings, and how it is made again."""

    kind: str
    name: str
    containers: tuple[str, ...]  # that it is about
    image: str
    is_running: bool
    carries: SettingsShown
    asks: tuple[str, ...]  # name servers, where these are what differs
    differs: tuple[str, ...]  # the settings that do
    by_hand: tuple[str, ...]  # variables that the docker client did not set
    lost: tuple[str, ...]  # what the new one will not have
    first: str  # what has to be done before; '': nothing
    command: str
    is_whole: bool  # whether the command is shown as it is: what may be a password is not


class StaleListShown(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    upstream: str
    expected: SettingsShown  # what a new container gets
    asks: tuple[str, ...]  # the name servers of a new one; (): not known
    stale: tuple[StaleShown, ...]
    left_out: int  # containers and images that are too many to be looked at


def public(picture: Picture) -> Picture:
    """Without the content of files that may be private: people's config.json, and files of others that are overridden.

    What Docker runs with, or would after a start, is told to everybody, whatever file it comes from.
    """
    plan, clients = picture.plan, picture.clients
    if plan is not None:
        plan = msgspec.structs.replace(plan, beats=tuple(BeatenShown(path=one.path, says=None) for one in plan.beats))
    if clients is not None:
        writes = tuple(msgspec.structs.replace(write, changes=()) for write in clients.writes)
        clients = msgspec.structs.replace(clients, writes=writes)
    targets = tuple(
        target if target.role is Role.DAEMON else msgspec.structs.replace(target, says=None)
        for target in picture.targets
    )
    return msgspec.structs.replace(picture, plan=plan, clients=clients, targets=targets)
