"""Which PAC file DHCP names (option 252), as those say who hold the leases: NetworkManager and networkd.

What comes is a text of the network's, and bounded; whether it is a URL is not known here. networkd keeps the option
only if a .network file asks for it (`RequestOptions=252`).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from agent.system.files import is_folder
from agent.system.programs import run
from agent.system.text_files import read_text
from agent.values.errors import AgentError
from agent.values.machine_text import lines
from agent.values.paths import Paths

_LEASES: Final = "/run/systemd/netif/leases"
_RUNS: Final = "/run/NetworkManager"
_NAME: Final = "org.freedesktop.NetworkManager"
_ROOT: Final = "/org/freedesktop/NetworkManager"
_WITHIN_S: Final = 2.0  # D-Bus itself takes milliseconds
_MOST: Final = 8  # connections, leases
_LONGEST: Final = 2048


async def wpad_by_dhcp(paths: Paths) -> tuple[str, ...]:
    """The texts, as they are. () where nobody says any, or nobody can be asked."""
    found = [*await asyncio.to_thread(_by_networkd, paths)]
    if paths.is_real and is_folder(Path(_RUNS)):  # else D-Bus would start it
        found += await by_network_manager()
    return tuple(dict.fromkeys(text for text in found if 0 < len(text) <= _LONGEST))


def _by_networkd(paths: Paths) -> list[str]:
    folder = paths.below(_LEASES)
    try:
        names = sorted(os.listdir(folder))[:_MOST]  # noqa: PTH208 - no Path for each
    except OSError:  # it does not run
        return []
    return [text for name in names for text in _in_a_lease(folder / name)]


def _in_a_lease(file: Path) -> Iterator[str]:
    try:
        text = read_text(file) or ""
    except AgentError:  # gone, or somebody else's
        return
    for line in lines(text):
        name, _, value = line.partition("=")
        if name == "OPTION_252":
            try:
                yield bytes.fromhex(value).decode("latin-1")
            except ValueError:
                continue


async def by_network_manager(busctl: str = "busctl") -> list[str]:
    """Of its connections, the one that leads out first."""

    async def asked(path: str, interface: str, name: str) -> Any:
        """None: it cannot be learned."""
        argv = (busctl, "--system", "--json=short", "get-property", _NAME, path, interface, name)
        try:
            done = await run(argv, _WITHIN_S, {"LC_ALL": "C"})
            return json.loads(done.out)["data"] if done.status == 0 else None
        except (OSError, ValueError, KeyError, TypeError):  # TimeoutError is an OSError
            return None

    found = []
    primary = await asked(_ROOT, _NAME, "PrimaryConnection")
    active = await asked(_ROOT, _NAME, "ActiveConnections")
    named = [primary, *(active if isinstance(active, list) else [])]
    for connection in [*dict.fromkeys(path for path in named if _is_a_path(path))][:_MOST]:
        config = await asked(connection, f"{_NAME}.Connection.Active", "Dhcp4Config")
        options = await asked(config, f"{_NAME}.DHCP4Config", "Options") if _is_a_path(config) else None
        said = options.get("wpad") if isinstance(options, dict) else None
        value = said.get("data") if isinstance(said, dict) else None
        if isinstance(value, str):
            found.append(value)
    return found


def _is_a_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(f"{_ROOT}/")  # `/` is none
