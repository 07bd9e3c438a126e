"""Settings that others wrote: which one wins, and which do nothing.

Pure. Not known here: what stands in the way of the agent's own, which the conditions of a pass say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.decide.effective import in_daemon_json
from agent.targets import daemon_json
from agent.targets.refused import TextRefused
from agent.values.dockerd import Reality
from agent.values.secret import UNPARSABLE
from agent.values.settings import Texts, no_proxy_shown

_ASSIGNED: Final = re.compile(r"(?mi)^[ \t]*(?:export[ \t]+)?((?:https?|no|all)_proxy)[ \t]*=[ \t]*\S")
# systemd takes no such line (FACTS 200).
_EXPORTED: Final = re.compile(r"(?mi)^[ \t]*export[ \t]+((?:https?|no|all)_proxy)[ \t]*=[ \t]*\S")
_GO: Final = re.compile(r"go([0-9]+)\.([0-9]+)[0-9.]*")
_KNOWS_SOCKS5H: Final = (1, 23)  # FACTS 8
_A_BLANK: Final = re.compile(r"\S\s+\S")
_PORT: Final = re.compile(r"\]?:[0-9]+$")


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What others wrote for dockerd. It may hold passwords, so it never shows."""

    reality: Reality | None = None  # None: not looked at
    environment: tuple[str, ...] = ()  # names of the variables with a value that dockerd was started with
    go: str = ""  # that the running dockerd was built with, as it says, "go1.21.6"; '' is not known
    env_like: tuple[tuple[str, str], ...] = ()  # files that look like an EnvironmentFile=, and their texts

    def __repr__(self) -> str:
        return f"Written({self.reality})"


def judge(written: Written) -> Iterator[Finding]:
    reality = written.reality
    if reality is None:
        return
    yield from _foreign(reality)
    yield from _top_level(reality)
    if reality.is_systemd and reality.arguments:  # else the unit's files are not known
        yield from _unread(written, reality)
    yield from _all_proxy(written, reality)
    yield from _socks5h(written, reality)
    yield from _no_proxy(reality)


def _foreign(reality: Reality) -> Iterator[Finding]:
    is_beaten = reality.drop_in is not None
    for layer in reality.beaten:
        names = ", ".join(name for name, value in layer.values.items() if value)
        yield Finding(
            code=Sign.FOREIGN_SETTING,
            is_broken=False,
            where=layer.path,
            what=f"sets {names}" + (", which the agent's drop-in overrides" if is_beaten else ""),
            why="it has no effect now, but takes effect again without the agent"
            if is_beaten
            else "Docker uses this proxy in every network until the agent writes a drop-in, which overrides it",
            command=f"Remove it there if nothing else needs it: systemctl cat {reality.unit_name}",
        )
    if is_beaten and in_daemon_json(reality) != Texts():
        yield Finding(
            code=Sign.PLACES_DIFFER,
            is_broken=False,
            where=reality.daemon_json_path,
            what="has proxies, which override the agent's drop-in",
            why="the settings are in two places, and only one takes effect",
            command="sudo docker-proxy-agent apply",
        )


def _top_level(reality: Reality) -> Iterator[Finding]:
    try:
        said = daemon_json.misplaced(reality.daemon_json)
    except TextRefused:  # a condition of the pass says so
        return
    values = (said.http, said.https, said.no_proxy)
    names = [path[-1] for path, value in zip(daemon_json.OURS, values, strict=True) if value]
    if names:
        yield Finding(
            code=Sign.TOP_LEVEL_PROXY,
            is_broken=False,
            where=reality.daemon_json_path,
            what=f"has {', '.join(names)} at the top level",
            why='dockerd reads proxies only inside "proxies", and does not say that it ignores these',
            command="Put the proxy into the policy as the url of an upstream, and remove these keys",
        )


def _unread(written: Written, reality: Reality) -> Iterator[Finding]:
    for path, text in written.env_like:
        names = list(dict.fromkeys(_ASSIGNED.findall(text)))
        if names and path not in reality.environment_files:
            yield Finding(
                code=Sign.FILE_NOT_READ,
                is_broken=False,
                where=path,
                what=f"sets {', '.join(names)}, but no EnvironmentFile= of {reality.unit_name} names it",
                why="it has no effect: systemd reads only the files that the unit names",
                command="Put the proxy into the policy, and remove it from this file",
            )
        elif exported := list(dict.fromkeys(_EXPORTED.findall(text))):
            yield Finding(
                code=Sign.FILE_NOT_READ,
                is_broken=False,
                where=path,
                what=f"exports {', '.join(exported)}, as a shell does",
                why="it has no effect: systemd, which reads the file, ignores a line that begins with export",
                command="Put the proxy into the policy, and remove it from this file",
            )


def _all_proxy(written: Written, reality: Reality) -> Iterator[Finding]:
    names = [name for name in written.environment if name.upper() == "ALL_PROXY"]
    if names:
        yield Finding(
            code=Sign.ALL_PROXY,
            is_broken=False,
            where=reality.unit_name,
            what=f"dockerd was started with {', '.join(names)}",
            why="it has no effect: dockerd reads only HTTP_PROXY, HTTPS_PROXY and NO_PROXY",  # FACTS 7
            command="Put the proxy into the policy as the url of an upstream, and remove the variable where "
            f"{reality.systemctl} cat {reality.unit_name} shows it",
        )


def _socks5h(written: Written, reality: Reality) -> Iterator[Finding]:
    proxies = reality.engine.proxies if reality.engine is not None else None
    version = _GO.match(written.go)
    if proxies is None or version is None or (int(version[1]), int(version[2])) >= _KNOWS_SOCKS5H:
        return
    if any(url.lower().startswith("socks5h://") for url in (proxies.http, proxies.https)):
        yield Finding(
            code=Sign.SOCKS_BY_NAME,
            is_broken=True,
            where=reality.unit_name,
            what=f"runs with a socks5h:// proxy, but was built with {version[0]}, which does not support that",
            why="every pull through it fails; with socks5:// the proxy resolves the names, too",
            command="Write socks5:// where the proxy is set, or put it into the policy as the url of an upstream, "
            "then run: sudo docker-proxy-agent apply",
        )


def _no_proxy(reality: Reality) -> Iterator[Finding]:
    proxies = reality.engine.proxies if reality.engine is not None else None
    if proxies is None or not (proxies.http or proxies.https):
        return
    entries = [one.strip() for one in proxies.no_proxy.split(",")]
    is_shown = not any("@" in entry for entry in entries)  # else one may be a URL, and its password hold a comma
    for entry in entries:
        if why_not := means_nothing(entry):
            yield Finding(
                code=Sign.NO_PROXY_ENTRY,
                is_broken=False,
                where="no_proxy of Docker",
                what=f'"{no_proxy_shown([entry]) if is_shown else UNPARSABLE}" has no effect: {why_not}',
                why="Docker uses the proxy for what it should exclude",
                command="Fix it in no_proxy of the policy, then run: sudo docker-proxy-agent apply",
            )


def means_nothing(entry: str) -> str:
    """Why dockerd matches no host with it; '' if it can (FACTS 9)."""
    if "://" in entry:
        return "an entry is a host, not a URL"
    if _A_BLANK.search(entry):
        return "entries are separated by commas, not spaces"
    if "*" in entry.removeprefix("*.") and entry != "*":
        return "a * must stand alone, or before the first dot"
    if "/" in entry and not _is_network(entry):
        return "an entry has no path, and a network is written as 10.0.0.0/8"
    return ""


def _is_network(entry: str) -> bool:
    address, _, bits = _PORT.sub("", entry).partition("/")
    is_address = bool(re.fullmatch(r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", address))
    return is_address and bits.isdecimal() and int(bits) <= (128 if ":" in address else 32)
