"""A first policy from what a system has: its upstreams, and the networks that use them.

Pure: what was found goes in, a `Draft` comes out, with the reason for everything that a person may wonder about. The
same proxy that stands in five files is one upstream; a name that means this host in a container is this host.
Not known here: how it was found (`cli/init/look.py`), and how it is spelled (`decide/first_policy_text.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from agent.decide.place_here import Place, is_of_a_place, place_here
from agent.values.found import Found, Kind, LocalPort, Said
from agent.values.listening import loopback_addresses
from agent.values.policy import DIRECT_NAME, ELSEWHERE_NAME, OFFLINE_NAME, Exclusion, NoProxy, PacUrl, Policy
from agent.values.settings import Credentials, Masked, Proxy, ProxyUrl, Scheme

LAST: Final = ELSEWHERE_NAME  # it is that: what no other network matches, with another `use`
_OFFICE, _HERE = "office", "here"
_SOCKS_PORT: Final = 1080
_ALWAYS: Final = frozenset({*NoProxy().always, "127.0.0.1"})
_SAYS_NOTHING: Final = frozenset({"proxy", "www", "gateway", "gw", "cache", "wpad", "pac"})


class NewUpstream(msgspec.Struct, frozen=True):
    """One [upstream.NAME]. It may have a password, so it never shows."""

    name: str
    url: ProxyUrl  # without credentials
    https_url: ProxyUrl | None = None  # only if it is another one
    credentials: Credentials | None = None
    no_proxy: tuple[str, ...] = ()
    owner: str = ""
    wheres: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    is_named: bool = True  # by somebody or something; if not, it was only found listening

    def __repr__(self) -> str:
        return f"NewUpstream({self.name})"

    @property
    def is_local(self) -> bool:
        return bool(loopback_addresses(self.url.host))

    @property
    def has_password(self) -> bool:
        return self.credentials is not None and self.credentials.password is not None


class NewPac(msgspec.Struct, frozen=True):
    """One [upstream.NAME] that is a PAC file."""

    name: str
    pac: str
    wheres: tuple[str, ...]


class NewNetwork(msgspec.Struct, frozen=True):
    """One [[network]]."""

    name: str
    use: tuple[str, ...]
    place: Place | None = None  # None: everywhere


class Draft(msgspec.Struct, frozen=True):
    """What is to be written, and what a person should know of it."""

    upstreams: tuple[NewUpstream, ...]
    networks: tuple[NewNetwork, ...]
    remarks: tuple[str, ...] = ()
    pacs: tuple[NewPac, ...] = ()


def first_policy(found: Found) -> Draft:
    """The place where the laptop is now, if a proxy is for it alone, and all others."""
    draft = _drafted(found)
    return msgspec.structs.replace(draft, remarks=(*draft.remarks, *_tried_first(draft)))


def _tried_first(draft: Draft) -> list[str]:
    """What Docker may never have used, and now would use before all else."""
    remarks = []
    for one in draft.upstreams:
        where = [f'"{network.name}"' for network in draft.networks if network.use[0] == one.name]
        if where and not one.is_named:
            remarks.append(
                f"a proxy listens here at {one.url.host}:{one.url.port}, and is tried first in {' and '.join(where)}."
                f" If Docker should not use it, delete {one.name} from `use`"
            )
    return remarks


def _drafted(found: Found) -> Draft:
    merged = _Merging(found)
    for said in found.said:
        merged.add(said)
    for port in found.ports:
        merged.add_port(port)
    upstreams = tuple(merged.upstreams)
    place, dead = place_here(found.snapshot, found.tunnels), ""
    far = [one for one in upstreams if not one.is_local]
    everywhere = sorted((one for one in upstreams if not one.has_password), key=lambda one: not one.is_local)
    last = NewNetwork(LAST, (*(one.name for one in everywhere), DIRECT_NAME))
    pacs, elsewhere = _pacs(found, {one.name for one in upstreams})
    remarks = [*found.remarks, *merged.remarks, *elsewhere]
    if not far and not pacs:
        return Draft(upstreams, (last,), tuple(remarks))
    if found.snapshot.is_offline:
        remarks.append(
            "this machine is not in a network, so the policy describes no place. Run init where the proxy is needed"
        )
    elif (dead := _dead(far, found.dead)) and not pacs:
        remarks.append(
            f"no proxy on another host answers from here ({dead}), so this is not the place that needs one, or the "
            "URL is misspelt. The policy describes no place: a proxy is used wherever it works. Run init where the "
            "proxy is needed, or there: init --add-network NAME"
        )
        return Draft(upstreams, (last,), tuple(remarks))
    if place is None:
        kept = [one.name for one in far if one.has_password]
        if kept:
            remarks.append(
                f"nothing here distinguishes this place from others, so no network uses {', '.join(kept)}: "
                "its password would be sent in every place. Write a network for it by hand"
            )
        remarks += [
            "nothing here distinguishes this place from others, and a PAC file is fetched only in a network with "
            f"`match`: {_shown(PacUrl(one.pac))} is left out"
            for one in pacs
        ]
        return Draft(upstreams, (last,), tuple(remarks))
    name = unused(_name_of(place), {*(one.name for one in upstreams), *(one.name for one in pacs)})
    used = [one for one in upstreams if one.is_local or not dead]
    here = NewNetwork(name, _in_order(used, pacs), place)
    return Draft(upstreams, (here, last), tuple(remarks), pacs)


def _in_order(upstreams: Iterable[NewUpstream], pacs: Iterable[NewPac]) -> tuple[str, ...]:
    """A PAC file, which is what the place says, after the proxies elsewhere that somebody has written down."""
    ordered = list(upstreams)
    at = max((number for number, one in enumerate(ordered, 1) if not one.is_local), default=0)
    names = [one.name for one in ordered]
    return (*names[:at], *(one.name for one in pacs), *names[at:], DIRECT_NAME)


def _pacs(found: Found, names: Collection[str], known: Collection[str] = ()) -> tuple[tuple[NewPac, ...], list[str]]:
    """Those that are here; and what is to be said of the others, which are of other places."""
    taken, pacs, remarks = {*names, _OFFICE, _HERE, LAST, DIRECT_NAME}, [], []
    for one in found.pacs:
        if one.pac in known:
            continue
        if one.why_not:
            remarks.append(f"{', '.join(one.wheres)}: the PAC file {_shown(one.pac)} is not used: {one.why_not}")
            continue
        name = unused(_name_of_pac(one.pac, found.snapshot.dns_search), taken)
        taken.add(name)
        pacs.append(NewPac(name, str(one.pac), one.wheres))
    return tuple(pacs), remarks


def _shown(pac: PacUrl) -> str:
    """A query may hold a password."""
    return "that the network names (WPAD)" if pac == PacUrl.AUTO else str(pac).partition("?")[0]


def _name_of_pac(pac: PacUrl, search: Iterable[str]) -> str:
    """`http://wpad.corp.example/wpad.dat` is corp-pac."""
    host = next(filter(is_of_a_place, search), "") if pac == PacUrl.AUTO else pac.host
    if re.fullmatch(r"[0-9.]*|.*:.*", host):
        return "pac"
    labels = [label for label in host.lower().strip(".").split(".")[:-1] if label not in _SAYS_NOTHING]
    label = re.sub(r"[^a-z0-9_-]+", "-", labels[-1]) if labels else ""
    return f"{label}-pac" if label else "pac"


def _dead(far: Iterable[NewUpstream], dead: Mapping[ProxyUrl, str]) -> str:
    """Each with why; '' if one of them may answer."""
    urls = [url for one in far for url in dict.fromkeys((one.url, one.https_url)) if url is not None]
    return ", ".join(f"{url}: {dead[url]}" for url in urls) if all(url in dead for url in urls) else ""


def one_more(found: Found, policy: Policy, name: str) -> Draft | str:
    """The place where the laptop is now, for a policy that there is; why not, where it cannot be.

    Nothing that the agent itself may have written counts as found.
    """
    if any(network.name == name for network in policy.networks):
        return f'the policy already has a network "{name}"'
    if name == OFFLINE_NAME:
        return f"the log says {OFFLINE_NAME} where there is no network; give the network another name"
    if name in policy.upstreams:
        return f'"{name}" is the name of an upstream; give the network another name'
    if found.snapshot.is_offline:
        return "this machine is not in a network now. Run it at the place itself, or with the VPN up"
    place = place_here(found.snapshot, found.tunnels, [network.match for network in policy.networks])
    if place is None:
        return "nothing here distinguishes this place from the others in the policy"
    known = {url.without_credentials() for one in policy.upstreams.values() for url in one.urls}
    merged = _Merging(
        found, names={*policy.upstreams, *(network.name for network in policy.networks), name}, known=known
    )
    for said in found.by_others.said:
        merged.add(said)
    for port in found.ports:
        merged.add_port(port)
    new = tuple(merged.upstreams)
    names = {*policy.upstreams, *(network.name for network in policy.networks), name, *(one.name for one in new)}
    pacs, elsewhere = _pacs(found, names, {upstream.pac for upstream in policy.upstreams.values()})
    there = [upstream for upstream in policy.upstreams if upstream != DIRECT_NAME]
    network = NewNetwork(name, (*there, *_in_order(new, pacs)), place)
    return Draft(new, (network,), (*found.remarks, *merged.remarks, *elsewhere), pacs)


def _name_of(place: Place) -> str:
    return _OFFICE if place.match.dns_search or place.match.gateway else _HERE


def unused(name: str, names: Collection[str]) -> str:
    """The name, or with a number behind it."""
    numbered = (f"{name}-{number}" for number in range(2, len(names) + 3))
    return name if name not in names else next(one for one in numbered if one not in names)


class _Merging:
    """What stands in several places becomes one upstream; what was found first decides."""

    def __init__(self, found: Found, names: Collection[str] = (), known: Collection[ProxyUrl] = ()) -> None:
        self._found = found
        self._names = {*names, _OFFICE, _HERE, LAST, DIRECT_NAME}
        self._known = set(known)
        self.upstreams: list[NewUpstream] = []
        self.remarks: list[str] = []

    def add(self, said: Said) -> None:
        """What one place says."""
        means = said.means
        is_all = not means.http and not means.https
        http, https = (means.all, means.all) if is_all else (means.http, means.https)
        first, second = self._url(http or https, said), self._url(https or http, said)
        if first is None or second is None:
            return
        if {first.without_credentials(), second.without_credentials()} <= self._known:
            return
        self._put(first, second, said, () if http and https else (_half("http" if http else "https"),))

    def add_port(self, port: LocalPort) -> None:
        """Something that listens here."""
        scheme = Scheme.SOCKS5 if port.port == _SOCKS_PORT else Scheme.HTTP
        url = ProxyUrl(scheme, port.host, port.port)
        # What a person has configured knows its scheme; a listener is at one port whatever it is called.
        if any(_is_at(known, port) for known in self._known):
            return
        for number, one in enumerate(self.upstreams):
            if _is_at(one.url, port) or (one.https_url is not None and _is_at(one.https_url, port)):
                self.upstreams[number] = msgspec.structs.replace(one, owner=one.owner or port.owner)
                return
        name = self._name(url)
        where = f"listens at {url.host}:{url.port}" + (f" as {port.owner}" if port.owner else "")
        self.upstreams.append(NewUpstream(name, url, owner=port.owner, wheres=(where,), is_named=False))

    def _put(self, http: ProxyUrl, https: ProxyUrl, said: Said, remarks: tuple[str, ...]) -> None:
        url, other = http.without_credentials(), https.without_credentials()
        second = None if other == url else other
        secret = _credentials(http) or _credentials(https)
        excluded, left_out = _excluded(said.means.no_proxy)
        if left_out:
            self.remarks.append(f"{said.where}: entries of its no_proxy that Docker does not understand are left out")
        for number, one in enumerate(self.upstreams):
            if (one.url, one.https_url) != (url, second):
                continue
            if secret is not None and one.credentials is not None and secret != one.credentials:
                self.remarks.append(
                    f"{said.where} has a different user or password for {url} from {one.wheres[0]}: not used"
                )
            self.upstreams[number] = msgspec.structs.replace(
                one,
                credentials=one.credentials or secret,
                no_proxy=tuple(dict.fromkeys((*one.no_proxy, *excluded))),
                wheres=tuple(dict.fromkeys((*one.wheres, said.where))),
            )
            return
        owner, unknown = self._owner(url)
        self.upstreams.append(
            NewUpstream(
                self._name(url),
                url,
                second,
                secret,
                no_proxy=excluded,
                owner=owner,
                wheres=(said.where,),
                remarks=(*remarks, *unknown),
            )
        )

    def _url(self, value: Proxy | None, said: Said) -> ProxyUrl | None:
        """With this host for the names by which containers mean it."""
        if not isinstance(value, ProxyUrl):
            if value is not None:
                self.remarks.append(f"{said.where}: a proxy there is not a URL that Docker understands; it is left out")
            return None
        if value.host in self._found.of_docker:
            return msgspec.structs.replace(value, host="127.0.0.1")
        return value

    def _owner(self, url: ProxyUrl) -> tuple[str, tuple[str, ...]]:
        if not loopback_addresses(url.host):
            return "", ()
        here = [one for one in (*self._found.ports, *self._found.listeners) if one.port == url.port]
        if not here:
            return "", ("nothing listens there now, so its owner is not known: set `owner`",)
        return here[0].owner, ()

    def _name(self, url: ProxyUrl) -> str:
        name = unused(name_of(url), self._names)
        self._names.add(name)
        return name


def name_of(url: ProxyUrl) -> str:
    """Of an upstream: `proxy.corp.example` is corp-proxy, and what listens here is known by its port."""
    if loopback_addresses(url.host):
        return f"local-{url.port}"
    if re.fullmatch(r"[0-9.]+|.*:.*", url.host):
        return f"proxy-{re.sub('[^0-9a-f]+', '-', url.host).strip('-')}"
    labels = [label for label in url.host.split(".") if label]
    own = labels[:-1] or labels
    telling = [label for label in own if label not in _SAYS_NOTHING and not label.startswith("proxy")] or own
    label = telling[-1] if is_of_a_place(url.host) else telling[0]
    plain = re.sub(r"[^a-z0-9_-]+", "-", label)
    return plain if "proxy" in plain else f"{plain}-proxy"


def _is_at(url: ProxyUrl, port: LocalPort) -> bool:
    return url.port == port.port and bool(loopback_addresses(url.host))


def _half(given: str) -> str:
    other = "https" if given == "http" else "http"
    return f"it was set there for {given} only, and is now used for {other}, too"


def _credentials(url: ProxyUrl) -> Credentials | None:
    """A password without a user cannot be written in a policy."""
    found = url.credentials
    return None if found is None or isinstance(found, Masked) or not found.username else found


def _excluded(entries: Iterable[str]) -> tuple[tuple[str, ...], bool]:
    """Those beside no_proxy.always, and whether one was left out. It is not shown: it may be a password."""
    found: list[str] = []
    is_left_out = False
    listed = tuple(entries)
    if any("@" in entry for entry in listed):
        return (), True
    for entry in listed:
        try:
            found.append(Exclusion.parse(entry))
        except ValueError:
            is_left_out = True
    return tuple(entry for entry in found if entry not in _ALWAYS), is_left_out


def becomes(said: Said) -> str:
    """What the agent will make of what stands in this place."""
    return _BECOMES[said.kind]


_BECOMES: Final = {
    Kind.PERSON: "it goes into the policy",
    Kind.FLAGS: "these flags override everything that the agent writes: remove them",
    Kind.DAEMON_JSON: "the agent changes it there; `restore` undoes that",
    Kind.UNIT: "it stays, and the agent's values are read after it and override it",
    Kind.CLIENT: "the agent changes it there; `restore` undoes that",
    Kind.ELSEWHERE: "it stays; Docker does not read it",
}
