"""What people's config.json say that does nothing, and whom else the settings kept there reach.

Pure: texts of the entries' names come in. Not known here: whose files these are, and how they were read (`people.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.values.machine_text import words
from agent.values.policy import RegistryUrl

# FACTS 18; Go takes a name in letters of any size.
_READ: Final = frozenset({"httpproxy", "httpsproxy", "noproxy", "ftpproxy", "allproxy"})
_DEFAULT: Final = "default"
_UNIX: Final = "unix://"
_OF_AN_ENGINE: Final = re.compile(r"[a-z][a-z0-9+.-]*://.+")


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `entries`: the names in `proxies`, each with the names of its keys; no value of it."""

    path: str
    whose: str = ""
    kept: tuple[str, ...] = ()  # entries that are the agent's, whether Docker runs or not
    entries: tuple[tuple[str, tuple[str, ...]], ...] = ()
    registries: tuple[RegistryUrl, ...] = ()  # that the person logged in to
    has_other_engine: bool = False  # a context leads to another one,
    reaches_it: bool = False  # and the settings kept here count there, too


def entries_of(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """() of a text that is not as it must be: why is said by a pass."""
    try:
        proxies = json.loads(text).get("proxies")
        return tuple((name, tuple(keys)) for name, keys in proxies.items() if isinstance(keys, dict))
    except (ValueError, AttributeError, RecursionError):
        return ()


def judge(clients: Iterable[Client], sockets: Collection[str]) -> Iterator[Finding]:
    """`sockets`: paths that somebody listens on."""
    heard = {one.removeprefix("/var") for one in sockets}
    for client in clients:
        for name, keys in client.entries:
            if name in client.kept:
                continue
            if why_not := _is_dead(name, heard) or _reads_none(keys):
                yield Finding(
                    code=Sign.CLIENT_ENTRY,
                    is_broken=False,
                    where=client.path,
                    what=f'in proxies, "{name}" {why_not}',
                    why=f"docker run and docker build of {client.whose} ignore that entry",
                    command="Remove it there, unless that engine is only stopped",
                )
        if client.has_other_engine and client.reaches_it:
            yield Finding(
                code=Sign.REMOTE_CONTEXT,
                is_broken=False,
                where=client.path,
                what=f"a context of {client.whose} points to another engine, whose containers get this proxy too",
                why="the proxy may not be reachable from there",
                command='If so, set in [clients]: scope = "local", then run: sudo docker-proxy-agent reload',
            )


def _is_dead(name: str, heard: Collection[str]) -> str:
    """Why no engine is called so now; '' if one may be."""
    if name == _DEFAULT:
        return ""
    if not _OF_AN_ENGINE.fullmatch(name) or len(words(name)) > 1:
        return "is not the name of an engine: use a URL, such as unix:///run/docker.sock"
    if name.startswith(_UNIX) and heard and name.removeprefix(_UNIX).removeprefix("/var") not in heard:
        return "names a socket that nothing listens on"
    return ""


def _reads_none(keys: Collection[str]) -> str:
    unread = [key for key in keys if key.lower() not in _READ]
    return f"has {', '.join(unread)}, which no docker client reads" if unread else ""
