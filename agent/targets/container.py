"""What a container or an image carries of a proxy: the eight variables of its `Config.Env`.

The docker client puts each setting in as two variables, in upper and lower case (FACTS 18); programs read one or the
other. Where the two differ, a person, a Dockerfile or a compose file has set one of them.

Pure. Not known here: what it should carry (`decide/stale.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from agent.values.secret import HIDDEN
from agent.values.settings import Settings, settings

# Ours. FTP_PROXY is the user's, here as in config.json.
NAMES: Final = {
    "http": ("HTTP_PROXY", "http_proxy"),
    "https": ("HTTPS_PROXY", "https_proxy"),
    "all": ("ALL_PROXY", "all_proxy"),
    "no_proxy": ("NO_PROXY", "no_proxy"),
}
VARIABLES: Final = frozenset(name for names in NAMES.values() for name in names)
_LONGEST: Final = 16 * 1024  # characters of a value: more is no proxy, and all of them are kept in memory


class Pair(msgspec.Struct, frozen=True):
    """One setting as its two variables say it; None: there is no such variable. It may hold a password."""

    upper: str | None = None
    lower: str | None = None

    def __repr__(self) -> str:
        return f"Pair({HIDDEN})"

    @property
    def said(self) -> tuple[str, ...]:
        """What they say, the empty ones included."""
        return tuple(dict.fromkeys(value for value in (self.lower, self.upper) if value is not None))

    @property
    def is_of_the_client(self) -> bool:
        """Whether it looks as the docker client writes it."""
        return self.upper is not None and self.upper == self.lower


class Carried(msgspec.Struct, frozen=True):
    """All that one container or image carries."""

    http: Pair = Pair()
    https: Pair = Pair()
    all: Pair = Pair()
    no_proxy: Pair = Pair()
    has_no_bridge: bool = False  # it runs, and all its networks are of a kind that does not reach this host

    @property
    def has_proxy(self) -> bool:
        return any(value for pair in (self.http, self.https, self.all) for value in pair.said)

    def meaning(self) -> Settings:
        """What a program makes of it that reads lower case first, as most do."""
        first = {name: next(iter(filter(None, pair.said)), "") for name, pair in self.by_name().items()}
        return settings(first["http"], first["https"], first["no_proxy"], first["all"])

    def by_name(self) -> dict[str, Pair]:
        return {"http": self.http, "https": self.https, "all": self.all, "no_proxy": self.no_proxy}


def carried(env: Iterable[object]) -> Carried:
    """Of a list such as `Config.Env`. Of a name that stands twice the last one counts, as for the kernel's readers."""
    values = {}
    for one in env:
        name, found, value = str(one).partition("=")
        if found and name in VARIABLES:
            values[name] = value[:_LONGEST]
    pairs = {name: Pair(values.get(upper), values.get(lower)) for name, (upper, lower) in NAMES.items()}
    return Carried(http=pairs["http"], https=pairs["https"], all=pairs["all"], no_proxy=pairs["no_proxy"])


def without_proxies(env: Sequence[str], also: Collection[str] = ()) -> tuple[str, ...]:
    """The other variables; `also`: whole entries to be left out, too."""
    return tuple(one for one in env if one.partition("=")[0] not in VARIABLES and one not in also)
