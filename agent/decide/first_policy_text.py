"""A draft as the text of a policy, and a network put into a text that there is.

Pure. Every value is quoted as TOML wants it, whatever it came from: an SSID is anybody's text.
Not known here: what is in the draft (`decide/first_policy.py`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Final

import msgspec

from agent.decide.first_policy import Draft, NewNetwork, NewPac, NewUpstream
from agent.decide.recognise import recognise
from agent.values.policy import Match, Policy, Problems
from agent.values.policy_parts import NO_ORIGINS, Origins, Part, join
from agent.values.policy_text import parse_joined
from agent.values.secret import HIDDEN
from agent.values.settings import Credentials
from agent.values.snapshot import Snapshot

_HEADER = re.compile(r"[ \t]*\[\[[ \t]*network[ \t]*\]\][ \t]*(?:#.*)?")
_OWN_FILE: Final = "config.toml"
_HEAD: Final = """\
# The policy of docker-proxy-agent, made by `init` from what it found here. config.example.toml explains every key.
# After a change: docker-proxy-agent check
"""


_RELAY: Final = """\
# To move without restarting Docker, and to take running containers along. What it costs: docs/relay.md.
#[relay]
#enable = true
"""


def password_file(folder: str, upstream: NewUpstream) -> str:
    """Where its password goes."""
    return f"{folder}/{upstream.name}.password"


def policy_text(draft: Draft, folder: str, *, offers_relay: bool = True) -> str:
    """A whole policy. `folder`: its own, as it names the files in it. `offers_relay`: whether there can be one."""
    relay = "\n" + _RELAY if offers_relay else ""
    return _HEAD + relay + "\n" + _blocks(draft, folder)


def as_shown(text: str, draft: Draft) -> str:
    """The text for a screen. A user without a password may be a token."""
    for upstream in draft.upstreams:
        if upstream.credentials is not None and not upstream.has_password:
            text = text.replace(_username(upstream.credentials), f"username = {quoted(HIDDEN)}")
    return text


def _username(credentials: Credentials) -> str:
    return f"username = {quoted(credentials.username)}"


def _blocks(draft: Draft, folder: str) -> str:
    upstreams = (_upstream(upstream, folder) for upstream in draft.upstreams)
    pacs = (_pac(pac, folder) for pac in draft.pacs)
    return "\n".join((*upstreams, *pacs, *map(_network, draft.networks)))


class Written(msgspec.Struct, frozen=True):
    """A policy as it is written."""

    text: str  # of its own file
    before: tuple[Part, ...] = ()  # of config.d: what stands there is tried first
    origins: Origins = NO_ORIGINS


class Nowhere(msgspec.Struct, frozen=True):
    """Why a text cannot take one more network."""

    wrong: str
    file: str = ""  # '': the policy's own


_NOT_APART: Final = Nowhere("its networks are not written as [[network]] tables")


def with_network(written: Written, policy: Policy, draft: Draft, *, snapshot: Snapshot, folder: str) -> str | Nowhere:
    """The policy's own text with one more network, before the first that matches here: behind that it would never be
    used. Nowhere: a person has to put it in.
    """
    text, found = written.text, recognise(policy.networks, snapshot).network
    index = next((number for number, one in enumerate(policy.networks) if one == found), len(policy.networks))
    in_folder = {part.file for part in written.before}
    first = sum(spot.file in in_folder for spot in written.origins.networks)
    if index < first:
        file = written.origins.networks[index].file
        return Nowhere(f"its network {found.name} matches here, and is tried before those in {_OWN_FILE}", file)
    lines = text.split("\n")
    headers = [number for number, line in enumerate(lines) if _HEADER.fullmatch(line.rstrip("\r"))]
    if len(headers) != len(policy.networks) - first:
        return _NOT_APART
    block = _blocks(draft, folder).rstrip("\n")
    if index - first == len(headers):
        after = (text.rstrip("\n") + "\n\n" + block + "\n").lstrip("\n")
    else:
        line = headers[index - first]
        while line and lines[line - 1].lstrip().startswith("#"):  # comments above it are its own
            line -= 1
        after = "\n".join((*lines[:line], *block.split("\n"), "", *lines[line:]))
    return after if _is_as_meant(msgspec.structs.replace(written, text=after), policy, draft, index) else _NOT_APART


def _is_as_meant(written: Written, before: Policy, draft: Draft, index: int) -> bool:
    """Read back: all that was there is there, and the network is where it belongs."""
    joined = join((*written.before, Part(written.text)))
    after = joined if isinstance(joined, Problems) else parse_joined(joined)
    if isinstance(after, Problems):
        return False
    names = [network.name for network in after.networks]
    new = draft.networks[0]
    names_before = [network.name for network in before.networks]
    is_unnamed = any(not network.get("name") for network in tomllib.loads(written.text).get("network", []))
    left = (*after.networks[:index], *after.networks[index + 1 :])
    same = [network.match for network in left] == [network.match for network in before.networks]
    return (
        names[index : index + 1] == [new.name]
        and same
        and (is_unnamed or [one.name for one in left] == names_before)
        and {*before.upstreams} <= {*after.upstreams}
    )


def _upstream(upstream: NewUpstream, folder: str) -> str:
    lines = [f"# Found: {', '.join(upstream.wheres)}" if upstream.wheres else ""]
    lines += [f"# {remark[:1].upper()}{remark[1:]}." for remark in upstream.remarks]
    lines.append(f"[upstream.{upstream.name}]")
    if upstream.https_url is None:
        lines.append(f"url = {quoted(str(upstream.url))}")
    else:
        lines += [f"http_url = {quoted(str(upstream.url))}", f"https_url = {quoted(str(upstream.https_url))}"]
    if upstream.credentials is not None:
        lines.append(_username(upstream.credentials))
    if upstream.has_password:
        lines.append(f"password_file = {quoted(password_file(folder, upstream))}")
    if upstream.no_proxy:
        lines.append(f"no_proxy = {_listed(upstream.no_proxy)}")
    if upstream.owner:
        lines.append(f"owner = {quoted(upstream.owner)}")
    return "\n".join(filter(None, map(_one_line, lines))) + "\n"


def _pac(pac: NewPac, folder: str) -> str:
    lines = [
        f"# Found: {', '.join(pac.wheres)}",
        f"[upstream.{pac.name}]",
        f"pac = {quoted(pac.pac)}",
        "# If its proxies ask for a password, set these three; the last says which of them get it. See docs/pac.md.",
        '#username = "NAME"',
        f"#password_file = {quoted(f'{folder}/{pac.name}.password')}",
        '#trusted = ["*.corp.example"]',
    ]
    return "\n".join(map(_one_line, lines)) + "\n"


def _network(network: NewNetwork) -> str:
    lines = ["[[network]]", f"name = {quoted(network.name)}"]
    if network.place is None:
        lines.insert(0, "# Every network that matches none of those above.")
    else:
        lines.insert(0, f"# Recognised by one thing that lasts: {network.place.because}.")
        lines += _keys(network.place.match)
        lines += [f"#{key}" for other in network.place.others for key in _keys(other)]
    lines.append(f"use = {_listed(network.use)}")
    return "\n".join(map(_one_line, lines)) + "\n"


def _keys(match: Match) -> list[str]:
    return [
        f"match.{field.name} = {_listed(getattr(match, field.name))}"
        for field in msgspec.structs.fields(match)
        if getattr(match, field.name)
    ]


def _listed(values: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, values))}]"


def quoted(text: str) -> str:
    """A TOML basic string."""
    return f'"{"".join(map(_in_quotes, text))}"'


def _in_quotes(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    number = ord(char)
    if 0xD800 <= number <= 0xDFFF:
        return "?"  # half a character is nothing in TOML
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _one_line(line: str) -> str:
    """A comment cannot become a key."""
    return "".join(char if char.isprintable() else "?" for char in line)
