"""What is found: a value, and how several are put in order and shown.

Pure. Not known here: how any of it is found out.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

import msgspec

from agent.one_pass.screen import line


class Sign(enum.Enum):
    """What scripts tell findings apart by."""

    CONDITION = "condition"  # that a pass says as well: see `condition` of the finding
    LISTENER_ABSENT = "listener-absent"
    LISTENER_FOREIGN = "listener-foreign"
    LISTENER_UNOWNED = "listener-unowned"
    LISTENER_UNKNOWN = "listener-unknown"
    NAME_UNKNOWN = "name-unknown"
    NAME_UNKNOWN_TO_CONTAINERS = "name-unknown-to-containers"
    FAKE_ADDRESS = "fake-address"
    FAKE_ADDRESS_DEAD = "fake-address-dead"
    PROXY_IN_DOCKERS_RANGE = "proxy-in-dockers-range"
    OTHER_ENGINE = "other-engine"
    LOGIN_REFUSED = "login-refused"
    DOCKER_MASKED = "docker-masked"
    DOCKER_FAILED = "docker-failed"
    CERTIFICATE_REJECTED = "certificate-rejected"
    CERTIFICATE_TIME = "certificate-time"
    CA_NOT_READ = "ca-not-read"
    TOKEN_SERVER = "token-server"  # noqa: S105 - it is none
    LAYERS_HOST = "layers-host"
    SHELL_PROXY = "shell-proxy"
    PAC_UNIT_MASKED = "pac-unit-masked"
    PAC_SILENT = "pac-silent"
    PAC_LEADS_NOWHERE = "pac-leads-nowhere"
    PAC_COPY = "pac-copy"
    RELAY_SILENT = "relay-silent"
    FIREWALL = "firewall"
    REGISTRY_BY_PROXY = "registry-by-proxy"
    COMPOSE_SERVICES = "compose-services"
    CLOCK_BEHIND = "clock-behind"
    FOREIGN_SETTING = "foreign-setting"
    PLACES_DIFFER = "places-differ"
    FILE_NOT_READ = "file-not-read"
    TOP_LEVEL_PROXY = "top-level-proxy"
    ALL_PROXY = "all-proxy"
    SOCKS_BY_NAME = "socks-by-name"
    NO_PROXY_ENTRY = "no-proxy-entry"
    NEEDS_DAEMON_RELOAD = "needs-daemon-reload"
    LIVE_RESTORE = "live-restore"
    RESTART_WAITS = "restart-waits"
    UNITS_HANG = "units-hang"
    KILL_MODE = "kill-mode"
    SWARM = "swarm"
    CLIENT_LEFT = "client-left"
    CLIENT_SKIPPED = "client-skipped"
    CLIENT_ENTRY = "client-entry"
    REMOTE_CONTEXT = "remote-context"
    DISK_FULL = "disk-full"
    AGENT_DOWN = "agent-down"
    AGENT_NOT_ENABLED = "agent-not-enabled"
    AGENT_OLDER = "agent-older"
    NO_ANCHORS = "no-anchors"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is in the way."""

    code: Sign
    is_broken: (
        bool  # whether pulls, runs, builds or what containers load fail by it now; else it may be in the way later
    )
    where: str  # the file, the unit, the address
    what: str
    why: str = ""  # why it matters
    command: str = ""  # or a deed, where no command does it; '': nothing is to be done
    condition: str = ""  # the code of the condition, if it is one


class DoctorShown(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, as `--json` prints it."""

    broken: bool  # whether one of them is
    findings: tuple[Finding, ...]
    unseen: tuple[str, ...]  # what could not be looked at, and why


def shown(findings: Iterable[Finding], unseen: Iterable[str]) -> DoctorShown:
    """What is broken now comes first; else they stay in the order of their subjects, each once."""
    found = sorted(dict.fromkeys(findings), key=lambda one: not one.is_broken)
    return DoctorShown(broken=any(one.is_broken for one in found), findings=tuple(found), unseen=tuple(unseen))


def finding_lines(these: DoctorShown) -> Iterator[str]:
    """Before long lines are folded."""
    if not these.findings:
        yield "no problems found"
    elif not these.broken:
        yield "nothing is broken now"
    heading = ""
    for number, one in enumerate(these.findings, start=1):
        if number > 1 or not these.broken:
            yield ""
        if (under := "broken now:" if one.is_broken else "worth knowing:") != heading:
            heading = under
            yield under
        yield from _lines(number, one)
    if these.broken:
        yield ""
        yield "After fixing 1, run again: sudo docker-proxy-agent doctor"
    if these.unseen:
        yield ""
    for text in these.unseen:
        yield line("not checked", text)


def _lines(number: int, one: Finding) -> Iterator[str]:
    yield f"  {number}. {one.where}: {one.what}"
    if one.why:
        yield line("why", one.why)
    if one.command:
        yield line("do", one.command)
