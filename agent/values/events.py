"""What can happen: its name, the facts that are known of it, and a sentence for a person.

Pure. Each event is a type. Its fields are the facts, under the names and in the order in which the audit log and the
journal have them: a wrong name is an error of mypy, and no sentence asks for a fact that the event does not have. A new
event: a member of `Event`, and a class below with its facts and its sentence.

In a sentence, what stands in [ ] is left out where one of its facts is absent (`sentences.py`). `_s` and `_ms` at the
end of a name are units.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import msgspec
from msgspec import UNSET, UnsetType

from agent.values.dockerd import Cause
from agent.values.policy import Method
from agent.values.settings import Settings
from agent.values.verdict import IN_OUR_WORDS, Verdict


class Event(enum.Enum):
    """The names under which things stand in the audit log and in the journal."""

    AGENT_STARTED = "agent-started"
    AGENT_STOPPED = "agent-stopped"
    POLICY_LOADED = "policy-loaded"
    POLICY_REJECTED = "policy-rejected"
    POLICY_REMOVED = "policy-removed"
    ADOPTED = "adopted"
    NETWORK_CHANGED = "network-changed"
    OFFLINE = "offline"
    UPSTREAM_CHOSEN = "upstream-chosen"
    NO_UPSTREAM = "no-upstream"
    UNREACHABLE_BEGAN = "unreachable-began"
    UNREACHABLE_ENDED = "unreachable-ended"
    APPLY_STARTED = "apply-started"
    SETTINGS_WRITTEN = "settings-written"
    DOCKER_RESTARTED = "docker-restarted"
    DOCKER_STARTED = "docker-started"
    DOCKER_STOPPED = "docker-stopped"
    RESTART_DROPPED = "restart-dropped"
    RESTART_DEFERRED = "restart-deferred"
    ROLLED_BACK = "rolled-back"
    DRIFT_CORRECTED = "drift-corrected"
    GAVE_UP = "gave-up"
    REQUESTED = "requested"
    PINNED = "pinned"
    UNPINNED = "unpinned"
    PAUSED = "paused"
    RESUMED = "resumed"
    TARGET_FAILED = "target-failed"
    RESTORED = "restored"
    RELAY_ENABLED = "relay-enabled"
    RELAY_SWITCHED = "relay-switched"
    RELAY_FAILED = "relay-failed"
    RELAY_DISABLED = "relay-disabled"
    RELAY_REFUSED = "relay-refused"
    RELAY_FELL_BACK = "relay-fell-back"
    LOG_RECOVERED = "log-recovered"
    LOG_TRIMMED = "log-trimmed"


class Severity(enum.Enum):
    """How much an event matters, by syslog's keywords (RFC 5424, section 6.2.1)."""

    INFO = "info"
    NOTICE = "notice"  # what Docker runs with, or what the agent may do, is another
    WARNING = "warning"  # a person may have to do something
    ERROR = "err"  # the agent could not do what it is for


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one event. UNSET: not part of this record. None: known to be absent."""

    event: ClassVar[Event]
    sentence: ClassVar[str]
    brief: ClassVar[str] = ""  # a few words for what `status` shows as last; '': not shown there
    severity: ClassVar[Severity] = Severity.INFO

    @property
    def is_shown(self) -> bool:
        """Whether `status` may show it as last."""
        return bool(self.brief)

    @property
    def is_by_itself(self) -> bool:
        """Whether nobody's wish brought it about, even if it is met in a pass that somebody asked for."""
        return False

    def by_name(self) -> dict[str, object]:
        """Those that are set, in their order."""
        found = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in found.items() if value is not UNSET}


class Judged(msgspec.Struct, frozen=True, omit_defaults=True):
    """The verdict on one upstream."""

    upstream: str
    verdict: str
    ms: float  # of the whole probe
    evidence: str = ""


def judged(verdicts: Mapping[str, Verdict], *, says_where: bool = True) -> tuple[Judged, ...]:
    """As a record has them: in the order of the policy. `says_where`: also the evidence that may tell where this is."""
    return tuple(
        Judged(
            name,
            verdict.outcome.value,
            round(verdict.timings.total, 1),
            verdict.evidence if says_where or verdict.outcome in IN_OUR_WORDS else "",
        )
        for name, verdict in verdicts.items()
    )


class PacTold(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a PAC said for the registries."""

    upstream: str
    names: tuple[str, ...] = ()  # the upstreams that it stands for, in its order
    excepted: tuple[str, ...] = ()  # registries that it sends directly
    fault: str = ""  # why it says nothing
    # Only with `audit.places = "full"`: where the script is from, and why it is no newer.
    url: str = ""
    fetched: str = ""  # RFC 3339
    problem: str = ""


class InterfaceSeen(msgspec.Struct, frozen=True, omit_defaults=True):
    """One interface that counts."""

    name: str
    ssid: str = ""
    gateways: tuple[str, ...] = ()
    gateway_macs: tuple[str, ...] = ()  # known only if the policy names one
    addresses: tuple[str, ...] = ()  # with prefix; of IPv6 the /64s


class PlaceSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Where the laptop is. Only with `audit.places = "full"` more than `place` and `is_new`."""

    place: str | UnsetType = UNSET  # a keyed digest: the same for the same place
    is_new: bool | UnsetType = UNSET  # this agent's state directory does not know it
    fingerprint: str | UnsetType = UNSET
    interfaces: Sequence[InterfaceSeen] | UnsetType = UNSET


class AgentStarted(Facts, frozen=True, kw_only=True):
    event = Event.AGENT_STARTED
    sentence = (
        "The agent[ {version}] started[ in {network}][; Docker runs with {effective}][; the relay uses {relay}]"
        "[; pinned to {pinned}][ until {pinned_until}][; paused: {is_paused}][ until {paused_until}]"
        "[; the agent before: {last_ended}]"
    )
    version: str
    last_ended: str | UnsetType = UNSET  # how the agent before this one did; absent: none did
    gap_s: float | UnsetType = UNSET  # since then, by the wall clock; since the last record, if it could not say when
    policy_sha256: str | UnsetType = UNSET  # absent: there is no policy
    unit: str | UnsetType = UNSET  # of the Docker that the agent looks after
    effective: Settings | UnsetType | None = UNSET  # what Docker runs with. None: Docker does not run
    invocation: str | UnsetType = UNSET
    network: str | UnsetType = UNSET
    place: str | UnsetType = UNSET  # this and what follows: `PlaceSeen`
    is_new: bool | UnsetType = UNSET
    fingerprint: str | UnsetType = UNSET
    interfaces: Sequence[InterfaceSeen] | UnsetType = UNSET
    upstream: str | UnsetType = UNSET  # that is chosen
    relay: str | UnsetType | None = UNSET  # the upstream behind it. None: Docker and clients are not given the relay
    pinned: str | UnsetType = UNSET  # an upstream
    pinned_until: str | UnsetType = UNSET  # absent: until it is taken back
    is_paused: bool | UnsetType = UNSET
    paused_until: str | UnsetType = UNSET


class AgentStopped(Facts, frozen=True, kw_only=True):
    event = Event.AGENT_STOPPED
    sentence = "The agent stopped[: {because}]; everything stays as it is"
    because: str


class PolicyLoaded(Facts, frozen=True, kw_only=True):
    event = Event.POLICY_LOADED
    sentence = "Policy loaded[ from {path}][: {because}][; {diff}][; {warnings}]"
    path: str
    because: str
    policy_sha256: str | UnsetType = UNSET
    files: Sequence[str] | UnsetType = UNSET  # as sha256sum prints them, in their order; absent: there is no config.d
    size: int | UnsetType = UNSET  # bytes
    owner: str | UnsetType = UNSET
    changed: str | UnsetType = UNSET  # RFC 3339: its mtime
    diff: Sequence[str] | UnsetType = UNSET  # to the policy loaded before, by this agent or another; without comments
    warnings: Sequence[str]


class PolicyRejected(Facts, frozen=True, kw_only=True):
    event = Event.POLICY_REJECTED
    sentence = "Policy[ {path}] refused[: {problems}]"
    brief = "policy refused"
    severity = Severity.WARNING
    path: str
    problems: Sequence[str]


class PolicyRemoved(Facts, frozen=True, kw_only=True):
    event = Event.POLICY_REMOVED
    sentence = "Policy[ {path}] removed; nothing is changed any more"
    brief = "policy removed"
    severity = Severity.WARNING
    path: str


class Adopted(Facts, frozen=True, kw_only=True):
    """A value of our keys that the agent did not write is replaced for the first time."""

    event = Event.ADOPTED
    sentence = "Took over[ {targets}][, which had {found}]"
    severity = Severity.NOTICE
    targets: Sequence[str]
    found: Settings  # there, until now


class NetworkChanged(Facts, frozen=True, kw_only=True):
    event = Event.NETWORK_CHANGED
    sentence = "The network changed[: {network}][, before: {previous_network}][; {because}]"
    brief = "arrived[ in {network}]"
    network: str
    previous_network: str | UnsetType | None = UNSET  # None: it was offline
    because: str | UnsetType = UNSET  # what matched; absent with `audit.places = "names"`
    place: str | UnsetType = UNSET  # this and what follows: `PlaceSeen`
    is_new: bool | UnsetType = UNSET
    fingerprint: str | UnsetType = UNSET
    interfaces: Sequence[InterfaceSeen] | UnsetType = UNSET

    @property
    def is_by_itself(self) -> bool:
        return True


class WentOffline(Facts, frozen=True, kw_only=True):
    event = Event.OFFLINE
    sentence = "Offline[, before: {previous_network}]; nothing is changed"
    brief = "offline"
    previous_network: str | UnsetType = UNSET

    @property
    def is_by_itself(self) -> bool:
        return True


class UpstreamChosen(Facts, frozen=True, kw_only=True):
    event = Event.UPSTREAM_CHOSEN
    sentence = (
        "Chose[ {upstream}][ in {network}][ instead of {previous_upstream}][: {because}][ ({verdicts})][; {withheld}]"
    )
    brief = "chose[ {upstream}]"
    upstream: str
    previous_upstream: str | UnsetType = UNSET
    network: str
    because: str
    withheld: str | UnsetType = UNSET  # why nothing comes of it for now
    verdicts: Sequence[Judged]
    pacs: Sequence[PacTold] | UnsetType = UNSET  # of those that this network uses


class NoUpstream(Facts, frozen=True, kw_only=True):
    event = Event.NO_UPSTREAM
    sentence = "No upstream works[ in {network}][: {because}][ ({verdicts})]"
    brief = "nothing works"
    severity = Severity.WARNING
    network: str
    because: str
    verdicts: Sequence[Judged]
    pacs: Sequence[PacTold] | UnsetType = UNSET


class UnreachableBegan(Facts, frozen=True, kw_only=True):
    """What Docker runs with does not reach a registry here; whatever is chosen."""

    event = Event.UNREACHABLE_BEGAN
    sentence = "Docker reaches no registry[ via {upstream}][ in {network}][ since {since}][: {because}][ ({verdicts})]"
    brief = "docker reaches no registry"
    severity = Severity.WARNING
    network: str
    upstream: str | UnsetType = UNSET  # that Docker runs with; absent: none of the policy's
    since: str  # RFC 3339: the first look that found it so; one look alone is not believed
    because: str
    verdicts: Sequence[Judged]


class UnreachableEnded(Facts, frozen=True, kw_only=True):
    event = Event.UNREACHABLE_ENDED
    sentence = "The outage ended[, after {lasted_s}][: {because}][; Docker uses {upstream}]"
    # Not that it ended: with another upstream that fails, too, an outage ends, and the next begins.
    brief = "docker reached no registry[ for {lasted_s}][; now it does, via {upstream}]"
    severity = Severity.NOTICE
    lasted_s: float  # by a clock that runs while the machine is suspended
    upstream: str | UnsetType = UNSET
    because: str


class ApplyStarted(Facts, frozen=True, kw_only=True):
    """The intent: on disk before the first write."""

    event = Event.APPLY_STARTED
    sentence = (
        "Applying[: {settings}][ ({changes})][, for clients: {client_settings}][, to be written to {targets}]"
        "[; Docker is restarted: {allowed}][; a restart waits: {waits}][: {because}]"
    )
    settings: Settings | UnsetType = UNSET  # of Docker, if these are to be written or put in force
    effective: Settings | UnsetType = UNSET
    prospective: Settings | UnsetType = UNSET
    in_force: bool | UnsetType = UNSET  # Docker runs with what is chosen already: nothing is done to it
    changes: str | UnsetType = UNSET
    method: Method | UnsetType = UNSET
    method_because: str | UnsetType = UNSET
    client_settings: Settings | UnsetType = UNSET
    targets: Sequence[str]
    restart: str | UnsetType = UNSET  # when
    due: str | UnsetType = UNSET
    allowed: str | UnsetType = UNSET
    waits: str | UnsetType = UNSET
    because: str | UnsetType = UNSET


class SettingsWritten(Facts, frozen=True, kw_only=True):
    event = Event.SETTINGS_WRITTEN
    """What: `apply-started` of the same pass has it, but for what is taken back from a client."""

    sentence = "Written[ to {targets}][: {because}]"
    method: Method | UnsetType = UNSET
    because: str | UnsetType = UNSET
    targets: Sequence[str]


class DockerRestarted(Facts, frozen=True, kw_only=True):
    """By the agent."""

    event = Event.DOCKER_RESTARTED
    sentence = (
        "Docker restarted[ ({took_s})][: {due}][; {allowed}]"
        "[; containers kept: {containers_kept}][; containers lost: {containers_lost}]"
        "[; containers stopped: {containers_stopped}]"
        "[; went down with it: {taken_along}][; started again: {started_again}][; {left}]"
    )
    brief = "docker restarted[, containers kept: {containers_kept}][, lost: {containers_lost}]"
    severity = Severity.NOTICE
    unit: str
    took_s: float | UnsetType = UNSET
    due: str
    allowed: str | UnsetType = UNSET
    containers_kept: int | UnsetType = UNSET
    containers_lost: Sequence[str] | UnsetType = UNSET
    containers_stopped: Sequence[str] | UnsetType = UNSET
    taken_along: Sequence[str] | UnsetType = UNSET
    started_again: Sequence[str] | UnsetType = UNSET
    left: Sequence[str] | UnsetType = UNSET  # what failed on the way


RECORDED_BEFORE: Final = "this start was recorded before"
SERVED_FROM_NOW: Final = "the agent looks after this Docker from now on"
SAID_LATER: Final = "it did not say at first what it runs with"


class DockerStarted(Facts, frozen=True, kw_only=True):
    """What Docker runs with from now on, whoever started it.

    Each start that is seen has one, and a second one with `effective` if dockerd did not say at first what that is.
    """

    event = Event.DOCKER_STARTED
    sentence = "Docker runs[ with {effective}][, started by {cause}][, since {started_at}][: {because}]"
    brief = "docker started"
    severity = Severity.NOTICE
    unit: str
    cause: Cause | UnsetType = UNSET  # absent: not known; it ran before an agent saw it
    effective: Settings | UnsetType = UNSET  # absent: it did not say
    invocation: str  # systemd's, of this start
    started_at: str | UnsetType = UNSET  # RFC 3339: a start by others is seen later
    down_since: str | UnsetType = UNSET  # RFC 3339: when the one before it went down, in this boot
    because: str | UnsetType = UNSET

    @property
    def is_shown(self) -> bool:
        """`docker-restarted` is shown already."""
        return self.cause is not Cause.AGENT

    @property
    def is_by_itself(self) -> bool:
        """Whoever asks now has not brought about what is told later, or once more."""
        return self.cause is not Cause.AGENT or self.because in (RECORDED_BEFORE, SAID_LATER)


class DockerStopped(Facts, frozen=True, kw_only=True):
    """By others, or after a restart of the agent that failed. One that went well is one record."""

    event = Event.DOCKER_STOPPED
    sentence = "Docker stopped[ at {stopped_at}][: {because}]"
    brief = "docker stopped"
    severity = Severity.NOTICE
    unit: str
    cause: Cause
    because: str
    stopped_at: str | UnsetType = UNSET  # RFC 3339: it is seen later

    @property
    def is_shown(self) -> bool:
        """`rolled-back` is shown already."""
        return self.cause is Cause.OTHERS

    @property
    def is_by_itself(self) -> bool:
        return self.cause is Cause.OTHERS


class RestartDeferred(Facts, frozen=True, kw_only=True):
    event = Event.RESTART_DEFERRED
    sentence = "The restart of Docker waits[: {waits}][; {due}]"
    brief = "a restart of docker waits"
    severity = Severity.NOTICE
    unit: str
    due: str
    waits: str


class RestartDropped(Facts, frozen=True, kw_only=True):
    """A restart that waited is not due any more."""

    event = Event.RESTART_DROPPED
    sentence = "The waiting restart of Docker is no longer needed[: {because}]"
    unit: str
    because: str


class SettingsRolledBack(Facts, frozen=True, kw_only=True):
    event = Event.ROLLED_BACK
    sentence = (
        "Rolled back[ ({failed_settings})][: {because}]"
        "[; containers lost: {containers_lost}][; containers stopped: {containers_stopped}]"
        "[; started again: {started_again}]"
    )
    brief = "rolled back"
    severity = Severity.ERROR
    unit: str
    failed_settings: Settings | UnsetType = UNSET
    because: str
    containers_kept: int | UnsetType = UNSET
    containers_lost: Sequence[str] | UnsetType = UNSET
    containers_stopped: Sequence[str] | UnsetType = UNSET
    started_again: Sequence[str]


class DriftCorrected(Facts, frozen=True, kw_only=True):
    event = Event.DRIFT_CORRECTED
    sentence = "Corrected[ {targets}][, which had {found}][; it is {owner}'s][, changed at {changed}]"
    brief = "corrected[ {targets}]"
    severity = Severity.NOTICE
    targets: Sequence[str]
    found: Settings | UnsetType = UNSET
    owner: str | UnsetType | None = UNSET  # of the file; who wrote it the file does not tell. None: it was removed
    changed: str | UnsetType = UNSET  # RFC 3339: its mtime
    # Keyed: they show that a password was changed, not which. None: there is none.
    password_before: str | None
    password_after: str | None


class GaveUp(Facts, frozen=True, kw_only=True):
    event = Event.GAVE_UP
    sentence = "Gave up[ on {targets}][: {because}][; it is {owner}'s][, changed at {changed}]"
    brief = "gave up[ on {targets}]"
    severity = Severity.ERROR
    targets: Sequence[str]
    because: str
    owner: str | UnsetType | None = UNSET
    changed: str | UnsetType = UNSET


class Requested(Facts, frozen=True, kw_only=True):
    """A wish that has no event of its own; `by` says whose."""

    event = Event.REQUESTED
    sentence = "Requested[: {command}][ ({options})]"
    command: str
    options: Sequence[str]


class Pinned(Facts, frozen=True, kw_only=True):
    event = Event.PINNED
    sentence = "Pinned[ to {upstream}][ until {until}]"
    brief = "pinned[ to {upstream}]"
    severity = Severity.NOTICE
    upstream: str
    until: str | None


REQUESTED: Final = "requested"  # by a person, who is the record's `by`


class Unpinned(Facts, frozen=True, kw_only=True):
    event = Event.UNPINNED
    sentence = "No longer pinned[ to {upstream}][: {because}]"
    brief = "no longer pinned"
    severity = Severity.NOTICE
    upstream: str
    because: str

    @property
    def is_by_itself(self) -> bool:
        return self.because != REQUESTED


class Paused(Facts, frozen=True, kw_only=True):
    event = Event.PAUSED
    sentence = "Paused[ until {until}]: nothing is written"
    brief = "paused"
    severity = Severity.NOTICE
    until: str | None


class Resumed(Facts, frozen=True, kw_only=True):
    event = Event.RESUMED
    sentence = "No longer paused[: {because}]"
    brief = "no longer paused"
    severity = Severity.NOTICE
    because: str

    @property
    def is_by_itself(self) -> bool:
        return self.because != REQUESTED


class TargetNotWritten(Facts, frozen=True, kw_only=True):
    event = Event.TARGET_FAILED
    sentence = "Not written[: {targets}][: {error}]"
    brief = "not written[: {targets}]"
    severity = Severity.WARNING
    targets: Sequence[str] | UnsetType = UNSET
    error: str


class FilesRestored(Facts, frozen=True, kw_only=True):
    event = Event.RESTORED
    sentence = "Restored as it was before the agent[: {targets}][; {because}]"
    brief = "restored"
    severity = Severity.NOTICE
    targets: Sequence[str]
    because: str | UnsetType = UNSET


class RelayEnabled(Facts, frozen=True, kw_only=True):
    """It has proved itself: from now on Docker is given its address."""

    event = Event.RELAY_ENABLED
    sentence = "The relay works[ at {listens}]: Docker and clients are given its address"
    brief = "relay enabled"
    severity = Severity.NOTICE
    listens: Sequence[str]


class RelaySwitched(Facts, frozen=True, kw_only=True):
    """What goes through the relay goes another way from now on, or would if the first upstream cannot be opened."""

    event = Event.RELAY_SWITCHED
    sentence = "The relay uses[ {upstream}][ in {network}][ instead of {previous_upstream}][; if that fails: {others}]"
    brief = "relay switched[ to {upstream}]"
    severity = Severity.NOTICE
    upstream: str
    previous_upstream: str | UnsetType = UNSET
    network: str
    others: Sequence[str]  # that it tries if that one cannot be opened, in order
    generation: int  # of what the relay is told


class RelayFailed(Facts, frozen=True, kw_only=True):
    """It is given up until a person asks, or the policy is another."""

    event = Event.RELAY_FAILED
    sentence = "The relay does not work[: {because}]; Docker and clients are given the upstreams themselves"
    brief = "relay given up"
    severity = Severity.ERROR
    because: str


class RelayDisabled(Facts, frozen=True, kw_only=True):
    """Nobody has its address any more, and it is stopped."""

    event = Event.RELAY_DISABLED
    sentence = "The relay is switched off[: {because}]; Docker and clients are given the upstreams themselves"
    brief = "relay switched off"
    severity = Severity.NOTICE
    because: str


class RelayRefused(Facts, frozen=True, kw_only=True):
    """Somebody tried to use the relay who may not; by what the relay says."""

    event = Event.RELAY_REFUSED
    sentence = "The relay refused connections from somebody who may not use it[: {sources}]"
    severity = Severity.WARNING
    sources: Sequence[str] | UnsetType = UNSET  # addresses not told of before; absent with `audit.places = "names"`
    times: int  # how often all of them came by now

    @property
    def is_by_itself(self) -> bool:
        return True


class RelayFellBack(Facts, frozen=True, kw_only=True):
    """By what the relay says, which nothing else proves; at most one in ten minutes for each upstream."""

    event = Event.RELAY_FELL_BACK
    sentence = (
        "The relay reports that another upstream carried connections[: {connections} via {upstream}][, not {chosen}]"
    )
    brief = "the relay fell back[ to {upstream}]"
    severity = Severity.NOTICE
    upstream: str  # the one that carried them; it is among `others` of `relay-switched`
    chosen: str  # that could not be opened for them
    connections: int  # since the last such record, or since it was told so
    generation: int  # of what the relay is told

    @property
    def is_by_itself(self) -> bool:
        return True


class LogRecovered(Facts, frozen=True, kw_only=True):
    """The audit log about itself; the other facts: `audit/about_the_log.py`."""

    event = Event.LOG_RECOVERED
    sentence = "The audit log continues[: {because}]"
    severity = Severity.WARNING
    because: str


class LogTrimmed(Facts, frozen=True, kw_only=True):
    """The audit log about itself; the other facts: `audit/about_the_log.py`."""

    event = Event.LOG_TRIMMED
    sentence = "Old records dropped from the audit log[: {first} to {last}][ ({because})]"
    severity = Severity.NOTICE
    because: str
    first: int | None
    last: int | None


FACTS: Final[Mapping[Event, type[Facts]]] = {kind.event: kind for kind in Facts.__subclasses__()}
