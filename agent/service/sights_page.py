"""What Docker runs with, as each place says it that a person would look at; for a person, and for `--json`.

Pure. No user and no password is shown, whatever the place holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agent.one_pass.screen import line
from agent.values.settings import Texts, no_proxy, no_proxy_shown, proxy
from agent.values.sight import Sight, Sights, Where

_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_SPELLED: Final = {
    Where.FLAGS: ("--http-proxy", "--https-proxy", "--no-proxy"),
    Where.DAEMON_JSON: ("http-proxy", "https-proxy", "no-proxy"),
    Where.ENGINE: ("HTTP Proxy", "HTTPS Proxy", "No Proxy"),
}
_LABELS: Final = {Where.ENGINE: "reports"}
_WHY: Final = (
    "the values are in {file}, which the unit names as EnvironmentFile=, and not in Environment=: that is shown to "
    "everybody who asks systemd, with its passwords. systemd reads the file at each start"
)


def sights_lines(sights: Sights) -> Iterator[str]:
    """Before long lines are folded."""
    for sight in sights.places:
        yield line(_LABELS.get(sight.where, sight.where.value), f"{sight.at}: {_says(sight)}")
    if sights.file:
        yield line("why", _WHY.format(file=sights.file))
    if sights.agrees:
        yield line("agrees", "Docker says what it was given")
    elif sights.agrees is False:
        yield line("differs", "Docker says otherwise than what it was given. See: sudo docker-proxy-agent doctor")
    if sights.changes_with_the_next_start:
        yield line("differs", "the unit was given something else since Docker started: that counts from its next start")


def sights_shown(sights: Sights) -> Mapping[str, Any]:
    """The same as `--json` prints it."""
    places = [
        {
            "where": sight.where.value,
            "at": sight.at,
            "says": None if sight.says is None else dict(_pairs(sight.where, sight.says)),
            "why_not": sight.why_not or None,
        }
        for sight in sights.places
    ]
    return {"sights": places, "agrees": sights.agrees, "changes_with_next_start": sights.changes_with_the_next_start}


def _says(sight: Sight) -> str:
    if sight.says is None:
        return sight.why_not
    pairs = _pairs(sight.where, sight.says)
    between, apart = (": ", " · ") if sight.where is Where.ENGINE else ("=", " ")
    said = apart.join(f"{name}{between}{value}" for name, value in pairs)
    if sight.where is Where.UNIT:
        return f"Environment={said}" if said else "Environment= has no proxy"
    return said or "no proxy"


def _pairs(where: Where, texts: Texts) -> Iterator[tuple[str, str]]:
    values = (proxy(texts.http), proxy(texts.https), no_proxy_shown(no_proxy(texts.no_proxy)))
    names = _SPELLED.get(where, _VARIABLES)
    return ((name, str(value)) for name, value in zip(names, values, strict=True) if value)
