"""The daemon's own file, daemon.json: the three keys of `proxies`, and what else of it matters here.

Pure: text in, text out; an empty text is a file without keys, as dockerd reads it from 23.0 on. All else in the file,
and how it is written, stays. What dockerd does with the file: FACTS 1 to 6.
Not known here: whether this dockerd knows `proxies`, and what its flags and its environment are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final

from agent.targets import for_dockerd, json_splice
from agent.targets.json_splice import MISSING, Original, Path
from agent.targets.refused import CannotExpress
from agent.values.settings import Settings, Texts

PROXIES: Final[Path] = ("proxies",)
HTTP: Final[Path] = (*PROXIES, "http-proxy")
HTTPS: Final[Path] = (*PROXIES, "https-proxy")
NO_PROXY: Final[Path] = (*PROXIES, "no-proxy")
OURS: Final = (HTTP, HTTPS, NO_PROXY)
LIVE_RESTORE: Final[Path] = ("live-restore",)
DNS: Final[Path] = ("dns",)
DNS_SEARCH: Final[Path] = ("dns-search",)
BRIDGE: Final[Path] = ("bridge",)
DEFAULT_BRIDGE: Final = "docker0"
_NO_BRIDGE: Final = "none"
REGISTRY_MIRRORS: Final[Path] = ("registry-mirrors",)
INSECURE_REGISTRIES: Final[Path] = ("insecure-registries",)


# Proxies.


def texts(text: str | None) -> Texts:
    """What `proxies` says."""
    return _texts(text or "")


# One look at Docker asks this some ten times of three texts: the file, what it was before us, and what it is to be.
@functools.lru_cache(maxsize=4)
def _texts(text: str) -> Texts:
    _check_spelling(text)
    return Texts(_string(text, HTTP), _string(text, HTTPS), _string(text, NO_PROXY))


def edit(text: str | None, wanted: Settings, environment: Texts) -> str:
    """The file that gives dockerd these settings in this environment; unchanged if it does already."""
    text = text or ""
    wanted = for_dockerd.as_seen(wanted)
    if texts(text).over(environment).meaning() == wanted:
        return text
    values = _values(wanted, environment)
    _check_expressible(values, environment, wanted)
    for path, value in zip(OURS, (values.http, values.https, values.no_proxy), strict=True):
        text = json_splice.set_value(text, path, value) if value else json_splice.delete(text, path)
    return json_splice.delete(text, PROXIES) if json_splice.value_at(text, PROXIES) == {} else text


def misplaced(text: str | None) -> Texts:
    """Our keys where they do nothing: beside `proxies`, where dockerd 23 and newer ignores them (FACTS 5)."""
    return Texts(*(_string(text or "", path[len(PROXIES) :]) for path in OURS))


def holds_secret(text: str | None) -> bool:
    """Whether `proxies` holds a user or a password, so that only root may read the file."""
    said = texts(text)
    return "@" in said.http or "@" in said.https


def originals(text: str | None) -> tuple[Original, ...]:
    """What our keys say now, for `put_back`."""
    texts(text)  # refuses what must not be remembered
    return tuple(json_splice.original(text or "", path) for path in OURS)


def put_back(text: str | None, kept: Iterable[Original]) -> str:
    """The file with what our keys said then; the same bytes if nobody else wrote since."""
    return json_splice.put_back(text or "", kept)


def _values(wanted: Settings, environment: Texts) -> Texts:
    """Our three keys; '' is a key that must not be there."""
    if wanted.is_direct:
        # Without the keys dockerd would use a proxy of the environment (FACTS 3).
        return Texts(no_proxy="" if environment.meaning().is_direct else "*")
    return for_dockerd.as_written(wanted)


def _check_expressible(values: Texts, environment: Texts, wanted: Settings) -> None:
    """dockerd takes an absent or empty key from the environment, so some settings cannot be expressed (FACTS 3)."""
    if values.over(environment).meaning() == wanted:
        return
    pairs = (
        ("HTTP_PROXY", values.http, environment.http),
        ("HTTPS_PROXY", values.https, environment.https),
        ("NO_PROXY", values.no_proxy, environment.no_proxy),
    )
    names = " and ".join(name for name, value, below in pairs if below and not value)
    raise CannotExpress(f"{names} in the environment of dockerd cannot be switched off by proxies in this file")


def _check_spelling(text: str) -> None:
    """Go reads `Proxies` as `proxies` and merges the two: after an edit of one, something else would be read."""
    for place, exact in (((), {PROXIES[-1]}), (PROXIES, {path[-1] for path in OURS})):
        for name in json_splice.names(text, place):
            if name not in exact and name.casefold() in exact:
                raise json_splice.refused_at(text, (*place, name), f"{name} must be spelled {name.casefold()}")


# The rest.


def live_restore(text: str | None) -> bool | None:
    """What the file says of live-restore; None: nothing."""
    value = json_splice.value_at(text or "", LIVE_RESTORE)
    if value is MISSING or value is None:
        return None
    if not isinstance(value, bool):
        raise json_splice.refused_at(text or "", LIVE_RESTORE, "live-restore: expected true or false")
    return value


def set_live_restore(text: str | None, *, to: bool | None) -> str:
    """The file with live-restore set `to` this; None: without the key."""
    text = text or ""
    live_restore(text)
    if to is None:
        return json_splice.delete(text, LIVE_RESTORE)
    return json_splice.set_value(text, LIVE_RESTORE, to)


def registry_mirrors(text: str | None) -> tuple[str, ...]:
    """The URLs of registry-mirrors, as written."""
    value = json_splice.value_at(text or "", REGISTRY_MIRRORS)
    if value is MISSING or value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        raise json_splice.refused_at(text or "", REGISTRY_MIRRORS, "registry-mirrors: expected a list of URLs")
    return tuple(_as_go_reads(url) for url in value)


def insecure_registries(text: str | None) -> tuple[str, ...]:
    """Hosts, with a port or without, and networks."""
    return _strings(text, INSECURE_REGISTRIES)


def dns(text: str | None) -> tuple[str, ...]:
    """The DNS servers of containers; none: those of the host."""
    return _strings(text, DNS)


def dns_search(text: str | None) -> tuple[str, ...]:
    """The search domains of containers; none: those of the host."""
    return _strings(text, DNS_SEARCH)


def _strings(text: str | None, path: Path) -> tuple[str, ...]:
    value = json_splice.value_at(text or "", path)
    if not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, str))


def bridge(text: str | None) -> str | None:
    """The default bridge of containers; None: there is none."""
    value = json_splice.value_at(text or "", BRIDGE)
    if value == _NO_BRIDGE:
        return None
    return value if isinstance(value, str) and value else DEFAULT_BRIDGE


def _string(text: str, path: Path) -> str:
    value = json_splice.value_at(text, path)
    if value is MISSING or value is None:  # Go leaves a string as it is when it reads null into it
        return ""
    if not isinstance(value, str):
        raise json_splice.refused_at(text, path, f"{'.'.join(path)}: expected a string")
    return _as_go_reads(value)


def _as_go_reads(value: str) -> str:
    """Half a surrogate pair, or a byte that is not UTF-8, is U+FFFD."""
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value)
