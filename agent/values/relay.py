"""What the agent tells the relay, and what the relay says of itself: two files between two processes.

`Orders` is relay.json, written by the agent for the relay alone: it holds passwords. `RelayState` is state.json,
written by the relay, an unprivileged user's: whoever reads it takes it for a stranger's text; what is too long or
of another kind is refused whole. Bytes in, bytes out.
Not known here: where the files are (`paths.py`), and what follows from either.
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, Final, TypeVar

import msgspec

from agent.values.errors import AgentError
from agent.values.settings import Masked, ProxyUrl, proxy

ORDERS_FORMAT: Final = 1
STATE_FORMAT: Final = 1
LARGEST_ORDERS: Final = 1024 * 1024  # bytes; 200 upstreams have 60 KB
LARGEST_STATE: Final = 64 * 1024
MOST_UPSTREAMS: Final = 200  # that state.json speaks of
MOST_REFUSED: Final = 50
MOST_UNTOLD: Final = 50
LONGEST_TEXT: Final = 400
# What the relay says in a header of its own where it turns somebody away for its limits. It passes no such header on.
SAYS: Final = b"docker-proxy-relay"
LIMITS: Final = b"limits"

_AGAIN: Final = "It is written by the running agent: docker-proxy-agent status"


class Source(enum.Enum):
    """Who may use the relay."""

    LOOPBACK = "loopback"  # this host, so dockerd
    CONTAINERS = "containers"  # whoever the kernel reaches by a bridge of containers


class LogMode(enum.Enum):
    """What the relay writes down of connections."""

    NONE = "none"
    SUMMARY = "summary"  # a line a minute and upstream
    CONNECTIONS = "connections"  # a line for each


class RelayUpstream(msgspec.Struct, frozen=True):
    """A way out. Without a proxy for a kind of request, that kind goes directly."""

    name: str
    http: ProxyUrl | None = None  # for http://, with its credentials
    https: ProxyUrl | None = None  # for CONNECT, with its credentials
    no_proxy: tuple[str, ...] = ()  # besides that of the orders
    owner: str = ""  # whose listener it must be if it is on this host; '': anybody's
    owner_uid: int | None = None  # None, with an owner: there is no such user, and nothing is sent
    named_by: str = ""  # the PAC whose word alone it is; '': the policy names it
    works: bool | None = None  # of one that a PAC names: how the agent has seen it here; None: not yet

    @property
    def is_hearsay(self) -> bool:
        """Whether nobody but a PAC says that it is a proxy."""
        return bool(self.named_by) and not self.works


class RelayPac(msgspec.Struct, frozen=True):
    """A PAC that decides for each request. Its script is what came from the network: it may say anything."""

    name: str  # of its upstream
    script: str
    my_ip: str = ""
    no_proxy: tuple[str, ...] = ()  # of the policy: it is not asked for these
    # host:port of the registries for which the agent has its answer: `upstreams`. It might say something else now.
    settled: tuple[str, ...] = ()
    known: tuple[RelayUpstream, ...] = ()  # that it may name, besides `upstreams`; what else it names gets no password


class Orders(msgspec.Struct, frozen=True):
    """All that the relay goes by."""

    generation: int  # another one: new connections go by these orders
    upstreams: tuple[RelayUpstream, ...] = ()  # in order; the second is tried once if the first cannot be opened
    no_proxy: tuple[str, ...] = ()  # canonical, by Go's rules
    sources: tuple[Source, ...] = (Source.LOOPBACK, Source.CONTAINERS)
    log: LogMode = LogMode.SUMMARY
    max_connections: int = 1024
    ca_file: str = ""  # besides the system's: who may sign an https proxy's certificate
    internal: tuple[str, ...] = ()  # bridges of networks that lead nowhere: nobody is let in from there
    told: tuple[str, ...] | None = None  # bridges of which that is known, as `bridge_of` names them; None: of all
    pac: RelayPac | None = None  # None: `upstreams` are for everything


_NAMED_BY_DOCKER: Final = re.compile(r"br-[0-9a-f]{12}|docker0")


def is_named_by_docker(bridge: str) -> bool:
    """Whether nobody else gives a bridge such a name."""
    return _NAMED_BY_DOCKER.fullmatch(bridge) is not None


def bridge_of(index: int, name: str) -> str:
    """The same name may be another network's by and by."""
    return f"{index} {name}"


class _Upstream(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """As it is written: a URL with its password is a text."""

    name: str
    http: str = ""
    https: str = ""
    no_proxy: tuple[str, ...] = ()
    owner: str = ""
    owner_uid: int | None = None
    named_by: str = ""
    works: bool | None = None


class _Pac(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    script: str
    my_ip: str = ""
    no_proxy: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()
    known: tuple[_Upstream, ...] = ()


class _Orders(msgspec.Struct, forbid_unknown_fields=True):
    generation: int
    upstreams: tuple[_Upstream, ...]
    no_proxy: tuple[str, ...]
    sources: tuple[Source, ...]
    log: LogMode
    max_connections: int
    ca_file: str
    internal: tuple[str, ...] = ()  # an agent of before did not write it
    told: tuple[str, ...] | None = None  # nor this
    pac: _Pac | None = None  # nor this


class _Format(msgspec.Struct):
    format: int


_File = TypeVar("_File", bound=_Format)


class _OrdersFile(_Format, forbid_unknown_fields=True):
    orders: _Orders


def orders_file(orders: Orders) -> bytes:
    """relay.json. It shows passwords: nobody but the relay may read it."""
    fields = {name: getattr(orders, name) for name in Orders.__struct_fields__}
    pac = orders.pac and _Pac(
        orders.pac.name,
        orders.pac.script,
        my_ip=orders.pac.my_ip,
        no_proxy=orders.pac.no_proxy,
        settled=orders.pac.settled,
        known=_written(orders.pac.known),
    )
    written = _Orders(**{**fields, "upstreams": _written(orders.upstreams), "pac": pac})
    return msgspec.json.encode(_OrdersFile(ORDERS_FORMAT, written))


def orders_in(data: bytes, where: str) -> Orders:
    """What is in relay.json. AgentError if it cannot be parsed; `where` is its path."""
    written = _decoded(data, where, _OrdersFile, ORDERS_FORMAT).orders
    pac = written.pac and RelayPac(
        written.pac.name,
        written.pac.script,
        my_ip=written.pac.my_ip,
        no_proxy=written.pac.no_proxy,
        settled=written.pac.settled,
        known=_read(written.pac.known, where),
    )
    fields = {name: getattr(written, name) for name in _Orders.__struct_fields__}
    return Orders(**{**fields, "upstreams": _read(written.upstreams, where), "pac": pac})


def _written(upstreams: tuple[RelayUpstream, ...]) -> tuple[_Upstream, ...]:
    return tuple(
        _Upstream(
            one.name, _revealed(one.http), _revealed(one.https),
            no_proxy=one.no_proxy, owner=one.owner, owner_uid=one.owner_uid,
            named_by=one.named_by, works=one.works,
        )
        for one in upstreams
    )  # fmt: skip


def _read(upstreams: tuple[_Upstream, ...], where: str) -> tuple[RelayUpstream, ...]:
    return tuple(
        RelayUpstream(
            one.name, _url(one.http, where), _url(one.https, where),
            no_proxy=one.no_proxy, owner=one.owner, owner_uid=one.owner_uid,
            named_by=one.named_by, works=one.works,
        )
        for one in upstreams
    )  # fmt: skip


def _revealed(url: ProxyUrl | None) -> str:
    return "" if url is None else url.reveal()


def _url(text: str, where: str) -> ProxyUrl | None:
    if not text:
        return None
    url = proxy(text)
    if not isinstance(url, ProxyUrl) or isinstance(url.credentials, Masked):
        # Not quoted: it may hold a password.
        raise AgentError(where, "names an upstream that is not a proxy's URL", _AGAIN)
    return url


_Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Carried(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By one upstream, since the relay started."""

    upstream: _Text
    open: _Count = 0  # connections now
    connections: _Count = 0  # in all, those that could not be opened not among them
    failed: _Count = 0  # that could not be opened through it
    bytes_up: _Count = 0  # from clients
    bytes_down: _Count = 0  # to clients


class UpstreamFailed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last connection that could not be opened through an upstream."""

    number: _Count  # how many there were by now: another number is news
    upstream: _Text
    outcome: _Text  # of `verdict.Outcome`
    evidence: _Text = ""
    generation: _Count = 0
    used: _Text = ""  # the upstream that was tried after it and worked; '': none


class RefusedSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who may not use the relay and tried to."""

    source: _Text  # an address
    times: _Count = 1


class RelayState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """state.json. `generation` is that of the orders in use: 0: there are none that can be used."""

    generation: _Count = 0
    pid: _Count = 0
    started_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0  # CLOCK_BOOTTIME
    connections: _Count = 0  # open now
    carried: Annotated[tuple[Carried, ...], msgspec.Meta(max_length=MOST_UPSTREAMS)] = ()
    failed: UpstreamFailed | None = None
    refused: Annotated[tuple[RefusedSource, ...], msgspec.Meta(max_length=MOST_REFUSED)] = ()  # the latest first
    untold: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=MOST_UNTOLD)] = ()  # bridges that somebody waits at
    turned_away: _Count = 0  # connections beyond the limits
    problem: _Text = ""  # why there are no orders, or why they are not the newest; '': none


class _StateFile(_Format, forbid_unknown_fields=True):
    state: RelayState


def state_file(state: RelayState) -> bytes:
    """state.json. What is in it must be escaped and redacted already."""
    return msgspec.json.encode(_StateFile(STATE_FORMAT, state))


def state_in(data: bytes, where: str) -> RelayState:
    """What is in state.json. AgentError if it is not as it must be: then nothing of it counts."""
    if len(data) > LARGEST_STATE:
        raise AgentError(where, f"has more than {LARGEST_STATE // 1024} KB")
    return _decoded(data, where, _StateFile, STATE_FORMAT).state


def _decoded(data: bytes, where: str, kind: type[_File], version: int) -> _File:
    try:
        found = msgspec.json.decode(data, type=_Format).format
        if found != version:
            raise AgentError(where, f"is of format {found}, not {version}: agent and relay have different versions",
                             "Restart both: systemctl restart docker-proxy-relay docker-proxy-agent")  # fmt: skip
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Not `from`: the error may quote what is written, and that may be a password.
        raise AgentError(where, "cannot be parsed", _AGAIN) from None
