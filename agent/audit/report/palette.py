"""Which colour a network and an upstream has, and by which name Docker's settings go.

Pure. What Docker runs with is in the log as a proxy's address. Whoever looks at the picture wants to see whether it is
the chosen upstream, so it has that one's name and colour: `apply-started` says what the chosen one means for Docker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agent.audit.report.values import HUES, Key, Tone
from agent.audit.spans import Span

DIRECT: Final = "direct"
RELAY: Final = "the relay"
_FIRST_OF_A_NETWORK: Final = 4  # the first ones look like none of the first upstreams
_PROXIES: Final = ("http", "https", "all")
_SPECIAL: Final = {
    Tone.BAD: ("nothing works", "no upstream, or Docker was rolled back"),
    Tone.WAITS: ("waits", "a restart that is due, or a pause"),
    Tone.NONE: ("none", "offline, or Docker does not run"),
    Tone.UNKNOWN: ("not known", "no agent ran, or no record says it"),
    Tone.PLAIN: ("by the agent", "or an order"),
    Tone.OTHERS: ("by others", ""),
    Tone.MIXED: ("several, by the agent and by others", ""),
}


class Palette:
    """As one log has it: colours go by the order in which names appear."""

    def __init__(self) -> None:
        self.chosen = ""  # the upstream, at this place of the log
        self._networks: dict[str, Tone] = {}
        self._upstreams: dict[str, Tone] = {}
        self._names: dict[str, str] = {}  # of upstreams, by the proxies in Docker's settings; '': of several
        self._relay: set[str] = set()  # where it listens

    def applies(self, intent: Mapping[str, Any]) -> None:
        """Docker is to run with this, for what is chosen now, or does already."""
        settings = intent.get("effective" if intent.get("in_force") is True else "settings")
        if self.chosen and isinstance(settings, dict):
            proxies = _proxies(settings)
            self._names[proxies] = self.chosen if self._names.get(proxies, self.chosen) == self.chosen else ""

    def relays(self, listens: Any) -> None:
        """A relay of the agent's listens there: what goes through it says nothing of the upstream."""
        self._relay |= {one for one in listens if isinstance(one, str)} if isinstance(listens, list) else set()

    def name_of(self, span: Span) -> str:
        """Of what Docker runs with: an upstream's, or its proxies. Of another lane, its value."""
        if span.settings is None:
            return span.value or ""
        proxies = _proxies(span.settings)
        if not proxies:
            return DIRECT
        if any(one.partition("://")[2] in self._relay for one in proxies.split(" ")):
            return RELAY
        return self._names.get(proxies) or span.value or ""

    def of_network(self, name: str) -> Tone:
        return self._networks.setdefault(name, HUES[(_FIRST_OF_A_NETWORK + len(self._networks)) % len(HUES)])

    def of_upstream(self, name: str) -> Tone:
        return self._upstreams.setdefault(name, HUES[len(self._upstreams) % len(HUES)])

    def keys_of_networks(self, names: set[str]) -> Iterator[Key]:
        for name, tone in self._networks.items():
            if name in names:
                yield Key(tone, name, "network", is_ground=True)

    def keys(self, used: set[Tone]) -> Iterator[Key]:
        meant = {name: proxies for proxies, name in self._names.items() if name}
        for name, tone in self._upstreams.items():
            if tone in used:
                yield Key(tone, name, meant.get(name, ""))


def key_of(tone: Tone) -> Key:
    """Of what has a colour of its own; without a name for all others."""
    name, means = _SPECIAL.get(tone, ("", ""))
    return Key(tone, name, means)


def _proxies(settings: Any) -> str:
    """What tells two upstreams apart. dockerd is told socks5h by its other name."""
    proxies = (str(settings[name]) for name in _PROXIES if name in settings)
    return " ".join(dict.fromkeys(one.replace("socks5h://", "socks5://") for one in proxies))
