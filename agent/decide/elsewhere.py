"""What one upstream means for a Docker in another place, as a sheet for a person to copy from.

Pure. Upstream, exclusions and place come in; whole files, commands and what else to know go out. It takes no engine, no
service and no policy. Where a proxy is on loopback, each reader gets the address that leads there from where it stands.
Not known here: how a form is spelled (`targets/elsewhere.py`), what a place is (`values/places.py`), and whether
anybody follows the sheet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from agent.decide.bridge import Bridge
from agent.decide.clients import Intent, for_clients
from agent.decide.dead_end import is_on_loopback
from agent.decide.desired import for_dockerd
from agent.targets import client_config, elsewhere
from agent.values.listening import loopback_addresses
from agent.values.places import File, Form, Place, Way
from agent.values.policy import Clients, NoProxy, Upstream
from agent.values.secret import Secret
from agent.values.settings import Settings

_LED_TO: Final = "127.0.0.1"  # what such addresses and names lead to; no other address of loopback
# In the place of what is not shown: a person sees that something has to be filled in, and where.
_USER: Final = "USER"
_PASSWORD: Final = Secret("PASSWORD")


class Steps(msgspec.Struct, frozen=True):
    """One way, as it is to be gone."""

    form: Form
    when: str
    files: tuple[File, ...]
    before: tuple[str, ...]
    lines: tuple[str, ...]  # of a whole file, or commands
    after: tuple[str, ...]
    check: tuple[str, ...]


class Client(msgspec.Struct, frozen=True):
    """What containers and builds get."""

    files: tuple[File, ...]
    lines: tuple[str, ...]


class Sheet(msgspec.Struct, frozen=True):
    """All of it. It may hold a password, so it never shows."""

    system: str
    title: str
    upstream: str
    proxy: str  # for a person, without user and password
    is_kept: bool  # whether the agent does it by itself, if it runs there
    hides_password: bool
    ways: tuple[Steps, ...]
    client: Client | None  # None: nothing is to be written there
    notes: tuple[str, ...]
    ignored: tuple[str, ...]
    sources: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Sheet({self.system}, {self.upstream})"


def sheet(
    place: Place, upstream: Upstream, exclusions: NoProxy, clients: Clients | None = None, *, shows_password: bool
) -> Sheet:
    """What is to be written and typed in that place, so that its Docker uses this upstream."""
    clients = clients or Clients()
    meant = _as_shown(upstream, place, shows_password=shows_password)
    ways = tuple(_steps(place, way, meant, exclusions) for way in place.ways)
    client = None if upstream.is_direct or place.containers_follow else _client(place, meant, exclusions, clients)
    return Sheet(
        system=place.name,
        title=place.title,
        upstream=upstream.name,
        proxy=_proxy(upstream),
        is_kept=place.is_kept,
        hides_password=meant.credentials is not None and not shows_password,
        ways=ways,
        client=client,
        notes=tuple(_notes(place, meant, clients, has_client=client is not None)),
        ignored=place.ignored,
        sources=place.sources,
    )


def merged(place: Place, content: bytes, upstream: Upstream, exclusions: NoProxy) -> bytes | None:
    """A file that is there, with our keys set; None: the place has no such file. TextRefused: it cannot be edited."""
    way = next((way for way in place.ways if way.form.is_json), None)
    if way is None:
        return None
    meant = _as_shown(upstream, place, shows_password=True)
    return elsewhere.merged_bytes(way.form, content, _daemons(place, way, meant, exclusions))


def needs_password(place: Place, upstream: Upstream) -> bool:
    """Whether a file for that place holds a password, so that it is printed only to who asks for it."""
    return upstream.credentials is not None and place.takes_password


def _as_shown(upstream: Upstream, place: Place, *, shows_password: bool) -> Upstream:
    if upstream.credentials is None or not place.takes_password:
        return upstream.without_credentials()
    if shows_password:
        return upstream
    hidden = None if upstream.password is None else _PASSWORD
    return msgspec.structs.replace(upstream, username=_USER, password=hidden)


def _steps(place: Place, way: Way, upstream: Upstream, exclusions: NoProxy) -> Steps:
    return Steps(
        form=way.form,
        when=way.when,
        files=way.files,
        before=way.before,
        lines=_lines(elsewhere.written(way.form, _daemons(place, way, upstream, exclusions))),
        after=way.after,
        check=way.check,
    )


def _daemons(place: Place, way: Way, upstream: Upstream, exclusions: NoProxy) -> Settings:
    return for_dockerd(_moved(upstream, way.gateway or place.gateway), exclusions)


def _client(place: Place, upstream: Upstream, exclusions: NoProxy, clients: Clients) -> Client | None:
    there = _moved(upstream, place.containers)
    wanted = for_clients(there, clients, exclusions, Bridge())
    if wanted.intent is not Intent.SET:  # no address is known by which a container there reaches the laptop
        return None
    text = client_config.edit("", client_config.DEFAULT, wanted.settings)
    return Client(place.client, _lines(text.expandtabs(2)))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.removesuffix("\n").split("\n"))


def _moved(upstream: Upstream, host: str) -> Upstream:
    """The upstream with this host in the place of the laptop's 127.0.0.1; '': as it is."""
    if not host:
        return upstream
    http, https = (
        msgspec.structs.replace(url, host=host) if url is not None and _LED_TO in loopback_addresses(url.host) else url
        for url in (upstream.http, upstream.https)
    )
    return msgspec.structs.replace(upstream, http=http, https=https)


def _proxy(upstream: Upstream) -> str:
    return " and ".join(map(str, upstream.urls)) or "no proxy"


def _notes(place: Place, upstream: Upstream, clients: Clients, *, has_client: bool) -> list[str]:
    notes = []
    if is_on_loopback(upstream):
        gateways = filter(None, (place.gateway, *(way.gateway for way in place.ways)))
        in_vain = next((one for one in gateways if is_on_loopback(_moved(upstream, one))), "")
        if in_vain:
            notes.append(f"The proxy is on loopback, and {in_vain} leads to {_LED_TO} alone")
        elif place.loopback and is_on_loopback(_moved(upstream, "elsewhere.invalid")):
            notes.append(f"The proxy is on loopback, but not at {_LED_TO}: that alone is led to from there")
        elif place.loopback:
            notes.append(f"The proxy is on loopback: {place.loopback}")
        if not has_client and not place.containers_follow:
            notes.append("Containers and builds there: no address is known that leads to this loopback")
        elif place.containers_need and upstream.container_url is None:
            notes.append(f"Containers reach the proxy by {place.containers}: {place.containers_need}")
    if has_client and upstream.credentials is not None and not clients.credentials and upstream.container_url is None:
        notes.append("Containers get no user and password: clients.credentials in the policy changes that")
    if upstream.is_direct:
        notes.append("Containers and builds: delete `default` of `proxies` in the client's file, if it is there")
    if any(way.form in (Form.ORB, Form.RDCTL) for way in place.ways) and upstream.http != upstream.https:
        notes.append("One proxy alone can be named there: it is that for https, if there is one")
    return [*notes, *place.notes]


# The sheet as text: what begins with "#" is for the person, all else is to be copied.


def lines(found: Sheet) -> list[str]:
    """The sheet for a screen, or for a file."""
    shown = [f"# {found.title}: {found.upstream}, {found.proxy}"]
    if found.is_kept:
        shown.append("# Where the agent runs, it does this by itself. By hand:")
    if found.hides_password:
        shown.append(f"# {_USER} and {_PASSWORD.reveal()} must be filled in; --show-secrets prints them")
    for number, way in enumerate(found.ways):
        shown += ["", *_heading(number, len(found.ways), way.when), *_of(way)]
    if found.client is not None:
        shown += ["", "# Containers and builds, in the file of the client:", *_places(found.client.files)]
        shown += ["", *found.client.lines]
    remarks = [*(f"# Note: {note}" for note in found.notes), *(f"# No effect there: {one}" for one in found.ignored)]
    return [*shown, "", *remarks] if remarks else shown


def _heading(number: int, many: int, when: str) -> list[str]:
    if many == 1:
        return [f"# ({when})"] if when else []
    return [f"# {'Either' if number == 0 else 'Or'}: {when}"]


def _of(way: Steps) -> list[str]:
    shown = ["# First:", "", *way.before, ""] if way.before else []
    if way.files:
        shown += ["# Write this into:" if not way.form.is_json else "# Set these keys, and keep all others, in:"]
        shown += [*_places(way.files), ""]
    else:
        shown += ["# Run:", ""]
    shown += way.lines
    shown += ["", "# Then:", "", *way.after] if way.after else []
    return [*shown, "", "# To check:", "", *way.check]


def _places(files: tuple[File, ...]) -> list[str]:
    return [f"#   {file.path}" + (f"  ({file.on})" if file.on else "") for file in files]
