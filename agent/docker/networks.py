"""Which of Docker's bridges lead nowhere: a network that was made with `--internal`.

The kernel does not tell: such a bridge differs by Docker's rules for what is forwarded, and has an address of this host
like any other (FACTS 237).
Not known here: whether Docker may be asked, and what follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

WITHIN_S: Final = 2.0
LISTED: Final = "/networks?filters=%7B%22driver%22%3A%5B%22bridge%22%5D%7D"

_NAMED: Final = "com.docker.network.bridge.name"


class Asked(Protocol):
    """dockerd's API. EngineSilent if it does not answer."""

    async def ask(self, target: str, kind: type[list[Any]], within_s: float = ...) -> list[Any] | None: ...


async def bridges(engine: Asked) -> Mapping[str, bool]:
    """By the name of the interface: whether its network is internal. EngineSilent: not known."""
    listed = await engine.ask(LISTED, list, WITHIN_S) or []
    return {name: one.get("Internal") is True for one in listed if isinstance(one, dict) and (name := _interface(one))}


def _interface(network: dict[str, Any]) -> str:
    options = network.get("Options")
    named = options.get(_NAMED) if isinstance(options, dict) else None
    return str(named or f"br-{str(network.get('Id'))[:12]}")
