"""Which DNS servers and search domains the host uses.

From /etc/resolv.conf; if that only names the stub of systemd-resolved, from the file with resolved's real servers
(FACTS 23). The other lines (`options`, `sortlist`) do not tell networks apart.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Final

import msgspec

from agent.values.machine_text import lines, words
from agent.values.paths import Paths

RESOLV_CONF: Final = "/etc/resolv.conf"
OF_RESOLVED: Final = "/run/systemd/resolve/resolv.conf"
_STUB_FILE: Final = "systemd/resolve/stub-resolv.conf"
_STUB: Final = "127.0.0.53"
_STUBS: Final = frozenset({_STUB, "127.0.0.54"})  # of resolved, with and without its own processing
_OF_DOCKER: Final = "127.0.0.11"
_EXTERNAL = re.compile(r"^# ExtServers: \[([^\]\n]*)\]", re.MULTILINE)
_LINKS: Final = 8  # followed at most
_MOST_SERVERS: Final = 3  # MAXNS of glibc's resolv.h; Go reads no more
_LONGEST: Final = 64 * 1024  # bytes of the file that are read
_NOBODY: Final = "127.0.0.1"  # the server if none is named: resolv.conf(5)


class Resolver(msgspec.Struct, frozen=True):
    """Servers and domains, in the order in which they are tried."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()

    @property
    def is_stub(self) -> bool:
        """Whether it names nothing but systemd-resolved on this host."""
        return bool(self.servers) and set(self.servers) <= _STUBS


def resolver(paths: Paths) -> Resolver:
    """The servers that the host asks, directly or through systemd-resolved."""
    path = _follow(paths, paths.below(RESOLV_CONF))
    named = parse(_text(path))
    if not named.servers:
        named = msgspec.structs.replace(named, servers=(_NOBODY,))
    if not named.is_stub and not str(path).endswith(_STUB_FILE):
        return named
    real = parse(_text(paths.below(OF_RESOLVED)))
    # Without resolved's file only the stub is known; and the domains may be in the stub's file alone.
    return Resolver(real.servers or named.servers, real.search or named.search)


def for_containers(paths: Paths) -> Resolver:
    """What Docker gives to containers if daemon.json names none: the host's servers, without those on loopback.

    No servers: Docker then gives its default ones, which are public and must not be asked for internal names.
    """
    found = parse(_text(_follow(paths, paths.below(RESOLV_CONF))))
    if found.servers == (_STUB,):  # dockerd recognises the stub by this address alone
        found = parse(_text(paths.below(OF_RESOLVED)))
    reached = tuple(server for server in found.servers if not ipaddress.ip_address(server).is_loopback)
    return msgspec.structs.replace(found, servers=reached)


def of_container(path: Path) -> tuple[str, ...]:
    """Whom a container asks, by its resolv.conf; () if that is not known."""
    return servers_of_container(_text(path))


def servers_of_container(text: str) -> tuple[str, ...]:
    """In a network of the user's it asks Docker, which forwards to the servers that a comment names (FACTS 160).

    A word there may be `host(10.0.0.53)`: asked from the host's network. A container may write there what it likes.
    """
    named = parse(text).servers
    if named != (_OF_DOCKER,):
        return named
    found = _EXTERNAL.search(text)
    listed = words(found[1])[:_MOST_SERVERS] if found else []
    return tuple(server for word in listed for server in _address(word.removeprefix("host(").removesuffix(")")))


def parse(text: str) -> Resolver:
    """As resolv.conf(5) says: of `search` and `domain`, the last one counts."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    for line in lines(text):
        found = words(line.removesuffix("\r"))  # glibc accepts Windows line ends
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
    """Without the scope, `fe80::1%2`: the number of an interface changes while the network stays the same."""
    try:
        return [str(ipaddress.ip_address(word.partition("%")[0]))]
    except ValueError:
        return []


def _domains(found: list[str]) -> tuple[str, ...]:
    """Lower case, without leading and trailing dots: `.lan` and `lan` are one name; `search .` means none."""
    return tuple(dict.fromkeys(domain for word in found if (domain := word.lower().strip("."))))


def _follow(paths: Paths, path: Path) -> Path:
    """Where a link leads. An absolute target stays below the root."""
    for _ in range(_LINKS):
        try:
            target = os.readlink(path)  # noqa: PTH115 - it is split as text
        except OSError:  # no link, or not any more: it may be replaced at any moment. To read it will tell
            break
        path = paths.below(target) if target.startswith("/") else path.parent / target
    return path


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode(errors="replace")
    except OSError:  # missing, or closed to us: then none is known, and nothing depends on it
        return ""
