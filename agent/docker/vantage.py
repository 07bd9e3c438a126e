"""Where a dockerd stands, told by its process: /proc shows the network that it is in to everybody who may see it.

A dockerd counts as in a network of its own if it is in a user namespace of its own, too: that is a user's (rootless),
whose packets a program of the user's carries to this host's network. Not known here: what follows from it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from agent.docker.process import ROOTLESS_SCRIPT, command_line
from agent.system.process_start import started
from agent.values.machine_text import lines, words
from agent.values.vantage import HOST, Vantage

# Their gateway leads to this host's 127.0.0.1, where they were not told to close it. The others' leads elsewhere, and a
# password must not go there.
_LEAD_TO_LOOPBACK: Final = frozenset({"slirp4netns", "pasta"})
_PASTA: Final = "pasta"
_CLOSES: Final = "--disable-host-loopback"
_SWITCH: Final = b"DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK"
_LARGEST: Final = 1 << 20

_HAS_GATEWAY: Final = 0x2  # RTF_GATEWAY, linux/route.h
_REJECTS: Final = 0x200


def vantage(dockerd: int, main: int, proc: Path = Path("/proc")) -> Vantage | None:
    """That of a process; None: not known, as of one that has just ended or does not show it now.

    `main`: the unit's main process, which has started it. Without it nobody tells who carries the packets.
    """
    if not dockerd or (start := started(dockerd, proc)) is None:
        return None
    try:
        # Whoever may be another user is not entered: its files would be read with our rights. During execve(2) a
        # process of our own looks like one of root's.
        if (proc / str(dockerd)).stat().st_uid != os.geteuid():
            return None
        is_there = all(_is_another(proc, dockerd, kind) for kind in ("user", "net"))
        routes, routes6 = _routes(proc / str(dockerd) / "net") if is_there else ("", "")
    except OSError:
        return None
    argv = command_line(main, proc)
    if argv is None or started(dockerd, proc) != start:  # another process has its number by now
        return None
    if not is_there:
        return HOST
    net, is_closed = _option(argv, "--net"), any(one in {_CLOSES, f"{_CLOSES}=true"} for one in argv)
    # A gateway that pasta does not lead to this host is one of the host's network: another machine.
    leads = net in _LEAD_TO_LOOPBACK and not (net == _PASTA and is_closed)
    return Vantage(
        is_host=False,
        gateway=gateway(routes) if leads else "",
        is_closed=is_closed,
        has_ipv6=has_way_out(routes6),
        knows_switch=_knows_switch(argv),
    )


def _is_another(proc: Path, pid: int, kind: str) -> bool:
    """Whether it is in another namespace than we are."""
    there, here = (proc / str(one) / "ns" / kind for one in (pid, "self"))
    return there.readlink() != here.readlink()


def _routes(net: Path) -> tuple[str, str]:
    """Of IPv4, and of IPv6, which a kernel may be without."""
    routes = (net / "route").read_text(errors="replace")
    try:
        return routes, (net / "ipv6_route").read_text(errors="replace")
    except FileNotFoundError:
        return routes, ""


def gateway(routes: str) -> str:
    """The gateway of the default route in /proc/net/route; '' if there is none."""
    for _, destination, via, flags, *others in _fields(routes):
        if len(others) > 3 and int(flags, 16) & _HAS_GATEWAY and not int(destination, 16) and not int(others[3], 16):
            return str(ipaddress.IPv4Address(bytes.fromhex(via)[::-1]))  # in the order of the machine's bytes
    return ""


def has_way_out(routes6: str) -> bool:
    """Whether /proc/net/ipv6_route has a default route."""
    return any(
        len(route) == 10 and not int(route[0], 16) and not int(route[1], 16) and not int(route[8], 16) & _REJECTS
        for route in _fields(routes6)
    )


def _fields(table: str) -> Iterator[list[str]]:
    return (fields for line in lines(table) if len(fields := words(line)) > 4 and fields[0] != "Iface")


def _option(argv: Sequence[str], name: str) -> str:
    """The value of an option, by `--name=value` or as the next word, the last one; '' if it is not there."""
    found, rest = "", iter(argv)
    for word in rest:
        if word.startswith(f"{name}="):
            found = word.removeprefix(f"{name}=")
        elif word == name:
            found = next(rest, "")
    return found


def _knows_switch(argv: Iterable[str]) -> bool:
    """Whether the script that started it, and that the arguments name, knows the variable."""
    script = next((word for word in argv if Path(word).name == ROOTLESS_SCRIPT and word.startswith("/")), "")
    if not script:
        return False
    try:
        with Path(script).open("rb") as text:
            return _SWITCH in text.read(_LARGEST)
    except OSError:
        return False
