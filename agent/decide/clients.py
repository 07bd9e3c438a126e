"""What clients should have: what a choice means for them, which is not what it means for the daemon.

Pure. A container cannot reach the host's loopback (FACTS 20), its programs read ALL_PROXY, and whoever may look at it
sees its passwords. The exclusions of clients depend on the policy and the choice alone, as the daemon's do.

Not known here: what a file says, and what must change in it (`client_file.py`); whose proxy listens on the bridge
(`bridge.py`), and how that was looked at.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from agent.decide.bridge import Bridge, obstacle, other_way
from agent.values.condition import Code, Condition
from agent.values.policy import Clients, NoProxy, Scope, Upstream
from agent.values.settings import DIRECT, ProxyUrl, Scheme, Settings, settings

# Private (RFC 1918, RFC 4193) and link-local (RFC 3927, RFC 4291) addresses, which need no proxy. Not 100.64.0.0/10:
# behind the shared space of some carriers and VPNs lies more than the local network.
PRIVATE_NETWORKS: Final = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)

# In addition to 127.0.0.0/8: curl before 7.86, wget and Python's urllib know no CIDR in no_proxy (FACTS 70).
_LOOPBACK_NETWORK: Final = "127.0.0.0/8"
_LOOPBACK_ADDRESS: Final = "127.0.0.1"

EVERY_ENGINES: Final = ("default",)  # also those of other contexts (FACTS 18)
DEFAULT_SOCKET: Final = "/run/docker.sock"
# What the client calls the engine on the default socket (FACTS 18); /var/run is a link to /run.
_DEFAULT_HOST: Final = "unix:///var/run/docker.sock"


class Intent(enum.Enum):
    """What is to be done with a client's file."""

    SET = "set"  # it says the settings
    LEAVE = "leave"  # it stays as it is
    WITHDRAW = "withdraw"  # what the agent wrote is removed, what others wrote stays
    PUT_BACK = "put-back"  # as it was before the agent first wrote there; the original is then forgotten


class Wanted(msgspec.Struct, frozen=True):
    """What clients should have, and why."""

    intent: Intent
    because: str
    settings: Settings = DIRECT
    condition: Condition | None = None
    is_somebody_elses: bool = False  # another user's program listens where clients would be sent
    is_without_address: bool = False  # there is none by which containers could reach it
    is_only_here: bool = False  # an address that is only good for this engine: others are elsewhere
    fact: str = ""  # what was checked about the address, and from where
    elsewhere: Wanted | None = None  # what the engines of other contexts get, if not the same


BACK: Final = Wanted(Intent.PUT_BACK, "the policy no longer covers it")


class Around(msgspec.Struct, frozen=True):
    """What else is known of this host and its containers."""

    drops_all: str = ""  # the version of a docker client without allProxy; '' if it has it
    addresses: Mapping[str, str] = msgspec.field(default_factory=dict)  # of hosts of the upstream, as they resolve here
    # By host that containers' DNS does not know: that DNS.
    unknown: Mapping[str, str] = msgspec.field(default_factory=dict)


def for_clients(
    upstream: Upstream, clients: Clients, exclusions: NoProxy, bridge: Bridge, around: Around | None = None
) -> Wanted:
    """What clients should have: the upstream as a container can use it."""
    around = around or Around()
    drops_all = around.drops_all
    if upstream.is_direct:
        return Wanted(Intent.SET, "direct: no proxy")
    is_known = bridge.address is not None or bridge.is_closed or bridge.is_none
    if not is_known and bridge.on_loopback(upstream):
        because = f"{upstream.name} is on loopback, and the address of Docker's bridge is not known"
        return Wanted(Intent.LEAVE, because)
    if found := obstacle(upstream, bridge):
        return Wanted(
            Intent.WITHDRAW,
            found.because,
            condition=found.condition,
            is_somebody_elses=found.is_somebody_elses,
            is_without_address=found.is_without_address,
        )
    because, http, https = _as_reached(upstream, bridge)
    fact = f"{upstream.name} {_on_the_bridge(bridge)}" if bridge.on_loopback(upstream) else ""
    credentials = upstream.credentials if clients.credentials else None
    http, https = (url and msgspec.structs.replace(url, credentials=credentials) for url in (http, https))
    if clients.resolve:
        http, https = (url and _by_address(url, around) for url in (http, https))
    unknown = next((url for url in (http, https) if url is not None and url.host in around.unknown), None)
    is_only_here = any(url is not None and _is_here(url, bridge) for url in (http, https))
    wanted = for_programs(upstream, exclusions, http=http, https=https)
    socks = wanted.all
    if drops_all:
        wanted = settings(wanted.http, wanted.https, wanted.no_proxy)
    if socks is None or not drops_all:
        said = _no_credentials(upstream, clients) if unknown is None else _no_name(upstream, unknown, around)
        return Wanted(Intent.SET, because, wanted, said, is_only_here=is_only_here, fact=fact)
    # That client drops the key when it saves and never passes it on: we would write it again and again.
    dropped = f"{upstream.name} is SOCKS, and the docker client {drops_all} does not support allProxy"
    condition = _not_told(upstream, dropped)
    if wanted.is_direct:
        return Wanted(Intent.WITHDRAW, dropped, condition=condition)
    return Wanted(Intent.SET, because, wanted, condition, is_only_here=is_only_here, fact=fact)


def beside_the_relay(wanted: Wanted, elsewhere: Wanted) -> Wanted:
    """`wanted`: of the relay. `elsewhere`: of the upstream, which other engines can use as well as without the relay,
    unless its address is good here alone, too."""
    is_kept = wanted.intent is not Intent.LEAVE and elsewhere.intent is Intent.SET and not elsewhere.is_only_here
    return msgspec.structs.replace(wanted, elsewhere=elsewhere) if is_kept else wanted


def instead_of_the_relay(wanted: Wanted, itself: Wanted) -> Wanted:
    """`wanted`: of the relay, which containers have no address of. `itself`: of the upstream, which they get then, as
    without the relay."""
    of_relay, own = wanted.condition, itself.condition
    if itself.intent is not Intent.SET or of_relay is None:
        return itself
    said = msgspec.structs.replace(of_relay, text=f"{of_relay.text}: containers get the upstreams themselves")
    if own is not None:  # what they lack by that says more
        said = msgspec.structs.replace(own, text=f"{said.text}; {own.text}")
    return msgspec.structs.replace(itself, condition=said)


def for_programs(upstream: Upstream, exclusions: NoProxy, *, http: ProxyUrl | None, https: ProxyUrl | None) -> Settings:
    """The upstream by these URLs, for programs that read their environment: containers', and this host's."""
    # allProxy is one value for all schemes. Where the two differ, https counts: most traffic is.
    socks = https if _is_socks(https) else http if _is_socks(http) else None
    return settings(
        http=None if _is_socks(http) else http,
        https=None if _is_socks(https) else https,
        all=socks,
        no_proxy=_excluded(upstream, exclusions),
    )


def gives_socks(upstream: Upstream) -> bool:
    """Whether clients would get SOCKS in any part, which older ones do not know."""
    return any(map(_is_socks, upstream.urls_for_containers))


def entries_for(scope: Scope, socket: str, wanted: Wanted | None = None, *, is_local: bool = False) -> tuple[str, ...]:
    """The entries of `proxies` that the agent keeps: for every engine, or for the engine on this socket.

    `is_local`: what is wanted must not go to other engines, which get `wanted.elsewhere`, if anything. A client may be
    told of the default socket by either name.
    """
    if scope is Scope.DEFAULT and not is_local:
        return EVERY_ENGINES
    others = EVERY_ENGINES if scope is Scope.DEFAULT and wanted is not None and wanted.elsewhere is not None else ()
    if socket in (DEFAULT_SOCKET, f"/var{DEFAULT_SOCKET}"):
        return (*others, _DEFAULT_HOST, f"unix://{DEFAULT_SOCKET}")
    return (*others, f"unix://{socket}")


def of_entry(wanted: Wanted, entry: str, entries: Collection[str]) -> Wanted:
    """What one of these entries should say: `default` beside others is what other engines get."""
    is_of_others = entry in EVERY_ENGINES and len(entries) > 1
    return wanted.elsewhere if is_of_others and wanted.elsewhere is not None else wanted


def _as_reached(upstream: Upstream, bridge: Bridge) -> tuple[str, ProxyUrl | None, ProxyUrl | None]:
    """Why, and the two URLs as a container reaches them."""
    if upstream.container_url is not None:
        return f"{upstream.name}: its container_url", upstream.container_url, upstream.container_url
    local = bridge.on_loopback(upstream)
    if bridge.address is None or not local:
        return upstream.name, upstream.http, upstream.https
    moved = {url: msgspec.structs.replace(url, host=bridge.address) for url in local}
    http, https = (url and moved.get(url, url) for url in (upstream.http, upstream.https))
    return f"{upstream.name}: on loopback, and {_on_the_bridge(bridge)}", http, https


def _is_here(url: ProxyUrl, bridge: Bridge) -> bool:
    return url.host == bridge.address or bool(bridge.loopback(url))


def _on_the_bridge(bridge: Bridge) -> str:
    # Only seen from the host: a firewall may stand between a container and it.
    if bridge.heard_at:
        return f"answers on {bridge.heard_at}, which is {bridge.address} to containers"
    return f"answers on {bridge.address}, seen from the host"


def _excluded(upstream: Upstream, exclusions: NoProxy) -> tuple[str, ...]:
    named = (*exclusions.always, *upstream.no_proxy)
    loopback = (_LOOPBACK_ADDRESS,) if _LOOPBACK_NETWORK in named else ()
    return (*named, *loopback, *(PRIVATE_NETWORKS if exclusions.private_networks else ()))


def _no_credentials(upstream: Upstream, clients: Clients) -> Condition | None:
    # With a container_url the policy says what containers use; that proxy may need no password.
    if clients.credentials or upstream.credentials is None or upstream.container_url is not None:
        return None
    return Condition(
        Code.CLIENT_NO_CREDENTIALS,
        f"{upstream.name} asks for a password, which clients do not get: containers and builds may be refused",
        "Set clients.credentials = true (whoever can look at a container then sees the password),"
        f" or {other_way(upstream, ' to a proxy that asks for none')}",
    )


def _by_address(url: ProxyUrl, around: Around) -> ProxyUrl:
    """A proxy behind TLS keeps its name: the certificate is for it."""
    if url.scheme is Scheme.HTTPS or url.host not in around.addresses:
        return url
    return msgspec.structs.replace(url, host=around.addresses[url.host])


def _no_name(upstream: Upstream, url: ProxyUrl, around: Around) -> Condition:
    servers = around.unknown[url.host]
    return Condition(
        Code.CLIENT_UNREACHABLE,
        f"{upstream.name}: containers ask {servers}, where {url.host} is not known",
        "Set clients.resolve = true, which writes its address,"
        f" or {other_way(upstream, ' to one that containers can look up')}",
    )


def _not_told(upstream: Upstream, dropped: str) -> Condition:
    return Condition(
        Code.CLIENT_NOT_EFFECTIVE,
        f"{dropped}: containers and builds do not get it, and the client removes it when it saves",
        f"Use docker client 23 or newer, or set {other_way(upstream, ' to an http proxy')}",
    )


def _is_socks(url: ProxyUrl | None) -> bool:
    return url is not None and url.scheme.is_socks
