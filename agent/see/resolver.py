"""Which DNS servers and search domains the host uses.

From /etc/resolv.conf; where that only names systemd-resolved's stub, from the file in which resolved writes the real
ones (FACTS 23). What libc and Go's resolver make of the other lines (`options`, `sortlist`) does not tell networks
apart.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Final

import msgspec

from agent.values.machine_text import lines, words
from agent.values.paths import Paths

RESOLV_CONF: Final = "/etc/resolv.conf"
OF_RESOLVED: Final = "/run/systemd/resolve/resolv.conf"
_STUB_FILE: Final = "systemd/resolve/stub-resolv.conf"
_STUB: Final = "127.0.0.53"
_STUBS: Final = frozenset({_STUB, "127.0.0.54"})  # resolved's, with and without its own ideas
_LINKS: Final = 8  # followed at most
_MOST_SERVERS: Final = 3  # MAXNS of glibc's resolv.h; Go reads no more, either
_LONGEST: Final = 64 * 1024  # bytes of the file that are read
_NOBODY: Final = "127.0.0.1"  # who is asked where no server is named: resolv.conf(5)


class Resolver(msgspec.Struct, frozen=True):
    """The servers as they are tried, the domains as they are tried."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()

    @property
    def is_stub(self) -> bool:
        """Whether all it names is systemd-resolved on this host."""
        return bool(self.servers) and set(self.servers) <= _STUBS


def resolver(paths: Paths) -> Resolver:
    """What the host asks, whoever asks it on its behalf."""
    path = _follow(paths, paths.below(RESOLV_CONF))
    named = parse(_text(path))
    if not named.servers:
        named = msgspec.structs.replace(named, servers=(_NOBODY,))
    if not named.is_stub and not str(path).endswith(_STUB_FILE):
        return named
    real = parse(_text(paths.below(OF_RESOLVED)))
    # Without resolved's file the stub is all that is known; and it may be that only the stub's file has domains.
    return Resolver(real.servers or named.servers, real.search or named.search)


def for_containers(paths: Paths) -> Resolver:
    """What Docker gives containers where daemon.json says nothing: the host's, without those on loopback.

    Without servers: it gives its own then, which are public ones. Nobody is asked for a name of the house there.
    """
    found = parse(_text(_follow(paths, paths.below(RESOLV_CONF))))
    if found.servers == (_STUB,):  # as dockerd tells it: by that one address alone
        found = parse(_text(paths.below(OF_RESOLVED)))
    reached = tuple(server for server in found.servers if not ipaddress.ip_address(server).is_loopback)
    return msgspec.structs.replace(found, servers=reached)


def parse(text: str) -> Resolver:
    """By resolv.conf(5): of `search` and `domain` the last one counts."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    for line in lines(text):
        found = words(line.removesuffix("\r"))  # glibc takes Windows' line ends
        if len(found) < 2 or line[0] in "#;":
            continue
        if found[0] == "nameserver":
            servers += _address(found[1])
        elif found[0] == "domain":
            search = _domains(found[1:2])
        elif found[0] == "search":
            search = _domains(found[1:])
    return Resolver(tuple(dict.fromkeys(servers[:_MOST_SERVERS])), search)


def _address(word: str) -> list[str]:
    """Without a scope, `fe80::1%2`: an interface's number changes while the network stays the same."""
    try:
        return [str(ipaddress.ip_address(word.partition("%")[0]))]
    except ValueError:
        return []


def _domains(found: list[str]) -> tuple[str, ...]:
    """Lower case, without a dot before or behind: `.lan` and `lan` are one name; `search .` means none."""
    return tuple(dict.fromkeys(domain for word in found if (domain := word.lower().strip("."))))


def _follow(paths: Paths, path: Path) -> Path:
    """Where a link leads. An absolute one stays below the root."""
    for _ in range(_LINKS):
        if not os.path.islink(path):  # noqa: PTH114  never raises (FACTS 66)
            break
        target = str(path.readlink())
        path = paths.below(target) if target.startswith("/") else path.parent / target
    return path


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode(errors="replace")
    except OSError:  # there is none, or none for us: then none is known, and nothing depends on it
        return ""
